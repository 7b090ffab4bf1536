#!/usr/bin/env python3
"""Plain English: bans the worst patterns in comments, strings and prose. See CONTRIBUTING.md, "Language".

Usage: language.py SOURCE_ROOT             fails with a list of findings
       language.py SOURCE_ROOT --update    lowers tests/style/language_exceptions.txt to what is there; never raises it
       language.py --self-test             shows that each rule catches something, and leaves good text alone

The list of exceptions has a line "COUNT PATH" for each file with findings. It may only shrink: a file with fewer
findings than its line fails as well, until the line is lowered.
"""

import pathlib
import re
import subprocess
import sys

EXCEPTIONS = "tests/style/language_exceptions.txt"
PROSE = {".md", ".txt"}
CODE = {".h", ".cc", ".capnp"}
SCRIPT = {".py", ".sh", ".build"}
# Texts of others, recorded stories, and this file's own examples.
SKIPPED = re.compile(r"^(LICENSE|CHANGELOG\.md|tests/CATALOGUE\.md|tests/style/language(_exceptions)?\.(py|txt)|"
                     r"tests/mutants/.*\.patch|subprojects/)")
RULES = [
    (re.compile(r"\bfor ever\b", re.I), "forever"),
    (re.compile(r"\btime-outs?\b", re.I), "timeout"),
    (re.compile(r"\bshall\b", re.I), "must, or the present tense"),
    (re.compile(r"\b(?:nobody|everybody|somebody|anybody|whoever|whom|everyone|someone|anyone)\b", re.I),
     "a server, a caller or a client is 'it'"),
    (re.compile(r"\b(?:peer|node|server|member|leader|follower|learner|witness|voter|candidate|caller|client)s? who\b",
                re.I), "that"),
    (re.compile(r"(?<!lag )(?<!lags )(?<!lagged )(?<!lagging )(?<!fall )(?<!falls )(?<!fell )(?<!far )(?<!is )(?<!are )"
                r"(?<!was )(?<!were )(?<!be )(?<!stays )(?<!stay )(?<!entries )(?<!bytes )(?<!left )"
                r"\bbehind\b", re.I), "'behind' means lagging; else after, beyond, on top of"),
    (re.compile(r"(?<!there )(?<!This )(?<!this )\bis no (?!longer\b|more than\b|such\b|later\b|earlier\b|reason\b|"
                r"need\b|way\b|leader\b|other\b|room\b|quorum\b|majority\b)\w+", re.I),
     "say what is wrong and what is accepted"),
    (re.compile(r"\b(?:stands?|standing|stood) for election\b", re.I), "campaign"),
    (re.compile(r"\bfounders?\b|\bfounding (?:entry|member|node)\b", re.I), "bootstrap"),
    (re.compile(r"\bhands? (?:the )?leadership over\b|\bhands? over (?:the )?leadership\b", re.I),
     "transfer leadership"),
    (re.compile(r"\b(?:behaviour|colour|favour|honour|neighbour|cancelling(?= policy)|(?:un)?(?:initial|serial|recogn|"
                r"optim|organ|normal|synchron|minim|maxim)is(?:e|es|ed|ing|ation))\b", re.I), "American spelling"),
]
LINE = 120


def comments_and_strings(text, suffix):
    """The text with all but comments and string literals blanked out; every line stays where it is."""
    if suffix in CODE:
        pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"' if suffix != ".capnp" else r'#[^\n]*|"(?:\\.|[^"\\\n])*"'
    else:
        pattern = r'"""(?:.|\n)*?"""|\'(?:\\.|[^\'\\\n])*\'|"(?:\\.|[^"\\\n])*"|#[^\n]*'
    kept, at = [], 0
    for match in re.finditer(pattern, text, re.S):
        if match.group(0).startswith('"') and text[:match.start()].endswith("#include "):
            continue
        kept.append(re.sub(r"[^\n]", " ", text[at:match.start()]))
        kept.append(match.group(0))
        at = match.end()
    kept.append(re.sub(r"[^\n]", " ", text[at:]))
    return "".join(kept)


def check(name, text):
    """(line, finding) for each offence."""
    suffix = pathlib.PurePath(name).suffix
    prose = text if suffix in PROSE or suffix == ".scenario" else comments_and_strings(text, suffix)
    found = []
    is_fenced = False
    for number, line in enumerate(prose.split("\n"), 1):
        if suffix == ".md":
            if line.startswith("```"):
                is_fenced = not is_fenced
            elif len(line) > LINE and not is_fenced and not line.startswith("|") and "](" not in line:
                found.append((number, f"{len(line)} columns; at most {LINE}, code and prose alike"))
        for rule, instead in RULES:
            for match in rule.finditer(line):
                found.append((number, f"'{match.group(0)}': {instead}"))
    return found


def tracked(root):
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    except (FileNotFoundError, subprocess.CalledProcessError):  # an exported tree
        listing = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
        listing = [name for name in listing if not name.startswith(("build", ".git/"))]
    suffixes = PROSE | CODE | SCRIPT | {".scenario"}
    return sorted(name for name in set(listing) if (root / name).is_file() and not SKIPPED.match(name) and
                  (pathlib.PurePath(name).suffix in suffixes or name.startswith(".ci/")))


def read_exceptions(text):
    lines = [line.split(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: int(count) for count, name in lines}


def judge(found, allowed):
    """Problems, and the list of exceptions as it could be lowered to. `found` is {name: [(line, finding)]}."""
    problems, lowered = [], {}
    for name in sorted(set(found) | set(allowed)):
        count, limit = len(found.get(name, [])), allowed.get(name, 0)
        if count > limit:
            problems += [f"{name}:{line}: {what}" for line, what in found[name]]
            if limit:
                problems.append(f"{name}: {count} findings; its exceptions are {limit}, and may only become fewer")
        elif count < limit:
            problems.append(f"{EXCEPTIONS}: {name} has {count} findings, not {limit}: lower its line (--update)")
        if min(count, limit):
            lowered[name] = min(count, limit)
    return problems, lowered


def self_test():
    bad = ["// waits for ever", "// a time-out", "// it shall", "// nobody waits", "// the entry behind it",
           '"x is no number"', "// it stands for election", "// a founder", "// hands the leadership over",
           "// behaviour", "// serialises", "// a peer who answers"]
    good = ["// lags behind", "// it is behind", "// timeouts are forever", "int behind = nobody;",
            '#include "behind.h"',
            "// there is no leader", "// it is no longer leader", "// the peer that answers"]
    wrong = [line for line in bad if len(check("a.cc", line + "\n")) != 1]
    wrong += [line for line in good if check("a.cc", line + "\n")]
    if len(check("a.md", "x" * 121)) != 1 or check("a.md", "| " + "x" * 121) or check("a.py", "x = nobody\n"):
        wrong.append("columns or code")
    one = {"a": [(1, "x")]}
    if judge(one, {})[0] == [] or judge(one, {"a": 1}) != ([], {"a": 1}) or judge({}, {"a": 1})[0] == []:
        wrong.append("exceptions")
    if judge(one, {"a": 2})[1] != {"a": 1} or judge({"a": one["a"] * 2}, {"a": 1})[1] != {"a": 1}:
        wrong.append("a list that grows, or does not shrink")
    for line in wrong:
        print("judged wrongly:", line)
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = pathlib.Path(sys.argv[1])
    found = {}
    for name in tracked(root):
        offences = check(name, (root / name).read_text(encoding="utf-8"))
        if offences:
            found[name] = offences
    path = root / EXCEPTIONS
    problems, lowered = judge(found, read_exceptions(path.read_text(encoding="utf-8")) if path.exists() else {})
    if "--update" in sys.argv[2:]:
        lines = [f"{count} {name}" for name, count in sorted(lowered.items())]
        path.write_text("# Findings left in each file; the list may only shrink.\n" + "\n".join(lines) + "\n",
                        encoding="utf-8")
        problems, lowered = judge(found, lowered)
    print("\n".join(problems) if problems else f"plain; {sum(lowered.values())} exceptions left")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
