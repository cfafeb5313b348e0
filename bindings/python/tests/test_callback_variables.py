# SPDX-License-Identifier: MIT
"""A callback sees the context variables of whoever armed it."""

import asyncio
import contextvars
import sys
import threading

import libctx
import pytest
import trio
from conftest import WATCHDOG, Run, in_thread
from libctx import background, with_cancel


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
