# SPDX-License-Identifier: MIT
"""Who keeps what alive: contexts, cancelers, watches; and that nothing leaks."""

import contextlib
import gc
import weakref
from collections.abc import Callable

import libctx
import pytest
from conftest import collected, in_use, throw
from libctx import background, with_cancel, with_value


class Thing:
    """Something that can be weakly referred to."""


KEY = libctx.Key[object]("thing")


def tree_of(n: int) -> None:
    """A parent with n children that have values, timeouts, callbacks; half canceled, half forgotten."""
    parent, stop = with_cancel(background())
    kept = []
    for i in range(n):
        ctx = with_value(parent, KEY, Thing())
        derived = libctx.with_timeout(ctx, 3600.0)
        derived.ctx.after(Thing)
        derived.ctx.cause()
        if i % 2:
            derived.cancel(ValueError("no"))
            assert isinstance(derived.ctx.cause(), ValueError)
        kept.append(derived)
    stop()


def test_100000_contexts_leak_nothing() -> None:
    tree_of(100_000)  # what is cached is cached from here on
    blocks, size = in_use()
    for _ in range(3):
        tree_of(100_000)
    more_blocks, more_size = in_use()
    assert more_blocks - blocks < 1000
    assert more_size - size < 1_000_000


def test_a_callback_that_ends_the_program_at_once_leaves_nothing() -> None:
    ended, cancel = with_cancel(background())
    cancel()

    def arm(n: int) -> None:
        for _ in range(n):
            with pytest.raises(KeyboardInterrupt):
                ended.after(throw, KeyboardInterrupt())

    arm(100)
    blocks, size = in_use()
    arm(5_000)
    more_blocks, more_size = in_use()
    assert more_blocks - blocks < 1000
    assert more_size - size < 100_000


def test_a_forgotten_child_is_freed_while_its_parent_lives() -> None:
    with with_cancel(background()) as parent:
        thing = Thing()
        gone = weakref.ref(thing)
        child = with_cancel(with_value(parent, KEY, thing))
        del thing
        assert gone() is not None
        del child
        assert gone() is None


def test_a_child_keeps_what_it_needs_of_its_parent() -> None:
    parent, cancel = with_cancel(with_value(background(), KEY, "above"))
    child = with_cancel(parent).ctx
    del parent
    assert child.value(KEY) == "above"
    cancel()
    assert isinstance(child.err(), libctx.Canceled)


def test_a_canceler_keeps_its_context() -> None:
    ctx, cancel = with_cancel(background())
    derived = with_cancel(ctx).ctx
    del ctx
    assert cancel() is True
    assert derived.err() is not None


def test_forgetting_a_canceler_cancels_nothing() -> None:
    ctx = with_cancel(background()).ctx
    gc.collect()
    assert ctx.err() is None


def test_a_with_statement_cancels_on_exit() -> None:
    with with_cancel(background()) as ctx:
        assert ctx.err() is None
    assert isinstance(ctx.err(), libctx.Canceled)


def test_a_canceler_is_a_context_manager_too() -> None:
    ctx, cancel = with_cancel(background())
    with cancel:
        assert ctx.err() is None
    assert ctx.err() is not None


def test_an_armed_callback_keeps_its_context() -> None:
    parent, cancel = with_cancel(background())
    ran: list[int] = []
    with_cancel(parent).ctx.after(ran.append, 1)  # neither context nor watch is kept here
    gc.collect()
    cancel()
    assert ran == [1]


def test_a_cause_does_not_keep_the_frames_of_who_cancels() -> None:
    gone: weakref.ref[Thing]

    def request() -> None:
        nonlocal gone
        thing = Thing()
        gone = weakref.ref(thing)
        ctx, cancel = with_cancel(background())  # held by this frame, which the traceback holds
        try:
            raise KeyError(thing.__class__)
        except KeyError as error:
            cancel(error)
        assert isinstance(ctx.cause(), KeyError)

    request()
    assert collected(lambda: gone() is None)


def test_a_cause_does_not_keep_the_frames_of_the_exceptions_in_it() -> None:
    """A group, an exception that wraps another one in its args, and one that has it as an attribute."""

    class Wrapped(Exception):
        inner: Exception

    def request(wrap: Callable[[Exception], Exception]) -> "weakref.ref[Thing]":
        thing = Thing()
        with contextlib.suppress(Exception), with_cancel(background()) as ctx:
            assert ctx.err() is None
            try:
                raise KeyError("x")
            except KeyError as error:
                raise wrap(error) from None
        return weakref.ref(thing)

    def attribute(error: Exception) -> Exception:
        wrapped = Wrapped()
        wrapped.inner = error
        return wrapped

    for wrap in (lambda error: ExceptionGroup("g", [error]), Wrapped, attribute):
        gone = request(wrap)
        assert collected(lambda: gone() is None)  # noqa: B023


def test_a_raised_error_of_a_context_is_collected() -> None:
    gone: weakref.ref[Thing]

    def request() -> None:
        nonlocal gone
        thing = Thing()
        gone = weakref.ref(thing)
        ctx, cancel = with_cancel(background())
        cancel(ValueError("why"))
        try:
            ctx.check()
        except libctx.Canceled as error:
            kept = error  # a cycle of Python's own, by way of this frame
            assert kept.__cause__ is not None
        try:
            raise ctx.cause() or AssertionError
        except ValueError as error:
            kept = error  # type: ignore[assignment]

    request()
    assert collected(lambda: gone() is None)


def test_equal_if_the_same_context() -> None:
    ctx, other = with_cancel(background()).ctx, with_cancel(background()).ctx
    same = libctx.Context.from_handle(ctx.handle)
    assert same == ctx and hash(same) == hash(ctx) and same is not ctx
    assert ctx != other and ctx != 1
    assert {ctx: 1}[same] == 1


def test_a_weak_reference_goes_with_its_object() -> None:
    """Not with the context: another object of the same one, as from_handle() makes, has its own."""
    ctx, _ = with_cancel(background())
    other = libctx.Context.from_handle(ctx.handle)
    said: list[object] = []
    weak = weakref.ref(ctx, said.append)
    requests = weakref.WeakKeyDictionary({ctx: "a request"})
    assert weak() is ctx and weakref.ref(ctx) == weakref.ref(other) and requests[other] == "a request"
    del ctx
    assert weak() is None and said == [weak] and not requests and other.err() is None
