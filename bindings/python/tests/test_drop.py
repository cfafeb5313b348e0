# SPDX-License-Identifier: MIT
"""What was put into the tree is given back, once, when the last reference goes."""

import gc
import sys
import threading
import weakref

import libctx
import pytest
from conftest import WATCHDOG, in_thread, until
from libctx import background, with_cancel, with_value


class Thing:
    pass


KEY = libctx.Key[Thing]("thing")


def test_a_value_goes_with_its_last_context() -> None:
    thing = Thing()
    gone = weakref.ref(thing)
    ctx = with_value(background(), KEY, thing)
    child = with_cancel(ctx).ctx
    del thing, ctx
    assert child.value(KEY) is gone() is not None
    del child
    assert gone() is None


def test_counts_are_what_they_were() -> None:
    thing, key = Thing(), libctx.Key[Thing]("counted")
    before = sys.getrefcount(thing), sys.getrefcount(key)
    for _ in range(100):
        ctx = with_value(background(), key, thing)
        assert ctx.value(key) is thing
        assert ctx.value(KEY, thing) is thing
        assert ctx.string("none", thing) is thing
        ctx.after(id, thing).stop()
    del ctx
    assert (sys.getrefcount(thing), sys.getrefcount(key)) == before


def test_counts_of_what_is_handed_back_are_what_they_were() -> None:
    derived, loop = with_cancel(background()), libctx.VirtualLoop()
    derived.cancel()
    ctx, cancel = derived
    counted = ctx, cancel, loop, KEY.name, None, True, False
    before = [sys.getrefcount(one) for one in counted]
    for _ in range(10_000):
        assert libctx.wait_any(ctx) is derived.ctx is derived.__enter__() is ctx
        assert derived.cancel is cancel.__enter__() is cancel and loop.__enter__() is loop
        derived.__exit__(None, None, None)
        cancel.__exit__(None, None, None)
        loop.__exit__(None, None, None)
        loop.close()
        background().check()
        nothing: list[object] = [ctx.deadline(), ctx.remaining(), ctx.remaining_ms(), ctx.string("none")]
        nothing += [background().err(), background().cause(), background().origin(), loop.next()]
        assert nothing == [None] * 8 and ctx.value(KEY) is None
        assert KEY.name == "thing"
        assert (ctx.is_done, ctx.wait(), ctx.ended_by(ctx)) == (True, True, True)
        assert (cancel(), ctx.cancelable, background().cancelable, ctx.touch()) == (False, True, False, False)
    del nothing
    gc.collect()
    after = [sys.getrefcount(one) for one in counted]
    assert all(abs(was - now) < 1000 for was, now in zip(before, after, strict=True)), (before, after)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_key_lives_as_long_as_its_contexts(hidden: bool) -> None:
    key = libctx.Key[int]("short")
    ctx = libctx.without_value(background(), key) if hidden else with_value(background(), key, 1)
    del key
    assert "WithValue(short)" in repr(ctx)
    for _ in range(10):  # and nobody else gets its address
        assert ctx.value(libctx.Key[int]("another")) is None


def test_a_long_row_of_values_that_hold_contexts() -> None:
    key = libctx.Key[libctx.Context | None]("previous")
    ctx = None
    for _ in range(200_000):
        ctx = with_value(background(), key, ctx)
    del ctx


def test_a_callback_is_dropped_after_it_ran() -> None:
    thing = Thing()
    gone = weakref.ref(thing)
    ctx, cancel = with_cancel(background())
    watch = ctx.after(id, thing)
    del thing
    assert gone() is not None
    cancel()
    assert gone() is None
    assert watch.stop() is False


def test_a_callback_is_dropped_when_it_is_stopped() -> None:
    thing = Thing()
    gone = weakref.ref(thing)
    ctx = with_cancel(background()).ctx
    watch = ctx.after(id, thing)
    del thing
    assert watch.stop() is True
    assert gone() is None


def test_a_callback_on_what_is_never_done_is_dropped_with_its_watch() -> None:
    thing = Thing()
    gone = weakref.ref(thing)
    watch = background().after(id, thing)
    del thing
    assert gone() is not None
    del watch
    assert gone() is None


def test_dropped_on_a_thread_of_the_library() -> None:
    """A deferred callback runs on `ctx-calls`, and so does its drop."""
    where: list[int] = []
    done = threading.Event()

    class Told:
        def __del__(self) -> None:
            where.append(threading.get_ident())
            done.set()

    ctx, cancel = with_cancel(background())
    ctx.after(id, Told(), defer=True)
    cancel()
    assert done.wait(WATCHDOG)
    assert len(where) == 1 and where[0] != threading.get_ident()


def test_a_destructor_may_use_the_tree() -> None:
    seen: list[object] = []

    class Told:
        def __del__(self) -> None:
            with with_cancel(background()) as ctx:
                seen.append(ctx.err())

    told = libctx.Key[Told]("told")
    ctx = with_value(background(), told, Told())
    in_thread(lambda: None).join()
    del ctx
    assert seen == [None]


def test_a_destructor_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told_of: told.append(str(told_of.exc_value)))

    class Harmful:
        def __init__(self, name: str) -> None:
            self.name = name

        def __del__(self) -> None:
            raise LookupError(self.name)

    harmful = libctx.Key[Harmful]("harmful")
    ctx, cancel = with_cancel(with_value(background(), harmful, Harmful("value")))
    ctx.after(id, Harmful("callback"))
    ctx.after(id, Harmful("deferred"), defer=True)
    assert cancel() is True and isinstance(ctx.err(), libctx.Canceled)
    until(lambda: len(told) == 2)
    with pytest.raises(KeyError, match="on its way"):  # which the drop does not replace
        try:
            raise KeyError("on its way")
        finally:
            del ctx, cancel
    until(lambda: len(told) == 3)
    assert sorted(told) == ["callback", "deferred", "value"]
    assert libctx.with_timeout(background(), 0.001).ctx.wait() is True


def test_an_exception_of_a_cause_is_dropped() -> None:
    class Reason(Exception):
        pass

    before = sys.getrefcount(Reason)
    ctx, cancel = with_cancel(background())
    cancel(Reason("x"))
    assert isinstance(ctx.cause(), Reason)
    del ctx, cancel
    for seconds in (0, 3600):  # one that fires, and one that does not
        ctx = libctx.with_timeout(background(), seconds, cause=Reason("late")).ctx
        assert (seconds == 0) is isinstance(ctx.cause(), Reason)
        del ctx
    until(lambda: sys.getrefcount(Reason) == before)
