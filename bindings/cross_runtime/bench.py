# SPDX-License-Identifier: MIT
"""P24: how late others learn of their deadlines while one library's callback blocks for 2 s, or Python's GIL is
held for 2 s. In one process a C library has callbacks without flags, a C++ library co_awaits, and a Rust library
awaits in tokio.

    bench.py <libhandler.so> <liblate.so> [rounds]

Beside them a bare thread sleeps until deadlines of its own: if it is late, or somebody is while nobody blocks, the
machine was too busy, and a row that misses the target is void. Exits 1 if a target was missed otherwise.

A callback that blocks and does not say so is shown, too: it delays those that run on the same thread, unless the
program has given the loop an executor.
"""

import ctypes
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import libctx

BLOCKED = 2.0  # seconds; those of late.cc
EACH = 100  # deadlines of each library, spread over that time
LIMIT = 5.0  # milliseconds
CTX_BLOCKING = 2

rust, late = (ctypes.CDLL(str(Path(path).resolve())) for path in sys.argv[1:3])
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
hold_gil = ctypes.PyDLL(None).usleep  # PyDLL keeps the GIL in its calls

LIBRARIES = {
    "C callbacks": late.callbacks_watch,
    "C++ co_await": late.awaits_watch,
    "Rust .await": rust.futures_watch,
    "bare sleeps": late.sleeps_watch,
}


def check(result: int) -> None:
    if result < 0:
        raise OSError(-result, "a library of the benchmark")


def executor_root() -> libctx.Context:
    handle = ctypes.c_void_p()
    check(late.executor_root(ctypes.byref(handle)))
    assert handle.value is not None
    return libctx.Context.from_handle(handle.value)


def nobody(ctx: libctx.Context) -> None:
    pass


def blocking(ctx: libctx.Context) -> None:
    check(late.block_at_end(ctypes.c_void_p(ctx.handle), CTX_BLOCKING))


def plain(ctx: libctx.Context) -> None:
    check(late.block_at_end(ctypes.c_void_p(ctx.handle), 0))


def gil(ctx: libctx.Context) -> None:
    """Holds it in a callback, while callbacks in Python come due that want it."""
    ctx.after(hold_gil, int(BLOCKED * 1e6))
    deadline = ctx.deadline()
    assert deadline is not None
    for i in range(EACH):
        libctx.with_deadline(libctx.background(), deadline + BLOCKED * (i + 1) / EACH).ctx.after(int)


def lateness(root: libctx.Context, obstacle: Callable[[libctx.Context], None]) -> list[list[float]]:
    """In milliseconds, of each library."""
    begin = time.monotonic() + 0.2
    first = libctx.with_deadline(root, begin).ctx
    obstacle(first)
    times = [begin + BLOCKED * (i + 0.5) / (EACH * len(LIBRARIES)) for i in range(EACH * len(LIBRARIES))]
    seen: list[ctypes.Array[ctypes.c_int64]] = []
    ctxs: list[list[libctx.Context]] = []
    for number, watch in enumerate(LIBRARIES.values()):
        ctxs.append([libctx.with_deadline(root, when).ctx for when in times[number :: len(LIBRARIES)]])
        handles = (ctypes.c_void_p * EACH)(*(ctx.handle for ctx in ctxs[-1]))
        seen.append((ctypes.c_int64 * EACH)())
        check(watch(handles, ctypes.c_size_t(EACH), seen[-1]))
    assert time.monotonic() < begin
    time.sleep(begin + BLOCKED - time.monotonic())
    while not all(all(part) for part in seen):
        time.sleep(0.01)
    late_ms = []
    for own, part in zip(ctxs, seen, strict=True):
        late_ms.append([at / 1e6 - (ctx.deadline() or 0) * 1e3 for ctx, at in zip(own, part, strict=True)])
    return late_ms


def main() -> int:
    background = libctx.background()
    scenarios = (
        ("nobody blocks", background, nobody, False),
        ("a callback with CTX_BLOCKING blocks", background, blocking, True),
        ("a callback of Python's holds the GIL", background, gil, True),
        ("a callback without flags blocks", background, plain, False),
        ("… on a loop with an executor", executor_root(), plain, True),
    )
    print(f"Lateness of {EACH} deadlines of each, median and worst, in ms; medians of {rounds} rounds.\n")
    print(f"{'':4} {'for 2 s':38}" + "".join(f"{name:>17}" for name in LIBRARIES) + "   target  met?")
    missed = False
    quiet = True  # unless somebody is late while nobody blocks
    for what, root, obstacle, held in scenarios:
        runs = [lateness(root, obstacle) for _ in range(rounds)]
        middles, worsts = (
            [statistics.median(of(run[number]) for run in runs) for number in range(len(LIBRARIES))]
            for of in (statistics.median, max)
        )
        cells = "".join(f"{middle:9.2f} {worst:7.2f}" for middle, worst in zip(middles, worsts, strict=True))
        met = max(worsts[:-1]) <= LIMIT
        if obstacle is nobody:
            quiet = met
        void = not met and not (quiet and worsts[-1] <= LIMIT)
        missed |= held and not met and not void
        verdict = f"<= {LIMIT:g} ms  {'yes' if met else 'void' if void else 'NO'}" if held else "     -  -"
        print(f"P24  {what:38}{cells}  {verdict}", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
