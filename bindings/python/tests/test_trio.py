# SPDX-License-Identifier: MIT
"""Contexts in trio, through its own cancel scopes."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import libctx
import pytest
import trio
import trio.testing
from conftest import WATCHDOG, descriptors, in_thread
from libctx import background, scope, with_cancel, with_timeout


async def in_another_thread(function: Callable[[], object]) -> None:
    await trio.to_thread.run_sync(function)


def test_done() -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        with trio.fail_after(WATCHDOG):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ctx.wait_done)
                await trio.testing.wait_all_tasks_blocked()
                in_thread(cancel).join()
            await ctx
            await with_timeout(background(), 0.01).ctx

    trio.run(main)


def test_one_descriptor_for_all() -> None:
    async def main() -> None:
        gc.collect()  # loops of other tests
        before = descriptors()
        parent, cancel = with_cancel(background())
        with trio.fail_after(WATCHDOG):
            async with trio.open_nursery() as nursery:
                for _ in range(1000):
                    nursery.start_soon(with_cancel(parent).ctx.wait_done)
                await trio.testing.wait_all_tasks_blocked()
                assert descriptors() == before + 1
                cancel()

    trio.run(main)


def test_a_wait_that_is_canceled_leaves_nothing() -> None:
    class Thing:
        pass

    async def wait(ctx: libctx.Context, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await ctx

    async def main() -> None:
        key = libctx.Key[Thing]("thing")
        thing = Thing()
        gone = weakref.ref(thing)
        with trio.fail_after(WATCHDOG):
            async with trio.open_nursery() as nursery:
                await nursery.start(wait, with_cancel(libctx.with_value(background(), key, thing)).ctx)
                await trio.testing.wait_all_tasks_blocked()
                del thing
                assert gone() is not None  # the wait holds it
                nursery.cancel_scope.cancel()
        gc.collect()
        assert gone() is None

    trio.run(main)


def test_scope_ends_its_body_with_the_context() -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        with trio.fail_after(WATCHDOG):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(in_another_thread, lambda: cancel(ValueError("why")))
                with pytest.raises(libctx.Canceled) as caught:
                    async with scope(ctx):
                        await trio.sleep_forever()
            assert isinstance(caught.value.__cause__, ValueError)
            await trio.lowlevel.checkpoint()

    trio.run(main)


def test_scope_ends_its_body_at_the_deadline() -> None:
    async def main() -> None:
        with trio.fail_after(WATCHDOG):
            with pytest.raises(TimeoutError) as caught, with_timeout(background(), 0.01) as ctx:
                async with scope(ctx):
                    await trio.sleep_forever()
            assert type(caught.value) is libctx.DeadlineExceeded

    trio.run(main)


def test_scope_of_a_context_that_is_done() -> None:
    async def main() -> None:
        reached = []
        with pytest.raises(libctx.DeadlineExceeded):
            async with scope(with_timeout(background(), 0).ctx):
                reached.append("first")
                await trio.lowlevel.checkpoint()
                reached.append("second")
        assert reached == ["first"]

    trio.run(main)


def test_a_cancel_from_elsewhere_is_not_swallowed() -> None:
    async def main() -> None:
        with trio.move_on_after(0.01) as around:
            async with scope(background()) as ctx:
                await trio.sleep_forever()
        assert around.cancelled_caught
        assert isinstance(ctx.err(), libctx.Canceled)  # the task's context went with it

    trio.run(main)


def test_a_cancel_that_was_requested_before_is_not_swallowed() -> None:
    async def main() -> None:
        with trio.CancelScope() as around:
            around.cancel()
            async with scope(with_timeout(background(), 0).ctx):
                await trio.sleep_forever()
        assert around.cancelled_caught

    trio.run(main)


def test_another_exception_goes_its_way() -> None:
    async def main() -> None:
        with pytest.raises(KeyError):
            async with scope(background()) as ctx:
                raise KeyError
        assert isinstance(ctx.cause(), KeyError)

    trio.run(main)


def test_in_a_nursery() -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        ended: list[int] = []

        async def child(n: int) -> None:
            try:
                await trio.sleep_forever()
            finally:
                ended.append(n)

        with trio.fail_after(WATCHDOG), pytest.raises(libctx.Canceled):
            async with scope(ctx), trio.open_nursery() as nursery:
                for n in range(3):
                    nursery.start_soon(child, n)
                await trio.testing.wait_all_tasks_blocked()
                cancel()
        assert sorted(ended) == [0, 1, 2]

    trio.run(main)


def twice_as_a_run_ends(attempt: Callable[[], Awaitable[None]]) -> list[str]:
    """What becomes of it in an async generator, which trio closes when it takes no system tasks any more."""
    said: list[str] = []

    async def generator() -> AsyncIterator[None]:
        try:
            yield
        finally:
            for _ in range(2):
                try:
                    with trio.CancelScope(shield=True):
                        await attempt()
                    said.append("ok")
                except BaseException as error:
                    said.append(repr(error))

    async def main() -> AsyncIterator[None]:
        kept = generator()
        await kept.__anext__()
        return kept

    trio.run(main)
    return said


def test_a_run_that_ends_starts_no_hub() -> None:
    """An error each time, and no hang."""

    async def wait() -> None:
        with pytest.raises(RuntimeError):
            await with_timeout(background(), 0).ctx

    assert twice_as_a_run_ends(wait) == ["ok", "ok"]


def test_a_scope_that_cannot_begin_leaves_nothing() -> None:
    """Trio's own scopes around it end in their order."""

    async def begin() -> None:
        with pytest.raises(RuntimeError, match="closed"):
            async with scope(background()):
                pytest.fail("its body ran")

    assert twice_as_a_run_ends(begin) == ["ok", "ok"]


def test_current_is_inherited() -> None:
    async def main() -> None:
        seen: list[libctx.Context] = []

        async def child() -> None:
            seen.append(libctx.current())

        async with scope(background()) as ctx:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child)
            seen.append(await trio.to_thread.run_sync(libctx.current))
            assert seen == [ctx, ctx]

    trio.run(main)


def test_as_a_guest_of_asyncio() -> None:
    """Both are running then; what is awaited in trio is trio's."""
    ended: list[Any] = []

    async def in_trio() -> None:
        with trio.fail_after(WATCHDOG), pytest.raises(TimeoutError), with_timeout(background(), 0.01) as ctx:
            async with scope(ctx):
                await trio.sleep_forever()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        trio.lowlevel.start_guest_run(
            in_trio, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=over.set_result
        )
        ended.append((await over).unwrap())
        await asyncio.wait_for(with_timeout(background(), 0.01).ctx, WATCHDOG)

    asyncio.run(main())
    assert ended == [None]
