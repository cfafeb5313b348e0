# SPDX-License-Identifier: MIT
"""Bodies of scopes that catch what ends them, that wait for contexts, and that do not begin."""

import asyncio
import contextlib
from typing import Any

import anyio
import libctx
import pytest
import trio
import trio.testing
from conftest import WATCHDOG, AnyRun, Run
from libctx import background, current, scope, timeout, with_cancel


def test_a_body_that_catches_its_cancel_ends_as_it_likes(anyrun: AnyRun) -> None:
    """As with asyncio.timeout() and trio: nothing is raised for it, and nothing is left over."""

    async def main() -> None:
        ctx, cancel = with_cancel(background())
        reached = []
        async with scope(ctx) as inner:
            cancel("why")
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                reached.append(str(inner.cause()))
        assert reached == ["why"] and inner.is_done and current() == background()
        await anyio.sleep(0)  # this task was not canceled for anything else
        if (task := current_task()) is not None:
            assert task.cancelling() == 0

    anyrun(main)


def current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:  # it is trio that runs
        return None


@pytest.mark.parametrize("first", ["the wait", "the scope"])
def test_a_wait_and_a_scope_may_end_together(run: Run, first: str) -> None:
    """Whichever of the two the event loop hears of first, and nothing goes wrong behind its back."""
    wrong: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        ctx, cancel = with_cancel(background())
        above = with_cancel(background())
        waited, tied = (ctx, above.ctx) if first == "the wait" else (above.ctx, ctx)
        entered = asyncio.Event()

        async def body() -> None:
            async with scope(tied):
                entered.set()
                await waited

        task = asyncio.create_task(body())
        await entered.wait()
        await asyncio.sleep(0)
        cancel()
        above.cancel()  # both are in the queue before the loop looks
        with pytest.raises(libctx.Canceled) if first == "the scope" else contextlib.suppress(libctx.Canceled):
            await asyncio.wait_for(task, WATCHDOG)
        await with_cancel(ctx).ctx  # and the loop still hears of ends

    run(main())
    assert wrong == []


def test_a_scope_that_does_not_begin_is_not_current(run: Run) -> None:
    async def main() -> None:
        async def body() -> None:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                async with scope(background()):
                    pytest.fail("its body ran")
            assert current() == background()
            reached.append(True)

        reached: list[bool] = []
        task = asyncio.create_task(body())
        await asyncio.wait_for(task, WATCHDOG)
        assert reached

    run(main())


def test_other_exceptions_of_the_tasks_of_a_nursery_go_their_way() -> None:
    """Trio takes its own cancel out of a group, and the rest is what leaves the body."""

    async def main() -> None:
        async def fail() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise LookupError("not there")

        ctx, cancel = with_cancel(background())
        with trio.fail_after(WATCHDOG), pytest.raises(ExceptionGroup) as caught:
            async with scope(ctx) as inner, trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                nursery.start_soon(trio.sleep_forever)
                await trio.testing.wait_all_tasks_blocked()
                cancel()
        assert [type(one) for one in caught.value.exceptions] == [LookupError]
        assert inner.is_done and current() == background()

    trio.run(main)


def test_a_subclass_of_the_cancel_is_one(run: Run) -> None:
    """A library may raise its own in place of it."""

    class Own(asyncio.CancelledError):
        pass

    async def main() -> None:
        ctx, cancel = with_cancel(background())
        with pytest.raises(libctx.Canceled):
            async with scope(ctx):
                cancel()
                try:
                    await asyncio.get_running_loop().create_future()
                except asyncio.CancelledError:
                    raise Own from None

    run(main())


def test_the_error_of_the_context_tells_what_it_took_the_place_of(anyrun: AnyRun) -> None:
    async def main() -> None:
        with pytest.raises(libctx.DeadlineExceeded) as caught:
            async with timeout(0):
                await anyio.sleep_forever()
        assert caught.value.__cause__ is None and not caught.value.__suppress_context__

    anyrun(main)


def test_a_scope_that_is_never_entered_ends_nothing() -> None:
    outer = with_cancel(background()).ctx
    scope(outer)
    timeout(1, parent=outer)
    assert not outer.is_done and current() == background()


def test_each_scope_of_a_task_has_its_own_end(anyrun: AnyRun) -> None:
    """The end of one that was left is nothing to the next one."""

    async def main() -> None:
        ctx, cancel = with_cancel(background())
        for _ in range(3):
            async with scope(ctx):
                await anyio.sleep(0)
        later = with_cancel(background())
        async with scope(later.ctx):
            cancel()
            for _ in range(3):
                await anyio.sleep(0)
        for _ in range(2):
            with pytest.raises(libctx.Canceled):
                async with scope(ctx):
                    await anyio.sleep_forever()

    anyrun(main)
