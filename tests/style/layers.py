#!/usr/bin/env python3
"""Arrows between the folders of src: each include is in the table of src/README.md, and each entry of it is used.

Usage: layers.py SOURCE_ROOT       fails with a list of findings
       layers.py --self-test       shows that each rule catches something

The table is the one under "## Folders": a folder in backticks with a slash, what is in it, and the folders that it may
include, in backticks without one. `include` stands for include/ringraft and `schemas` for the generated headers.
"""

import pathlib
import re
import sys

ROW = re.compile(r"^\| `(?:src/)?([\w/]+?)/` \|.*\|([^|]*)\|\s*$")
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<((?:peer|admin|ringraft)[^>]*)>)', re.M)


def table(readme):
    """{folder: set of folders that it may include}, from the table under '## Folders'."""
    section = readme.split("## Folders", 1)[-1].split("\n## ", 1)[0]
    rows = {}
    for line in section.splitlines():
        row = ROW.match(line)
        if row:
            name = "include" if row.group(1).startswith("include") else row.group(1)
            rows[name] = set(re.findall(r"`([\w/]+?)/?`", row.group(2)))
    return rows


def target(include, folder, siblings):
    """The folder that an include leads to; None for one's own, and for what is not ours."""
    if include.startswith("ringraft/"):
        name = "include"
    elif include.endswith(".capnp.h"):
        name = "schemas"
    elif "/" in include:
        name = include.split("/", 1)[0]
    else:
        return None if include in siblings or folder is None else "?"
    return None if name == folder else name


def arrows(sources):
    """{folder: {target: first place}} of (folder, file name, text) triples."""
    siblings = {}
    for folder, name, _ in sources:
        siblings.setdefault(folder, set()).add(name)
    found = {}
    for folder, name, text in sources:
        uses = found.setdefault(folder, {})
        for match in INCLUDE.finditer(text):
            to = target(match.group(1) or match.group(2), folder, siblings[folder])
            if to is not None:
                line = text.count("\n", 0, match.start()) + 1
                uses.setdefault(to, f"{folder}/{name}:{line}")
    return found


def findings(rows, found):
    problems = []
    for folder in sorted(set(found) - set(rows)):
        problems.append(f"{folder}: no row in the table of src/README.md")
    for folder in sorted(set(rows) - set(found)):
        problems.append(f"{folder}: a row in the table of src/README.md without such a folder")
    for folder in sorted(set(rows) & set(found)):
        for to in sorted(set(found[folder]) - rows[folder]):
            problems.append(f"{found[folder][to]}: {folder} includes {to}, which the table of src/README.md does not "
                            "list")
        for to in sorted(rows[folder] - set(found[folder])):
            problems.append(f"{folder}: the table of src/README.md lists {to}, which no file of it includes")
    return problems


def sources_of(root):
    sources = []
    for path in sorted((root / "src").rglob("*")):
        if path.suffix in (".h", ".cc") and path.parent != root / "src":
            sources.append((path.relative_to(root / "src").parts[0], path.name, path.read_text(encoding="utf-8")))
    for path in sorted((root / "include" / "ringraft").rglob("*.h")):
        sources.append(("include", path.name, path.read_text(encoding="utf-8")))
    return sources


def self_test():
    readme = ("## Folders\n\n| a | b | c |\n|---|---|---|\n"
              "| `core/` | x | `base`, `include` |\n| `base/` | y | |\n## Z\n")
    rows = table(readme)
    wrong = []
    if rows != {"core": {"base", "include"}, "base": set()}:
        wrong.append(f"table: {rows}")
    good = [("core", "a.h", '#include "base/x.h"\n#include "ringraft/y.h"\n#include "core/b.h"\n#include <vector>\n'),
            ("base", "x.h", "")]
    if findings(rows, arrows(good)):
        wrong.append(f"good: {findings(rows, arrows(good))}")
    for bad in (
            good + [("core", "c.cc", '#include "node/x.h"\n')],            # an arrow that is not listed
            good + [("base", "c.cc", '#include "ringraft/x.h"\n')],        # to the public headers
            good + [("base", "c.cc", '#include <peer.capnp.h>\n')],        # to generated headers
            good + [("new", "c.cc", "")],                                  # a folder without a row
            good[:1],                                                      # a row without a folder
            [("core", "a.h", '#include "base/x.h"\n'), good[1]]):          # a listed arrow that is not used
        if len(findings(rows, arrows(bad))) != 1:
            wrong.append(f"judged wrongly: {bad}: {findings(rows, arrows(bad))}")
    print("\n".join(wrong))
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = pathlib.Path(sys.argv[1])
    rows = table((root / "src" / "README.md").read_text(encoding="utf-8"))
    problems = findings(rows, arrows(sources_of(root)))
    print("\n".join(problems) if problems else f"{len(rows)} folders, as src/README.md draws them")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
