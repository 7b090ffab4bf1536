#!/usr/bin/env python3
"""Flags the coroutine code that g++ 12 miscompiles, and what the house rules forbid besides.

An aggregate or capturing-lambda temporary in a full expression with `co_await` is destroyed twice, and so is what is
in `?:` with it; see CONTRIBUTING.md. Files whose name contains "canary" show such patterns on purpose.
"""
# hazards: H2, H3, H8

import pathlib
import re
import sys

from cpp_text import blank_out, lambdas, line_of, matching

BLOCK_BEFORE = re.compile(
    r"(?:[;{})]|\b(?:else|do|try|const|noexcept|override|final|mutable)|[^:]:|->[^;{}()=]*(?:\([^()]*\)[^;{}()=]*)*)$")


def is_block(text, brace):
    """Does the `{` at `brace` begin a block of statements (and not an initialiser)?"""
    before = text[:brace].rstrip()
    return not before or BLOCK_BEFORE.search(before[-200:]) is not None


def statement_around(text, position):
    """(start, end, is in an initialiser) of the statement that holds `position`."""
    in_initialiser = False
    start = position
    depth = 0
    while start > 0:
        c = text[start - 1]
        if c == ";" and depth <= 0:
            break
        if c == "}":
            if not (depth > 0 or re.match(r"\s*[,)]", text[start:])):
                break
            depth += 1
        elif c == "{":
            if depth > 0:
                depth -= 1
            elif is_block(text, start - 1):
                break
            else:
                in_initialiser = True
        start -= 1
    end = position
    while end < len(text) and text[end] != ";":
        if text[end] == "{":
            head = text[start:end].strip()
            if re.match(r"(?:\}?\s*else\s+)?(?:if|while|for|switch)\b", head) and is_block(text, end):
                break
            end = matching(text, end)
        elif text[end] == "}":
            break
        end += 1
    return start, end, in_initialiser


def findings(source):
    """(line, what is wrong) for each offence in one file."""
    text = blank_out(source)
    all_lambdas = lambdas(text)
    found = []
    statements = {}
    for match in re.finditer(r"\bco_await\b", text):
        position = match.start()
        start, end, in_initialiser = statement_around(text, position)
        statement = text[start:end]
        line = line_of(text, position)
        statements.setdefault(start, []).append(line)
        behind = text[position:end]
        # What a lambda inside the expression contains is judged by itself.
        outer = statement
        for a, _, b in reversed(all_lambdas):
            if start <= a and b <= end and not a < position < b:
                outer = outer[:a - start] + re.sub(r"[^\n]", " ", text[a:b + 1]) + outer[b + 1 - start:]
        if in_initialiser:
            found.append((line, "co_await inside braces: name the result first"))
        if re.search(r"\?", outer):
            found.append((line, "co_await in a statement with ?: : use if"))
        if re.search(r"\s(?:&&|\|\|)\s", outer):
            found.append((line, "co_await in a statement with && or ||: name the result first"))
        if re.match(r"\s*(?:const\s+)?auto\s*&{0,2}\s*\[", statement):
            found.append((line, "co_await in a structured binding: name the result first"))
        for a, captures, b in all_lambdas:
            if position < a < end and captures:
                found.append((line, "a capturing lambda inside a co_await expression: name it first"))
        without_lambdas = behind
        for a, _, b in reversed(all_lambdas):
            if position < a and b <= end:
                blanks = " " * (b + 1 - a)
                without_lambdas = without_lambdas[:a - position] + blanks + without_lambdas[b + 1 - position:]
        if "{" in without_lambdas:
            found.append((line, "a braced temporary inside a co_await expression: name it first"))
    for lines in statements.values():
        if len(lines) > 1:
            found.append((lines[1], "two co_await in one statement"))
    for match in re.finditer(r"\bcatch\s*\(", text):
        brace = text.find("{", matching(text, match.end() - 1))
        if brace >= 0 and re.search(r"\bco_(?:await|yield)\b", text[brace:matching(text, brace)]):
            found.append((line_of(text, match.start()), "co_await in a catch block"))
    for a, captures, b in all_lambdas:
        body = text[a:b]
        for inner_a, _, inner_b in all_lambdas:
            if a < inner_a and inner_b <= b:
                body = body.replace(text[inner_a:inner_b], "")
        if captures and re.search(r"\bco_(?:await|return|yield)\b", body):
            found.append((line_of(text, a), "a coroutine lambda with captures: pass what it needs as arguments"))
    return sorted(set(found))


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    bad = files = 0
    for folder in ("include", "src", "tests", "bench"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".h", ".cc") or "canary" in path.name:
                continue
            files += 1
            for line, problem in findings(path.read_text(encoding="utf-8")):
                print(f"{path.relative_to(root)}:{line}: {problem}")
                bad += 1
    print(f"{files} files, {bad} findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
