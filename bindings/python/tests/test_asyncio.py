# SPDX-License-Identifier: MIT
"""Contexts in asyncio, on its own loop and on uvloop."""

import asyncio
import functools
import gc
import sys
import threading
import traceback
import types
import weakref

import libctx
import pytest
from conftest import WATCHDOG, Run, descriptors, in_thread
from libctx import _asyncio, _hub, background, scope, with_cancel, with_timeout


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def test_done_after_a_cancel_of_this_thread(run: Run) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        task = asyncio.create_task(ctx.done())
        await asyncio.sleep(0)
        assert not task.done()
        cancel()
        await asyncio.wait_for(task, WATCHDOG)
        await ctx.done()  # once done it stays so

    run(main())


def test_done_after_a_cancel_of_another_thread(run: Run) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        task = asyncio.create_task(ctx.done())
        await asyncio.sleep(0)
        thread = in_thread(cancel)
        await asyncio.wait_for(task, WATCHDOG)
        thread.join()
        assert isinstance(ctx.err(), libctx.Canceled)

    run(main())


def test_done_after_a_deadline(run: Run) -> None:
    async def main() -> None:
        ctx = with_timeout(background(), 0.01).ctx
        await asyncio.wait_for(ctx.done(), WATCHDOG)
        assert isinstance(ctx.err(), TimeoutError)

    run(main())


def test_one_descriptor_for_all(run: Run) -> None:
    async def main() -> None:
        await asyncio.sleep(0)
        gc.collect()  # loops of other tests
        before = descriptors()
        parent, cancel = with_cancel(background())
        tasks = [asyncio.create_task(with_cancel(parent).ctx.done()) for _ in range(10_000)]
        await asyncio.sleep(0)
        assert descriptors() == before + 1
        cancel()
        await asyncio.wait_for(asyncio.gather(*tasks), WATCHDOG)
        assert descriptors() == before + 1

    run(main())


def test_a_wait_that_is_cancelled_leaves_nothing(run: Run) -> None:
    class Thing:
        pass

    async def main() -> None:
        key = libctx.Key[Thing]("thing")
        thing = Thing()
        gone = weakref.ref(thing)
        task = asyncio.create_task(with_cancel(libctx.with_value(background(), key, thing)).ctx.done())
        await asyncio.sleep(0)
        del thing
        assert gone() is not None  # the wait holds it
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        await asyncio.sleep(0)  # asyncio itself holds the task until then
        gc.collect()
        assert gone() is None

    run(main())


def test_scope_ends_its_body_with_the_context(run: Run) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        asyncio.get_running_loop().call_soon(cancel, ValueError("why"))
        with pytest.raises(libctx.Canceled) as caught:
            async with scope(ctx):
                await forever()
        assert isinstance(caught.value.__cause__, ValueError)
        await asyncio.sleep(0)  # this task was not cancelled for anything else
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


def test_in_a_task_that_was_cancelled_before(run: Run) -> None:
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


def test_a_task_that_is_cancelled_cancels_its_context(run: Run) -> None:
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


def test_loops_of_several_threads(run: Run) -> None:
    parent, cancel = with_cancel(background())
    barrier, ended = threading.Barrier(4), []

    async def main() -> None:
        task = asyncio.create_task(parent.done())
        await asyncio.sleep(0)
        barrier.wait(WATCHDOG)
        await asyncio.wait_for(task, WATCHDOG)
        ended.append(1)

    threads = [in_thread(lambda: run(main())) for _ in range(3)]
    barrier.wait(WATCHDOG)
    cancel()
    for thread in threads:
        thread.join(WATCHDOG)
    assert ended == [1, 1, 1]


def test_loops_begin_in_several_threads_at_once() -> None:
    """While one thread looks for loops that are closed, another one adds its own and takes those out."""

    class Loop(asyncio.SelectorEventLoop):
        def is_closed(self) -> bool:
            if others and sys._getframe(1).f_globals is vars(_asyncio):
                in_thread(functools.partial(_asyncio._hub, others.pop())).join()
            return super().is_closed()

    others: list[asyncio.AbstractEventLoop] = []
    loops: list[asyncio.AbstractEventLoop] = [Loop() for _ in range(3)]
    for loop in loops:
        _asyncio._hub(loop)
    for loop in loops:
        loop.close()
    others += (more := [asyncio.new_event_loop() for _ in range(3)])
    asyncio.run(with_timeout(background(), 0).ctx.done())
    assert not set(loops) & set(_asyncio._hubs)
    for loop in more:
        loop.close()


def test_a_loop_that_is_closed_is_let_go(run: Run) -> None:
    async def main() -> "weakref.ref[asyncio.AbstractEventLoop]":
        task = asyncio.create_task(with_cancel(background()).ctx.done())
        await asyncio.sleep(0)
        task.cancel()
        return weakref.ref(asyncio.get_running_loop())

    run(main())
    gc.collect()
    before = descriptors()
    gone = [run(main()) for _ in range(5)]
    gc.collect()
    assert descriptors() == before
    assert [loop() for loop in gone] == [None] * 5


def test_a_loop_that_was_closed_while_something_waited() -> None:
    loop = asyncio.new_event_loop()
    gone = weakref.ref(loop)
    ctx, cancel = with_cancel(background())
    _asyncio._hub(loop).add(ctx, loop.create_future().cancel)  # which refers to the loop
    loop.close()
    del loop
    asyncio.run(with_timeout(background(), 0).ctx.done())
    gc.collect()
    assert gone() is None
    cancel()


def test_while_another_thread_imports_trio(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trio", types.ModuleType("trio"))  # which has nothing in it yet
    run(with_timeout(background(), 0).ctx.done())


def test_what_cannot_be_added_leaves_nothing_in_a_hub() -> None:
    hub = _hub.Hub()
    with pytest.raises(TypeError):
        hub.add(None, print)  # type: ignore[arg-type]
    assert hub._calls == {}


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
