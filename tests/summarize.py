#!/usr/bin/env python3
"""Counts what a run of `meson test` did, from its log, and ends with "N passed, N failed".

A doctest program counts its cases, any other test counts as one. A program that failed without a failed case (a crash,
a timeout, a leak) counts as one failure more. Skipped tests are named.
"""

import argparse
import json
import re
import sys

CASES = re.compile(r"\[doctest\] test cases:\s*(\d+) \|\s*(\d+) passed \|\s*(\d+) failed(?: \|\s*(\d+) skipped)?")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def count(test):
    """(passed, failed, skipped) of one record of the log."""
    result = test["result"]
    if result == "SKIP":
        return 0, 0, 1
    is_good = result in ("OK", "EXPECTEDFAIL")
    output = COLOURS.sub("", test.get("stdout") or "")
    cases = CASES.findall(output)
    if not cases:
        return (1, 0, 0) if is_good else (0, 1, 0)
    passed = sum(int(case[1]) for case in cases)
    failed = sum(int(case[2]) for case in cases)
    if not is_good and failed == 0:
        failed = 1
    return passed, failed, 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--label", default="tests")
    parser.add_argument("--totals", help="file to append 'passed failed skipped' to")
    parser.add_argument("--status", type=int, default=0, help="exit status of meson test")
    parser.add_argument("log")
    arguments = parser.parse_args()

    passed = failed = skipped = 0
    print(f"== {arguments.label}")
    with open(arguments.log, encoding="utf-8", errors="replace") as log:
        for line in log:
            test = json.loads(line)
            good, bad, left_out = count(test)
            passed, failed, skipped = passed + good, failed + bad, skipped + left_out
            name = test["name"].split(" / ")[-1]
            if left_out:
                lines = (test.get("stdout") or test.get("stderr") or "").strip().splitlines()
                print(f"   skipped: {name}: {lines[-1] if lines else 'it did not say why'}")
            elif bad:
                print(f"   FAILED:  {name}: {test['result']}, {bad} failed, {good} passed, {test['duration']:.1f} s")
            else:
                print(f"   passed:  {name}: {good}, {test['duration']:.1f} s")
    if arguments.status != 0 and failed == 0:
        print(f"   FAILED:  meson test ended with status {arguments.status}")
        failed = 1
    if passed + failed == 0:
        print("   FAILED:  no test ran")
        failed = 1
    if arguments.totals:
        with open(arguments.totals, "a", encoding="utf-8") as totals:
            totals.write(f"{passed} {failed} {skipped}\n")
    if skipped:
        print(f"   {skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
