# SPDX-License-Identifier: MIT
"""The hub of an event loop: each call runs once, in the order of the ends, unless it was taken back."""

import functools
import select
import weakref

import libctx
import pytest
from libctx import _core, background, with_cancel
from libctx._hub import Hub


class Thing:
    """Something that can be weakly referred to."""


def readable(hub: Hub) -> bool:
    return bool(select.select([hub.fileno()], [], [], 0)[0])


def test_each_call_runs_once_and_in_order() -> None:
    hub = Hub()
    ran: list[str] = []
    row = [(name, with_cancel(background())) for name in ("first", "second", "third")]
    for name, derived in row:
        hub.add(derived.ctx, lambda name=name: ran.append(name))  # type: ignore[misc]
    assert not readable(hub)
    for _, derived in reversed(row):
        derived.cancel()
    assert readable(hub) and ran == []
    for _ in range(2):
        hub.drain()
        assert ran == ["third", "second", "first"] and not readable(hub)


def test_one_call_for_several_contexts() -> None:
    hub = Hub()
    ran: list[str] = []
    (first, end_first), (second, end_second) = with_cancel(background()), with_cancel(background())
    call = functools.partial(ran.append, "ran")
    taken_back, _ = hub.add(first, call), hub.add(second, call)
    hub.discard(taken_back)
    end_first()
    hub.drain()
    assert ran == []
    end_second()
    hub.drain()
    assert ran == ["ran"]


def test_what_was_taken_back_does_not_run() -> None:
    """Before the end, and between the end and the look of the loop."""
    hub = Hub()
    ran: list[str] = []
    ctx, cancel = with_cancel(background())
    before, between = hub.add(ctx, lambda: ran.append("before")), hub.add(ctx, lambda: ran.append("between"))
    hub.add(ctx, lambda: ran.append("kept"))
    hub.discard(before)
    cancel()
    hub.discard(between)
    hub.discard(between)  # once more does nothing
    hub.drain()
    assert ran == ["kept"]


def test_what_was_taken_back_is_let_go() -> None:
    hub, key, thing = Hub(), libctx.Key[Thing]("thing"), Thing()
    gone = weakref.ref(thing)
    entry = hub.add(with_cancel(libctx.with_value(background(), key, thing)).ctx, print)
    del thing
    assert gone() is not None
    hub.discard(entry)
    del entry
    assert gone() is None


def test_a_call_may_take_back_another_one_that_waits() -> None:
    """As a task that is canceled does; it had not run, so it does not."""
    hub = Hub()
    ran: list[int] = []
    ctx, cancel = with_cancel(background())
    entries = [hub.add(ctx, lambda: hub.discard(entries[1])), hub.add(ctx, lambda: ran.append(1))]
    hub.add(ctx, lambda: ran.append(2))
    cancel()
    hub.drain()
    assert ran == [2]


def test_a_queue_refuses_what_is_no_token_or_no_context() -> None:
    queue, ctx = _core.Queue(), with_cancel(background()).ctx
    for wrong in (b"", b"7 bytes", b"9 bytes.."):
        with pytest.raises(ValueError):
            queue.add(ctx, wrong)
    with pytest.raises(TypeError):
        queue.add(ctx, "8 letter")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        queue.add(with_cancel(background()), b"8 bytes.")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _core.Queue(1)  # type: ignore[call-arg]
    assert iter(queue) is queue and list(queue) == []
