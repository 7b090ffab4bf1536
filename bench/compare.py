#!/usr/bin/env python3
"""Runs ringraft-bench beside other programs, in turns, and prints medians and ratios as a Markdown table.

  bench/compare.py --ringraft build/bench/ringraft-bench [--limit PATH] [--craft PATH] [--reps 5] [--secs 5]

  --limit   a program that does what any three-node log must do, and no protocol: the denominator. It takes
            --dir --payload --conc --secs --store and prints a line of JSON with ops_s and p50_us.
  --craft   a load driver for C-Raft. It takes --dir --payload --conc --secs --segment; the same JSON.

All run on the same disk. In each repetition every cell of the grid is run by each program once before the next cell,
so that a disk that gets slower does so for all. A cell shows the median, and in brackets the least and the greatest of
its runs.
Each run is bounded in time; a run that fails is named and left out, and the exit code is then 1.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

START_AND_STOP = 90  # seconds that a run may take beside its load
PAUSE = 0.5  # seconds between two runs, after a sync: no run pays for another's dirty pages


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ringraft", required=True, help="path of ringraft-bench")
    parser.add_argument("--limit", help="path of the program that measures the limit")
    parser.add_argument("--limit-store", default="lmdb", help="its --store (lmdb)")
    parser.add_argument("--craft", help="path of the driver for C-Raft")
    parser.add_argument("--segment", default="67108864", help="the driver's --segment (64 MiB: its best latency)")
    parser.add_argument("--dir", default=".", help="where all put their data; on the disk to be measured")
    parser.add_argument("--payloads", default="16,128,1024,16384")
    parser.add_argument("--outstanding", default="1,64,1024")
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--secs", type=float, default=5)
    parser.add_argument("--out", help="append every single result to this file, a line of JSON each")
    return parser.parse_args()


def programs(args):
    """Name -> (payload, outstanding, directory) -> command line."""
    secs = str(args.secs)
    found = {
        "ringraft": lambda p, o, d: [args.ringraft, "local", "--json", "--data", d, "--payload", str(p),
                                     "--outstanding", str(o), "--seconds", secs]}
    if args.limit:
        found["limit"] = lambda p, o, d: [args.limit, "--dir", d, "--payload", str(p), "--conc", str(o),
                                          "--secs", secs, "--store", args.limit_store]
    if args.craft:
        found["craft"] = lambda p, o, d: [args.craft, "--dir", d, "--payload", str(p), "--conc", str(o),
                                          "--secs", secs, "--segment", args.segment]
    return found


def run_bounded(command, timeout):
    """Output and error of a process group of its own, which is gone afterwards. Raises RuntimeError with the reason."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise RuntimeError(f"not done after {timeout:.0f} s") from None
        raise
    if process.returncode != 0:
        last = (err.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"exit code {process.returncode}: {last}")
    return out


def measure(command, timeout):
    """ops/s and the median latency of one run."""
    lines = [line for line in run_bounded(command, timeout).splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError("no line of JSON")
    result = json.loads(lines[-1])
    if result.get("errors", 0) != 0:
        raise RuntimeError(f"{result['errors']} calls failed")
    return result, float(result.get("ops_per_s", result.get("ops_s"))), float(result["p50_us"])


def run_all(args, found, cells):
    """{(name, payload, outstanding): [(ops, p50), ...]}, and how many runs failed."""
    results, failures = {}, 0
    total = args.reps * len(cells) * len(found)
    done = 0
    for rep in range(args.reps):
        for payload, outstanding in cells:
            for name, command in found.items():
                done += 1
                directory = tempfile.mkdtemp(prefix="ringraft-compare-", dir=args.dir)
                try:
                    result, ops, p50 = measure(command(payload, outstanding, directory), args.secs + START_AND_STOP)
                    results.setdefault((name, payload, outstanding), []).append((ops, p50))
                    note = f"{ops:,.0f}/s, p50 {p50:,.0f} us"
                    if args.out:
                        with open(args.out, "a") as file:
                            file.write(json.dumps({"program": name, "repetition": rep, **result}) + "\n")
                except RuntimeError as error:
                    failures += 1
                    note = f"FAILED: {error}"
                finally:
                    shutil.rmtree(directory, ignore_errors=True)
                print(f"[{done}/{total}] {name} {payload} B x {outstanding}: {note}", file=sys.stderr, flush=True)
                os.sync()
                time.sleep(PAUSE)
    return results, failures


def spread(values):
    if not values:
        return "failed"
    return f"{statistics.median(values):,.0f} [{min(values):,.0f}-{max(values):,.0f}]"


def ratio(one, other):
    if not one or not other or statistics.median(other) == 0:
        return ""
    return f"{statistics.median(one) / statistics.median(other):.2f}"


def size(payload):
    return f"{payload // 1024} KiB" if payload >= 1024 and payload % 1024 == 0 else f"{payload} B"


def table(results, names, cells):
    others = [name for name in names if name != "ringraft"]
    head = ["payload", "outstanding"] + [f"{name} ops/s" for name in names]
    head += [f"ringraft/{name}" for name in others]
    head += [f"{name} p50 us" for name in names] + [f"p50 ringraft/{name}" for name in others]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for payload, outstanding in cells:
        ops = {n: [r[0] for r in results.get((n, payload, outstanding), [])] for n in names}
        p50 = {n: [r[1] for r in results.get((n, payload, outstanding), [])] for n in names}
        row = [size(payload), str(outstanding)] + [spread(ops[n]) for n in names]
        row += [ratio(ops["ringraft"], ops[n]) for n in others]
        row += [spread(p50[n]) for n in names]
        # With many outstanding the median follows from the throughput: only one at a time says something of its own.
        row += [ratio(p50["ringraft"], p50[n]) if outstanding == 1 else "" for n in others]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def main():
    args = parse_args()
    cells = [(int(p), int(o)) for p in args.payloads.split(",") for o in args.outstanding.split(",")]
    found = programs(args)
    for path in filter(None, (args.ringraft, args.limit, args.craft)):
        if not os.access(path, os.X_OK):
            sys.exit(f"compare.py: cannot run {path}: build it, or name the path of an executable")
    os.makedirs(args.dir, exist_ok=True)
    results, failures = run_all(args, found, cells)
    kernel = os.uname()
    print(f"Medians of {args.reps} runs of {args.secs:g} s [least-greatest]; {kernel.sysname} {kernel.release}, "
          f"{len(os.sched_getaffinity(0))} CPUs.\n")
    print(table(results, list(found), cells))
    if failures:
        print(f"\n{failures} runs failed; see above.")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
