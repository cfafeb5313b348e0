#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs fuzzers, two at a time: run.py <build folder> <seconds> <harness>...

Each starts from the inputs of tests/fuzz/corpus and from what earlier runs in this build folder have found. An input
that fails is kept in the build folder; its calls are printed, and how to run it again.
"""

import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
LONGEST = {"api_fuzz": 600, "text_fuzz": 500, "host_fuzz": 400, "wire_fuzz": 700}  # inputs, in bytes
AT_ONCE = 2
# What a machine without work needs for the longest input is a few milliseconds.
TIME_LIMIT = 60


def files_of(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return set(folder.iterdir())


class Run:
    def __init__(self, build, harness, seconds):
        self.harness, self.seconds = harness, seconds
        self.program = build / harness
        self.found = build / "found" / harness
        self.before = files_of(self.found)
        self.log = build / f"{harness}.log"
        grown = build / "corpus" / harness
        files_of(grown)
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [self.program, f"-max_total_time={seconds}", f"-max_len={LONGEST[harness]}", f"-timeout={TIME_LIMIT}",
                 "-len_control=0",  # long inputs from the start
                 f"-artifact_prefix={self.found}/", "-print_final_stats=1", grown, HERE / "corpus" / harness],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def last(self, word):
        lines = [line for line in self.log.read_text("utf-8", "replace").splitlines() if word in line]
        return lines[-1] if lines else ""

    def progress(self):
        words = self.last(" cov: ").split()
        if len(words) < 4:
            return f"{self.harness} begins"
        return f"{self.harness} {words[0].lstrip('#')} inputs, {words[words.index('cov:') + 1]} places"

    def show_failure(self):
        """The calls of the input that failed, and the reason."""
        inputs = sorted(files_of(self.found) - self.before, key=lambda path: path.stat().st_size)
        if not inputs:
            print(self.log.read_text("utf-8", "replace")[-4000:])
            return
        print(f"   {self.harness}: it fails on {inputs[0]}. Its calls:", flush=True)
        shown = subprocess.run([self.program, inputs[0]], env={"CTX_FUZZ_PRINT": "1"}, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, check=False, timeout=10 * TIME_LIMIT)
        lines = [line for line in shown.stdout.decode("utf-8", "replace").splitlines() if not line.startswith("INFO:")]
        print("\n".join(lines[:400]))
        print(f"   Again: CTX_FUZZ_PRINT=1 {self.program} {inputs[0]}")
        print(f"   Smaller: {self.program} -minimize_crash=1 -runs=100000 {inputs[0]}", flush=True)


def main():
    build, seconds, names = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2]), sys.argv[3:] or list(LONGEST)
    unknown = [name for name in names if name not in LONGEST]
    if unknown:
        sys.exit(f"fuzz: no harness '{unknown[0]}'; there are {', '.join(LONGEST)}")
    waiting, running, passed, failed = list(names), [], 0, 0
    shown = time.monotonic()
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            running.append(Run(build, waiting.pop(0), seconds))
        time.sleep(0.2)
        if time.monotonic() - shown > 20:
            shown = time.monotonic()
            print("   " + "; ".join(run.progress() for run in running), flush=True)
        for run in [run for run in running if run.process.poll() is not None]:
            running.remove(run)
            good = run.process.returncode == 0
            passed, failed = passed + good, failed + (not good)
            rate = run.last("average_exec_per_sec").split()[-1:] or ["?"]
            print(f"   {run.progress()}, {rate[0]} inputs a second: {'ok' if good else 'FAILED'}", flush=True)
            if not good:
                run.show_failure()
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
