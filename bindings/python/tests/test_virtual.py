# SPDX-License-Identifier: MIT
"""asyncio on the clock of a VirtualLoop."""

import asyncio
import time
from collections.abc import Iterator

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


def test_it_wants_a_virtual_loop() -> None:
    with libctx.ThreadLoop() as threads:
        for wrong in (threads, None):
            with pytest.raises(TypeError, match="VirtualLoop"):
                VirtualEventLoop(wrong)  # type: ignore[arg-type]
