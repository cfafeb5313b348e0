# SPDX-License-Identifier: MIT
"""asyncio on the clock of a VirtualLoop."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import libctx
import pytest
from conftest import WATCHDOG, in_thread
from libctx import VirtualEventLoop, VirtualLoop, current, timeout, with_cancel


@pytest.fixture
def virtual(clock: VirtualLoop) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=lambda: VirtualEventLoop(clock)) as runner:
        yield runner


def test_sleeps_and_deadlines_are_on_one_clock(virtual: asyncio.Runner, clock: VirtualLoop) -> None:
    came: list[tuple[str, float]] = []

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        came.append(("sleep", clock.now()))

    async def end(seconds: float) -> None:
        with pytest.raises(TimeoutError):
            async with timeout(seconds):
                await asyncio.Event().wait()
        came.append(("timeout", asyncio.get_running_loop().time()))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for call, seconds in ((end, 3), (sleep, 2), (end, 1), (sleep, 4), (end, 0.7), (sleep, 0.1)):
                group.create_task(call(seconds))

    virtual.run(main())
    names = ["sleep", "timeout", "timeout", "sleep", "timeout", "sleep"]
    assert [name for name, _ in came] == names
    assert [when for _, when in came] == pytest.approx([0.1, 0.7, 1, 2, 3, 4])


def test_years_take_no_time(virtual: asyncio.Runner, clock: VirtualLoop) -> None:
    async def main() -> None:
        years = 10 * 365 * 24 * 3600
        async with timeout(years):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(years / 2):
                    await asyncio.sleep(years / 2)
            assert clock.now() == pytest.approx(years / 2)
        with pytest.raises(TimeoutError):
            async with timeout(years):
                while True:
                    await asyncio.sleep(years / 1000)
        assert clock.now() == pytest.approx(years * 1.5)

    virtual.run(main())


def test_it_stands_while_a_thread_works(virtual: asyncio.Runner, clock: VirtualLoop) -> None:
    async def main() -> None:
        async with timeout(1):
            await asyncio.to_thread(time.sleep, 0.02)
            assert clock.now() == 0
            await asyncio.sleep(0.5)
        assert clock.now() == 0.5

    virtual.run(main())


def test_it_stands_while_its_own_sockets_have_work(virtual: asyncio.Runner, clock: VirtualLoop) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, timeout(1):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            assert await reader.read() == b"HELLO\n"
            writer.close()
        assert clock.now() == 0

    virtual.run(main())


def test_what_other_threads_do_wakes_it(virtual: asyncio.Runner, clock: VirtualLoop) -> None:
    """With nothing else to come it waits for them; they may also move the clock."""

    async def main() -> None:
        ctx, cancel = with_cancel(current())
        thread = in_thread(cancel)
        await ctx
        thread.join(WATCHDOG)
        later = libctx.with_timeout(current(), 5).ctx
        thread = in_thread(lambda: clock.advance(5))
        await later
        thread.join(WATCHDOG)
        assert clock.now() >= 5

    virtual.run(main())


def test_an_executor_of_its_own_runs_what_it_is_given(virtual: asyncio.Runner, clock: VirtualLoop) -> None:
    def work(number: int) -> tuple[int, str]:
        return number, threading.current_thread().name

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="own") as pool:
            assert await loop.run_in_executor(pool, work, 7) == (7, "own_0")
            with pytest.raises(ZeroDivisionError):  # and time goes on after a failure
                await loop.run_in_executor(pool, lambda: 1 // 0)
        assert (await loop.run_in_executor(None, work, 8))[0] == 8
        await asyncio.sleep(3)
        assert clock.now() == pytest.approx(3)

    virtual.run(main())


def test_it_stands_until_the_last_of_several_threads_is_done(virtual: asyncio.Runner, clock: VirtualLoop) -> None:
    begun = threading.Event()

    def work() -> None:
        assert begun.wait(WATCHDOG)
        time.sleep(0.02)

    async def main() -> None:
        first = asyncio.create_task(asyncio.to_thread(int))
        second = asyncio.create_task(asyncio.to_thread(work))
        sleeping = asyncio.create_task(asyncio.sleep(0.5))
        await first
        assert clock.now() == 0 and not sleeping.done()
        begun.set()
        await second
        assert clock.now() == 0 and not sleeping.done()
        await sleeping
        assert clock.now() == pytest.approx(0.5)

    virtual.run(main())


def test_work_that_no_thread_takes_does_not_stop_it(virtual: asyncio.Runner, clock: VirtualLoop) -> None:
    """Refused by a pool that is shut down, or by the event loop's own; and taken back while it waits for a thread."""
    hold = threading.Event()

    async def sleep() -> None:
        loop, before = asyncio.get_running_loop(), clock.now()
        sleeping = asyncio.create_task(asyncio.sleep(1))
        stuck = threading.Timer(WATCHDOG, lambda: loop.call_soon_threadsafe(sleeping.cancel))
        stuck.start()
        await sleeping
        stuck.cancel()
        assert clock.now() == pytest.approx(before + 1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            held = loop.run_in_executor(pool, hold.wait, WATCHDOG)
            waits = loop.run_in_executor(pool, int)
            assert waits.cancel()
            hold.set()
            assert await held
            await sleep()
        with pytest.raises(RuntimeError, match="shutdown"):
            loop.run_in_executor(pool, int)
        await sleep()
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match="shutdown"):
            loop.run_in_executor(None, int)
        await sleep()

    virtual.run(main())


def test_what_is_ready_comes_before_time_moves(virtual: asyncio.Runner, clock: VirtualLoop) -> None:
    async def main() -> None:
        sleeping = asyncio.create_task(asyncio.sleep(1))
        for _ in range(50):
            await asyncio.sleep(0)
            assert clock.now() == 0 == asyncio.get_running_loop().time()
        await sleeping
        assert clock.now() == pytest.approx(1)

    virtual.run(main())


def test_a_deadline_of_the_tree_alone_moves_time(virtual: asyncio.Runner, clock: VirtualLoop) -> None:
    """With no timer of the event loop's own, and one that is due already."""

    async def main() -> None:
        late = libctx.with_timeout(current(), 5).ctx
        await late
        assert clock.now() == 5
        await libctx.with_deadline(current(), 3).ctx
        assert clock.now() == 5

    virtual.run(main())


def test_what_comes_nearer_than_a_float_can_tell_comes(clock: VirtualLoop) -> None:
    """Else the event loop would look for it for ever, and time would stand."""
    clock.advance(1e9)
    near = libctx.with_timeout(current(), 5e-8).ctx
    assert clock.next() == clock.now() and clock.advance(0) == 0
    loop = VirtualEventLoop(clock)
    for _ in range(100):
        loop._selecting.select(None)
        if near.is_done:
            break
    loop.close()
    assert near.is_done


def test_it_wants_a_virtual_loop() -> None:
    with libctx.ThreadLoop() as threads:
        for wrong in (threads, None):
            with pytest.raises(TypeError, match="VirtualLoop"):
                VirtualEventLoop(wrong)  # type: ignore[arg-type]
