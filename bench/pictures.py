# SPDX-License-Identifier: MIT
"""The pictures of a run, as SVG."""

import matplotlib
from rows import CROWDS, GROWTH

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "libctx"  # the same figures give the same file
from matplotlib import pyplot  # noqa: E402

NAMES = {"ours": "libctx", "timeout": "libctx, timeout", "std": "std::stop_source", "tokio": "tokio-util", "nsync": "nsync",
         "glib": "GCancellable", "go": "Go context", "bare": "bare"}
COLORS = dict(zip(NAMES, ["#c0392b", "#e8a09a", "#2c3e50", "#e67e22", "#16a085", "#8e44ad", "#2980b9", "#aaaaaa"]))


def save(figure, folder, name):
    path = folder / f"{name}.svg"
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(figure)
    return path


def ratios(figures, rows, peers, folder):
    """How many times what ours takes each peer takes."""
    shown = []
    for row in rows:
        if "{}" not in row.figure or "/growth/" in row.figure:
            continue
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
    axes.xaxis.set_major_formatter("{x:g} ×")
    axes.set_yticks([-i for i in range(len(shown))], [what for what, _, _ in shown])
    axes.set_xlabel("time of the peer, libctx being 1 (right of the line: slower)")
    handles = [axes.plot([], [], "|" if who == "bare" else "o", color=COLORS[who], label=NAMES[who])[0]
               for who in [*peers, "bare"] if any(who in others for _, _, others in shown)]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1))
    axes.grid(axis="x", alpha=0.3)
    return save(figure, folder, "ratios")


def plot(axes, figures, pattern, places, scale=1):
    """A line for each that has figures of the pattern's name: {who} at each {place}."""
    for who, name in NAMES.items():
        heights = [figures.median(pattern.format(who=who, place=place)) for place in places]
        if None not in heights:
            axes.plot([f"{place:,}" for place in places], [height * scale for height in heights], "o-",
                      color=COLORS[who], label=name)
    axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
    axes.grid(alpha=0.3)


def legend(figure, axes):
    """Of all lines of these axes, right of the picture, where it covers none."""
    handles = {name: line for one in axes for line, name in zip(*one.get_legend_handles_labels())}
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="center left", bbox_to_anchor=(1, 0.5))
    return bool(handles)


def growth(figures, folder):
    """The cost of an operation against how many contexts are alive below the same parent, and how many timers."""
    figure, all_axes = pyplot.subplots(len(CROWDS), len(GROWTH), figsize=(10, 6), squeeze=False)
    for row_of_axes, (crowd, many) in zip(all_axes, CROWDS.items()):
        for axes, (row, title) in zip(row_of_axes, GROWTH.items()):
            plot(axes, figures, f"{row}/growth/{{who}}/{crowd}/{{place}}", many)
            axes.set_title(f"{row} {title}", fontsize="medium")
            axes.set_xlabel("contexts alive below the parent" if crowd == "siblings" else "timers pending")
            axes.set_ylabel("ns")
    return save(figure, folder, "growth") if legend(figure, all_axes.flat) else None


def threads(figures, folder):
    """Throughput against threads, below one parent and below parents of their own."""
    figure, all_axes = pyplot.subplots(1, 2, figsize=(8.6, 3.4))
    for axes, (kind, title) in zip(all_axes, (("shared", "below one parent"), ("own", "below parents of their own"))):
        plot(axes, figures, f"P11/{kind}/{{who}}/threads:{{place}}", (1, 2, 4, 8), 1e-6)
        axes.set_title(title)
        axes.set_xlabel("threads")
        axes.set_ylabel("million contexts a second")
    return save(figure, folder, "threads") if legend(figure, all_axes) else None


def draw(figures, rows, peers, folder):
    made = [ratios(figures, rows, peers, folder), growth(figures, folder), threads(figures, folder)]
    return [path for path in made if path]
