# SPDX-License-Identifier: MIT
"""The table of a run, its JSON and its pictures."""

import dataclasses
import json
import os
import pathlib
import platform
import statistics
import sys

from rows import Held, full_name

ROOT = pathlib.Path(__file__).resolve().parent.parent
AT_LIMIT = 1.15  # times bare

ALL_MET = "Every target measured is met, or its row is at its limit."
ABOUT = [
    "`./dev bench --publish` makes this page: it builds libctx and every peer, runs each benchmark in a process of its "
    "own, in rounds and in random order, and sets the medians side by side. [Targets](targets.md) says what each row is "
    "for. P16 and P24, of the bindings, are not in it: `./dev bench` prints them.", "",
    "- All figures of a row have the unit of ours. Less is better, except in P11: there two threads do so many times "
    "the work of one.",
    "- *Bare* does the same without a library: a list behind a lock and a count (`bench/peers/bare.cc`), or what the "
    "kernel has for it: an eventfd, a futex, a timerfd, an empty library to load. A row within 1.15 × of bare is at its "
    "limit, and does not count as missed.",
    "- In P11 bare is no limit: two threads below one parent wait for its one lock.",
    "- *Within the noise*: the range of our rounds overlaps that of the target, so another run may decide otherwise.", "",
]
CAPTIONS = {
    "ratios": "How long each peer takes, ours being 1:",
    "growth": "What an operation takes beside ever more contexts of the same parent, and beside pending timers:",
    "threads": "How many contexts 1, 2, 4 and 8 threads derive, cancel and release:",
}


@dataclasses.dataclass(frozen=True)
class Verdict:
    words: str  # the target
    limit: float | None = None  # None: its peer was not measured
    met: bool = False
    noise: bool = False  # decides

    def __str__(self):
        if self.limit is None:
            return f"{self.words}: not measured"
        return f"{self.words}: " + ("yes" if self.met else "**no**") + (", within the noise" if self.noise else "")


class Figures:
    def __init__(self, values):
        self.values = values

    def median(self, name):
        return statistics.median(self.values[name]) if name in self.values else None


def show(value, digits=3):
    if value is None:
        return "–"
    return f"{value:.{max(0, digits - len(str(int(abs(value)))))}f}" if value < 100 else f"{value:,.0f}"


def with_range(figures, name):
    values = figures.values[name]
    return f"{show(figures.median(name))} [{show(min(values))}–{show(max(values))}]"


def judge(row, figures):
    """The verdict on each of the row's targets."""
    name = row.figure.format(row.ours)
    ours, verdicts = figures.median(name), []
    for held in row.held:
        if isinstance(held, Held):
            other = held.figure or (row.figure.format(held.who) if "{}" in row.figure else f"{row.target}/{held.who}")
            peer = figures.median(other)
            words = f"≤ {held.factor:g} × {held.who}"
            if peer is None:
                verdicts.append(Verdict(words))
                continue
            limit, values = held.factor * peer, figures.values[other]
            # Noise decides if the target lies within what the rounds of both spread over.
            low, high = held.factor * min(values), held.factor * max(values)
        else:
            words = f"{'≥' if held.least else '≤'} {held.value:g} {row.unit}".strip()
            limit = low = high = held.value
        own = figures.values[name]
        least = getattr(held, "least", False)
        met = ours >= limit if least else ours <= limit
        decided_by_noise = min(own) < high and max(own) > low and not (min(own) == max(own) == limit)
        verdicts.append(Verdict(words, limit, met, decided_by_noise))
    return verdicts


def miss(row, verdicts, ours, bare):
    """The targets that a row misses, beside what it is and how far from bare; None if it misses none."""
    aims = [v.words + (f" ({show(v.limit)})" if "×" in v.words else "") for v in verdicts if v.limit is not None and not v.met]
    far = f", {ours / bare:.2f} × bare" if bare else ""
    return f"- {full_name(row)}: {show(ours)} {row.unit}{far}; aimed at {' and '.join(aims)}" if aims else None


def lines(rows, peers, figures):
    """(the cells of each row that was measured, a line for each that misses a target)"""
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
        if not at_limit and (line := miss(row, verdicts, ours, None if least else bare)):
            missed.append(line)
        found.append([
            row.target, row.what, f"{with_range(figures, name)} {row.unit}".strip(),
            *(show(of.get(peer)) for peer in peers),
            show(bare), "–" if least or not bare else f"{ours / bare:.2f}" + (" (limit)" if at_limit else ""),
            "; ".join(map(str, verdicts)).replace("**no**", "no, at its limit" if at_limit else "**no**") or "–",
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
    notes = [f"Rounds: {rounds}, on {machine()}; load average before: {load:.2f}."]
    if load > 0.5:
        notes.append("The machine was busy, or had been a moment before: only ratios mean something, and those of rows "
                     "with two threads little.")
    if absent:
        notes.append(f"Not built, or not asked for: {', '.join(absent)}.")
    print("\n" + text + "\n\n" + "\n".join(notes))
    print("\n" + "\n".join(["Missed:", *missed] if missed else [ALL_MET]))
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
        "# Benchmarks", "", *ABOUT, *notes, "", text, "",
        *(["Missed; [targets](targets.md) says why, under \"Where the time goes\":", "", *missed] if missed else [ALL_MET]), "",
    ]
    for picture in pictures:
        caption = CAPTIONS[picture.stem]
        page += [caption, "", f"![{caption.rstrip(':')}](benchmarks/{picture.name})", ""]
    (ROOT / "docs/benchmarks.md").write_text("\n".join(page), encoding="utf-8")
    print("docs/benchmarks.md is written", file=sys.stderr)
