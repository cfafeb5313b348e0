# SPDX-License-Identifier: MIT
"""The child of a fork: new contexts work, those of before the fork can be read and nothing else."""

import asyncio
import contextlib
import contextvars
import gc
import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import libctx
import pytest
from conftest import WATCHDOG, python
from libctx import background, with_cancel, with_timeout

pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")


def in_child(check: Callable[[], None]) -> None:
    """Runs a check in a forked child; its exit code says whether it held."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            check()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def start_the_threads() -> None:
    assert with_timeout(background(), 0.001).ctx.wait()


def test_new_contexts_work_in_the_child() -> None:
    start_the_threads()

    def check() -> None:
        ctx = with_timeout(background(), 0.01, cause="late").ctx
        ran: list[int] = []
        ctx.after(ran.append, 1)
        assert ctx.wait() and str(ctx.cause()) == "late"
        stopped = with_cancel(background())
        stopped.ctx.after(ran.append, 2)
        stopped.cancel()
        assert 2 in ran

    in_child(check)


def test_contexts_of_before_can_only_be_read() -> None:
    start_the_threads()
    key = libctx.Key[str]("user")
    ctx, cancel = with_timeout(libctx.with_value(background(), key, "user-1"), 3600)

    def check() -> None:
        assert ctx.err() is None and ctx.value(key) == "user-1" and ctx.deadline() is not None
        for refused in (cancel, cancel.cancel_fd, ctx.wait, lambda: libctx.wait_any(ctx, ctx), ctx.done_fd,
                        ctx.done_fd_dup, ctx.touch, lambda: with_cancel(ctx), lambda: ctx.after(print),
                        lambda: libctx.with_fd(ctx, 0, 1), lambda: libctx.timeout(1, parent=ctx)):
            with pytest.raises(ChildProcessError, match="before this process was forked"):
                refused()

    in_child(check)
    assert ctx.err() is None and cancel() is True


def test_dropping_them_in_the_child_harms_nobody() -> None:
    held = [with_timeout(background(), 3600) for _ in range(1000)]

    def check() -> None:
        held.clear()
        gc.collect()

    in_child(check)
    assert all(ctx.err() is None for ctx, _ in held)


def test_leaving_a_body_in_the_child() -> None:
    def check() -> None:
        with pytest.raises(LookupError), libctx.with_cancel(background()) as inner:
            stack.pop_all().close()
            assert inner.err() is None
            raise LookupError

    with contextlib.ExitStack() as stack:
        ctx = stack.enter_context(with_cancel(background()))
        stack.enter_context(libctx.timeout(3600))
        stack.enter_context(libctx.ThreadLoop())
        in_child(check)
        assert ctx.err() is None
    assert ctx.err() is not None


def test_asyncio_in_the_child() -> None:
    """Also while the parent has a hub of its own."""

    async def wait() -> str:
        ctx = with_timeout(background(), 0.01, cause="late").ctx
        await ctx
        return str(ctx.cause())

    assert asyncio.run(wait()) == "late"

    def check() -> None:
        assert asyncio.run(wait()) == "late"

    in_child(check)


def test_a_callback_that_blocks_delays_no_other_one_in_the_child() -> None:
    """Also where the parent has handed callbacks over to threads."""
    ran = threading.Event()
    with_timeout(background(), 0.001).ctx.after(ran.set)
    assert ran.wait(WATCHDOG)

    def check() -> None:
        leave, left = threading.Event(), threading.Event()

        def block() -> None:
            assert leave.wait(WATCHDOG)
            left.set()

        parent, cancel = with_cancel(background())
        parent.after(block, defer=True)
        parent.after(leave.set, defer=True)
        cancel()
        assert left.wait(WATCHDOG / 2)

    in_child(check)


def test_current_starts_afresh() -> None:
    with with_cancel(background()) as ctx, libctx.use(ctx), contextlib.ExitStack() as stack:
        stack.enter_context(libctx.use(with_cancel(ctx).ctx))
        before = contextvars.copy_context()

        def check() -> None:
            assert libctx.current() == background() == before.run(libctx.current)
            assert with_timeout(libctx.current(), 0.01).ctx.wait()
            with with_cancel(libctx.current()) as fresh, libctx.use(fresh):
                assert libctx.current() is fresh
                stack.close()  # leaves a body of before the fork
                assert libctx.current() is fresh
            assert libctx.current() == background()

        in_child(check)
        assert libctx.current() == before.run(libctx.current) != ctx
        stack.close()
        assert libctx.current() is ctx


EXIT_OF_A_CHILD = """
import libctx, os, sys, time
sys.setswitchinterval(1000)   # whoever wants the GIL waits until this thread gives it up
for _ in range(5):
    ctx = libctx.with_timeout(libctx.background(), 0.001).ctx
    ctx.after(id, 1, defer=True)
    end = time.monotonic() + 0.02
    while time.monotonic() < end:
        pass
    pid = os.fork()           # while the library's thread is on its way to the callback
    if pid == 0:
        sys.exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
"""


def test_a_child_exits_whoever_was_about_to_come_in() -> None:
    result = python("import warnings; warnings.simplefilter('ignore')" + EXIT_OF_A_CHILD)
    assert (result.returncode, result.stderr) == (0, "")


MANY_FORKS = """
import libctx, os, threading
end, parent = threading.Event(), os.getpid()

def callback():
    if os.getpid() != parent:
        os._exit(2)  # it is the parent's

def work():
    while not end.is_set():
        ctx, cancel = libctx.with_cancel(libctx.background())
        ctx.after(callback, defer=True)   # on a thread that is new to Python each time
        cancel()

threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
try:
    for _ in range(100):
        pid = os.fork()
        if pid == 0:
            ran = threading.Event()
            ctx, cancel = libctx.with_cancel(libctx.background())
            ctx.after(ran.set, defer=True)
            cancel()
            os._exit(0 if ran.wait(20) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
finally:
    end.set()
"""


def test_forks_while_callbacks_come_in() -> None:
    result = python("import warnings; warnings.simplefilter('ignore')" + MANY_FORKS)
    assert (result.returncode, result.stderr) == (0, "")


FORK_IN_A_CALLBACK = """
import ctypes, libctx, os, sys, threading
sys.setswitchinterval(1000)   # a thread that has the GIL keeps it until it waits
parent, forked, done, codes = os.getpid(), threading.Event(), threading.Event(), []

def fork():
    pid = os.fork()
    if pid == 0:
        ran = threading.Event()
        ctx, cancel = libctx.with_cancel(libctx.background())
        ctx.after(ran.set, defer=True)
        cancel()
        os._exit(0 if ran.wait(20) else 1)
    forked.set()
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    done.set()

def of_the_parent():
    if os.getpid() != parent:
        os._exit(2)

c = ctypes.PyDLL(sys.argv[1])  # whose functions keep the GIL
c.begin()
parent_ctx, cancel = libctx.with_cancel(libctx.background())
ctx = libctx.with_grace(parent_ctx, 0.02).ctx
for callback in (fork, forked.wait, of_the_parent):  # of which one runs, one blocks, and one waits for its turn
    ctx.after(callback)
c.watch(ctypes.c_void_p(ctx.handle))
cancel()
assert c.counted(1)            # the library's thread has handed over all three
assert done.wait(20) and codes == [0], codes
"""


def test_a_child_runs_no_callback_of_its_parent(c_library: Path) -> None:
    result = python("import warnings; warnings.simplefilter('ignore')" + FORK_IN_A_CALLBACK, str(c_library))
    assert (result.returncode, result.stderr) == (0, "")


def in_process(results: "multiprocessing.SimpleQueue[str]") -> None:
    with with_timeout(background(), 0.01) as ctx:
        ctx.wait()
        results.put(str(ctx.err()))


def test_multiprocessing_with_fork() -> None:
    start_the_threads()
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    processes = [context.Process(target=in_process, args=(results,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(WATCHDOG)
        assert process.exitcode == 0
    assert [results.get() for _ in processes] == ["context deadline exceeded"] * 3
