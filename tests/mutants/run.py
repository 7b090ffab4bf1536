#!/usr/bin/env python3
"""Plants each bug of this folder in a copy of the sources, one at a time, and looks for what finds it.

  tests/mutants/run.py WORKDIR [--seeds 2000] [--jobs 2] [--shard 1/2] [--only NAME ...] [--table FILE]
  tests/mutants/run.py --check        only: does every patch still apply?

First the simulator runs a few seeds, up to the first failure; if all pass, the test programs follow, that of the part
with the bug before the others, and then the rest of the seeds. A seed that fails must pass without the bug. WORKDIR
keeps the copy and its build between runs.

A shard is every N-th bug; several run side by side, each with a WORKDIR of its own and --jobs 1.

Prints a table: what was found by which seed or test, and in how many seconds. Exits with 1 if a bug is not found,
or if the sources without any bug fail.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# In the order in which they are asked; cheap and near first.
TESTS = ["core/test_core", "scenario_runner/test_scenarios", "base/test_base", "rpc/test_rpc", "storage/test_storage",
         "node/test_node", "coro/test_coro", "reactor/test_reactor", "crash/test_crash_images"]
OWN_MAIN = {"test_scenarios"}  # the others are doctest's
SIMULATOR = "src/sim/ringraft-sim"
FEW = 8  # seeds before the tests
LIMIT = 1800  # seconds for one program; more counts as a failure of it


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def must(command, **options):
    done = run(command, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def patches(names):
    found = sorted(HERE.glob("*.patch"))
    if not names:
        return found
    chosen = [patch for patch in found if patch.stem in names]
    missing = set(names) - {patch.stem for patch in chosen}
    if missing:
        sys.exit(f"no such bug: {', '.join(sorted(missing))}; the names are those of the files in {HERE}")
    return chosen


def check():
    everything = patches([])
    bad = [patch.stem for patch in everything
           if run(["git", "apply", "--check", str(patch)], cwd=ROOT).returncode != 0]
    for name in bad:
        print(f"does not apply any more: {name}; plant the bug anew in today's sources")
    print(f"{len(everything) - len(bad)} of {len(everything)} bugs can be planted")
    return 1 if bad or len(everything) < 40 else 0


# "2/3": the second of three parts.
def shard(text):
    part, _, parts = text.partition("/")
    if not part.isdecimal() or not parts.isdecimal() or not 1 <= int(part) <= int(parts):
        raise argparse.ArgumentTypeError(f"invalid part {text!r}: expected K/N, such as 1/2")
    return slice(int(part) - 1, None, int(parts))


# A line "First: PART" in the patch's head stands for the part that it changes.
def tests_for(patch):
    parts = re.findall(r"^(?:\+\+\+ b/src/|First: )(\w+)", patch.read_text(), re.M) if patch else []
    return sorted(TESTS, key=lambda program: program.split("/")[0] not in parts)


def rule_of(patch):
    return re.search(r"^Breaks: (.*)$", patch.read_text(), re.M).group(1)


class Tree:
    def __init__(self, work, jobs):
        self.source, self.build, self.jobs = work / "source", work / "build", jobs
        self.without_bug = work / "ringraft-sim"  # the simulator, built from the sources as they are
        work.mkdir(parents=True, exist_ok=True)
        if not self.source.exists():
            must(["git", "clone", "-q", str(ROOT), str(self.source)])
        must(["git", "-C", str(self.source), "fetch", "-q", "origin"])
        head = must(["git", "-C", str(ROOT), "rev-parse", "HEAD"]).strip()
        must(["git", "-C", str(self.source), "reset", "-q", "--hard", head])
        if not (self.build / "build.ninja").exists():
            must(["meson", "setup", str(self.build), str(self.source), "--buildtype=release", "-Dkv=false",
                  "-Dbench=false", "-Dexamples=false", "-Db_lundef=false"])

    def plant(self, patch):
        must(["git", "-C", str(self.source), "checkout", "-q", "."])
        if patch is not None:
            must(["git", "-C", str(self.source), "apply", str(patch)])

    def make(self, target):
        done = run(["ninja", "-C", str(self.build), f"-j{self.jobs}", target])
        return None if done.returncode == 0 else done.stdout[-2000:]

    def keep_simulator(self):
        shutil.copy2(self.build / SIMULATOR, self.without_bug)

    # What the simulator says, or None.
    def simulate(self, seeds):
        try:
            done = run([str(self.build / SIMULATOR), "--seeds", f"1..{seeds}", "--jobs", str(self.jobs),
                        "--stop"], timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return "the simulator does not end"
        if done.returncode == 0:
            return None
        failures = re.findall(r"^seed (\d+): broken: ([^:\n]+)", done.stdout, re.M)
        if not failures:
            return "the simulator dies"
        seed, rule = min(failures, key=lambda failure: int(failure[0]))
        if self.without_bug.exists() and run([str(self.without_bug), "--seed", seed]).returncode != 0:
            sys.exit(f"seed {seed} fails without any bug, too")
        return f"seed {seed}: {rule.strip()}"

    def test(self, program):
        path = self.build / "tests" / program
        try:
            options = [] if path.name in OWN_MAIN else ["--abort-after=1"]
            done = run([str(path), *options], timeout=LIMIT, cwd=path.parent)
        except subprocess.TimeoutExpired:
            return f"{path.name} does not end"
        if done.returncode == 0:
            return None
        return f"{path.name}: {failed_test(done.stdout + done.stderr) or 'dies'}"


# The first test case with an error below its name (doctest also names those that only print something), or scenario.
def failed_test(output):
    for block in re.split(r"^={40,}$", output, flags=re.M):
        named = re.search(r"^TEST CASE:\s+(.*)$", block, re.M)
        if named and "ERROR:" in block:
            return named.group(1).strip()
    named = re.search(r"([^\s/]+\.txt)", output)
    return named.group(1) if named else None


def hunt(tree, patch, seeds):
    """(found by, seconds of running) or (None, seconds)."""
    spent = 0

    def ask(target, question):
        nonlocal spent
        broken = tree.make(target)
        if broken is not None:
            sys.exit(f"the mutant does not build:\n{broken}")
        begun = time.monotonic()
        found = question()
        spent += time.monotonic() - begun
        return found

    found = ask(SIMULATOR, lambda: tree.simulate(min(seeds, FEW)))
    for program in tests_for(patch):
        found = found or ask(f"tests/{program}", lambda: tree.test(program))
    if found is None and seeds > FEW:
        found = ask(SIMULATOR, lambda: tree.simulate(seeds))
    return found, spent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="?", type=pathlib.Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--shard", type=shard, default=slice(None))
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--table", type=pathlib.Path)
    args = parser.parse_args()
    if args.check:
        return check()
    if args.work is None:
        parser.error("name a WORKDIR, for the copy of the sources and its build")
    tree = Tree(args.work, args.jobs)
    tree.plant(None)
    tree.without_bug.unlink(missing_ok=True)
    found, spent = hunt(tree, None, FEW)
    if found is not None:
        print(f"without any bug: {found}")
        return 1
    tree.keep_simulator()
    print(f"without any bug: nothing found in {spent:.0f} s", flush=True)
    lines, missed = ["| bug | breaks | found by | seconds |", "|---|---|---|---|"], []
    for patch in patches(args.only)[args.shard]:
        tree.plant(patch)
        found, spent = hunt(tree, patch, args.seeds)
        lines.append(f"| {patch.stem} | {rule_of(patch)} | {found or 'NOT FOUND'} | {spent:.1f} |")
        print(lines[-1], flush=True)
        missed += [] if found else [patch.stem]
    tree.plant(None)
    if args.table:
        args.table.write_text("\n".join(lines) + "\n")
    total = len(lines) - 2
    print(f"{total - len(missed)} of {total} found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
