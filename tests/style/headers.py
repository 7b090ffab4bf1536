#!/usr/bin/env python3
"""Every public header compiles alone and shows its user neither Cap'n Proto nor LMDB nor liburing.

    headers.py ROOT COMPILER...      each COMPILER is one word or several, "ccache g++" for instance
"""

import concurrent.futures
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

FORBIDDEN = re.compile(r"/(?:capnp/|kj/|lmdb\.h|liburing)")


def check(root, compiler, header):
    """What is wrong with one header, as text; empty if nothing is."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "alone.cc")
        source.write_text(f'#include "{header}"\n#include "{header}"\n', encoding="utf-8")
        dependencies = pathlib.Path(folder, "alone.d")
        done = subprocess.run(
            [*compiler, "-std=c++20", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-fsyntax-only", "-I",
             root / "include", "-MD", "-MF", dependencies, source], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return done.stderr[:2000]
        used = [path for path in dependencies.read_text(encoding="utf-8").split() if FORBIDDEN.search(path)]
        return "includes " + ", ".join(used[:5]) if used else ""


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    compilers = [shlex.split(text) for text in sys.argv[2:]]
    compilers = [words for words in compilers if shutil.which(words[-1])]
    headers = sorted(str(path.relative_to(root / "include")) for path in (root / "include").rglob("*.h"))
    jobs = [(compiler, header) for compiler in compilers for header in headers]
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (compiler, header), problem in zip(jobs, pool.map(lambda job: check(root, *job), jobs)):
            if problem:
                print(f"{header} with {compiler[-1]}: {problem}")
                bad += 1
    print(f"{len(headers)} headers, {len(compilers)} compilers, {bad} findings")
    return 1 if bad or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
