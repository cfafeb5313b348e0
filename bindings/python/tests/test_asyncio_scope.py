# SPDX-License-Identifier: MIT
"""`async with scope(ctx):` in asyncio, on its own loop and on uvloop."""

import asyncio
import signal
import threading
import traceback
from collections.abc import AsyncIterator

import libctx
import pytest
from conftest import WATCHDOG, Run
from libctx import background, scope, with_cancel, with_timeout


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def test_scope_ends_its_body_with_the_context(run: Run) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        asyncio.get_running_loop().call_soon(cancel, ValueError("why"))
        with pytest.raises(libctx.Canceled) as caught:
            async with scope(ctx):
                await forever()
        assert isinstance(caught.value.__cause__, ValueError)
        await asyncio.sleep(0)  # this task was not canceled for anything else
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0

    run(main())


def test_scope_ends_its_body_at_the_deadline(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError) as caught, with_timeout(background(), 0.01) as ctx:
            async with scope(ctx):
                await forever()
        assert type(caught.value) is libctx.DeadlineExceeded

    run(main())


def test_an_error_without_a_cause_shows_where_the_body_was(run: Run) -> None:
    async def main() -> None:
        async with scope(with_timeout(background(), 0).ctx):
            await forever()

    with pytest.raises(libctx.DeadlineExceeded) as caught:
        run(main())
    assert "in forever" in "".join(traceback.format_exception(caught.value))


def test_scope_of_a_context_that_is_done(run: Run) -> None:
    async def main() -> None:
        ctx = with_timeout(background(), 0).ctx
        reached = []
        with pytest.raises(libctx.DeadlineExceeded):
            async with scope(ctx):
                reached.append("first")
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                reached.append("second")
        assert reached == ["first"]
        async with scope(ctx):  # which never awaits: as asyncio.timeout(0)
            pass
        await asyncio.sleep(0)

    run(main())


def test_a_body_that_ends_in_time(run: Run) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        async with scope(ctx) as inner:
            await asyncio.sleep(0)
        assert inner.err() is not None and ctx.err() is None
        cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    run(main())


def test_another_exception_goes_its_way(run: Run) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        with pytest.raises(KeyError):
            async with scope(ctx) as inner:
                raise KeyError
        assert isinstance(inner.cause(), KeyError)
        with pytest.raises(KeyError):
            async with scope(ctx):
                cancel()
                try:
                    await forever()
                except asyncio.CancelledError:
                    raise KeyError from None
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0

    run(main())


def test_a_cancel_from_elsewhere_is_not_swallowed(run: Run) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())

        async def body() -> None:
            async with scope(ctx):
                await forever()

        task = asyncio.create_task(body())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled() and task.cancelling() == 1  # not taken back
        assert ctx.err() is None
        cancel()

    run(main())


def test_a_cancel_from_elsewhere_together_with_the_end(run: Run) -> None:
    """Both at once: the cancel from elsewhere counts, as with asyncio.timeout()."""

    async def main() -> None:
        ctx, cancel = with_cancel(background())

        async def body() -> None:
            async with scope(ctx):
                try:
                    await forever()
                except asyncio.CancelledError:
                    cancel()
                    await asyncio.wait_for(woken.wait(), WATCHDOG)

        woken = asyncio.Event()
        task = asyncio.create_task(body())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(main())


def test_in_a_task_that_was_canceled_before(run: Run) -> None:
    """What it does about that may have a scope of its own, which counts from there."""

    async def main() -> None:
        ctx, cancel = with_cancel(background())

        async def body() -> None:
            try:
                await forever()
            except asyncio.CancelledError:
                asyncio.get_running_loop().call_soon(cancel)
                with pytest.raises(libctx.Canceled):
                    async with scope(ctx):
                        await forever()
                reached.append("the end")
                raise

        reached: list[str] = []
        task = asyncio.create_task(body())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1 and reached

    run(main())


@pytest.mark.parametrize("when", ["before", "in the body", "never"])
def test_a_cancel_that_was_requested_before_is_not_swallowed(run: Run, when: str) -> None:
    """Requested, but not come down yet: it goes its way, whenever the context of the scope ends."""

    async def main() -> None:
        ctx, cancel = with_cancel(background())

        async def body() -> None:
            if when == "before":
                cancel()
            task.cancel()
            async with scope(ctx):
                if when == "in the body":
                    cancel()
                await asyncio.wait_for(forever(), WATCHDOG)

        task = asyncio.create_task(body())
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled() and task.cancelling() == 1

    run(main())


def test_ctrl_c_before_a_scope_is_not_swallowed(run: Run, default_sigint: None) -> None:
    """asyncio makes a cancel of the main task of it, which comes down at the next await."""

    async def main() -> None:
        signal.raise_signal(signal.SIGINT)
        async with scope(with_timeout(background(), 0).ctx):
            await forever()

    with pytest.raises(KeyboardInterrupt):
        run(main())


def test_a_cancel_of_the_task_that_leaves_is_not_swallowed(run: Run) -> None:
    """A generator that another task closes: that one's cancel is not the one by the scope."""

    async def main() -> None:
        ctx, cancel = with_cancel(background())

        async def generator() -> AsyncIterator[None]:
            async with scope(ctx):
                yield
                await forever()

        async def first() -> None:
            await rows.__anext__()
            await forever()

        rows = generator()
        entering = asyncio.create_task(first())
        await asyncio.sleep(0)
        leaving = asyncio.ensure_future(rows.__anext__())
        await asyncio.sleep(0)
        cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(entering, WATCHDOG)  # it was canceled where it was
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert leaving.cancelled()

    run(main())


def test_a_task_that_is_canceled_cancels_its_context(run: Run) -> None:
    """What it has called, in whatever language and thread, ends with it."""

    async def main() -> None:
        found: list[str] = []
        entered, left = threading.Event(), threading.Event()

        def work(ctx: libctx.Context) -> None:
            entered.set()
            if ctx.wait(WATCHDOG):
                found.append(str(ctx.err()))
            left.set()

        async def request() -> None:
            async with scope(background()) as ctx:
                await asyncio.to_thread(work, ctx)

        task = asyncio.create_task(request())
        while not entered.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left.wait(WATCHDOG)
        assert found == ["context canceled"]

    run(main())


def test_scopes_nest(run: Run) -> None:
    async def main() -> None:
        outer, cancel = with_cancel(background())
        inner = with_cancel(outer).ctx
        asyncio.get_running_loop().call_soon(cancel)
        with pytest.raises(libctx.Canceled):
            async with scope(outer):
                async with scope(inner):
                    await forever()
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0
        await asyncio.sleep(0)

    run(main())


def test_scope_inside_asyncio_timeout(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.01), scope(background()) as ctx:
                await forever()
        assert type(caught.value) is TimeoutError
        assert isinstance(ctx.err(), libctx.Canceled)

    run(main())


def test_in_a_task_group(run: Run) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        ended: list[int] = []

        async def child(n: int) -> None:
            if n == 2:  # the last one
                asyncio.get_running_loop().call_soon(cancel)
            try:
                await forever()
            finally:
                ended.append(n)

        with pytest.raises(libctx.Canceled):
            async with scope(ctx), asyncio.TaskGroup() as group:
                for n in range(3):
                    group.create_task(child(n))
        assert sorted(ended) == [0, 1, 2]

    run(main())


def test_scope_is_entered_once(run: Run) -> None:
    async def main() -> None:
        once = scope(background())
        async with once as ctx:
            with pytest.raises(RuntimeError, match="entered once"):
                async with once:
                    pass
            assert libctx.current() is ctx
        assert ctx.err() is not None
        with pytest.raises(RuntimeError, match="entered once"):
            await once.__aenter__()

    run(main())


def test_scope_wants_a_task() -> None:
    coroutine = scope(background()).__aenter__()
    with pytest.raises(RuntimeError):
        coroutine.send(None)
