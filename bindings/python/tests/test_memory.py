# SPDX-License-Identifier: MIT
"""No memory left, at each allocation of Python's in turn: MemoryError, and nothing has changed.

Only of calls that run no Python code: some interpreters crash themselves when their own code has no memory.
"""

import gc
import select
import sys
import weakref
from collections.abc import Callable

import libctx
import pytest
from conftest import descriptors
from libctx import background, with_cancel

testcapi = pytest.importorskip("_testcapi", reason="this Python has no _testcapi")


class Thing:
    """Something that can be weakly referred to."""


KEY = libctx.Key[Thing]("thing")
TOKEN = b"a token."


def derived(thing: Thing) -> object:
    ctx = libctx.without_value(libctx.with_value(background(), KEY, thing), KEY)
    return libctx.with_timeout(libctx.merge(ctx).ctx, 3600.0)


def armed(thing: Thing) -> object:
    return parent.ctx.after(ran.append, thing).stop()


def called_at_once(thing: Thing) -> object:
    return ended.ctx.after(id, thing)


def queued(thing: Thing) -> object:
    return queue.add(libctx.with_value(parent.ctx, KEY, thing), TOKEN).stop()


def read(thing: Thing) -> object:
    return ended.ctx._cause_parts(), ended.ctx.string("none"), repr(ended.ctx), libctx.Key("name")


def handed_over(thing: Thing) -> object:
    one = with_cancel(libctx.with_value(background(), KEY, thing))
    return libctx.Context.from_handle(one.ctx.capsule()), libctx.Canceler.from_handle(one.cancel.capsule())


def made(thing: Thing) -> object:
    loop, group = libctx.VirtualLoop(), libctx._core.Group(libctx.with_value(parent.ctx, KEY, thing))
    with_thing = libctx.with_value(loop.background(), KEY, thing)
    return libctx._core.Queue(), libctx.ManualLoop(), libctx._core.Group(group), group.ctx(), group.over(), with_thing


def worked(thing: Thing) -> object:
    group = libctx._core.Group(libctx.with_value(parent.ctx, KEY, thing))
    assert group.begin()
    group.end(None)
    return group.handle(), libctx.wait_any(ended.ctx, parent.ctx)


def left(thing: Thing) -> object:
    with with_cancel(libctx.with_value(background(), KEY, thing)) as ctx:
        pass
    return ctx.err()


parent, ended, queue = with_cancel(background()), with_cancel(background()), libctx._core.Queue()
ended.cancel(ValueError("why"))
ran: list[Thing] = []


@pytest.mark.parametrize("call", [derived, armed, called_at_once, queued, read, handed_over, made, worked, left])
def test_no_memory(call: Callable[[Thing], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # a callback that had no memory to run
    call(Thing())  # what is cached is cached from here on
    failures, open_before = 0, descriptors()
    for n in range(60):
        thing = Thing()
        gone = weakref.ref(thing)
        try:
            testcapi.set_nomemory(n, n + 1)
            try:
                call(thing)
            finally:
                testcapi.remove_mem_hooks()
        except MemoryError:
            failures += 1
        del thing
        if gone() is not None:  # the traceback of the MemoryError may be a cycle
            gc.collect()
        assert gone() is None, f"the allocation number {n} failed"
    assert failures > 0 and descriptors() == open_before
    assert ran == []


def test_no_memory_to_drain_loses_no_token() -> None:
    failures = 0
    for n in range(10):
        watch = queue.add(ended.ctx, TOKEN)
        try:
            testcapi.set_nomemory(n, n + 1)
            try:
                token = next(queue)
            finally:
                testcapi.remove_mem_hooks()
        except MemoryError:
            failures += 1
            assert select.select([queue], [], [], 0)[0] == [queue]  # it still tells that something waits
            token = next(queue)
        assert token == TOKEN and not watch.stop()
        assert next(queue, None) is None
    assert failures > 0
