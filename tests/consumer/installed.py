#!/usr/bin/env python3
"""Installs the build into a folder, and builds and runs a user's program there with what pkg-config says.

    installed.py SOURCE_ROOT BUILD_ROOT PREFIX COMPILER
"""

import os
import pathlib
import shlex
import subprocess
import sys
import tempfile


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def main():
    source_root, build_root, prefix, compiler = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        run("meson", "install", "-C", build_root, "--no-rebuild", "--destdir", folder)
        installed = pathlib.Path(folder + prefix)
        shipped = {path.name for path in (installed / "include/ringraft").iterdir()}
        expected = {path.name for path in pathlib.Path(source_root, "include/ringraft").iterdir()}
        if shipped != expected:
            sys.exit(f"the installed headers differ from include/ringraft: {sorted(shipped ^ expected)}")

        where = os.pathsep.join(str(path.parent) for path in installed.rglob("ringraft.pc"))
        environment = dict(os.environ, PKG_CONFIG_PATH=where)
        flags = run("pkg-config", f"--define-variable=prefix={installed}", "--cflags", "--libs", "ringraft",
                    env=environment)
        program = pathlib.Path(folder, "consumer")
        source = pathlib.Path(source_root, "tests/consumer/consumer.cc")
        run(*shlex.split(compiler), "-std=c++20", "-O1", source, "-o", program, *shlex.split(flags))
        print(run(program, "17420").strip())


if __name__ == "__main__":
    main()
