# SPDX-License-Identifier: MIT
"""Loops of one's own: with threads, driven by an event loop, and of virtual time."""

import asyncio
import contextlib
import gc
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import libctx
import pytest
from conftest import WATCHDOG, Run, Told, in_thread, python
from libctx import ManualLoop, ThreadLoop, VirtualLoop, with_cancel, with_idle, with_timeout


def test_a_virtual_clock_moves_by_hand_alone() -> None:
    clock = VirtualLoop()
    assert clock.now() == 0 and clock.next() is None
    first, second = (with_timeout(clock.background(), n, cause=str(n)).ctx for n in (1, 3600))
    assert clock.next() == 1 and second.deadline() == second.remaining() == 3600 and second.remaining_ms() == 3600000
    assert clock.advance(0.5) == 0 and not first.is_done
    assert clock.advance(timedelta(hours=1)) == 2
    assert clock.now() == second.now() == 3600.5 and clock.next() is None
    assert isinstance(second.err(), TimeoutError) and str(second.cause()) == "3600"


def test_callbacks_run_at_their_time_and_in_their_order() -> None:
    clock = VirtualLoop()
    ran: list[tuple[int, float]] = []

    def callback(n: int) -> None:
        ran.append((n, clock.now()))

    for n in (3, 1, 2):
        with_timeout(clock.background(), n).ctx.after(callback, n)
    clock.advance(5)
    assert ran == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_an_await_wakes_when_the_clock_is_advanced(run: Run) -> None:
    async def main() -> None:
        clock = VirtualLoop()
        ctx = with_timeout(clock.background(), 3600).ctx
        for advance in (clock.advance, lambda seconds: in_thread(lambda: clock.advance(seconds))):
            later = with_timeout(clock.background(), 3600).ctx
            task = asyncio.create_task(later.wait_done())
            await asyncio.sleep(0)
            advance(3600)
            await asyncio.wait_for(task, WATCHDOG)
        assert ctx.is_done

    run(main())


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_the_fixture_of_an_async_test(clock: VirtualLoop, anyio_backend: str) -> None:
    """Its current() is the one of the test, as with every other context variable that a fixture sets."""
    assert libctx.current() == clock.background()


def test_a_thread_that_waits_wakes_too(clock: VirtualLoop) -> None:
    ctx = with_timeout(clock.background(), 3600).ctx
    waiting = threading.Event()

    def wait() -> None:
        waiting.set()
        ended.append(ctx.wait(WATCHDOG))

    ended: list[bool] = []
    thread = in_thread(wait)
    waiting.wait(WATCHDOG)
    clock.advance(3600)
    thread.join()
    assert ended == [True]


def test_a_manual_loop_in_asyncio(run: Run) -> None:
    async def main() -> None:
        loop = ManualLoop()
        asyncio.get_running_loop().add_reader(loop, loop.dispatch)
        threads: list[int] = []
        ctx = with_timeout(loop.background(), 0.01).ctx
        ctx.after(lambda: threads.append(threading.get_ident()))
        await asyncio.wait_for(ctx, WATCHDOG)
        while not threads:
            await asyncio.sleep(0)
        assert threads == [threading.get_ident()]
        asyncio.get_running_loop().remove_reader(loop)

    run(main())


def test_a_manual_loop_by_hand() -> None:
    loop = ManualLoop()
    assert loop.next() is None and loop.dispatch() == 0
    ctx = with_timeout(loop.background(), 0.01).ctx
    when, deadline = loop.next(), ctx.deadline()
    assert when is not None and deadline is not None and when <= deadline
    poll = select.poll()
    poll.register(loop, select.POLLIN)
    while not ctx.is_done:
        assert poll.poll(WATCHDOG * 1000)
        loop.dispatch()
    assert loop.now() >= deadline


def test_a_loop_with_threads_of_its_own() -> None:
    loop = ThreadLoop()
    ctx = with_timeout(loop.background(), 0.01).ctx
    assert ctx.wait(WATCHDOG)
    with loop:
        live = with_cancel(loop.background()).ctx
    assert live.wait(WATCHDOG) and str(live.cause()) == "loop closed"


@pytest.mark.parametrize("kind", [ThreadLoop, ManualLoop, VirtualLoop])
def test_close_ends_everything(kind: Callable[[], libctx.Loop]) -> None:
    with kind() as loop:
        root = loop.background()
        assert not root.cancelable and root == loop.background()
        ctx = with_timeout(root, 3600).ctx
        ran: list[None] = []
        ctx.after(lambda: ran.append(None))
    assert isinstance(ctx.err(), libctx.Canceled) and str(ctx.cause()) == "loop closed" and ran
    loop.close()
    assert with_cancel(root).ctx.is_done and not root.is_done


def test_a_loop_that_is_forgotten_closes() -> None:
    ctx = with_timeout(VirtualLoop().background(), 1).ctx
    assert str(ctx.cause()) == "loop closed"


def test_a_loop_is_forgotten_while_an_exception_propagates(told: Told) -> None:
    ran: list[type[BaseException] | None] = []

    def made() -> ManualLoop:
        loop = ManualLoop()
        with_cancel(loop.background()).ctx.after(lambda: ran.append(sys.exc_info()[0]))
        return loop

    with pytest.raises(TypeError, match="not 'libctx.ManualLoop'"):
        int(made())  # type: ignore[call-overload]  # which drops its argument with the exception that it raises
    assert (ran, told) == ([None], [])


def test_a_callback_may_forget_the_loop() -> None:
    loops = [VirtualLoop()]
    ctx = with_timeout(loops[0].background(), 1).ctx
    ctx.after(loops.clear)
    loops[0].advance(1)
    gc.collect()
    assert not loops and isinstance(ctx.err(), TimeoutError)


def test_what_loops_refuse() -> None:
    clock = VirtualLoop()
    for wrong in (-1, timedelta(seconds=-1), -1e300):
        with pytest.raises(ValueError, match="cannot go back"):
            clock.advance(wrong)
    for kind in (None, "1", True):
        with pytest.raises(TypeError, match="seconds"):
            clock.advance(kind)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a number"):
        clock.advance(float("nan"))
    with pytest.raises(TypeError):
        libctx.Loop()
    with pytest.raises(TypeError):
        VirtualLoop(1)  # type: ignore[call-arg]
    refused: list[str] = []

    def callback() -> None:
        with pytest.raises(RuntimeError) as caught:
            clock.advance(1)
        refused.append(str(caught.value))

    with_timeout(clock.background(), 1).ctx.after(callback)
    clock.advance(1)
    assert len(refused) == 1 and "around this call" in refused[0] and clock.now() == 1


def test_an_exception_that_leaves_a_callback_leaves_advance() -> None:
    clock = VirtualLoop()
    with_timeout(clock.background(), 1).ctx.after(exit, 7)
    with pytest.raises(SystemExit):
        clock.advance(1)
    with_timeout(clock.background(), 1).ctx.after(exit, 7)
    with pytest.raises(SystemExit):
        clock.close()


def test_a_child_leaves_the_loops_of_its_parent_alone() -> None:
    program = """
import libctx, os
loop = libctx.VirtualLoop()
with loop:
    ctx, cancel = libctx.with_timeout(loop.background(), 1)
    if os.fork() == 0:
        for call in (loop.next, loop.close, lambda: loop.advance(1), loop.background):
            try:
                call()
            except ChildProcessError:
                print("refused")
        print(loop.now(), ctx.is_done)
        with libctx.VirtualLoop() as own:
            derived = libctx.with_timeout(own.background(), 1).ctx
            print(own.advance(1), derived.is_done, flush=True)
    else:
        os.wait()
"""
    result = python(program)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-2:] == ["0.0 False", "1 True"]
    assert set(result.stdout.splitlines()[:-2]) == {"refused"} and len(result.stdout.splitlines()) >= 5


def test_descriptors_and_signals_end_contexts_of_a_loop_too() -> None:
    clock, (reading, writing) = VirtualLoop(), os.pipe()
    ctx = libctx.with_fd(clock.background(), reading, select.POLLIN).ctx
    os.write(writing, b"x")
    assert clock.advance(0) == 1 and ctx.is_done
    os.close(reading)
    os.close(writing)


def threads_named(name: str) -> set[str]:
    names = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):  # a thread of an earlier loop has ended meanwhile
            names.add(Path(f"/proc/self/task/{task}/comm").read_text().strip())
    return {one for one in names if one.startswith(name)}


def test_a_loop_is_made_with_options() -> None:
    loop = ThreadLoop(name="own", boottime=True, start=True)
    assert threads_named("own-") == {"own-loop", "own-calls"}
    assert abs(loop.now() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
    assert abs(ManualLoop(boottime=True).now() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
    loop.close()


def test_a_loop_starts_when_it_is_needed_first() -> None:
    with ThreadLoop(name="lazy") as loop:
        assert threads_named("lazy") == set()
        assert with_timeout(loop.background(), 0.001).ctx.wait(WATCHDOG)
        assert threads_named("lazy") == {"lazy-loop", "lazy-calls"}


def test_a_name_of_a_loop_has_nine_bytes_at_the_most() -> None:
    with ThreadLoop(name="ninebytes", start=True):
        assert threads_named("ninebytes") == {"ninebytes-loop", "ninebytes-calls"}
    with pytest.raises(ValueError, match="1 to 9 bytes"):
        ThreadLoop(name="ten bytes.")


def test_a_dispatch_tells_how_many_it_ended() -> None:
    with ManualLoop() as loop:
        ends = [with_timeout(loop.background(), 0.001) for _ in range(3)]
        assert select.select([loop], [], [], WATCHDOG)[0] == [loop]

        def done() -> int:
            return sum(one.ctx.is_done for one in ends)

        while (before := done()) < len(ends):
            assert loop.dispatch() == done() - before
        assert loop.dispatch() == 0


@pytest.mark.parametrize("kind", [ThreadLoop, ManualLoop, VirtualLoop])
def test_an_exception_leaves_the_body_of_a_loop(kind: Callable[[], libctx.Loop]) -> None:
    with pytest.raises(KeyError, match="its own"), kind() as loop:
        ctx = with_cancel(loop.background()).ctx
        raise KeyError("its own")
    assert str(ctx.cause()) == "loop closed"
    with pytest.raises(SystemExit), kind() as loop:
        with_cancel(loop.background()).ctx.after(sys.exit, 7)
        if kind is ThreadLoop:  # whose callbacks run on its own thread
            raise SystemExit


@pytest.mark.parametrize(("name", "why"), [("", "1 to 9 bytes"), ("much too long", "1 to 9 bytes"), ("nul\0", "null")])
def test_a_name_that_no_thread_can_have_is_refused(name: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ThreadLoop(name=name)


def test_an_idle_context_ends_when_nobody_touches_it() -> None:
    clock = VirtualLoop()
    read = with_idle(clock.background(), timedelta(seconds=30), cause="no byte came").ctx
    below = with_cancel(read).ctx
    for _ in range(3):
        clock.advance(29)
        assert below.touch()
    assert read.deadline() is None
    clock.advance(30)
    assert isinstance(read.err(), TimeoutError) and str(read.cause()) == "no byte came"
    assert not read.touch()
