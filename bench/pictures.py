# SPDX-License-Identifier: MIT
"""The pictures of a run, as SVG."""

import re

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "libctx"  # the same figures give the same file
from matplotlib import pyplot  # noqa: E402

NAMES = {"ours": "libctx", "std": "std::stop_source", "tokio": "tokio-util", "nsync": "nsync", "glib": "GCancellable",
         "go": "Go context", "bare": "bare"}
COLORS = dict(zip(NAMES, ["#c0392b", "#2c3e50", "#e67e22", "#16a085", "#8e44ad", "#2980b9", "#aaaaaa"]))


def save(figure, folder, name):
    path = folder / f"{name}.svg"
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path


def ratios(figures, rows, peers, folder):
    """How many times what ours takes each peer takes."""
    shown = []
    for row in rows:
        ours = figures.median(row.figure.format(row.ours))
        others = {who: figures.median(row.figure.format(who)) for who in [*peers, "bare"]}
        others = {who: value for who, value in others.items() if value}
        if ours and row.unit == "ns" and others:
            shown.append((f"{row.target} {row.what}", ours, others))
    if not shown:
        return None
    figure, axes = pyplot.subplots(figsize=(9, 0.42 * len(shown) + 1.2))
    for place, (_, ours, others) in enumerate(shown):
        for who, value in others.items():
            axes.plot(value / ours, -place, "|" if who == "bare" else "o", color=COLORS[who], markersize=12 if who == "bare" else 7)
    axes.axvline(1, color=COLORS["ours"])
    axes.set_xscale("log")
    axes.set_yticks([-i for i in range(len(shown))], [what for what, _, _ in shown])
    axes.set_xlabel("time of the peer in times of libctx (right of the line: slower than libctx)")
    handles = [axes.plot([], [], "|" if who == "bare" else "o", color=COLORS[who], label=NAMES[who])[0]
               for who in [*peers, "bare"] if any(who in others for _, _, others in shown)]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1))
    axes.grid(axis="x", alpha=0.3)
    return save(figure, folder, "ratios")


def series(figures, pattern):
    """{(groups before the number): [(number, median)]} of the figures whose names fit."""
    found = {}
    for name in figures.values:
        if fit := re.fullmatch(pattern, name):
            *key, number = fit.groups()
            found.setdefault(tuple(key), []).append((int(number), figures.median(name)))
    return {key: sorted(points) for key, points in sorted(found.items())}


def growth(figures, folder):
    """The cost of an operation against how many contexts are alive below the same parent."""
    found = series(figures, r"(P1|P2|P4)/growth/(\w+)/siblings/(\d+)")
    if not found:
        return None
    rows = sorted({key[0] for key in found})
    figure, all_axes = pyplot.subplots(1, len(rows), figsize=(4.2 * len(rows), 3.4), squeeze=False)
    for axes, row in zip(all_axes[0], rows):
        for (of, who), points in found.items():
            if of == row:
                axes.plot(*zip(*points), "o-", color=COLORS[who], label=NAMES[who])
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_title({"P1": "derive, cancel, release", "P2": "with a timeout", "P4": "register and stop a callback"}[row])
        axes.set_xlabel("contexts alive below the parent")
        axes.set_ylabel("ns")
        axes.legend()
        axes.grid(alpha=0.3)
    return save(figure, folder, "growth")


def threads(figures, folder):
    """Throughput against threads, below one parent and below parents of their own."""
    found = series(figures, r"P11/(shared|own)/(\w+)/threads:(\d+)")
    if not found:
        return None
    figure, all_axes = pyplot.subplots(1, 2, figsize=(8.6, 3.4))
    for axes, kind in zip(all_axes, ("shared", "own")):
        for (of, who), points in found.items():
            if of == kind:
                label = NAMES.get(who, "libctx, timeout" if who == "timeout" else who)
                axes.plot([n for n, _ in points], [value / 1e6 for _, value in points], "o-",
                          color=COLORS.get(who, "#e8a09a"), label=label)
        axes.set_ylim(bottom=0)
        axes.set_title("below one parent" if kind == "shared" else "below parents of their own")
        axes.set_xlabel("threads")
        axes.set_ylabel("million contexts a second")
        axes.legend()
        axes.grid(alpha=0.3)
    return save(figure, folder, "threads")


def draw(figures, rows, peers, folder):
    made = [ratios(figures, rows, peers, folder), growth(figures, folder), threads(figures, folder)]
    return [path for path in made if path]
