#!/usr/bin/env python3
"""Installs the build into a folder, and builds and runs a user's program there with pkg-config and with CMake; what
a shared object exports that links the library is the public API.

    installed.py SOURCE_ROOT BUILD_ROOT PREFIX COMPILER
"""

import os
import pathlib
import re
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


WARNINGS = ["-std=c++20", "-Wall", "-Wextra", "-Wshadow", "-Werror"]


def compile_examples(source_root, compiler, flags):
    """The installed headers give no warning in a user's program, templates and inline functions included."""
    of_compiler = [flag for flag in shlex.split(flags) if not flag.startswith(("-l", "-L"))]
    for source in sorted((source_root / "src/examples").glob("*.cc")):
        run(*shlex.split(compiler), *WARNINGS, "-fsyntax-only", source, *of_compiler)


def named_in(headers):
    """The inner classes that the public headers name, for a pointer to them: node::Node and its like."""
    names = set()
    for header in headers.glob("*.h"):
        text = header.read_text(encoding="utf-8")
        for space, body in re.findall(r"^namespace (\w+) \{\n(.*?)^\}", text, re.M | re.S):
            names |= {f"ringraft::{space}::{name}" for name in re.findall(r"(?:class|struct) (\w+);", body)}
    return names


def check_exports(shared, compiler, installed, flags):
    """The whole library in a shared object: only what the public headers declare is exported."""
    library = next(installed.rglob("libringraft.a"))
    run(*shlex.split(compiler), "-shared", "-o", shared, "-Wl,--whole-archive", library, "-Wl,--no-whole-archive",
        *shlex.split(flags))
    names = run("nm", "-DC", "--defined-only", shared).splitlines()
    inner = re.compile(r"ringraft::(?:core|coro|node|reactor|rpc|schema|storage|base)::")
    exported = {name.split(None, 2)[2] for name in names if "ringraft::" in name}
    known = tuple(named_in(installed / "include/ringraft"))
    bare = {name: re.sub(r"^(?:typeinfo|vtable)(?: name)? for ", "", name) for name in exported}
    leaked = sorted(name for name in exported if inner.match(bare[name]) and not bare[name].startswith(known))
    if leaked:
        sys.exit("exported, and not public:\n" + "\n".join(leaked[:20]))
    if not any(name.startswith("ringraft::Raft::") for name in exported):
        sys.exit("ringraft::Raft is not exported")


def build_with_cmake(source_root, folder, compiler, installed):
    if shutil.which("cmake") is None:
        print("no cmake here: its package file was not tried")
        return
    run("cmake", "-S", source_root / "tests/consumer/cmake", "-B", folder / "cmake", f"-DCMAKE_PREFIX_PATH={installed}",
        f"-DCMAKE_CXX_COMPILER={shlex.split(compiler)[-1]}",
        f"-DCONSUMER_SOURCE={source_root / 'tests/consumer/consumer.cc'}", "-DCMAKE_BUILD_TYPE=Debug")
    run("cmake", "--build", folder / "cmake")
    print(run(folder / "cmake/consumer", "17425").strip())


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
        run(*shlex.split(compiler), *WARNINGS, "-O1", source, "-o", program, *shlex.split(flags))
        print(run(program, "17420").strip())
        compile_examples(pathlib.Path(source_root), compiler, flags)
        check_exports(pathlib.Path(folder, "all.so"), compiler, installed, flags)
        build_with_cmake(pathlib.Path(source_root), pathlib.Path(folder), compiler, installed)


if __name__ == "__main__":
    main()
