# SPDX-License-Identifier: MIT
"""Context.after(): when, where, how often, and what becomes of its exceptions."""

import asyncio
import contextvars
import ctypes
import signal
import sys
import threading

import libctx
import pytest
import trio
from conftest import WATCHDOG, Run, in_thread
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


VARIABLE = contextvars.ContextVar("variable", default="unset")


def test_a_callback_sees_the_context_variables_of_whoever_armed_it() -> None:
    """As in call_soon() of asyncio: inline, deferred, after a deadline, and at once on what is done."""
    seen: list[tuple[str, libctx.Context, str]] = []
    all_seen = threading.Event()

    def look(how: str) -> None:
        seen.append((how, libctx.current(), VARIABLE.get()))
        VARIABLE.set("by the callback")
        if len(seen) == 4:
            all_seen.set()

    ctx, cancel = with_cancel(background())
    parent, end = with_cancel(background())
    late = libctx.with_grace(parent, 0.001).ctx

    def arm() -> None:
        VARIABLE.set("armed")
        with libctx.use(ctx):
            ctx.after(look, "inline")
            ctx.after(look, "deferred", defer=True)
            late.after(look, "late")
            parent.after(look, "at once")
            assert VARIABLE.get() == "armed"
        VARIABLE.set("changed later")

    end()
    in_thread(arm).join()
    with libctx.use(with_cancel(background()).ctx):
        cancel()
    assert all_seen.wait(WATCHDOG)
    assert VARIABLE.get() == "unset"
    assert {how: rest for how, *rest in seen} == {how: [ctx, "armed"] for how in ("at once", "deferred", "inline", "late")}


def test_a_callback_sees_the_context_variables_of_the_task_that_armed_it(run: Run) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        seen: list[object] = []

        async def arm() -> None:
            VARIABLE.set("armed")
            async with libctx.scope(background()) as inner:
                ctx.after(lambda: seen.append((libctx.current(), VARIABLE.get())))
                expected.append((inner, "armed"))

        async def end() -> None:
            VARIABLE.set("ended")
            cancel()

        expected: list[object] = []
        await asyncio.create_task(arm())
        await asyncio.create_task(end())
        assert seen == expected

    run(main())


def test_a_callback_sees_the_context_variables_of_the_trio_task_that_armed_it() -> None:
    ctx, cancel = with_cancel(background())
    seen: list[object] = []

    async def arm() -> None:
        VARIABLE.set("armed")
        async with libctx.scope(background()) as inner:
            ctx.after(lambda: seen.append((libctx.current(), VARIABLE.get())))
            expected.append((inner, "armed"))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(arm)
        VARIABLE.set("ended")
        await trio.to_thread.run_sync(cancel)
        assert seen == expected

    expected: list[object] = []
    trio.run(main)


def test_an_exception_is_reported_in_the_context_variables_of_its_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what logs it knows the request that it belongs to."""
    told: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda _: told.append(VARIABLE.get()))

    def callback() -> None:
        VARIABLE.set("the callback")
        raise ZeroDivisionError

    ctx, cancel = with_cancel(background())
    ctx.after(callback)
    cancel()
    assert told == ["the callback"] and VARIABLE.get() == "unset"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """What sys.unraisablehook was told."""
    told: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: told.append(args.exc_type))
    return told


def throw(error: BaseException) -> None:
    raise error


Told = list[type[BaseException]]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_leaves_cancel_when_all_callbacks_have_run(kind: type[BaseException], told: Told) -> None:
    ctx, cancel = with_cancel(background())
    child = with_cancel(ctx).ctx
    ran: list[int] = []
    error = kind(3)
    ctx.after(ran.append, 1)
    for raised in (error, ValueError(), SystemExit()):
        ctx.after(throw, raised)
    ctx.after(ran.append, 2)
    child.after(ran.append, 3)
    with pytest.raises(kind) as caught:
        cancel()
    assert caught.value is error and [entry.name for entry in caught.traceback][-1] == "throw"
    assert ran == [1, 2, 3] and told == [ValueError, SystemExit]
    assert cancel() is False  # it is done, and nothing is left over


def test_what_ends_the_program_leaves_a_with_statement(told: Told) -> None:
    body = KeyError("of the body")
    with pytest.raises(SystemExit) as caught, with_cancel(background()) as ctx:
        ctx.after(throw, SystemExit(3))
        raise body
    assert caught.value.__context__ is body and told == []


def test_what_ends_the_program_leaves_after_on_a_context_that_is_done(told: Told) -> None:
    ctx, cancel = with_cancel(background())
    cancel()
    for kind in (KeyboardInterrupt, SystemExit):
        with pytest.raises(kind):
            ctx.after(throw, kind())
    assert told == []


def test_what_ends_the_program_leaves_the_callback_that_canceled_too(told: Told) -> None:
    """Out of the callbacks of the inner cancel or those of the outer one: it leaves the outer one once."""
    ctx, cancel = with_cancel(background())
    inner = with_cancel(background())
    ran: list[int] = []
    inner.ctx.after(throw, KeyboardInterrupt())
    inner.ctx.after(ran.append, 1)
    ctx.after(inner.cancel)
    ctx.after(ran.append, 2)
    with pytest.raises(KeyboardInterrupt):
        cancel()
    assert sorted(ran) == [1, 2] and told == []


def test_a_callback_that_cancels_is_not_ended_by_what_another_one_raised(told: Told) -> None:
    ctx, cancel = with_cancel(background())
    ran: list[bool] = []
    ctx.after(throw, KeyboardInterrupt())
    ctx.after(lambda: ran.append(with_cancel(background()).cancel()))
    with pytest.raises(KeyboardInterrupt):
        cancel()
    assert ran == [True] and told == []


def test_other_exceptions_of_no_class_of_exception_are_reported(told: Told) -> None:
    """A CancelledError is a task's affair, and its callback was no task."""
    ctx, cancel = with_cancel(background())
    for error in (GeneratorExit(), asyncio.CancelledError(), BaseException()):
        ctx.after(throw, error)
    assert cancel() is True
    assert told == [GeneratorExit, asyncio.CancelledError, BaseException]


def test_what_ends_the_program_is_reported_on_the_thread_of_the_library(told: Told) -> None:
    ctx, cancel = with_cancel(background())
    done = threading.Event()
    ctx.after(throw, SystemExit(), defer=True)
    ctx.after(done.set, defer=True)
    assert cancel() is True and done.wait(WATCHDOG)
    assert told == [SystemExit]


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)
    for _ in range(100):  # it comes down here
        pass


def test_ctrl_c_in_a_callback_leaves_cancel(default_sigint: None, told: Told) -> None:
    ctx, cancel = with_cancel(background())
    ran: list[int] = []
    ctx.after(ctrl_c)
    ctx.after(ran.append, 1)
    with pytest.raises(KeyboardInterrupt):
        cancel()
    assert ran == [1] and told == []


def test_ctrl_c_in_a_callback_that_another_language_runs_comes_again(default_sigint: None, told: Told) -> None:
    """It is reported where it came down, and comes down once more when that language returns to Python."""
    library = ctypes.CDLL(libctx.library_path())
    ctx, cancel = with_cancel(background())
    ran: list[int] = []
    ctx.after(ctrl_c)
    ctx.after(ran.append, 1)
    with pytest.raises(KeyboardInterrupt):
        ran.append(library.ctx_cancel(ctypes.c_void_p(cancel.handle)))
        for _ in range(100):
            pass
    assert ran[0] == 1 and told == [KeyboardInterrupt]


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
