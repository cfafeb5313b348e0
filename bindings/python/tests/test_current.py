# SPDX-License-Identifier: MIT
"""The current context follows contextvars."""

import asyncio
import contextvars
import functools
import gc
import logging
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.lowlevel
import libctx
import pytest
import trio
import uvloop
from conftest import WATCHDOG, Run, in_thread, throw
from libctx import _current, background, current, scope, use, with_cancel


def test_background_if_none_was_set() -> None:
    assert current() == background()


def test_use() -> None:
    outer, inner = with_cancel(background()).ctx, with_cancel(background()).ctx
    with use(outer):
        with use(inner) as given:
            assert given is inner is current()
        assert current() is outer
    assert current() == background()


def test_only_a_context_can_be_current() -> None:
    for wrong in (None, with_cancel(background())):
        with pytest.raises(TypeError, match="Context"), use(wrong):  # type: ignore[arg-type]
            pass
    assert current() == background()


def test_a_plain_thread_starts_afresh() -> None:
    seen: list[libctx.Context] = []
    with use(with_cancel(background()).ctx) as ctx:
        here = contextvars.copy_context()
        in_thread(lambda: seen.append(current())).join()
        in_thread(lambda: seen.append(here.run(current))).join()
    assert seen == [background(), ctx]


def test_tasks_and_to_thread_inherit_it(run: Run) -> None:
    async def task() -> libctx.Context:
        await asyncio.sleep(0)
        return current()

    async def main() -> None:
        with use(with_cancel(background()).ctx) as ctx:
            child = asyncio.create_task(task())
            assert await asyncio.to_thread(current) is ctx
        assert await child is ctx  # as it was when the task was made
        assert current() == background()

    run(main())


def test_wrap_takes_it_along() -> None:
    """Into executors and threads, and with it every other context variable."""
    variable = contextvars.ContextVar[str]("variable")
    barrier = threading.Barrier(2)

    def work(number: int, *, text: str = "") -> tuple[int, str, str, libctx.Context]:
        barrier.wait(WATCHDOG)  # two calls at once
        variable.set(f"{variable.get()} {number}")  # each on its own copy
        return number, text, variable.get(), current()

    with ThreadPoolExecutor() as pool, use(with_cancel(background()).ctx) as ctx:
        variable.set("here")
        wrapped = libctx.wrap(work)
        variable.set("later")
        calls = [pool.submit(wrapped, 1, text="a"), pool.submit(wrapped, 2)]
        assert [call.result() for call in calls] == [(1, "a", "here 1", ctx), (2, "", "here 2", ctx)]
        assert pool.submit(current).result() == background()
        assert wrapped.__name__ == "work" and current() is ctx and variable.get() == "later"


def test_what_is_wrapped_ends_with_the_scope(clock: libctx.VirtualLoop, run: Run) -> None:
    found: list[BaseException | None] = []

    def work() -> None:
        clock.advance(1)
        current().wait(WATCHDOG)
        found.append(current().cause())

    async def main() -> None:
        with ThreadPoolExecutor() as pool:
            async with libctx.timeout(1, cause="too slow"):
                await asyncio.get_running_loop().run_in_executor(pool, libctx.wrap(work))

    with pytest.raises(TimeoutError):
        run(main())
    assert str(found) == "[Cause('too slow', -110)]"


def test_what_wrap_refuses() -> None:
    async def task() -> None: ...

    for wrong, why in ((task, "async"), (None, "a function, not None"), (1, "a function, not 1")):
        with pytest.raises(TypeError, match=why):
            libctx.wrap(wrong)  # type: ignore[arg-type]

    def fail() -> None:
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        libctx.wrap(fail)()
    assert libctx.wrap(functools.partial(int, "7"))() == 7  # which has no name


def test_scope_sets_it(run: Run) -> None:
    async def main() -> None:
        async with scope(background()) as ctx:
            assert current() is ctx
            assert await asyncio.to_thread(current) is ctx
            with libctx.with_cancel(current()) as inner:
                assert inner.err() is None
        assert current() == background()

    run(main())


def test_a_body_is_left_though_its_cancel_raises(run: Run) -> None:
    """What ends the program, in a callback of the context that ends with the body."""
    outer = with_cancel(background()).ctx

    async def main() -> None:
        with use(outer):
            for body in (scope(outer), libctx.timeout(None), libctx.idle(3600)):
                with pytest.raises(SystemExit):
                    async with body as ctx:
                        ctx.after(throw, SystemExit())
                assert current() is outer

    run(main())
    with use(outer):
        with pytest.raises(SystemExit):
            with libctx.timeout(None) as ctx:
                ctx.after(throw, SystemExit())
        assert current() is outer
        with pytest.raises(SystemExit):
            with libctx.Group() as group:
                group.ctx.after(throw, SystemExit())
        assert current() is outer


def test_tasks_do_not_share_it(run: Run) -> None:
    async def one() -> bool:
        async with scope(background()) as ctx:
            for _ in range(3):
                await asyncio.sleep(0)
            return current() is ctx

    async def main() -> None:
        assert await asyncio.gather(*(one() for _ in range(10))) == [True] * 10

    run(main())


Rows = AsyncGenerator[libctx.Context, None]


async def rows(ctx: libctx.Context, how: str) -> Rows:
    """A generator that yields inside a body, and so may be closed by another task."""
    if how == "use":
        with use(ctx):
            while True:
                yield current()
    async with scope(ctx):
        while True:
            yield current()


async def in_asyncio(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.create_task(coroutine)


async def in_trio(coroutine: Coroutine[Any, Any, Any]) -> Any:
    results: list[Any] = []

    async def child() -> None:
        try:
            results.append(await coroutine)
        except (KeyError, RuntimeError, ValueError) as error:
            results.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(child)
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


InTask = Callable[[Coroutine[Any, Any, Any]], Coroutine[Any, Any, Any]]


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def everywhere(request: pytest.FixtureRequest) -> Callable[[Callable[[InTask], Coroutine[Any, Any, None]]], None]:
    """Runs a test in each event loop, with a way to run a part of it in a task of its own."""

    def run(main: Callable[[InTask], Coroutine[Any, Any, None]]) -> None:
        if request.param == "trio":
            trio.run(main, in_trio)
        else:
            factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(main(in_asyncio))

    return run


Everywhere = Callable[[Callable[[InTask], Coroutine[Any, Any, None]]], None]


@pytest.mark.parametrize("how", ["use", "scope"])
def test_a_body_that_another_task_leaves(everywhere: Everywhere, how: str) -> None:
    """It is left without an error, and nobody goes on with its context: neither who entered nor who left it."""

    async def main(in_task: InTask) -> None:
        async def enter_and_look() -> None:
            generator = rows(ctx, how)
            entered = await generator.__anext__()
            assert current() == entered != background()
            await in_task(leave(generator, entered))
            assert current() == background()
            with use(ctx):
                assert current() is ctx
            assert current() == background()

        async def leave(generator: Rows, entered: libctx.Context) -> None:
            assert current() == entered  # inherited
            await generator.aclose()
            assert current() == background()

        ctx = with_cancel(background()).ctx
        await in_task(enter_and_look())

    everywhere(main)


def test_who_entered_a_body_that_another_task_leaves_goes_on(everywhere: Everywhere) -> None:
    """The context ends with the body, and that is no cancel of whoever entered it."""

    async def main(in_task: InTask) -> None:
        async def enter() -> None:
            generator = rows(background(), "scope")
            entered = await generator.__anext__()
            await in_task(generator.aclose())
            assert entered.is_done
            for _ in range(5):
                await anyio.lowlevel.checkpoint()

        await in_task(enter())

    everywhere(main)


@pytest.mark.parametrize("how", ["use", "scope"])
def test_the_error_of_a_body_that_another_task_leaves(everywhere: Everywhere, how: str) -> None:
    async def main(in_task: InTask) -> None:
        async def enter() -> Rows:
            generator = rows(with_cancel(background()).ctx, how)
            await generator.__anext__()
            return generator

        error = KeyError("the real error")
        with pytest.raises(KeyError) as caught:
            await in_task((await in_task(enter())).athrow(error))
        assert caught.value is error and error.__context__ is None

    everywhere(main)


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # by trio, always
@pytest.mark.parametrize("how", ["use", "scope"])
def test_a_generator_that_is_forgotten(everywhere: Everywhere, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """The event loop closes it, and finds nothing to report."""

    async def main(in_task: InTask) -> None:
        async def one_row() -> None:
            async for _ in rows(with_cancel(background()).ctx, how):
                break

        await in_task(one_row())
        gc.collect()

    everywhere(main)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_body_that_another_thread_leaves() -> None:
    def generator() -> Generator[None, None, None]:
        with use(with_cancel(background()).ctx):
            yield

    body = generator()
    next(body)
    assert current() != background()
    error = KeyError("the real error")
    caught: list[BaseException] = []

    def leave() -> None:
        try:
            body.throw(error)
        except BaseException as raised:
            caught.append(raised)
        assert current() == background()

    in_thread(leave).join()
    assert caught == [error] and current() == background()


def test_what_is_inherited_keeps_no_context_from_around() -> None:
    """A task that starts the next one inside its body, and so on for ever, would keep all of them."""
    outer = with_cancel(background()).ctx
    gone = weakref.ref(outer)
    with use(outer), use(with_cancel(background()).ctx):
        inherited = contextvars.copy_context()
    del outer
    assert gone() is None
    assert inherited.run(current) != background()


def test_bodies_that_others_left_are_forgotten() -> None:
    """A loop over generators that are closed elsewhere, for ever, keeps none of their bodies."""

    def generator() -> Generator[None, None, None]:
        with use(with_cancel(background()).ctx):
            yield

    def enter_and_leave() -> None:
        body = generator()
        next(body)
        in_thread(body.close).join()

    def bodies() -> int:
        gc.collect()
        return sum(type(one) is _current.Body for one in gc.get_objects())

    def work() -> None:
        enter_and_leave()
        before = bodies()
        for _ in range(20):
            enter_and_leave()
        assert current() == background() and bodies() <= before + 1
        reached.append(True)

    reached: list[bool] = []
    in_thread(work).join()
    assert reached


def test_the_body_around_one_that_another_thread_left_is_current_again() -> None:
    def generator() -> Generator[None, None, None]:
        with use(with_cancel(background()).ctx):
            yield

    with use(with_cancel(background()).ctx) as outer:
        body = generator()
        next(body)
        assert current() != outer
        in_thread(body.close).join()
        assert current() is outer
    assert current() == background()
