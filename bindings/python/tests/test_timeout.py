# SPDX-License-Identifier: MIT
"""`async with timeout(seconds):` on each event loop, and `with timeout(seconds):`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import timedelta

import anyio
import libctx
import pytest
from conftest import WATCHDOG, AnyRun, Run
from libctx import VirtualLoop, background, current, deadline, idle, scope, timeout, use, with_cancel, with_timeout


@pytest.mark.parametrize("kind", [timeout, deadline, idle])
def test_each_kind_has_a_parent_and_a_cause(clock: VirtualLoop, kind: type[timeout]) -> None:
    """The parent is current(), unless it is named: then its values are there, and its clock counts."""
    key = libctx.Key[str]("key")
    with use(libctx.with_value(current(), key, "current")), VirtualLoop() as other:
        parent = libctx.with_value(other.background(), key, "named")
        with kind(2, cause="late") as ctx, kind(2, parent=parent, cause=LookupError("later")) as below:
            assert (ctx.value(key), below.value(key)) == ("current", "named")
            clock.advance(2)
            assert ctx.is_done and not below.is_done and str(ctx.cause()) == "late"
            other.advance(2)
            assert isinstance(below.err(), TimeoutError) and isinstance(below.cause(), LookupError)
        with kind(None) as ctx:  # never
            clock.advance(1e6)
            assert not ctx.is_done


def test_a_scope_of_tasks_is_none_of_threads() -> None:
    with pytest.raises(TypeError, match="context manager"):
        with scope(background()):  # type: ignore[attr-defined]
            pytest.fail("its body ran")


async def advance(clock: VirtualLoop, seconds: float) -> None:
    """Moves the clock when all other tasks wait."""
    await anyio.wait_all_tasks_blocked()
    clock.advance(seconds)


def test_an_hour_takes_no_time(clock: VirtualLoop, anyrun: AnyRun) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(advance, clock, 3600)
            with pytest.raises(TimeoutError) as caught:
                async with timeout(3600, cause=OSError(5, "slow")) as ctx:
                    assert current() is ctx and ctx.remaining() == 3600
                    await anyio.sleep_forever()
            assert type(caught.value) is libctx.DeadlineExceeded
            assert isinstance(caught.value.__cause__, OSError)
        await anyio.sleep(0)  # this task was not canceled for anything else

    anyrun(main)
    assert clock.now() == 3600


def test_on_the_clock_of_the_system(anyrun: AnyRun) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with timeout(timedelta(milliseconds=5)):
                await anyio.sleep(WATCHDOG)

    anyrun(main)


def test_a_deadline(clock: VirtualLoop, anyrun: AnyRun) -> None:
    async def main() -> None:
        clock.advance(1)
        async with anyio.create_task_group() as group:
            group.start_soon(advance, clock, 5)
            with pytest.raises(libctx.DeadlineExceeded, match="exceeded"):
                async with deadline(clock.now() + 5, cause="late") as ctx:
                    assert ctx.deadline() == 6
                    await anyio.sleep_forever()

    anyrun(main)


def test_progress_puts_the_end_of_an_idle_one_off(clock: VirtualLoop, anyrun: AnyRun) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError) as caught:
            async with idle(2, cause="no progress") as ctx, anyio.create_task_group() as group:
                for _ in range(5):
                    clock.advance(1)
                    await anyio.sleep(0)
                    ctx.touch()
                group.start_soon(advance, clock, 2)
                await anyio.sleep_forever()
        assert clock.now() == 7 and str(caught.value.__cause__) == "no progress"
        with pytest.raises(RuntimeError, match=r"async with libctx\.idle"), idle(2):
            pass

    anyrun(main)


def test_a_body_that_ends_in_time(clock: VirtualLoop, anyrun: AnyRun) -> None:
    async def main() -> None:
        async with timeout(1) as ctx:
            await anyio.sleep(0)
        assert isinstance(ctx.err(), libctx.Canceled) and current() == clock.background()
        async with timeout(None) as ctx:
            assert ctx.deadline() is None
        clock.advance(2)
        await anyio.sleep(0)

    anyrun(main)


def test_a_body_that_awaits_nothing_after_its_time(clock: VirtualLoop, anyrun: AnyRun) -> None:
    """As with asyncio.timeout() and trio: what is done is done."""

    async def main() -> None:
        async with timeout(1):
            clock.advance(2)
        await anyio.sleep(0)

    anyrun(main)


def test_no_time_at_all(anyrun: AnyRun) -> None:
    async def main() -> None:
        for seconds in (0, -1):
            with pytest.raises(TimeoutError):
                async with timeout(seconds):
                    await anyio.sleep_forever()

    anyrun(main)


def test_of_nested_ones_the_inner_is_over(clock: VirtualLoop, anyrun: AnyRun) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(advance, clock, 1)
            async with timeout(2) as outer:
                with pytest.raises(TimeoutError):
                    async with timeout(1):
                        await anyio.sleep_forever()
                assert not outer.is_done
                await anyio.sleep(0)

    anyrun(main)


@pytest.mark.parametrize("inside", [1, 2, None])
def test_of_nested_ones_the_outer_is_over(clock: VirtualLoop, anyrun: AnyRun, inside: float | None) -> None:
    """The inner one is no TimeoutError then, not even if its own time is over at the same moment."""
    reached = []

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(advance, clock, 1)
            with pytest.raises(TimeoutError) as caught:
                async with timeout(1, cause="the outer one"):
                    try:
                        async with timeout(inside, cause="the inner one"):
                            await anyio.sleep_forever()
                    except Exception as error:
                        reached.append(error)
            assert str(caught.value.__cause__) == "the outer one"

    anyrun(main)
    assert not reached


@pytest.mark.parametrize("inside", [1, 2, None])
def test_a_parent_without_a_scope_is_over(clock: VirtualLoop, anyrun: AnyRun, inside: float | None) -> None:
    async def main() -> None:
        with with_timeout(current(), 1, cause="the parent") as parent:
            async with anyio.create_task_group() as group:
                group.start_soon(advance, clock, 1)
                with pytest.raises(libctx.Canceled) as caught:
                    async with timeout(inside, parent=parent):
                        await anyio.sleep_forever()
            above = caught.value.__cause__
            assert type(above) is libctx.DeadlineExceeded and str(above.__cause__) == "the parent"

    anyrun(main)


def test_a_parent_that_learns_of_a_deadline_elsewhere(clock: VirtualLoop, anyrun: AnyRun) -> None:
    async def main() -> None:
        parent, cancel = with_cancel(current())
        async with anyio.create_task_group() as group:

            async def later() -> None:
                await anyio.wait_all_tasks_blocked()
                cancel("the peer's", deadline_exceeded=True)

            group.start_soon(later)
            with pytest.raises(libctx.Canceled) as caught:
                async with timeout(1, parent=parent):
                    await anyio.sleep_forever()
        assert isinstance(caught.value.__cause__, libctx.DeadlineExceeded)

    anyrun(main)


def test_a_parent_that_is_canceled(clock: VirtualLoop, anyrun: AnyRun) -> None:
    async def main() -> None:
        parent, cancel = with_cancel(current())
        async with anyio.create_task_group() as group:

            async def later() -> None:
                await anyio.wait_all_tasks_blocked()
                cancel("why")

            group.start_soon(later)
            with use(parent), pytest.raises(libctx.Canceled) as caught:
                async with timeout(1):
                    await anyio.sleep_forever()
        assert str(caught.value.__cause__) == "why"

    anyrun(main)


def test_its_own_time_before_that_of_its_parent(clock: VirtualLoop, anyrun: AnyRun) -> None:
    """Both are over when the body is left; the earlier one ended it."""

    async def main() -> None:
        parent = with_timeout(current(), 2).ctx
        async with anyio.create_task_group() as group:
            group.start_soon(advance, clock, 3)
            with pytest.raises(TimeoutError):
                async with timeout(1, parent=parent):
                    await anyio.sleep_forever()
        assert parent.is_done

    anyrun(main)


def test_another_exception_goes_its_way(clock: VirtualLoop, anyrun: AnyRun) -> None:
    async def main() -> None:
        with pytest.raises(KeyError):
            async with timeout(1) as ctx:
                clock.advance(1)
                raise KeyError
        assert isinstance(ctx.err(), libctx.DeadlineExceeded)
        await anyio.sleep(0)

    anyrun(main)


def test_a_cancel_from_elsewhere_is_not_swallowed(clock: VirtualLoop, run: Run) -> None:
    async def main() -> None:
        async def body() -> None:
            async with timeout(1):
                await asyncio.get_running_loop().create_future()

        for seconds in (0, 1):  # also together with the end of the time
            task = asyncio.create_task(body())
            await asyncio.sleep(0)
            clock.advance(seconds)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()

    run(main())


def test_the_tasks_of_a_group_have_scopes_of_their_own(clock: VirtualLoop, run: Run) -> None:
    """The end of the outer time reaches all of them at once; the group still ends as if it were canceled."""
    ended: list[str] = []

    async def child() -> None:
        try:
            async with timeout(2):
                await asyncio.get_running_loop().create_future()
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with timeout(1), asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(child())
                asyncio.get_running_loop().call_soon(clock.advance, 1)
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0

    run(main())
    assert ended == ["CancelledError"] * 3


def test_without_awaits(clock: VirtualLoop) -> None:
    with timeout(2) as ctx:
        assert current() is ctx and ctx.remaining() == 2
        clock.advance(1)
        ctx.check()
    assert isinstance(ctx.err(), libctx.Canceled) and current() == clock.background()
    with pytest.raises(TimeoutError), deadline(clock.now() + 1) as ctx:
        clock.advance(1)
        ctx.check()
    with idle(2) as ctx:
        for _ in range(3):
            clock.advance(1)
            ctx.touch()
        assert not ctx.is_done
        clock.advance(2)
        assert isinstance(ctx.err(), TimeoutError)
    with timeout(0):  # whoever does not look is not ended
        pass
    with pytest.raises(KeyError), timeout(1, parent=background()) as ctx:
        raise KeyError
    assert isinstance(ctx.cause(), KeyError)


def test_async_code_wants_async_with(anyrun: AnyRun) -> None:
    """Without it nothing would end the awaits of the body."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"async with libctx\.timeout"), timeout(1):
            pass

        async def generator() -> AsyncIterator[None]:
            with deadline(1):
                yield

        with pytest.raises(RuntimeError, match=r"async with libctx\.deadline"):
            await anext(generator())
        with ExitStack() as stack:
            stack.enter_context(timeout(1))  # who writes this means it
        assert plain() is not None

    def plain() -> float | None:
        with timeout(1) as ctx:
            return ctx.deadline()

    anyrun(main)


def test_it_is_entered_once(anyrun: AnyRun) -> None:
    async def main() -> None:
        once = timeout(1)
        async with once:
            with pytest.raises(RuntimeError, match="entered once"):
                async with once:
                    pass

    anyrun(main)
    once = timeout(1)
    with once, pytest.raises(RuntimeError, match="entered once"):
        once.__enter__()


def test_what_it_does_not_take() -> None:
    for wrong in ("1", True, [], object()):
        with pytest.raises(TypeError, match="seconds"):
            timeout(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="clock"):
            deadline(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="clock"):
        deadline(timedelta(seconds=1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a number"):
        timeout(float("nan"))
    with pytest.raises(TypeError, match="Context"):
        timeout(1, parent=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cause"):
        timeout(1, cause=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Context"):
        scope(None)  # type: ignore[arg-type]
