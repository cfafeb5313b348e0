# SPDX-License-Identifier: MIT
"""The table of a run, its JSON and its pictures."""

import json
import os
import pathlib
import platform
import statistics
import sys

from rows import Held

ROOT = pathlib.Path(__file__).resolve().parent.parent
AT_LIMIT = 1.15  # times bare


class Figures:
    def __init__(self, values):
        self.values = values

    def median(self, name):
        return statistics.median(self.values[name]) if name in self.values else None

    def spread(self, name):
        """Half of the distance between the lowest and the highest, in parts of the median."""
        values = self.values[name]
        return (max(values) - min(values)) / 2 / statistics.median(values) if statistics.median(values) else 0


def show(value, digits=3):
    if value is None:
        return "–"
    return f"{value:.{max(0, digits - len(str(int(abs(value)))))}f}" if value < 100 else f"{value:,.0f}"


def with_range(figures, name):
    values = figures.values[name]
    return f"{show(figures.median(name))} [{show(min(values))}–{show(max(values))}]"


def judge(row, figures):
    """[(the target in words, whether it is met: True, False, or None for what cannot be said)]"""
    name = row.figure.format(row.ours)
    ours, verdicts = figures.median(name), []
    for held in row.held:
        if isinstance(held, Held):
            other = held.figure or (row.figure.format(held.who) if "{}" in row.figure else f"{row.target}/{held.who}")
            peer = figures.median(other)
            words = f"≤ {held.factor:g} × {'fewer' if held.figure else held.who}"
            if peer is None:
                verdicts.append((words, None))
                continue
            limit, values = held.factor * peer, figures.values[other]
            # Noise decides if the target lies within what the rounds of both spread over.
            low, high = held.factor * min(values), held.factor * max(values)
        else:
            words = f"{'≥' if held.least else '≤'} {held.value:g} {row.unit}"
            limit = low = high = held.value
        own = figures.values[name]
        least = getattr(held, "least", False)
        met = ours >= limit if least else ours <= limit
        decided_by_noise = min(own) < high and max(own) > low and not (min(own) == max(own) == limit)
        verdicts.append((words, (met, decided_by_noise)))
    return verdicts


def in_words(verdict):
    if verdict is None:
        return "not measured"
    met, noise = verdict
    return ("yes" if met else "**no**") + (", within the noise" if noise else "")


def lines(rows, peers, figures):
    """(the cells of each row that was measured, the targets that were missed in words)"""
    found, missed = [], []
    for row in rows:
        name = row.figure.format(row.ours)
        if figures.median(name) is None:
            continue
        of = {who: figures.median(row.figure.format(who)) for who in [*peers, "bare"]} if "{}" in row.figure else {}
        ours, bare = figures.median(name), of.get("bare")
        verdicts = judge(row, figures)
        least = any(getattr(held, "least", False) for held in row.held)
        at_limit = bare is not None and not least and ours <= AT_LIMIT * bare
        for words, verdict in verdicts:
            if verdict is not None and not verdict[0] and not at_limit:
                missed.append(f"{row.target} {row.what}: {words}")
        found.append([
            row.target, row.what, f"{with_range(figures, name)} {row.unit}".strip(),
            *(show(of.get(peer)) for peer in peers),
            show(bare), "–" if not bare else f"{ours / bare:.2f}" + (" (limit)" if at_limit else ""),
            "; ".join(f"{words}: {in_words(verdict)}" for words, verdict in verdicts) or "–",
        ])
    return found, missed


def table(rows, peers, figures):
    head = ["row", "what", "ours, median [lowest–highest]", *peers, "bare", "ours / bare", "target: met?"]
    cells, missed = lines(rows, peers, figures)
    widths = [max(len(c) for c in column) for column in zip(head, *cells)]
    out = ["| " + " | ".join(c.ljust(w) for c, w in zip(head, widths)) + " |",
           "| " + " | ".join("-" * w for w in widths) + " |"]
    out += ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |" for line in cells]
    return "\n".join(out), missed


def machine():
    model = ""
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.split(":")[1].strip()
            break
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    return f"{os.cpu_count()} processors, {model}; {release}, kernel {platform.release().split('-')[0]}"


def write(rows, peers, values, rounds, load, folder, publish):
    figures = Figures(values)
    folder.mkdir(parents=True, exist_ok=True)
    text, missed = table(rows, peers, figures)
    absent = [peer for peer in peers if not any(f"/{peer}" in name for name in values)]
    notes = [f"Medians of {rounds} rounds on {machine()}; load average before: {load:.2f}."]
    if load > 0.5:
        notes.append("The machine was busy, or had been a moment before: only ratios mean something, and those of rows "
                     "with two threads little.")
    if absent:
        notes.append(f"Not there, so not measured: {', '.join(absent)}.")
    print("\n" + text + "\n\n" + "\n".join(notes))
    print("\nMissed: " + "; ".join(missed) if missed else "\nEvery target measured is met, or its row is at its limit.")
    (folder / "figures.json").write_text(
        json.dumps({"machine": machine(), "rounds": rounds, "load": load, "figures": values}, indent=1, sort_keys=True),
        encoding="utf-8")
    pictures = draw(figures, rows, peers, folder)
    print(f"\nThe figures: {folder}/figures.json" + "".join(f", {p.name}" for p in pictures))
    if publish:
        publish_page(text, notes, missed, pictures)
    return 0


def draw(figures, rows, peers, folder):
    try:
        import pictures
    except ImportError as missing:
        print(f"No pictures: {missing}")
        return []
    return pictures.draw(figures, rows, peers, folder)


def publish_page(text, notes, missed, pictures):
    into = ROOT / "docs/benchmarks"
    into.mkdir(exist_ok=True)
    for picture in pictures:
        (into / picture.name).write_bytes(picture.read_bytes())
    page = [
        "# Benchmarks", "",
        "`./dev bench --publish` makes this page: it builds libctx and every peer, runs each benchmark in a process of "
        "its own, in rounds and in random order, and sets the medians side by side. [Targets](targets.md) says what "
        "each row is for. *Bare* is what is left without a library; a row within 1.15 × of it is at its limit.", "",
        *notes, "", text, "",
        *(["Missed: " + "; ".join(missed) + "."] if missed else ["Every target measured is met, or its row is at its limit."]), "",
        *(f"![{picture.stem.replace('_', ' ')}](benchmarks/{picture.name})\n" for picture in pictures),
    ]
    (ROOT / "docs/benchmarks.md").write_text("\n".join(page), encoding="utf-8")
    print("docs/benchmarks.md is written", file=sys.stderr)
