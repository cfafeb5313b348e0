# SPDX-License-Identifier: MIT
"""Whoever holds the GIL holds up nobody who does not want it, and Python's callbacks do not hold up each other."""

import ctypes
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import libctx
import pytest
from conftest import WATCHDOG, in_thread, python, until
from libctx import background, with_cancel, with_deadline, with_value


class Thing:
    pass


KEY = libctx.Key[Thing]("thing")


class Holder(Protocol):
    """The functions of the C library; who calls them holds the GIL until they return."""

    def watch(self, ctx: ctypes.c_void_p) -> int: ...
    def begin(self) -> None: ...
    def counted(self, n: int) -> int: ...
    def cancel_elsewhere(self, canceler: ctypes.c_void_p) -> int: ...


@pytest.fixture
def holder(c_library: Path) -> Iterator[Holder]:
    """Python does not ask for the GIL back meanwhile: what waits for it gets it when this thread gives it up."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(WATCHDOG)
    library = ctypes.PyDLL(str(c_library))
    library.begin()
    yield library
    sys.setswitchinterval(before)


def watch(holder: Holder, ctx: libctx.Context) -> None:
    assert holder.watch(ctypes.c_void_p(ctx.handle)) == 0


def test_a_deadline_of_c_does_not_wait_for_callbacks_of_python(holder: Holder) -> None:
    when = time.monotonic() + 0.05
    theirs, ours = with_deadline(background(), when + 0.001).ctx, with_deadline(background(), when).ctx
    ran = threading.Event()
    ours.after(ran.set)  # comes before that of C
    watch(holder, theirs)
    assert holder.counted(1)  # and this thread has the GIL
    assert not ran.is_set()
    assert ran.wait(WATCHDOG)


def test_a_deadline_of_c_does_not_wait_for_values_of_python(holder: Holder) -> None:
    """The callback has the last reference to a context that carries one; the thread of the callbacks gives it back."""
    when = time.monotonic() + 0.05
    thing = Thing()
    gone = weakref.ref(thing)
    first = with_deadline(with_value(background(), KEY, thing), when).ctx
    then = with_deadline(background(), when + 0.1).ctx
    watch(holder, first)
    watch(holder, then)
    del thing, first
    assert holder.counted(2)
    until(lambda: gone() is None)


def test_a_cancel_of_c_does_not_wait_for_callbacks_of_python(holder: Holder) -> None:
    ctx, cancel = with_cancel(background())
    ran = threading.Event()
    where: list[int] = []
    ctx.after(lambda: where.append(threading.get_ident()))
    ctx.after(ran.set)
    holder.cancel_elsewhere(ctypes.c_void_p(cancel.handle))
    assert holder.counted(1)
    assert where == []
    assert ran.wait(WATCHDOG)
    assert where != [threading.get_ident()]


def handed_over(holder: Holder, ran: list[int]) -> libctx.Watch:
    """The watch of a callback that waits for the GIL, which this thread has."""
    ctx, cancel = with_cancel(background())
    watched = ctx.after(ran.append, 1)
    holder.cancel_elsewhere(ctypes.c_void_p(cancel.handle))
    assert holder.counted(1)
    return watched


@pytest.mark.parametrize("wait", [False, True])
def test_a_callback_that_waits_for_the_gil_can_be_stopped(holder: Holder, wait: bool) -> None:
    ran: list[int] = []
    watched = handed_over(holder, ran)
    assert watched.stop() is True and watched.stop(wait=wait) is False
    other = threading.Event()
    ctx, cancel = with_cancel(background())
    ctx.after(other.set, defer=True)  # comes after those
    cancel()
    assert other.wait(WATCHDOG)
    assert ran == []


def test_a_callback_that_is_stopped_while_it_waits_is_dropped(holder: Holder) -> None:
    thing = Thing()
    gone = weakref.ref(thing)
    ctx, cancel = with_cancel(background())
    watched = ctx.after(id, thing)
    del thing
    holder.cancel_elsewhere(ctypes.c_void_p(cancel.handle))
    assert holder.counted(1)
    assert gone() is not None
    assert watched.stop() is True and gone() is None


def test_stop_wait_waits_for_a_deferred_callback() -> None:
    ctx, cancel = with_cancel(background())
    entered, leave = threading.Event(), threading.Event()
    ended: list[int] = []
    from_inside: list[bool] = []

    def callback() -> None:
        from_inside.append(watched.stop(wait=True))
        entered.set()
        assert leave.wait(WATCHDOG)
        ended.append(1)

    watched = ctx.after(callback, defer=True)
    cancel()
    assert entered.wait(WATCHDOG)
    assert watched.stop() is False and ended == [] and from_inside == [False]
    results: list[tuple[bool, int]] = []
    threads = [in_thread(lambda: results.append((watched.stop(wait=True), len(ended)))) for _ in range(2)]
    leave.set()
    for thread in threads:
        thread.join(WATCHDOG)
    assert results == [(False, 1)] * 2


def test_a_callback_that_blocks_delays_no_other_one() -> None:
    leave = threading.Event()
    entered = [threading.Event() for _ in range(20)]

    def block(n: int) -> None:
        entered[n].set()
        assert leave.wait(WATCHDOG)

    when = time.monotonic() + 0.05
    for n in range(20):
        with_deadline(background(), when).ctx.after(block, n)
    assert all(one.wait(WATCHDOG) for one in entered)
    late = threading.Event()
    libctx.with_timeout(background(), 0.01).ctx.after(late.set)
    assert late.wait(WATCHDOG)
    leave.set()


def test_callbacks_of_a_thread_of_the_library_begin_in_their_order() -> None:
    """And a handful of threads runs them, however many there are."""
    ctx, cancel = with_cancel(background())
    ran: list[int] = []
    threads: set[int] = set()
    done = threading.Event()

    def callback(n: int) -> None:
        ran.append(n)
        threads.add(threading.get_ident())
        if n % 500 == 0:
            time.sleep(0)  # without the GIL: here the next one may begin

    interval = sys.getswitchinterval()
    sys.setswitchinterval(WATCHDOG)  # and not between a callback's beginning and its first line
    try:
        for n in range(5000):
            ctx.after(callback, n, defer=True)
        ctx.after(done.set, defer=True)
        cancel()
        assert done.wait(WATCHDOG)
    finally:
        sys.setswitchinterval(interval)
    assert ran == list(range(5000))
    assert len(threads) < 50


def test_what_c_gives_back_is_dropped_soon(c_library: Path) -> None:
    """By no thread that Python does not know: each of these holds the last reference to a context with a value."""
    c = ctypes.CDLL(str(c_library))
    c.begin()
    gone = []
    for _ in range(200):
        thing = Thing()
        gone.append(weakref.ref(thing))
        cancel = with_cancel(with_value(background(), KEY, thing)).cancel
        del thing
        c.cancel_elsewhere(ctypes.c_void_p(cancel.handle))
        del cancel
    assert c.counted(200)
    until(lambda: all(one() is None for one in gone))


def test_the_default_loop_can_be_chosen_after_the_import() -> None:
    program = """
import ctypes, libctx
c = ctypes.CDLL(libctx.library_path())
mine = ctypes.c_void_p()
assert c.ctx_loop_new(2, None, ctypes.byref(mine)) == 0    # CTX_LOOP_MANUAL
assert c.ctx_loop_set_default(mine) == 0
ctx, cancel = libctx.with_cancel(libctx.background())
ctx.after(print, "deferred", defer=True)
cancel()
c.ctx_loop_dispatch(mine)
"""
    result = python(program)
    assert (result.returncode, result.stdout, result.stderr) == (0, "deferred\n", "")
