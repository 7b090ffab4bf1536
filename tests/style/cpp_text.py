"""Looks at C++ source as text: enough of a scanner for the lints, no parser."""

import re


def blank_out(source):
    """The source with comments, literals and preprocessor lines replaced by blanks; every line stays where it is."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/'                                  # comments
        r'|R"(?P<delimiter>[^(\s]*)\(.*?\)(?P=delimiter)"'     # raw strings
        r'|"(?:\\.|[^"\\\n])*"'                                # strings
        r"|(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'"               # characters, not the marks in 1'000
        r'|^[ \t]*\#(?:\\\n|[^\n])*',                          # preprocessor
        re.S | re.M)

    def blank(match):
        text = match.group(0)
        kept = '"" ' if text.startswith(('"', 'R"')) else ""
        return kept[:len(text)].ljust(0) + re.sub(r"[^\n]", " ", text[len(kept):])

    return pattern.sub(blank, source)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def matching(text, position):
    """Where the bracket at `position` is closed; the end of the text if it is not."""
    opening = text[position]
    closing = {"(": ")", "{": "}", "[": "]"}[opening]
    depth = 0
    for i in range(position, len(text)):
        if text[i] == opening:
            depth += 1
        elif text[i] == closing:
            depth -= 1
            if depth == 0:
                return i
    return len(text)


def lambdas(text):
    """(start, captures, end of the body) of each lambda expression, outermost first."""
    found = []
    for match in re.finditer(r"\[", text):
        start = match.start()
        before = text[:start].rstrip()
        if text[start + 1:start + 2] == "[" or before.endswith("["):  # an attribute
            continue
        if before and (before[-1].isalnum() or before[-1] in "_)]") and not re.search(
                r"\b(?:return|co_return|co_await|co_yield)$", before):  # an index
            continue
        if re.search(r"\bauto(?:\s*&{0,2})$", before):  # a structured binding
            continue
        close = matching(text, start)
        captures = text[start + 1:close].strip()
        i = close + 1
        header = re.compile(r"\s*(?:<[^(){}]*>)?\s*(\(?)").match(text, i)
        if header.group(1):
            i = matching(text, header.end() - 1) + 1
        body = re.compile(r"(?:\s*(?:mutable|noexcept|constexpr|requires[^{]*|->[^{;]*))*\s*\{").match(text, i)
        if body is None:
            continue
        found.append((start, captures, matching(text, body.end() - 1)))
    return found
