# SPDX-License-Identifier: MIT
"""Any thread, at any time: waits without the GIL, Ctrl-C, cancels that cross, garbage collection."""

import ctypes
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

import libctx
import pytest
from conftest import WATCHDOG, in_thread, python, until
from libctx import background, with_cancel, with_timeout


def sleeps(pid: int, tid: int) -> bool:
    """Whether a thread is blocked in a system call."""
    return Path(f"/proc/{pid}/task/{tid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_wait_ends_by_a_cancel_of_another_thread() -> None:
    ctx, cancel = with_cancel(background())
    found: list[bool] = []
    thread = in_thread(lambda: found.append(ctx.wait()))
    assert cancel() is True
    thread.join(WATCHDOG)
    assert found == [True]


def test_wait_releases_the_gil() -> None:
    """This thread goes on while the other one is blocked in its wait."""
    ctx, cancel = with_cancel(background())
    thread = in_thread(ctx.wait)
    assert thread.native_id is not None
    until(lambda: sleeps(os.getpid(), thread.native_id or 0))
    assert thread.is_alive()
    cancel()
    thread.join(WATCHDOG)
    assert not thread.is_alive()


def test_wait_times_out() -> None:
    ctx = with_cancel(background()).ctx
    begin = time.monotonic()
    assert ctx.wait(0.02) is False
    assert time.monotonic() - begin >= 0.02
    assert ctx.wait(0) is False and ctx.wait(timeout=0) is False


def test_wait_ends_by_the_deadline() -> None:
    ctx = with_timeout(background(), 0.02).ctx
    assert ctx.wait() is True
    assert isinstance(ctx.err(), libctx.DeadlineExceeded)


def test_a_limit_is_not_negative() -> None:
    """It would be a subtraction that went wrong; 0 looks and does not wait."""
    ctx = with_cancel(background()).ctx
    for wait in (ctx.wait, partial(libctx.wait_any, ctx), libctx.shutdown):
        for negative in (-1, timedelta(days=-1), -1e300):
            with pytest.raises(ValueError, match="cannot last"):
                wait(timeout=negative)
        for wrong in ("1", True):
            with pytest.raises(TypeError, match="seconds"):
                wait(timeout=wrong)  # type: ignore[arg-type]
    assert not ctx.is_done


def test_the_first_of_several() -> None:
    (one, end_one), (two, end_two), (three, end_three) = (with_cancel(background()) for _ in range(3))
    assert libctx.wait_any(one, two, three, timeout=0) is None
    assert libctx.wait_any(one, two, timeout=timedelta(milliseconds=5)) is None
    found: list[libctx.Context | None] = []
    thread = in_thread(lambda: found.append(libctx.wait_any(background(), one, two, three)))
    end_two()
    thread.join(WATCHDOG)
    assert found == [two] and found[0] is two
    end_one()
    assert libctx.wait_any(three, two, one) is two and libctx.wait_any(one) is one
    for wrong in (None, with_cancel(background())):
        with pytest.raises(TypeError, match="Context"):
            libctx.wait_any(one, wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="at least one"):
        libctx.wait_any(timeout=1)


def test_only_one_of_many_cancels_wins() -> None:
    for _ in range(50):
        ctx, cancel = with_cancel(background())
        barrier, won = threading.Barrier(4), []

        def race() -> None:
            barrier.wait(WATCHDOG)  # noqa: B023
            won.append(cancel())  # noqa: B023

        for thread in [in_thread(race) for _ in range(4)]:
            thread.join(WATCHDOG)
        assert sorted(won) == [False, False, False, True]


CTRL_C = """
import libctx, signal
signal.signal(signal.SIGINT, signal.default_int_handler)   # ignored, where the tests run in the background
print("ready", flush=True)
try:
    ctx = libctx.with_cancel(libctx.background()).ctx
    {wait}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def interrupt(program: str) -> str:
    """Sends SIGINT once to a program whose main thread is blocked; what it prints."""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        until(lambda: "futex" in Path(f"/proc/{child.pid}/wchan").read_text() or sleeps(child.pid, child.pid))
        child.send_signal(signal.SIGINT)
        try:
            output, _ = child.communicate(timeout=WATCHDOG)
        finally:
            child.kill()  # nothing, if it has ended
    assert child.returncode == 0
    return output


def test_ctrl_c_ends_a_wait() -> None:
    for wait in ("ctx.wait()", "ctx.wait(3600)", "libctx.wait_any(ctx, ctx)"):
        assert interrupt(CTRL_C.format(wait=wait)) == "interrupted\n"


SIGNAL_HANDLER = """
import libctx, signal
ctx, cancel = libctx.with_cancel(libctx.background())
signal.signal(signal.SIGINT, lambda *_: cancel("by hand"))
print("ready", flush=True)
print(ctx.wait(), ctx.cause())
"""


def test_a_signal_handler_runs_during_a_wait_and_may_cancel() -> None:
    assert interrupt(SIGNAL_HANDLER) == "True by hand\n"


MANY_SIGNALS = """
import libctx, signal, time
signal.signal(signal.SIGALRM, lambda *_: None)
ctx = libctx.with_cancel(libctx.background()).ctx
begin = time.monotonic()
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
found = ctx.wait(0.1)
signal.setitimer(signal.ITIMER_REAL, 0)
print(found, time.monotonic() - begin >= 0.1)
"""


def test_signals_make_a_wait_neither_shorter_nor_longer() -> None:
    result = python(MANY_SIGNALS)
    assert (result.returncode, result.stdout, result.stderr) == (0, "False True\n", "")


# The handler takes half of the limit. A wait that had the whole limit again after it could not end before one and a half
# of it. On a slow machine a right wait can be as late, so there are several attempts.
LONG_HANDLER = """
import libctx, signal, time
LIMIT = 0.2
handled = 0.0

def handler(*_):
    global handled
    time.sleep(LIMIT / 2)
    handled = time.monotonic()

def attempt(wait):
    begin = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    assert not wait(timeout=LIMIT)
    end = time.monotonic()
    return begin + LIMIT / 2 < handled < begin + LIMIT <= end < begin + 1.5 * LIMIT

signal.signal(signal.SIGALRM, handler)
ctx = libctx.with_cancel(libctx.background()).ctx
group = libctx.Group(ctx)
group.begin()
for wait in (ctx.wait, lambda timeout: libctx.wait_any(ctx, ctx, timeout=timeout), group.wait):
    print(any(attempt(wait) for _ in range(20)))
"""


def test_after_a_signal_a_wait_has_what_is_left_of_its_limit() -> None:
    result = python(LONG_HANDLER)
    assert (result.returncode, result.stdout, result.stderr) == (0, "True\n" * 3, "")


LONG = """
import libctx, signal
ctx, cancel = libctx.with_cancel(libctx.background())
seen = []

def handler(*_):
    seen.append(1)
    if len(seen) == 5:
        cancel()

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
found = ctx.wait(9223372036)   # the most that fits: what the clock says cannot be added
signal.setitimer(signal.ITIMER_REAL, 0)
print(found, len(seen) >= 5)
"""


def test_signals_do_not_end_the_longest_wait() -> None:
    result = python(LONG)
    assert (result.returncode, result.stdout, result.stderr) == (0, "True True\n", "")


def test_garbage_is_collected_on_any_thread() -> None:
    """Contexts in cycles, which whatever thread collects gives back to the tree, while others use it."""
    parent, stop = with_cancel(background())
    key = libctx.Key[object]("anything")
    end = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not end.is_set():
                for _ in range(100):
                    cycle: list[object] = [with_timeout(libctx.with_value(parent, key, object()), 3600)]
                    cycle.append(cycle)
                gc.collect(0)
        except BaseException as error:
            failures.append(error)

    threads = [in_thread(work) for _ in range(3)]
    for _ in range(20):
        gc.collect()
    end.set()
    for thread in threads:
        thread.join(WATCHDOG)
        assert not thread.is_alive()
    assert failures == []
    assert stop() is True


@pytest.mark.parametrize("how", ["cancel", "leave", "advance", "dispatch", "close", "forget", "fail", "forget a group"])
def test_what_runs_callbacks_gives_up_the_gil(c_library: Path, how: str) -> None:
    """A callback of C may wait for what another thread does in Python."""
    c = ctypes.CDLL(str(c_library))
    manual = libctx.ManualLoop()
    loops = [libctx.VirtualLoop()]
    ctx, cancel = with_timeout(loops[0].background(), 1)
    group = libctx.Group(background())
    inner = [libctx.Group(group)]
    if how == "dispatch":
        ctx, cancel = with_timeout(manual.background(), 0.001)
    elif how in ("fail", "forget a group"):
        ctx = group.ctx
    other, stop_other = with_cancel(background())
    assert c.hold(ctypes.c_void_p(ctx.handle), ctypes.c_void_p(other.handle)) == 0

    def then() -> None:
        until(ctx.err)
        stop_other()

    thread = in_thread(then)
    if how == "cancel":
        cancel()
    elif how == "leave":
        with cancel:
            pass
    elif how == "advance":
        loops[0].advance(1)
    elif how == "dispatch":
        until(manual.dispatch)
    elif how == "fail":
        assert group.begin()
        group.end("a failure")
    elif how == "forget a group":
        assert inner[0].begin()
        inner[0].end("a failure")
        assert not ctx.is_done
        inner.clear()
    elif how == "close":
        loops[0].close()
    else:
        loops.clear()
    assert c.held() == 1
    thread.join(WATCHDOG)
