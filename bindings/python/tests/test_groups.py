# SPDX-License-Identifier: MIT
"""Group: work on threads, the first failure, the end of the body, and asyncio's groups beside it."""

import asyncio
import contextvars
import ctypes
import gc
import os
import select
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import libctx
import pytest
from conftest import WATCHDOG, Run, Told, in_thread, python, until
from libctx import Group, _core, background, current, with_cancel, with_timeout


def readable(group: Group) -> bool:
    return bool(select.select([group], [], [], 0)[0])


def test_the_body_ends_when_the_work_has() -> None:
    ended: list[int] = []
    with Group() as group:
        futures = [group.spawn(lambda n: ended.append(n) or -n, n) for n in range(8)]  # type: ignore[func-returns-value]
        assert libctx.current() == group.ctx
    assert sorted(ended) == list(range(8))
    assert [future.result() for future in futures] == [-n for n in range(8)]
    assert group.ctx.is_done, "the context ends with the body"
    assert libctx.current() == background()


def test_the_first_exception_cancels_the_rest_and_is_raised() -> None:
    stopped: list[BaseException | None] = []
    error = ValueError("the disk is full")

    def work() -> None:
        ctx = libctx.current()
        assert ctx.wait(WATCHDOG)
        stopped.append(ctx.cause())
        ctx.check()

    def fail() -> None:
        raise error

    with pytest.raises(ValueError) as caught:
        with Group() as group:
            for _ in range(3):
                group.spawn(work)
            group.spawn(fail)
    assert caught.value is error and caught.value.__traceback__ is not None
    assert [type(one) for one in stopped] == [ValueError] * 3
    assert isinstance(group.ctx.err(), libctx.Canceled)
    with pytest.raises(ValueError):
        group.wait()


def test_the_body_that_is_stopped_by_a_failure_raises_that() -> None:
    def fail() -> None:
        raise ValueError("work")

    with pytest.raises(ValueError, match="work"):
        with Group() as group:
            group.spawn(fail)
            assert group.ctx.wait(WATCHDOG)
            group.ctx.check()
    with pytest.raises(ValueError, match="work"):
        with Group() as group:
            group.spawn(fail)
            assert group.ctx.wait(WATCHDOG)
            group.spawn(fail)  # nothing begins any more


def test_an_exception_of_the_body_cancels_the_work() -> None:
    stopped: list[BaseException | None] = []

    def work() -> None:
        assert libctx.current().wait(WATCHDOG)
        stopped.append(libctx.current().cause())
        raise RuntimeError("later")

    with pytest.raises(KeyError):
        with Group() as group:
            group.spawn(work)
            raise KeyError("body")
    assert [type(one) for one in stopped] == [KeyError]


def test_a_deadline_around_it() -> None:
    def work() -> None:
        assert libctx.current().wait(WATCHDOG)
        libctx.current().check()

    with pytest.raises(TimeoutError):
        with libctx.timeout(0.02), Group() as group:
            group.spawn(work)
    assert isinstance(group.ctx.err(), libctx.DeadlineExceeded)


def test_wait_without_a_body() -> None:
    ctx, cancel = with_cancel(background())
    group = Group(ctx)
    assert group.wait() is True and readable(group)
    group.spawn(ctx.wait)
    assert group.wait(0.01) is False and group.wait(timeout=0) is False
    assert not readable(group)
    cancel()
    assert group.wait(WATCHDOG) is True
    assert readable(group)
    with pytest.raises(libctx.Canceled):
        group.spawn(ctx.wait)


def test_an_executor() -> None:
    def fail() -> None:
        raise ValueError("pool")

    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="pool"):
        with Group() as group:
            assert group.submit(pool, libctx.current).result(WATCHDOG) == group.ctx
            group.submit(pool, fail)


def test_work_that_never_ran_is_over() -> None:
    class Never(Executor):
        def __init__(self) -> None:
            self.future: Future[None] = Future()

        def submit(self, *args: object, **kwargs: object) -> Future[None]:  # type: ignore[override]
            return self.future

    class Refuses(Executor):
        def submit(self, *args: object, **kwargs: object) -> Future[None]:  # type: ignore[override]
            raise RuntimeError("it was shut down")

    group, never = Group(), Never()
    group.submit(never, print)
    with pytest.raises(RuntimeError, match="shut down"):
        group.submit(Refuses(), print)
    assert group.wait(0) is False
    assert never.future.cancel()
    assert group.wait(0) is True


def test_work_by_other_means() -> None:
    group = Group()
    assert group.begin() is True
    in_thread(lambda: group.end("failed"))
    with pytest.raises(libctx.Cause, match="failed"):
        group.wait()
    assert group.begin() is False
    with pytest.raises(RuntimeError):
        group.end()


def test_a_failure_that_says_nothing() -> None:
    group = Group()
    assert group.begin()
    group.end(libctx.Canceled())
    assert isinstance(group.ctx.err(), libctx.Canceled)
    with pytest.raises(libctx.Cause, match="context canceled"):
        group.wait()


def test_groups_in_groups() -> None:
    outer = Group()
    inner = Group(outer)
    assert outer.wait(0) is False
    assert inner.begin()
    inner.end(ValueError("inside"))
    with pytest.raises(ValueError):
        inner.wait()
    assert not outer.ctx.is_done
    del inner
    gc.collect()
    with pytest.raises(ValueError, match="inside"):
        outer.wait(WATCHDOG)
    with pytest.raises(libctx.Canceled):
        Group(outer)


def test_c_ends_work_that_python_began() -> None:
    end = ctypes.CDLL(str(libctx.library_path())).ctx_group_end
    end.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    group = Group()
    assert group.begin()
    assert group.wait(0) is False
    assert end(group.handle, None) == 0
    assert group.wait(0) is True


def test_a_group_is_forgotten_while_an_exception_propagates(told: Told) -> None:
    ran: list[type[BaseException] | None] = []
    outer = _core.Group(background())
    outer.ctx().after(lambda: ran.append(sys.exc_info()[0]))

    def made() -> _core.Group:
        inner = _core.Group(outer)
        assert inner.begin()
        inner.end("broken")
        return inner

    with pytest.raises(TypeError, match="not 'libctx._core.Group'"):
        int(made())  # type: ignore[call-overload]  # which drops its argument with the exception that it raises
    assert (ran, told) == ([None], [])


def test_what_is_no_parent_or_no_work() -> None:
    with pytest.raises(TypeError, match="libctx.Group"):
        Group("parent")  # type: ignore[arg-type]
    group = Group()

    async def coroutine() -> None: ...

    for bad in (None, coroutine):
        with pytest.raises(TypeError):
            group.spawn(bad)  # type: ignore[arg-type]
    assert group.wait(0) is True
    with group, pytest.raises(RuntimeError):
        with group:
            pass


class Thing:
    """Something that can be weakly referred to."""


def test_nothing_is_kept() -> None:
    thing = Thing()

    def fail(held: Thing) -> None:
        raise ValueError(held)

    with pytest.raises(ValueError):
        with Group() as group:
            group.spawn(fail, thing)
    gone = weakref.ref(thing)
    del thing, group, fail
    until(lambda: gc.collect() is not None and gone() is None)


def test_ctrl_c_in_the_wait_cancels_the_work(default_sigint: None) -> None:
    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert libctx.current().wait(WATCHDOG)

    with pytest.raises(KeyboardInterrupt):
        with Group() as group:
            group.spawn(work)
    assert isinstance(group.ctx.cause(), KeyboardInterrupt)


def test_a_forked_child_has_no_work_of_its_parent() -> None:
    program = """
import libctx, os, sys, threading, warnings
warnings.simplefilter("ignore")  # Python 3.12 warns of a fork beside threads
over = threading.Event()
with libctx.Group() as group:
    group.spawn(over.wait)
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
        over.set()
if not pid:
    try:
        group.begin()
    except ChildProcessError:
        with libctx.Group() as own:
            assert own.spawn(int, 7).result() == 7
        os._exit(0)
    os._exit(1)
"""
    result = python(program)
    assert (result.returncode, result.stderr) == (0, "")


def test_tasks_and_threads_together() -> None:
    """As the README shows it: the tasks are in asyncio's group, the threads in this one, both in one scope."""

    async def main() -> list[int]:
        done: list[int] = []
        async with libctx.timeout(WATCHDOG):
            group = Group()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.sleep(0.001)).add_done_callback(lambda _: done.append(1))
                group.spawn(done.append, 2)
                assert await asyncio.to_thread(group.wait)
        return done

    assert sorted(asyncio.run(main())) == [1, 2]


def test_a_failing_task_stops_the_threads() -> None:
    async def main() -> None:
        async def fail() -> None:
            await asyncio.sleep(0.001)
            raise ValueError("task")

        async with libctx.timeout(WATCHDOG) as ctx, asyncio.TaskGroup() as tasks:
            group = Group()
            group.spawn(ctx.wait)
            tasks.create_task(fail())
            threads.append(group)

    threads: list[Group] = []
    with pytest.raises(ExceptionGroup):
        asyncio.run(main())
    assert threads[0].wait(WATCHDOG) is True


def test_the_end_of_the_work_can_be_awaited(run: Run) -> None:
    group = Group()
    assert group.over().is_done

    async def main() -> None:
        assert group.begin()
        over = group.over()
        assert not over.is_done
        in_thread(group.end)
        await over

    run(main())
    assert group.wait(0) is True


def test_many_threads_and_one_failure() -> None:
    for _ in range(20):
        barrier = threading.Barrier(8)

        def work(barrier: threading.Barrier, n: int) -> None:
            barrier.wait(WATCHDOG)
            if n % 2:
                raise ValueError(n)

        group = Group()
        for n in range(8):
            group.spawn(work, barrier, n)
        with pytest.raises(ValueError) as caught:
            group.wait()
        assert repr(group.ctx.cause()) == repr(caught.value)


def test_the_context_of_the_group_is_that_of_its_work() -> None:
    """Wherever it is started from, and with every other context variable of there."""
    group, variable = Group(), contextvars.ContextVar[str]("variable")
    variable.set("here")
    start: Callable[..., Future[Any]]
    with ThreadPoolExecutor(1) as pool, libctx.use(with_timeout(background(), None).ctx) as around:
        for start in (group.spawn, lambda fn: group.submit(pool, fn)):
            assert start(current).result(WATCHDOG) == group.ctx != around
            assert start(variable.get).result(WATCHDOG) == "here"
        assert current() is around
    assert group.wait(WATCHDOG) is True


def test_an_executor_is_given_all_arguments() -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="pool") as pool, Group() as group:
        assert group.submit(pool, int, "11", base=2).result(WATCHDOG) == 3
        name = group.submit(pool, lambda: threading.current_thread().name).result(WATCHDOG)
    assert name.startswith("pool")


def test_no_group_is_made_below_one_of_before_a_fork() -> None:
    program = """
import libctx, os
outer = libctx.Group()
pid = os.fork()
if pid:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
else:
    try:
        libctx.Group(outer)
    except ChildProcessError as error:
        os._exit(error.__context__ is not None)
    os._exit(2)
"""
    result = python(program)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_wait_of_a_group_takes_its_limit() -> None:
    group = Group()
    assert group.begin()
    assert group.wait(0.01) is False and group.wait(timeout=0) is False
    with pytest.raises(ValueError, match="cannot last"):
        group.wait(-1)
    in_thread(group.end).join()
    assert group.wait() is True
