#!/usr/bin/env python3
"""tests/CATALOGUE.md: its column "tested by" is generated from what names a row, and each row is tested or open.

Usage: catalogue.py SOURCE_ROOT             fails if the column differs, a row has no test, or a row named is unknown
       catalogue.py SOURCE_ROOT --update    writes the column
       catalogue.py --self-test             shows that each rule catches something

A row is named by
  * a test case that begins with its code: TEST_CASE("C17: ..."), TEST_CASE("A9, A21: ...");
  * a line "hazards: A1, C18" in a comment of any tracked file: a scenario, a script, a test program as a whole; in
    src/sim/oracle.cc and src/sim/faults.cc the rule or fault below it;
  * a line "Catalogue: B19" in the head of a planted bug, tests/mutants/NAME.patch.
"""

import pathlib
import re
import subprocess
import sys

CODES = r"[A-Z]\d+(?:, ?[A-Z]\d+)*"
CASE = re.compile(r'\bTEST_CASE(?:_FIXTURE|_TEMPLATE)?\(\s*(?:[\w:<>]+,\s*)?"(' + CODES + r'): ')
LINE = re.compile(r"^\s*(?://|#) hazards: (" + CODES + r")\s*$", re.M)
PLANTED = re.compile(r"^Catalogue: (" + CODES + r")\s*$", re.M)
ROW = re.compile(r"^\| ([A-Z]\d+) \| (.*?) \|(?: (.*))? ?\|$")
OPEN = re.compile(r"\*\*open: [^*]+\*\*")
KINDS = {"scenarios": "scenarios", "planted": "planted", "rule": "rules", "fault": "faults"}


def split(codes):
    return [code.strip() for code in codes.split(",")]


def place(name):
    """How a file is called in the column: tests/node/gate_test.cc is node/gate_test."""
    path = pathlib.PurePath(name)
    if len(path.parts) == 1 or path.name == "run":
        return name
    parts = path.with_suffix("").parts
    return "/".join(parts[1:] if parts[0] == "tests" else parts)


def named(name, text):
    """(code, kind, what) of each row that a file names."""
    found = []
    if name.endswith(".patch"):
        head = text.split("\ndiff ", 1)[0]
        return [(code, "planted", pathlib.PurePath(name).stem) for codes in PLANTED.findall(head)
                for code in split(codes)]
    for match in LINE.finditer(text):
        kind, what = "test", place(name)
        if name.startswith("tests/scenarios/"):
            kind, what = "scenarios", pathlib.PurePath(name).stem
        elif name in ("src/sim/oracle.cc", "src/sim/faults.cc"):
            kind = "rule" if name.endswith("oracle.cc") else "fault"
            literal = re.search(r'"([^"]+)"', text[match.end():])
            what = literal.group(1) if literal else what
        found += [(code, kind, what) for code in split(match.group(1))]
    if name.endswith("_test.cc"):
        found += [(code, "test", place(name)) for codes in CASE.findall(text) for code in split(codes)]
    return found


def column(entries):
    """The text of one cell, from (kind, what) pairs."""
    parts = sorted({what for kind, what in entries if kind == "test"})
    for kind, label in KINDS.items():
        names = sorted({what for other, what in entries if other == kind})
        if names:
            mark = '"' if kind in ("rule", "fault") else "`"
            parts.append(f"{label} " + ", ".join(f"{mark}{name}{mark}" for name in names))
    return "; ".join(parts)


def rewrite(catalogue, rows):
    """The catalogue with its generated column, and what is wrong with it. `rows` is {code: [(kind, what)]}."""
    lines, problems, seen = [], [], set()
    for line in catalogue.split("\n"):
        row = ROW.match(line)
        if row:
            code, hazard, old = row.groups()
            if code in seen:
                problems.append(f"{code} is there twice")
            seen.add(code)
            new = column(rows.get(code, []))
            if not new and not OPEN.search(hazard):
                problems.append(f"{code} has no test: name it in one, or mark the row **open: FEATURE**")
            if new != old.strip():
                problems.append(f"{code}: the column is not what the sources say; run catalogue.py --update")
            line = f"| {code} | {hazard} | {new} |" if new else f"| {code} | {hazard} | |"
        lines.append(line)
    for code in sorted(set(rows) - seen):
        problems.append(f"{code} is not a row of it, and is named by {column(rows[code])}")
    return "\n".join(lines), problems


def sources(root):
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    except (FileNotFoundError, subprocess.CalledProcessError):  # an exported tree
        names = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
        names = [name for name in names if not name.startswith(("build", ".git/"))]
    suffixes = (".cc", ".h", ".py", ".sh", ".patch", ".build", ".scenario", ".txt")
    for name in sorted(set(names)):
        if (name.endswith(suffixes) or name.startswith((".ci/", "tests/scenarios/"))) and (root / name).is_file():
            if name not in ("tests/style/catalogue.py", "tests/CATALOGUE.md"):
                yield name, (root / name).read_text(encoding="utf-8")


def collect(files):
    rows = {}
    for name, text in files:
        for code, kind, what in named(name, text):
            rows.setdefault(code, []).append((kind, what))
    return rows


def self_test():
    files = [("tests/core/x_test.cc", 'TEST_CASE("A1, B2: x") {}\nTEST_CASE_FIXTURE(F, "C3: y") {}'),
             ("tests/e2e/y.py", "# hazards: A1\n"),
             ("tests/mutants/z.patch", "Breaks: x\nCatalogue: A1\n\ndiff --git\n"),
             ("src/sim/oracle.cc", '  // hazards: A1\n  "a rule",\n'), ("tests/scenarios/s", "# hazards: B2\n")]
    rows = collect(files)
    wrong = []
    if column(rows["A1"]) != 'core/x_test; e2e/y; planted `z`; rules "a rule"':
        wrong.append(column(rows["A1"]))
    if column(rows["B2"]) != "core/x_test; scenarios `s`" or "C3" not in rows:
        wrong.append("B2 or C3")
    text = "| A1 | x | |\n| B2 | y | |\n| C3 | z | |\n| D4 | w **open: snapshots** | |"
    updated, problems = rewrite(text, rows)
    if len(problems) != 3 or rewrite(updated, rows) != (updated, []):
        wrong.append(f"update: {problems}")
    for bad in (updated + "\n| E5 | v | |", updated.replace("core/x_test", "core/w_test", 1),
                updated.replace("| D4", "| C3"), updated.replace("| B2", "| B9")):
        if not rewrite(bad, rows)[1]:
            wrong.append(f"judged right: {bad}")
    print("\n".join(wrong))
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = pathlib.Path(sys.argv[1])
    path = root / "tests" / "CATALOGUE.md"
    text, problems = rewrite(path.read_text(encoding="utf-8"), collect(sources(root)))
    if "--update" in sys.argv[2:]:
        path.write_text(text, encoding="utf-8")
        problems = rewrite(text, collect(sources(root)))[1]
    print("\n".join(problems) if problems else "each row is tested, or open")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
