#!/usr/bin/env python3
"""The repository as a whole: the top level, and the README's two set-up commands."""

import pathlib
import re
import subprocess
import sys

TOP_LEVEL = {
    "meson.build", "meson_options.txt", "src", "include", "schemas", "tests", "bench", "subprojects", "README.md",
    # What every repository carries.
    "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", ".ci", ".gitignore", ".clang-format", ".gitattributes",
}


def set_up_commands(readme):
    """The contents of the fenced sh blocks that follow a <!-- set-up --> mark."""
    return [block.strip() for block in re.findall(r"<!-- set-up -->\s*```sh\n(.*?)```", readme, re.S)]


def readme_problems(readme, exists):
    commands = set_up_commands(readme)
    problems = []
    if len(commands) != 2:
        problems.append(f"README.md has {len(commands)} set-up commands; it must have two")
    for command in commands:
        words = command.split()
        if "\n" in command or len(words) != 2 or words[0] != "sh":
            problems.append(f"README.md: a set-up command is one line, 'sh FILE', not {command!r}")
        elif not exists(words[1]):
            problems.append(f"README.md: {words[1]} does not exist")
    return problems


def top_level_problems(names):
    return [f"{name}: the top level is fixed; put it into a folder" for name in names if name not in TOP_LEVEL]


def tracked_top_level(root):
    """What git knows at the top level and what it would add; everything but build folders where there is no git."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        listing = None
    if listing is None or listing.returncode != 0:
        names = (path.name for path in root.iterdir())
        return sorted(name for name in names if name != ".git" and not name.startswith("build"))
    return sorted({line.split("/", 1)[0] for line in listing.stdout.splitlines()})


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    problems = top_level_problems(tracked_top_level(root))
    readme = (root / "README.md").read_text(encoding="utf-8")
    problems += readme_problems(readme, lambda path: (root / path).is_file())
    for problem in problems:
        print(problem)
    print(f"{len(problems)} findings")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
