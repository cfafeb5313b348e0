#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fails if an operation takes over a tenth more instructions, or fewer, than instructions.json says.

    instructions.py OPERATIONS ROW            the row of docs/targets.md, as P1
    instructions.py OPERATIONS --record       writes the file anew

Time is noisy, instructions are not: valgrind counts the same wherever compiler and libc are the same. Those of
the file are of Debian 12, with gcc 12 and -O2. What goes before and after the operations is left out: the figure is
the difference of two runs, by the difference of their numbers of operations. If an operation has come to take a tenth
fewer, --record writes that down, so that it stays so.
"""

import json
import pathlib
import re
import subprocess
import sys

RECORDED = pathlib.Path(__file__).with_suffix(".json")
FEW, MANY = 10_000, 30_000  # so many that starting the clock's thread is nothing beside them
MOST = 1.1


def instructions(operations, row, times):
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", operations, row, str(times)],
        check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    total = re.search(r"Collected : (\d+)", run.stdout)
    if run.returncode != 0 or total is None:
        sys.exit(f"instructions.py: {operations} {row} {times} failed:\n{run.stdout}")
    return int(total[1])


def per_operation(operations, row):
    return (instructions(operations, row, MANY) - instructions(operations, row, FEW)) / (MANY - FEW)


def main():
    operations, what = sys.argv[1:]
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    if what == "--record":
        now = {row: round(per_operation(operations, row), 1) for row in recorded}
        RECORDED.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")
        print("\n".join(f"{row}: {recorded[row]} before, {now[row]} now" for row in now))
        return 0
    now, before = per_operation(operations, what), recorded[what]
    print(f"{what}: {now:.1f} instructions, {before} recorded, {now / before:.2f} ×")
    if not 1 / MOST <= now / before <= MOST:
        print("More than a tenth from what is recorded: see --record in tests/speed/instructions.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
