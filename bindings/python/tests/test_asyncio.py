# SPDX-License-Identifier: MIT
"""Awaiting contexts in asyncio, on its own loop and on uvloop."""

import asyncio
import contextvars
import functools
import gc
import os
import sys
import threading
import types
import weakref

import libctx
import pytest
from conftest import WATCHDOG, Run, descriptors, in_thread
from libctx import _asyncio, _hub, background, with_cancel, with_timeout


def test_done_after_a_cancel_of_this_thread(run: Run) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        task = asyncio.create_task(ctx.wait_done())
        await asyncio.sleep(0)
        assert not task.done()
        cancel()
        await asyncio.wait_for(task, WATCHDOG)
        await ctx  # once done it stays so

    run(main())


def test_done_after_a_cancel_of_another_thread(run: Run) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        task = asyncio.create_task(ctx.wait_done())
        await asyncio.sleep(0)
        thread = in_thread(cancel)
        await asyncio.wait_for(task, WATCHDOG)
        thread.join()
        assert isinstance(ctx.err(), libctx.Canceled)

    run(main())


def test_done_after_a_deadline(run: Run) -> None:
    async def main() -> None:
        ctx = with_timeout(background(), 0.01).ctx
        await asyncio.wait_for(ctx, WATCHDOG)
        assert isinstance(ctx.err(), TimeoutError)

    run(main())


def test_one_descriptor_for_all(run: Run) -> None:
    async def main() -> None:
        await asyncio.sleep(0)
        gc.collect()  # loops of other tests
        before = descriptors()
        parent, cancel = with_cancel(background())
        tasks = [asyncio.create_task(with_cancel(parent).ctx.wait_done()) for _ in range(10_000)]
        await asyncio.sleep(0)
        assert descriptors() == before + 1
        cancel()
        await asyncio.wait_for(asyncio.gather(*tasks), WATCHDOG)
        assert descriptors() == before + 1

    run(main())


def test_two_readers_of_one_context(run: Run) -> None:
    """What with_string() derives has the descriptor of its parent, and a loop takes one reader for each."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ctx, cancel = with_cancel(background())
        named = libctx.with_string(ctx, "trace-id", "8f2c")
        assert named.fileno() == ctx.fileno() == ctx.done_fd()
        own = named.done_fd_dup()
        assert own != ctx.fileno() and not os.get_inheritable(own)
        first, second = asyncio.Event(), asyncio.Event()
        loop.add_reader(ctx, first.set)
        loop.add_reader(own, second.set)
        cancel()
        await asyncio.wait_for(asyncio.gather(first.wait(), second.wait()), WATCHDOG)
        loop.remove_reader(ctx)
        loop.remove_reader(own)
        os.close(own)

    run(main())


def test_a_loop_keeps_no_context_variables_of_its_first_task(run: Run) -> None:
    """The reader of the loop's descriptor is for all tasks, and lives as long as the loop."""

    class Thing:
        pass

    async def request() -> "weakref.ref[Thing]":
        thing = Thing()
        variable.set(thing)
        await with_timeout(background(), 0).ctx
        return weakref.ref(thing)

    async def main() -> None:
        gone = await asyncio.create_task(request())
        await asyncio.sleep(0)  # asyncio itself holds the task until then
        gc.collect()
        assert gone() is None

    variable: contextvars.ContextVar[Thing] = contextvars.ContextVar("variable")
    run(main())


def test_a_wait_that_is_canceled_leaves_nothing(run: Run) -> None:
    class Thing:
        pass

    async def main() -> None:
        key = libctx.Key[Thing]("thing")
        thing = Thing()
        gone = weakref.ref(thing)
        task = asyncio.create_task(with_cancel(libctx.with_value(background(), key, thing)).ctx.wait_done())
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


def test_loops_of_several_threads(run: Run) -> None:
    parent, cancel = with_cancel(background())
    barrier, ended = threading.Barrier(4), []

    async def main() -> None:
        task = asyncio.create_task(parent.wait_done())
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
    asyncio.run(with_timeout(background(), 0).ctx.wait_done())
    assert not set(loops) & set(_asyncio._hubs)
    for loop in more:
        loop.close()


def test_a_loop_that_is_closed_is_let_go(run: Run) -> None:
    async def main() -> "weakref.ref[asyncio.AbstractEventLoop]":
        task = asyncio.create_task(with_cancel(background()).ctx.wait_done())
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
    asyncio.run(with_timeout(background(), 0).ctx.wait_done())
    gc.collect()
    assert gone() is None
    cancel()


def test_while_another_thread_imports_trio(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trio", types.ModuleType("trio"))  # which has nothing in it yet
    run(with_timeout(background(), 0).ctx.wait_done())


def test_what_cannot_be_added_leaves_nothing_in_a_hub() -> None:
    hub = _hub.Hub()
    with pytest.raises(TypeError):
        hub.add(None, print)  # type: ignore[arg-type]
    assert hub._calls == {}
