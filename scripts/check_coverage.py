#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares what the tests ran of core and capi with the marks: scripts/check_coverage.py REPORT, by `./dev coverage`.

REPORT is what gcovr writes with --json. A line that no test runs must be in docs/coverage.md, by its text, with the
reason; so a new one shows even if the marks are met, and so does an entry whose line is gone. Lines that only some runs
reach stand there, too. With --list this prints the lines that are missing there, as rows for it.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LISTED = "docs/coverage.md"
LINES, BRANCHES = 98, 92  # percent, at least
ROW = re.compile(r"^\| `([^`]+)` \| `` ?(.+?) ?`` \|")


def text_of(lines, number):
    return lines[number - 1].strip()


def listed():
    """{file: the texts of its lines that may be left out}."""
    rows = {}
    for line in (ROOT / LISTED).read_text(encoding="utf-8").splitlines():
        if match := ROW.match(line):
            rows.setdefault(match[1], set()).add(match[2])
    return rows


def share(part, whole):
    return 100 * part / whole if whole else 100


def main():
    report, only_list = sys.argv[1], "--list" in sys.argv
    rows = listed()
    lines = run = branches = taken = 0
    failures = []
    missing = []
    for file in json.loads(pathlib.Path(report).read_text(encoding="utf-8"))["files"]:
        name = file.get("file") or file["filename"]
        source = (ROOT / name).read_text(encoding="utf-8").splitlines()
        for line in file["lines"]:
            if line.get("gcovr/noncode"):
                continue
            lines += 1
            run += line["count"] > 0
            if line["count"] == 0 and text_of(source, line["line_number"]) not in rows.get(name, ()):
                missing.append((name, line["line_number"], text_of(source, line["line_number"])))
            branches += len(line["branches"])
            taken += sum(branch["count"] > 0 for branch in line["branches"])
    assert lines > 3000, f"{report} has only {lines} lines"
    for name, texts in rows.items():
        path = ROOT / name
        there = {line.strip() for line in path.read_text(encoding="utf-8").splitlines()} if path.exists() else set()
        failures += [f"{LISTED}: {name} no longer has a line {text}" for text in sorted(texts - there)]
    if only_list:
        print("\n".join(f"| `{name}` | `` {text} `` | |" for name, _, text in missing))
        return 0
    failures += [f"{name}:{number}: no test runs it, and {LISTED} does not say why: {text}" for name, number, text in missing]
    for what, got, of, mark in (("lines", run, lines, LINES), ("branches", taken, branches, BRANCHES)):
        print(f"{share(got, of):.1f} % of {of} {what} (at least {mark} %)")
        if share(got, of) < mark:
            failures.append(f"{what} of core and capi that tests run: {share(got, of):.1f} %, less than {mark} %")
    print("\n".join(failures) or f"every line that no test runs is in {LISTED}")
    return bool(failures)


sys.exit(main())
