#!/usr/bin/env python3
"""ringraft as a meson subproject: dependency('ringraft') is found through a wrap, and only the library is built.

    subproject.py SOURCE_ROOT COMPILER

The project is configured and looked at, not built: its library is the one that the other tests use.
"""

import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def main():
    root, compiler = pathlib.Path(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        project = pathlib.Path(folder, "project")
        shutil.copytree(root / "tests/consumer/subproject", project)
        shutil.copy(root / "tests/consumer/consumer.cc", project)
        checkout = project / "subprojects/ringraft"
        checkout.mkdir()
        for name in ("meson.build", "meson_options.txt", "src", "include", "schemas", "subprojects", "tests", "bench"):
            if (root / name).is_dir():
                shutil.copytree(root / name, checkout / name, ignore=shutil.ignore_patterns("mutants", "__pycache__"))
            else:
                shutil.copy(root / name, checkout / name)
        run("meson", "setup", "build", cwd=project, env=dict(os.environ, CXX=compiler))
        targets = json.loads(run("meson", "introspect", "build", "--targets", cwd=project))
        executables = sorted(target["name"] for target in targets if target["type"] == "executable")
        if executables != ["consumer"]:
            sys.exit(f"a subproject builds the library alone, and not also {executables}")
        if "ringraft" not in {target["name"] for target in targets if target["type"] == "static library"}:
            sys.exit("the library is not among the targets")
        tests = json.loads(run("meson", "introspect", "build", "--tests", cwd=project))
        if tests:
            sys.exit(f"a subproject brings no tests, and this one has {len(tests)}")
        print("the library alone")


if __name__ == "__main__":
    main()
