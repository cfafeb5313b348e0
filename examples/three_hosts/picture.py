# SPDX-License-Identifier: MIT
"""What the parts have said of one request, as a picture: a line each, from when it began until it was told of the end."""

import sys
from dataclasses import dataclass, field

import libctx

COLUMNS = 48
PARTS = ("edge", "orders", "stock", "query", "child")  # from the client down
BOLD, DIM, GREEN, RED, PLAIN = ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 5


@dataclass
class Told:
    """Times are in nanoseconds of CLOCK_MONOTONIC."""

    began: int = 0
    left: int | None = None  # until the deadline; None: there is none
    ended: int | None = None
    late: bool = False
    cause: libctx.Cause | None = None
    why: str = "never told"

    def reason(self) -> str:
        assert self.cause is not None
        return self.cause.message + (f", says {self.cause.peer}" if self.cause.peer else "")


@dataclass
class Request:
    begun: int
    what: str = ""  # that happened, and when
    at: int = 0
    over: int = 0  # when the client had its answer, or gave up
    answer: str = ""
    parts: dict[str, Told] = field(default_factory=dict)


def draw(request: Request) -> None:
    end = max([request.at, request.over, *(told.ended or 0 for told in request.parts.values())])
    scale = COLUMNS / max(end - request.begun, 1)

    def column(when: int) -> int:
        return min(COLUMNS - 1, int((when - request.begun) * scale))

    def line(name: str, left: str, bar: str, after: str, why: str) -> None:
        print(f"  {name:<7}{left:>9}  {DIM}|{PLAIN}{bar:<{COLUMNS}}{DIM}|{PLAIN} {after:>9}  {why}")

    print(f"  {DIM}{'':<7}{'has left':>9}  {'':<{COLUMNS + 2}} {'told after':>9}{PLAIN}")
    line("client", "", _bar(0, column(request.at), "!"), "", f"{BOLD}{request.what}{PLAIN}")
    for name in PARTS:
        told = request.parts.get(name, Told())
        left = "for ever" if told.left is None else f"{told.left / 1e6:.1f} ms"
        if told.ended is None:
            line(name, left, _bar(column(told.began), column(end), "?") if told.began else "", "", f"{RED}{told.why}{PLAIN}")
            continue
        after = f"{(told.ended - request.at) / 1e6:+.1f} ms"
        line(name, left, _bar(column(told.began), column(told.ended), "x"), after, told.reason())
    print(f"  {DIM}{'':<7}{'':>9}  0{(end - request.begun) / 1e6:>{COLUMNS}.0f} ms{PLAIN}  client received: {request.answer}")


def _bar(begin: int, end: int, mark: str) -> str:
    return " " * begin + "=" * (end - begin) + mark
