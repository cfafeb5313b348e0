#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs every benchmark several times, in rounds, and sets the medians beside their targets.

P1 to P19 and P25 are the targets of docs/targets.md: what is measured is named beside each. P16 and P24, of the bindings,
are measured by bindings/rust/bench.sh, bindings/python/bench.sh and bindings/cross_runtime/bench.py.

A round runs each program once, so that both sides of a ratio meet the same noise. The first round
shows Google Benchmark's own tables. What one thread does is measured in its processor time, but Go's
in real time, since its collector runs beside it. Where a target's peer is not at hand the ratio is to a
limit in the same unit, measured on a 2-core virtual machine, and means little elsewhere.

usage: run.py [<program>...]     such as `run.py derive fan`; all of them, if none is named

CTX_BUILD         the build folder; the programs are in its bench/
CTX_BENCH_ROUNDS  how many rounds, 5 if not set
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

GOOGLE = ["derive", "read", "fan", "chain", "threads", "growth", "merge", "group"]
PLAIN = ["memory", "queue", "timers", "go_peers"]

# For peers that are not measured if their language is not there: what they were.
NOTED = {"P12/go/p50": 550, "P12/go/p99": 1900}

# target, what, the name of our figure, what it is held against (a name, or a limit with its origin),
# the ratio to reach, unit
TARGETS = [
    ("P1", "derive, cancel, release", "P1/one/ours", "P1/one/std", "<=", 0.8, "ns"),
    ("P1", "… 10,000 alive, random order", "P1/random/ours/10000", "P1/random/std/10000", "<=", 0.8, "ns"),
    ("P1", "… against Go", "P1/one/ours", "P1/one/go", "<=", 0.125, "ns"),
    ("P2", "the same with a 1 h timeout", "P2/one/ours", (90, "0.3 nsync"), "<=", 1.0, "ns"),
    ("P2", "… 10,000 alive, random order", "P2/random/ours/10000", (90, "0.3 nsync"), "<=", 1.0, "ns"),
    ("P2", "… against Go", "P2/one/ours", "P2/one/go", "<=", 0.167, "ns"),
    ("P3", "ctx_err, called", "P3/ours_call", "P3/bare_call", "<=", 1.12, "ns"),
    ("P3", "ctx_err_word, loaded", "P3/ours_word", "P3/std", "<=", 1.05, "ns"),
    ("P3", "… against Go's Err, inlined", "P3/ours_call", "P3/go", None, None, "ns"),
    ("P4", "register and stop a callback", "P4/ours", "P4/std", "<=", 2.0, "ns"),
    ("P5", "cancel 10,000 children, each", "P5/ordered/ours/10000", (14, "0.6 tokio"), "<=", 1.0, "ns"),
    ("P5", "… shuffled", "P5/shuffled/ours/10000", (18.6, "0.6 tokio"), "<=", 1.0, "ns"),
    ("P5", "… against std", "P5/ordered/ours/10000", "P5/ordered/std/10000", None, None, "ns"),
    ("P5", "… against std, two threads", "P5/two_threads/ours/10000", "P5/two_threads/std/10000", None, None, "ns"),
    ("P5", "cancel 1,000,000 children, each", "P5/ordered/ours/1000000", (14, "0.6 tokio"), "<=", 1.0, "ns"),
    ("P5", "… shuffled", "P5/shuffled/ours/1000000", (64, "0.6 tokio"), "<=", 1.0, "ns"),
    ("P5", "… against std", "P5/ordered/ours/1000000", "P5/ordered/std/1000000", None, None, "ns"),
    ("P5", "… against std, shuffled", "P5/shuffled/ours/1000000", "P5/shuffled/std/1000000", None, None, "ns"),
    ("P5", "… 10,000 against Go", "P5/ordered/ours/10000", "P5/ordered/go/10000", None, None, "ns"),
    ("P5", "… 1,000,000 against Go", "P5/ordered/ours/1000000", "P5/ordered/go/1000000", None, None, "ns"),
    ("P6", "cancel a chain of 1,000,000, each", "P6/cancel/ours/1000000", (18.6, "0.6 tokio"), "<=", 1.0, "ns"),
    ("P6", "release it, each", "P6/release/ours/1000000", (27, "tokio"), "<=", 1.0, "ns"),
    ("P6", "… cancel against Go", "P6/cancel/ours/1000000", "P6/cancel/go/1000000", None, None, "ns"),
    ("P7", "a missing value, 104 contexts up", "P7/ours", "P7/go", "<=", 0.05, "ns"),
    ("P9", "cancel and drain 1,000,000, each", "P9/ordered", (50, "limit"), "<=", 1.0, "ns"),
    ("P9", "… contexts that only the queue holds", "P9/left", (50, "limit"), None, None, "ns"),
    ("P9", "… shuffled in memory", "P9/shuffled", (50, "limit"), None, None, "ns"),
    ("P9", "memory of a queue entry", "P9/entry", (64, "limit"), "<=", 1.0, "B"),
    ("P9", "descriptors", "P9/descriptors", (1, "limit"), "<=", 1.0, ""),
    ("P9", "wake-ups before a drain", "P9/wakeups", (1, "limit"), "<=", 1.0, ""),
    ("P11", "two threads, one parent, cancel", "P11/shared/cancel/gain", "P11/shared/std/gain", ">=", 1.6, "x"),
    ("P11", "… timeout", "P11/shared/timeout/gain", "P11/shared/std/gain", ">=", 1.6, "x"),
    ("P11", "two threads, own parents, cancel", "P11/own/cancel/gain", "P11/own/std/gain", ">=", 1.9, "x"),
    ("P11", "… timeout", "P11/own/timeout/gain", "P11/own/std/gain", ">=", 1.9, "x"),
    ("P12", "lateness of 10,000 timers, p50", "P12/ours/p50", "P12/timerfd/p50", "<=", 4.0, "us"),
    ("P12", "… p99", "P12/ours/p99", "P12/timerfd/p99", "<=", 4.0, "us"),
    ("P12", "… p50 against Go", "P12/ours/p50", "P12/go/p50", "<=", 0.5, "us"),
    ("P12", "… p99 against Go", "P12/ours/p99", "P12/go/p99", "<=", 0.5, "us"),
    ("P12", "… p50, manual loop", "P12/manual/p50", "P12/go/p50", "<=", 0.5, "us"),
    ("P12", "… p99, manual loop", "P12/manual/p99", "P12/go/p99", "<=", 0.5, "us"),
    ("P13", "memory of a cancel context", "P13/cancel", (144, "limit"), "<=", 1.0, "B"),
    ("P13", "… timeout", "P13/timeout", (160, "limit"), "<=", 1.0, "B"),
    ("P13", "… value", "P13/value", (80, "limit"), "<=", 1.0, "B"),
    ("P14", "wake-ups a second", "P14/wakeups", (10, "limit"), "<=", 1.0, "/s"),
    ("P14", "… of a manual loop's host", "P14/manual/wakeups", (10, "limit"), "<=", 1.0, "/s"),
    ("P18", "cancel above a merge that is gone", "P18/with", "P18/without", "<=", 1.05, "ns"),
    ("P19", "100,000 equal deadlines, the last", "P19/ends/last", (15, "limit"), "<=", 1.0, "ms"),
    ("P19", "… a lone one 1 ms later", "P19/ends/lone", (5, "limit"), "<=", 1.0, "ms"),
    ("P19", "… with callbacks, the last", "P19/callbacks/last", (15, "limit"), "<=", 1.0, "ms"),
    ("P19", "… with callbacks, the lone one", "P19/callbacks/lone", (5, "limit"), "<=", 1.0, "ms"),
    ("P25", "begin and end a piece of work", "P25/ours", "P25/bare", "<=", 1.5, "ns"),
    ("P25", "… against Go's WaitGroup", "P25/ours", "P25/go", None, None, "ns"),
    ("P25", "… of a group with a descriptor", "P25/descriptor", "P25/bare", None, None, "ns"),
    ("P1", "growth: 1,000,000 siblings", "P1/growth/siblings", "P1/growth/alone", "<=", 1.3, "ns"),
    ("P1", "growth: 100,000 timers", "P1/growth/timers", "P1/growth/alone", "<=", 1.3, "ns"),
    ("P2", "growth: 1,000,000 siblings", "P2/growth/siblings", "P2/growth/alone", "<=", 1.3, "ns"),
    ("P2", "growth: 100,000 timers", "P2/growth/timers", "P2/growth/alone", "<=", 1.3, "ns"),
    ("P4", "growth: 1,000,000 siblings", "P4/growth/siblings", "P4/growth/alone", "<=", 1.3, "ns"),
    ("P4", "growth: 100,000 timers", "P4/growth/timers", "P4/growth/alone", "<=", 1.3, "ns"),
]


def run_google(program, show):
    """Yields name and nanoseconds of processor time (items a second for throughputs) of one run."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run(
            [program, "--benchmark_min_time=0.1", "--benchmark_out_format=json",
             f"--benchmark_out={out.name}"],
            check=True, stdout=None if show else subprocess.DEVNULL,
            stderr=None if show else subprocess.DEVNULL)
        report = json.load(out)
    for row in report["benchmarks"]:
        name = re.sub(r"/(iterations:\d+|manual_time|real_time)", "", row["name"])
        for counter in ("per_child", "per_node"):
            if counter in row:
                yield name, row[counter] * 1e9
                break
        else:
            yield name, row.get("items_per_second", row["cpu_time"])


def run_plain(program, show):
    text = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout
    if show:
        print(text, end="", flush=True)
    for line in text.splitlines():
        name, value = line.split()
        yield name, float(value)


def measure(folder, programs, rounds):
    figures = {}
    for number in range(rounds):
        first = number == 0
        for program in programs:
            run = run_google if program in GOOGLE else run_plain
            if first:
                print(f"\n== {program}", flush=True)
            for name, value in run(str(folder / program), first):
                figures.setdefault(name, []).append(value)
        print(f"round {number + 1} of {rounds} done", flush=True)
    for name in [n for n in figures if n.endswith("threads:1")]:
        base = name.removesuffix("/threads:1")
        pairs = zip(figures[name], figures[base + "/threads:2"])
        figures[base + "/gain"] = [two / one for one, two in pairs]
    return figures


def show(value, unit):
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} {unit}"


def summarize(figures, rounds):
    """One line a target. For P11 both columns are gains, and ours itself is held to the target; void
    says that the machine had no second processor to spare."""
    missed, voided = [], []
    print(f"\nMedians of {rounds} rounds.\n")
    line = "{:4} {:34} {:>10}  {:>22} {:>7}  {:>8}  {}"
    print(line.format("", "", "ours", "held against", "ratio", "target", "met?"))
    for target, what, name, peer, relation, bound, unit in TARGETS:
        if name not in figures:
            continue  # its program was not asked for
        ours = statistics.median(figures[name])
        if isinstance(peer, str) and peer in figures:
            against, origin = statistics.median(figures[peer]), peer.split("/")[2 if unit == "x" else -1]
            origin = next((p for p in ("std", "bare_call", "timerfd", "alone", "go") if p in peer.split("/")), origin)
        elif peer in NOTED:
            against, origin = NOTED[peer], "go, noted"
        elif isinstance(peer, str):
            continue
        else:
            against, origin = peer
        ratio = ours / against
        reached = ours if unit == "x" else ratio
        met = relation is None or (reached <= bound if relation == "<=" else reached >= bound)
        # Two threads that share nothing: if they did not run side by side, nothing could.
        void = target == "P11" and statistics.median(figures["P11/own/std/gain"]) < 1.7
        if void:
            voided.append(what)
        elif not met:
            missed.append(f"{target} {what}")
        print(line.format(target, what, show(ours, unit), f"{origin} {show(against, unit)}",
                          f"{ratio:.2f}", f"{relation} {bound:g}" if relation else "-",
                          "-" if relation is None else "void" if void else "yes" if met else "NO"))
    if "P12/ours/min" in figures:
        early = min(figures["P12/ours/min"] + figures["P12/manual/min"])
        print(f"\nEarliest timer: {early:.1f} us after its deadline"
              + (" (never early)" if early >= 0 else " - EARLY, which is a bug"))
        if any(figures["P14/missed"] + figures["P14/manual/missed"]):
            print("P14 is void: a timeout of 1 s passed before its cancel after 1 ms")
    print("\nMissed: " + "; ".join(missed) if missed else "\nEvery target measured is met.")
    if voided:
        print("Void, for want of a second processor: " + "; ".join(voided))


def main():
    folder = pathlib.Path(os.environ.get("CTX_BUILD", ".")) / "bench"
    rounds = int(os.environ.get("CTX_BENCH_ROUNDS", "5"))
    programs = sys.argv[1:] or GOOGLE + PLAIN
    if "go_peers" in programs and not (folder / "go_peers").exists():
        print("Go was missing when the benchmarks were built: its figures are those that were noted once.")
        programs = [program for program in programs if program != "go_peers"]
    for program in programs:
        if program not in GOOGLE + PLAIN:
            sys.exit(f"run.py: no program {program!r}; there are {', '.join(GOOGLE + PLAIN)}")
        if not (folder / program).exists():
            sys.exit(f"run.py: {folder / program} is missing; set CTX_BUILD to a build folder")
    if os.getloadavg()[0] > 0.5:
        print("The machine is busy, or was a moment ago: P11 and P12 will suffer from it.")
    summarize(measure(folder, programs, rounds), rounds)


if __name__ == "__main__":
    main()
