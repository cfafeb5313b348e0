# SPDX-License-Identifier: MIT
"""What each function takes: which arguments, and which of them only by name; what no class allows."""

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import libctx
import pytest
from libctx import _core, background, with_cancel

CTX, CANCEL = with_cancel(background())
WATCH = CTX.after(print)
BY_TIME = [partial(make, CTX, 1) for make in (libctx.with_timeout, libctx.with_deadline, libctx.with_idle, libctx.with_grace)]


@pytest.mark.parametrize(
    "call",
    [
        *BY_TIME,
        partial(libctx.with_fd, CTX, 0, 1),
        partial(libctx.wait_any, CTX),
        partial(libctx.shutdown, 0),
        partial(libctx.Key, "x"),
        libctx.ThreadLoop,
        libctx.ManualLoop,
        libctx.VirtualLoop,
        _core.Queue,
        partial(CTX.after, print),
        partial(CTX.wait, 0),
        WATCH.stop,
        CANCEL,
    ],
)
def test_an_unknown_name_is_refused(call: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="argument"):
        call(wrong=1)
    assert not CTX.is_done and not libctx.with_cancel(background()).ctx.is_done


@pytest.mark.parametrize(
    "call",
    [
        *BY_TIME,
        partial(libctx.with_string, CTX, "a", "b"),
        partial(libctx.with_name, CTX, "a"),
        partial(libctx.with_value, CTX, libctx.Key("a"), 1),
        libctx.ThreadLoop,
        libctx.ManualLoop,
        WATCH.stop,
        partial(CANCEL, "why"),
        partial(libctx.Cause, "why", 1),
        partial(libctx.timeout, 1),
        partial(libctx.deadline, 1),
    ],
)
def test_what_has_to_be_named_is_refused_without_its_name(call: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="argument"):
        call(True)
    assert not CTX.is_done


def test_each_argument_has_its_name() -> None:
    assert libctx.with_timeout(background(), seconds=3600, cause="why").ctx.deadline() is not None
    assert libctx.with_deadline(background(), when=1e9, cause="why").ctx.deadline() == 1e9
    assert libctx.with_idle(background(), seconds=0, cause="why").ctx.is_done
    assert not libctx.with_grace(background(), seconds=1).ctx.is_done
    assert CTX.wait(timeout=0) is False and libctx.wait_any(CTX, CTX, timeout=0) is None
    ctx, cancel = with_cancel(background())
    watch = ctx.after(print, defer=True)
    assert watch.stop(wait=False) is True and watch.stop(wait=True) is False
    assert cancel(cause="why", deadline_exceeded=True, defer=False) is True
    assert str(ctx.cause()) == "why" and isinstance(ctx.err(), TimeoutError)


def test_a_stop_that_is_misspelled_stops_nothing() -> None:
    ran: list[int] = []
    ctx, cancel = with_cancel(background())
    watch = ctx.after(ran.append, 1)
    with pytest.raises(TypeError):
        watch.stop(await_=True)  # type: ignore[call-arg]
    cancel()
    assert ran == [1]


def test_an_after_that_is_misspelled_arms_nothing() -> None:
    ran: list[int] = []
    ctx, cancel = with_cancel(background())
    with pytest.raises(TypeError):
        ctx.after(ran.append, 1, deferred=True)  # type: ignore[call-arg]
    cancel()
    assert ran == []


THINGS = [CTX, CANCEL, with_cancel(background()), WATCH, libctx.Key("x"), libctx.VirtualLoop(), libctx.ThreadLoop(),
          libctx.ManualLoop(), _core.Queue(), _core.Group(background())]  # fmt: skip


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_what_stands_for_something_of_c_is_not_copied(thing: object) -> None:
    for make in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            make(thing)


@pytest.mark.parametrize("kind", {type(thing) for thing in THINGS}, ids=lambda kind: kind.__name__)
def test_no_class_may_be_changed_or_derived_from(kind: type) -> None:
    with pytest.raises(TypeError):
        type("Derived", (kind,), {})
    with pytest.raises(TypeError):
        kind.attribute = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [libctx.Context, libctx.Canceler, libctx.Derived, libctx.Watch, libctx.Loop])
def test_what_only_functions_make_has_no_constructor(kind: type) -> None:
    for arguments in ((), ((CTX, CANCEL),), (1,)):
        with pytest.raises(TypeError, match="cannot create"):
            kind(*arguments)
    with pytest.raises(TypeError):
        object.__new__(kind)


def test_contexts_are_equal_if_they_are_the_same_and_have_no_order() -> None:
    same, other = libctx.Context.from_handle(CTX.handle), with_cancel(background()).ctx
    assert (same == CTX, same != CTX, other == CTX, other != CTX) == (True, False, False, True)
    assert (CTX == 1, CTX != 1, CTX == CTX.handle) == (False, True, False)
    with pytest.raises(TypeError):
        _ = CTX < same  # type: ignore[operator]
    with pytest.raises(TypeError):
        _ = CTX >= same  # type: ignore[operator]
    assert len({hash(with_cancel(background()).ctx) for _ in range(100)} | {hash(CTX), hash(same)}) >= 2


def test_a_look_up_that_finds_nothing_returns_its_default() -> None:
    key, default = libctx.Key[object]("key"), object()
    assert CTX.value(key, default) is default and CTX.string("name", default) is default
    call: Any
    for call in (CTX.value, CTX.string, CTX.ended_by):
        with pytest.raises(TypeError):
            call()
        with pytest.raises(TypeError):
            call(1)


def test_what_is_derived_is_a_pair_whose_members_have_names() -> None:
    derived = with_cancel(background())
    ctx, cancel = derived
    assert derived.ctx is derived[0] is ctx and derived.cancel is derived[1] is cancel and len(derived) == 2
    assert isinstance(derived, tuple) and isinstance(ctx, libctx.Context) and isinstance(cancel, libctx.Canceler)
