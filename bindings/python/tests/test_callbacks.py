# SPDX-License-Identifier: MIT
"""Context.after(): when, where, how often, and what becomes of its exceptions."""

import functools
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import libctx
import pytest
from conftest import WATCHDOG, Told, in_thread
from libctx import background, with_cancel


def test_runs_before_cancel_returns_on_its_thread() -> None:
    ctx, cancel = with_cancel(background())
    ran: list[tuple[int, str]] = []
    ctx.after(lambda a, b: ran.append((threading.get_ident(), a + b)), "a", "b")
    cancel()
    cancel()
    assert ran == [(threading.get_ident(), "ab")]


def test_runs_at_once_on_what_is_done() -> None:
    ctx, cancel = with_cancel(background())
    cancel()
    ran: list[int] = []
    assert ctx.after(ran.append, 1).stop() is False
    assert ran == [1]


async def coroutine() -> None: ...


class Async:
    async def method(self) -> None: ...


@pytest.mark.parametrize("fn", [coroutine, Async().method, functools.partial(coroutine)])
@pytest.mark.parametrize("defer", [False, True])
def test_an_async_function_is_refused(fn: Callable[[], Coroutine[Any, Any, None]], defer: bool) -> None:
    ctx, cancel = with_cancel(background())
    with pytest.raises(TypeError, match="not async"):
        ctx.after(fn, defer=defer)
    cancel()  # with nothing armed
    with pytest.raises(TypeError, match="not async"):
        ctx.after(fn, defer=defer)


def test_runs_after_a_deadline_on_another_thread() -> None:
    done, where = threading.Event(), []

    def callback() -> None:
        where.append(threading.get_ident())
        done.set()

    parent, cancel = with_cancel(background())
    ctx = libctx.with_grace(parent, 0.001).ctx  # whose deadline begins when this thread says so
    ctx.after(callback)
    cancel()
    assert done.wait(WATCHDOG)
    assert where != [threading.get_ident()]


def test_deferred_runs_on_another_thread() -> None:
    ctx, cancel = with_cancel(background())
    lock, done, where = threading.Lock(), threading.Event(), []

    def callback() -> None:
        with lock:
            where.append(threading.get_ident())
        done.set()

    ctx.after(callback, defer=True)
    with lock:
        cancel()
    assert done.wait(WATCHDOG)
    assert where != [threading.get_ident()]


def test_order_of_registration_and_parent_first() -> None:
    ctx, cancel = with_cancel(background())
    child = with_cancel(ctx).ctx
    ran: list[str] = []
    child.after(ran.append, "child")
    for name in ("first", "second"):
        ctx.after(ran.append, name)
    cancel()
    assert ran == ["first", "second", "child"]


def test_stop() -> None:
    ctx, cancel = with_cancel(background())
    ran: list[int] = []
    watch = ctx.after(ran.append, 1)
    assert watch.stop() is True and watch.stop() is False
    cancel()
    assert ran == []


def test_stop_wait_waits_for_the_callback() -> None:
    ctx, cancel = with_cancel(background())
    entered, leave, ended = threading.Event(), threading.Event(), []

    def callback() -> None:
        entered.set()
        assert leave.wait(WATCHDOG)
        ended.append(1)

    watch = ctx.after(callback)
    canceling = in_thread(cancel)
    assert entered.wait(WATCHDOG)
    assert watch.stop() is False and ended == []
    result: list[tuple[bool, int]] = []
    stopping = in_thread(lambda: result.append((watch.stop(wait=True), len(ended))))
    leave.set()
    for thread in (canceling, stopping):
        thread.join(WATCHDOG)
    assert result == [(False, 1)]


def test_stop_wait_from_inside_returns() -> None:
    ctx, cancel = with_cancel(background())
    found: list[bool] = []
    watch: libctx.Watch
    watch = ctx.after(lambda: found.append(watch.stop(wait=True)))
    cancel()
    assert found == [False]


@pytest.mark.parametrize("defer", [False, True], ids=["here", "on the library's thread"])
def test_exceptions_are_reported(monkeypatch: pytest.MonkeyPatch, defer: bool) -> None:
    told: list[tuple[object, object]] = []
    done = threading.Event()

    def hook(args: "sys.UnraisableHookArgs") -> None:
        told.append((args.exc_type, args.object))

    monkeypatch.setattr(sys, "unraisablehook", hook)

    def callback() -> None:
        raise ZeroDivisionError

    ctx, cancel = with_cancel(background())
    ctx.after(callback, defer=defer)
    ctx.after(done.set, defer=defer)  # runs all the same, after it
    assert cancel() is True
    assert done.wait(WATCHDOG)
    assert told == [(ZeroDivisionError, callback)]


def test_a_callback_may_use_the_tree() -> None:
    ctx, cancel = with_cancel(background())
    other, stop_other = with_cancel(background())
    seen: list[object] = []

    def callback() -> None:
        seen.append(type(ctx.err()))
        stop_other("from a callback")
        seen.append(str(other.cause()))

    ctx.after(callback)
    cancel()
    assert seen == [libctx.Canceled, "from a callback"]


def test_what_cannot_be_called() -> None:
    for arguments in ((), (None,), (1,)):
        with pytest.raises(TypeError):
            background().after(*arguments)


@pytest.mark.parametrize("here", [True, False], ids=["here", "on the library's thread"])
@pytest.mark.parametrize("n", [998, 12_000, 30_000])
def test_a_chain_of_callbacks_that_cancel_has_any_length(n: int, here: bool, told: Told) -> None:
    """Each cancels the next one, by the canceler itself and by way of Python."""
    for by_hand in (False, True):
        row = [with_cancel(background()) for _ in range(n)]
        done = threading.Event()
        for one, following in zip(row, row[1:]):
            one.ctx.after((lambda cancel=following.cancel: cancel()) if by_hand else following.cancel)  # type: ignore[misc]
        row[-1].ctx.after(done.set)
        if here:
            row[0].cancel()
        else:
            before, begin = with_cancel(background())
            before.after(row[0].cancel, defer=True)
            begin()
        assert done.wait(WATCHDOG)
        assert all(one.ctx.err() is not None for one in row)
        assert told == []


def test_a_cancel_may_leave_its_callbacks_to_the_loop() -> None:
    ctx, cancel = with_cancel(background())
    lock, ran = threading.Lock(), threading.Event()

    def locks() -> None:
        with lock:
            ran.set()

    ctx.after(locks)
    with lock:
        assert cancel("under a lock", defer=True) and ctx.is_done
    assert ran.wait(WATCHDOG) and str(ctx.cause()) == "under a lock"
    assert not cancel(defer=True)
