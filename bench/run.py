#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs every benchmark in rounds, ours and every peer's, and sets the medians beside the targets of docs/targets.md.

    run.py [--rounds N] [--publish] [NAME...]     only the benchmarks below a NAME, such as P1 or P5/shuffled

A round runs each benchmark once, in random order, each in a process of its own: another one's heap or threads would
change its figure. What one thread does is measured in its processor time, but Go's in real time, since its collector
runs beside it. A peer that is not there is named, and has no figure. bench/rows.py has the rows; P16 and P24, of the
bindings, are measured by theirs. With --publish the table and its pictures go to docs, too.

CTX_BUILD  the build folder, whose bench/ has the programs; the report goes to its bench/report/
"""

import argparse
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import report
from rows import PEERS, ROWS

# These print `name value` lines; the others are Google Benchmark's.
PLAIN = {"grpc", "handler", "load", "memory", "process", "queue", "timers", "wake"}


def google_names(program):
    text = subprocess.run([program, "--benchmark_list_tests"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return text.split()


def plain_names(program):
    return subprocess.run([program, "list"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()


def run_google(program, name):
    """Yields name and nanoseconds of processor time, or items a second, of one benchmark."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run(
            [program, f"--benchmark_filter=^{re.escape(name)}$", "--benchmark_min_time=0.1",
             "--benchmark_out_format=json", f"--benchmark_out={out.name}"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        rows = json.load(out)["benchmarks"]
    for row in rows:
        for counter in ("per_child", "per_node"):
            if counter in row:
                yield short(row["name"]), row[counter] * 1e9
                break
        else:
            yield short(row["name"]), row.get("items_per_second", row["cpu_time"])


def short(name):
    return re.sub(r"/(iterations:\d+|manual_time|real_time)", "", name)


def run_plain(program, name):
    text = subprocess.run([program, name], check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in text.splitlines():
        figure, value = line.split()
        yield figure, float(value)


def benchmarks(folder):
    """[(how to run it, program, its name)], of all that were built"""
    found = []
    for program in sorted(folder.iterdir()):
        if not (program.is_file() and os.access(program, os.X_OK)) or program.suffix == ".so":
            continue
        plain = program.name in PLAIN or program.name == "go_peers"
        names = plain_names(program) if plain else google_names(program)
        found += [(run_plain if plain else run_google, program, name) for name in names]
    return found


def wanted(name, asked):
    return not asked or any(f"{name}/".startswith(f"{one}/") for one in asked)


def measure(folder, rounds, asked):
    """{name of a figure: its values, one a round}"""
    figures = {}
    chosen = [b for b in benchmarks(folder) if wanted(b[2], asked)]
    if not chosen:
        sys.exit(f"run.py: no benchmark is below: {' '.join(asked)}")
    for number in range(rounds):
        random.Random(number).shuffle(chosen)
        for done, (run, program, name) in enumerate(chosen, 1):
            if sys.stdout.isatty():
                print(f"\rround {number + 1} of {rounds}: {done} of {len(chosen)}, {name:<40.40}", end="", flush=True)
            for figure, value in run(program, name):
                figures.setdefault(figure, []).append(value)
        print(f"\rround {number + 1} of {rounds} done{'':<60}", flush=True)
    for base in {name.removesuffix("/threads:1") for name in figures if name.endswith("/threads:1")}:
        pairs = zip(figures[f"{base}/threads:1"], figures[f"{base}/threads:2"])
        figures[f"{base}/gain"] = [two / one for one, two in pairs]
    return figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--publish", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    folder = pathlib.Path(os.environ.get("CTX_BUILD", ".")) / "bench"
    if not folder.is_dir():
        sys.exit(f"run.py: {folder} is missing; set CTX_BUILD to a build folder")
    load = os.getloadavg()[0]
    figures = measure(folder, arguments.rounds, arguments.names)
    return report.write(ROWS, PEERS, figures, arguments.rounds, load, folder / "report", arguments.publish)


if __name__ == "__main__":
    sys.exit(main())
