# SPDX-License-Identifier: MIT
"""The rows of the table: what is measured, and what it is held against.

The figure of `who` in a row is named `row.figure` with {} replaced by who: ours, bare, or a peer. A figure without {}
has no peer that does the same.
"""

import dataclasses

PEERS = ["std", "tokio", "nsync", "glib", "go"]


@dataclasses.dataclass(frozen=True)
class Held:
    """A target: ours is at most `factor` times the figure of `who`, whose name is `figure` if that is said."""
    factor: float
    who: str
    figure: str = ""


@dataclasses.dataclass(frozen=True)
class Limit:
    """A target that is a figure itself."""
    value: float
    least: bool = False  # at least so much


@dataclasses.dataclass(frozen=True)
class Row:
    target: str  # of docs/targets.md
    what: str
    figure: str
    unit: str
    held: tuple = ()
    ours: str = "ours"  # what takes the place of {} for ours


# What is measured beside ever more contexts and timers, and beside how many.
GROWTH = {"P1": "derive, cancel, release", "P2": "the same with a timeout", "P4": "register and stop a callback"}
CROWDS = {"siblings": (1, 1_000, 1_000_000), "timers": (0, 100_000)}

ROWS = [
    Row("P1", "derive, cancel, release", "P1/one/{}", "ns", (Held(0.8, "std"), Held(0.125, "go"))),
    Row("P1", "… 10,000 alive, random order", "P1/random/{}/10000", "ns", (Held(0.8, "std"), Held(0.125, "go"))),
    Row("P2", "the same with a timeout of 1 h", "P2/one/{}", "ns", (Held(0.3, "nsync"), Held(0.167, "go"))),
    Row("P2", "… 10,000 alive, random order", "P2/random/{}/10000", "ns", (Held(0.3, "nsync"),)),
    Row("P3", "ctx_err, called", "P3/{}", "ns", (Held(0.95, "glib"),)),
    Row("P3", "its word, loaded", "P3/word/{}", "ns", (Limit(0.5),)),
    Row("P4", "register and stop a callback", "P4/{}", "ns", (Held(2.0, "std"),)),
    *(Row("P5", f"cancel {n:,} children, {how}, each", f"P5/{key}/{{}}/{n}", "ns", (Held(0.6, "tokio"),))
      for n in (10_000, 1_000_000) for key, how in (("ordered", "in order"), ("shuffled", "shuffled"))),
    Row("P5", "cancel 10,000 beside a second thread, each", "P5/two_threads/{}/10000", "ns", (Held(0.6, "tokio"),)),
    Row("P6", "cancel a chain of 1,000,000, each", "P6/cancel/{}/1000000", "ns", (Held(0.6, "tokio"),)),
    Row("P6", "release it, leaf first, each", "P6/leaf_first/{}/1000000", "ns", (Held(1.0, "tokio"),)),
    Row("P6", "release it, root first, each", "P6/root_first/{}/1000000", "ns", (Held(1.0, "tokio"),)),
    Row("P7", "a missing value, 104 contexts up", "P7/{}", "ns", (Held(0.05, "go"),)),
    Row("P8", "make a done descriptor and release it", "P8/{}", "ns", (Held(1.15, "bare"),)),
    Row("P9", "cancel and drain 1,000,000 on a queue, each", "P9/ordered/{}", "ns", (Limit(50),)),
    Row("P9", "… contexts that only the queue holds", "P9/left/{}", "ns"),
    Row("P20", "… shuffled in memory", "P20/{}", "ns", (Limit(150),)),
    Row("P9", "memory of an entry", "P9/entry", "B", (Limit(64),)),
    Row("P9", "descriptors", "P9/descriptors", "", (Limit(1),)),
    Row("P9", "wake-ups before a drain", "P9/wakeups", "", (Limit(1),)),
    *(Row("P10", f"wake-up in {call}, {where.replace('_', ' ')}", f"P10/{where}/{way}/{{}}", "ns", (Held(1.1, "bare"),))
      for way, call in (("epoll", "epoll_wait"), ("wait", "ctx_wait")) for where in ("one_processor", "two_processors")),
    Row("P11", "two threads, one parent, against one", "P11/shared/{}/gain", "x", (Limit(1.6, least=True),)),
    Row("P11", "… with a timeout", "P11/shared/timeout/gain", "x", (Limit(1.6, least=True),)),
    Row("P11", "two threads, own parents, against one", "P11/own/{}/gain", "x", (Limit(1.9, least=True),)),
    Row("P11", "… with a timeout", "P11/own/timeout/gain", "x", (Limit(1.9, least=True),)),
    *(Row("P12", f"lateness of 10,000 timers, {part}", f"P12/{part}/{{}}", "µs", (Held(0.5, "go"), Held(4, "bare")))
      for part in ("p50", "p99")),
    *(Row("P12", f"lateness on a manual loop, {part}", f"P12/{part}/{{}}", "µs", (Held(0.5, "go"),), ours="manual")
      for part in ("p50", "p99")),
    *(Row("P13", f"memory of a {kind} context", f"P13/{kind}/{{}}", "B", (Limit(limit),))
      for kind, limit in (("cancel", 144), ("timeout", 160), ("value", 80))),
    Row("P14", "wake-ups, 100,000 timeouts a second", "P14/{}", "/s", (Limit(10),)),
    Row("P14", "… of a manual loop's host", "P14/{}", "/s", (Limit(10),), ours="manual"),
    Row("P15", "load the library", "P15/load/{}", "µs", (Held(2, "bare"),)),
    Row("P17", "a handler's life, two threads", "P17/{}", "ns", (Held(0.2, "go"),)),
    Row("P18", "cancel above a merge that is gone", "P18/with", "ns", (Held(1.05, "without"),)),
    Row("P19", "100,000 equal deadlines, the last", "P19/ends/last/{}", "ms", (Limit(15),)),
    Row("P19", "… with callbacks", "P19/callbacks/last/{}", "ms"),
    Row("P19", "a lone deadline 1 ms after 100,000 others", "P19/ends/lone/{}", "ms", (Limit(5),)),
    Row("P19", "… with callbacks", "P19/callbacks/lone/{}", "ms"),
    Row("P21", "what a unary call of gRPC takes more, C++", "P21/call/extra", "µs", (Limit(3),)),
    Row("P21", "cancel to the handler's wake-up, C++", "P21/wake/{}", "µs", (Held(1.1, "bare"),)),
    *(Row("P21", f"reasons that arrive, {api} API", f"P21/told/{api}", "%", (Limit(99, least=True),))
      for api in ("sync", "callback")),
    Row("P22", "ctx run --timeout 5 true", "P22/run/{}", "µs", (Held(1.3, "timeout"),)),
    Row("P22", "lateness of its signal", "P22/late", "ms", (Limit(1),)),
    Row("P22", "export and import", "P22/pair/{}", "µs", (Limit(60),)),
    Row("P22", "from the end to a child's wake-up", "P22/wake/{}", "µs", (Held(1.2, "bare"),)),
    Row("P22", "… until its context is done", "P22/done/{}", "µs"),
    Row("P23", "extract from a map of headers, release", "P23/extract/{}", "ns", (Limit(1_000),)),
    Row("P23", "inject into one", "P23/inject/{}", "ns", (Limit(1_000),)),
    Row("P25", "begin and end a piece of work", "P25/{}", "ns", (Held(1.5, "bare"),)),
    Row("P25", "… of a group with a descriptor", "P25/descriptor", "ns"),
    *(Row(row, f"{what}, {many[-1]:,} {crowd}", f"{row}/growth/{{}}/{crowd}/{many[-1]}", "ns",
          (Held(1.3, f"with {many[0]}", f"{row}/growth/ours/{crowd}/{many[0]}"),))
      for row, what in GROWTH.items() for crowd, many in CROWDS.items()),
]


def full_name(row):
    """Its target and what it is; what begins with an ellipsis goes on from a row above."""
    at = ROWS.index(row)
    while ROWS[at].what.startswith("…"):
        at -= 1
    return f"{row.target} {row.what}" if ROWS[at] is row else f"{row.target} {ROWS[at].what} {row.what}"
