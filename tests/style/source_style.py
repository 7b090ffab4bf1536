#!/usr/bin/env python3
"""What a machine can check of the house style: sizes, tabs, left-over notes, the comment that a file begins with, and
what of io_uring is not used."""
# hazards: G12, G13

import pathlib
import re
import sys

FOLDERS = ("include", "src", "schemas", "tests", "bench", ".ci")
CODE = {".h", ".cc", ".capnp", ".py", ".sh", ".build"}
MAX_LINE = 120
WARN_LINES = 500
MAX_LINES = 800
# Spelled apart, so that this file does not find itself.
NOTES = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")
# Of io_uring, in src: links (an entry whose predecessor fails is cancelled) and sends without a copy (two completions,
# the second when the buffer is free) are not what the ring's code is made for.
URING = re.compile(r"\b(?:IOSQE_IO_(?:HARD)?LINK|IORING_OP_SEND(?:MSG)?_ZC|io_uring_prep_send(?:msg)?_zc(?:_fixed)?)\b")
# Each compiles for seconds in every source that has it: all of fmt's formatting (fmt::format calls what is in fmt's
# library), and Boost's exceptions (which std_result.hpp does without).
SLOW = re.compile(r"\bfmt::(?:v?format_to|formatted_size)\b|"
                  r"<boost/outcome(?:/(?:boost_)?(?:result|outcome))?\.hpp>")
COMMENT = {".h": "//", ".cc": "//", ".capnp": "#", ".sh": "#", ".py": '"""'}


def check(name, text, folder="src"):
    """(line, problem, is only a warning) for each offence in one file of a top-level folder."""
    found = []
    lines = text.split("\n")
    suffix = pathlib.PurePath(name).suffix
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            found.append((number, f"{len(line)} columns; at most {MAX_LINE}", False))
        if "\t" in line:
            found.append((number, "a tab; use spaces", False))
        if line != line.rstrip():
            found.append((number, "blanks at the end of the line", False))
        if NOTES.search(line):
            found.append((number, f"a left-over note ({NOTES.search(line).group(0)}); do it, or file it", False))
        if folder == "src" and URING.search(line):
            found.append((number, f"{URING.search(line).group(0)}: no linked operations and no sends without a copy",
                          False))
        if suffix in (".h", ".cc") and SLOW.search(line):
            found.append((number, f"{SLOW.search(line).group(0)} compiles for seconds; use another", False))
    if text and not text.endswith("\n"):
        found.append((len(lines), "no line end at the end of the file", False))
    count = len(lines) - 1
    if count > MAX_LINES:
        found.append((1, f"{count} lines; at most {MAX_LINES}: there are two things in this file", False))
    elif count > WARN_LINES:
        found.append((1, f"{count} lines; over {WARN_LINES} there are usually two things in a file", True))
    comment = COMMENT.get(suffix)
    if comment:
        first = [line for line in lines if line and not line.startswith("#!")][:2]
        if suffix == ".capnp" and first and first[0].startswith("@0x"):
            first = first[1:]
        own_header = pathlib.PurePath(name).stem + '.h"'
        if suffix == ".cc" and first and first[0].startswith("#include") and first[0].endswith(own_header):
            pass  # its header tells
        elif name.endswith("_test.cc"):
            pass  # its test suite does
        elif not first or not first[0].startswith(comment) or len(first[0]) < len(comment) + 8:
            found.append((1, "does not begin with a comment that says what the file is", False))
    if suffix == ".h" and "#pragma once" not in text and "\n#ifndef RINGRAFT_" not in text:
        found.append((1, "a header without #pragma once", False))
    return found


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    bad = files = 0
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            is_code = path.suffix in CODE or path.parent.name == ".ci"
            if not path.is_file() or not is_code or "__pycache__" in path.parts:
                continue
            files += 1
            for line, problem, is_warning in check(path.name, path.read_text(encoding="utf-8"), folder):
                print(f"{path.relative_to(root)}:{line}: {'warning: ' if is_warning else ''}{problem}")
                bad += not is_warning
    print(f"{files} files, {bad} findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
