#!/usr/bin/env python3
"""Keeps src/core pure: no I/O, clock, randomness of its own, thread, coroutine, KJ, LMDB or liburing.

It may include its own headers, the project's base types, and the headers of the standard library that are listed here.
"""

import pathlib
import re
import sys

# Of the standard library: data and algorithms.
STANDARD = {
    "algorithm", "array", "bit", "chrono", "compare", "concepts", "cstddef", "cstdint", "cstring", "deque", "functional",
    "initializer_list", "iterator", "limits", "list", "map", "memory", "numeric", "optional", "set", "span", "string",
    "string_view", "system_error", "tuple", "type_traits", "utility", "variant", "vector",
    # For the reference counts of batches, which other threads share.
    "atomic",
}
# Of ours: its own, base types, and the messages as rpc.h and storage.h define them.
OURS = re.compile(r"(?:core/\w+|base/\w+|ringraft/(?:types|errc|bytes|batch|rpc|storage|log|status|options))\.h$")
OTHERS = {"boost/outcome/result.hpp", "fmt/format.h"}
FORBIDDEN = {
    r"\bco_(?:await|return|yield)\b": "a coroutine",
    r"\b(?:steady_clock|system_clock|high_resolution_clock|Clock)::now\b": "a clock; `now` is a parameter",
    r"\b(?:rand|srand|random_device|mt19937(?:_64)?|getrandom)\b": "randomness; seeds are parameters",
    r"\b(?:time|gettimeofday|clock_gettime|nanosleep|usleep|sleep_for|sleep_until)\s*\(": "a clock",
    r"\b(?:std::thread|std::jthread|std::mutex|std::condition_variable|std::future|thread_local)\b": "a thread",
    r"\b(?:printf|fprintf|fopen|open|read|write|fsync|fdatasync|socket)\s*\(": "I/O",
    r"\bstd::(?:cout|cerr|cin|ofstream|ifstream|fstream|filesystem)\b": "I/O",
    r"\b(?:kj|capnp)::": "KJ or Cap'n Proto",
    r"\bmdb_\w+": "LMDB",
    r"\bio_uring\w*": "io_uring",
    r"\bunordered_(?:map|set|multimap|multiset)\b": "an unordered container, whose order is not deterministic",
}
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)


def check(text):
    """(line, problem) for each offence in the text of one file of src/core."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        include = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if include:
            name = include.group(1)
            if name not in STANDARD and name not in OTHERS and not OURS.match(name):
                found.append((number, f"includes {name}"))
    code = COMMENT_OR_STRING.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), text)
    for pattern, what in FORBIDDEN.items():
        for match in re.finditer(pattern, code):
            before = code[max(0, match.start() - 2):match.start()]
            if before.endswith((".", "->")):  # a member that happens to have the name
                continue
            found.append((code.count("\n", 0, match.start()) + 1, f"{match.group(0)}: {what}"))
    return sorted(found)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    bad = files = 0
    for path in sorted((root / "src/core").glob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        files += 1
        for line, problem in check(path.read_text(encoding="utf-8")):
            print(f"{path.relative_to(root)}:{line}: {problem}")
            bad += 1
    print(f"{files} files, {bad} findings")
    return 1 if bad or not files else 0


if __name__ == "__main__":
    sys.exit(main())
