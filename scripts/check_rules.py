#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds docs/rules.md and docs/targets.md together with what cites them.

- Every rule that a test, a header or a comment cites (`Rule05_...`, "rule 5", "rules 5, 6 and 28", "rules 18
  to 20") has a heading in docs/rules.md, and the headings count from 1 without a gap.
- Every rule there has a test named after it: `Rule05_...` in a program of tests/.
- Every target that a benchmark cites (P5) has a row in docs/targets.md, and every file that a row names is there
  and cites the target.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RULES, TARGETS = ROOT / "docs/rules.md", ROOT / "docs/targets.md"


def files(folders, suffixes):
    for folder in folders:
        found = [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in suffixes and path.is_file()]
        assert found, f"nothing to read in {folder}/"
        yield from (path for path in found if "target" not in path.relative_to(ROOT).parts)


def where(path, text, position):
    return f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, position) + 1}"


def numbers(text):
    """5, 6 and 28, or 18 to 20."""
    parts = re.findall(r"\d+|to", text)
    for i, part in enumerate(parts):
        if part == "to":
            yield from range(int(parts[i - 1]) + 1, int(parts[i + 1]))
        else:
            yield int(part)


def cited_rules():
    """(place, rule, whether it is the name of a test) for every citation."""
    sources = [*files(["tests", "core", "capi", "include", "bindings", "examples", "bench"],
                      {".c", ".cc", ".h", ".hpp", ".py", ".rs"}), *files(["docs"], {".md"})]
    for path in sources:
        text = path.read_text(encoding="utf-8")
        # A list may go on behind a line's end, with the comment's own marks between.
        for match in re.finditer(r"\b[Rr]ules?\s+(\d+(?:(?:,| and| or| to|\s|//|\*)*\d+)*)", text):
            for rule in numbers(match[1]):
                yield where(path, text, match.start()), rule, False
        for match in re.finditer(r"\bTEST(?:_[FP])?\(\s*\w+,\s*Rule(\d+)_", text):
            yield where(path, text, match.start()), int(match[1]), True


def check_rules():
    text = RULES.read_text(encoding="utf-8")
    headings = [int(number) for number in re.findall(r"^### Rule (\d+): \S", text, flags=re.M)]
    if headings != list(range(1, len(headings) + 1)):
        yield f"docs/rules.md: the headings do not count from 1: {headings}"
    tested = set()
    for place, rule, is_test in cited_rules():
        if rule not in headings:
            yield f"{place}: there is no rule {rule} in docs/rules.md"
        if is_test:
            tested.add(rule)
    for rule in headings:
        if rule not in tested:
            yield f"docs/rules.md: rule {rule} has no test, named Rule{rule:02}_..."


def check_targets():
    text = TARGETS.read_text(encoding="utf-8")
    rows = {}
    for number, cells in re.findall(r"^\| P(\d+) \|(.*)\|$", text, flags=re.M):
        if number in rows:
            yield f"docs/targets.md: P{number} twice"
        rows[number] = cells
    cites = {}
    for path in files(["bench", "bindings"], {".c", ".cc", ".h", ".py", ".rs", ".go", ".sh"}):
        source = path.read_text(encoding="utf-8")
        for match in re.finditer(r"\bP(\d+)\b", source):
            cites.setdefault(match[1], set()).add(str(path.relative_to(ROOT)))
            if match[1] not in rows:
                yield f"{where(path, source, match.start())}: there is no target P{match[1]} in docs/targets.md"
    for number, cells in rows.items():
        for name in re.findall(r"`((?:bench|bindings|tests)/[\w/.]+)`", cells):
            if not (ROOT / name).exists():
                yield f"docs/targets.md: P{number}: there is no {name}"
            elif not name.startswith("tests/") and name not in cites.get(number, ()):
                yield f"docs/targets.md: P{number}: {name} does not measure it"


def main():
    errors = [*check_rules(), *check_targets()]
    print("\n".join(errors) or "every rule has a test, every target a benchmark, and all that are cited are there")
    return bool(errors)


sys.exit(main())
