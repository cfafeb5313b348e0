# SPDX-License-Identifier: MIT
"""Handing over to C and back: integers and capsules, one library, one tree."""

import asyncio
import ctypes
import gc
import os
import select
import selectors
import subprocess
import sys
import weakref
from pathlib import Path

import libctx
import pytest
from conftest import WATCHDOG, in_thread, python
from libctx import Canceler, Context, background, scope, with_cancel, with_string, with_timeout


def mapped() -> set[str]:
    """The files of libctx that this process has in memory."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.split(maxsplit=5)[5] for line in lines if "/libctx.so" in line}


class Work:
    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        self.work, self.trace_id, self.stop = library.work, library.trace_id, library.stop
        for function in (self.work, self.trace_id, self.stop):
            function.argtypes = [ctypes.c_void_p]
        self.trace_id.restype = ctypes.c_char_p


@pytest.fixture
def c(c_library: Path) -> Work:
    return Work(c_library)


def test_a_library_linked_with_another_file_shares_this_copy(c: Work) -> None:
    assert mapped() == {os.path.realpath(libctx.library_path())}
    assert Path(libctx.library_path()).name == "libctx.so.1"


def test_whoever_comes_first_brings_the_library(c_library: Path) -> None:
    """The C library first, then Python: it takes the copy that is there, by the SONAME."""
    program = """
import ctypes, sys
work = ctypes.CDLL(sys.argv[1])
import libctx
mapped = {line.split(maxsplit=5)[5] for line in open("/proc/self/maps") if "/libctx.so" in line}
assert len(mapped) == 1, mapped
ctx, cancel = libctx.with_cancel(libctx.background())
work.stop(ctypes.c_void_p(cancel.handle))
assert ctx.wait(60) and str(ctx.cause()) == "the client went away"
print("one")
"""
    result = python(program, str(c_library))
    assert (result.returncode, result.stdout, result.stderr) == (0, "one\n", "")


def test_a_deadline_of_python_ends_c(c: Work) -> None:
    with with_timeout(background(), 0.01) as ctx:
        assert ctypes.c_int(c.work(ctx.handle)).value < 0
        assert isinstance(ctx.err(), libctx.DeadlineExceeded)


def test_c_cancels_and_python_raises_its_text(c: Work) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        async with scope(ctx):
            assert c.stop(cancel.handle) == 0
            await asyncio.sleep(WATCHDOG)

    with pytest.raises(libctx.Canceled) as caught:
        asyncio.run(main())
    cause = caught.value.__cause__
    assert isinstance(cause, libctx.Cause)
    assert (cause.message, cause.code) == ("the client went away", -32)


def test_c_reads_the_trace_id(c: Work) -> None:
    ctx = with_string(background(), "trace-id", "4bf92f35")
    assert c.trace_id(with_cancel(ctx).ctx.handle) == b"4bf92f35"


def test_a_task_that_is_canceled_ends_c(c: Work) -> None:
    async def main() -> None:
        async with scope(background()) as ctx:
            work = asyncio.get_running_loop().run_in_executor(None, c.work, ctx.handle)
            held.append((ctx, work))
            await work

    async def around() -> None:
        task = asyncio.create_task(main())
        while not held:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    held: list[object] = []
    asyncio.run(around())  # ends only after the executor's thread has


def test_from_handle_is_the_same_context() -> None:
    ctx, cancel = with_cancel(background())
    for again in (Context.from_handle(ctx.handle), Context.from_handle(ctx.capsule())):
        assert again == ctx
    with_it = Canceler.from_handle(cancel.handle)
    assert Canceler.from_handle(cancel.capsule())("by capsule")
    assert not with_it() and str(ctx.cause()) == "by capsule"


def test_from_handle_takes_a_reference() -> None:
    ctx, cancel = with_cancel(background())
    again, cancel_again = Context.from_handle(ctx.handle), Canceler.from_handle(cancel.handle)
    del ctx, cancel
    gc.collect()
    assert again.err() is None and cancel_again() and again.err() is not None


def test_a_capsule_holds_a_reference() -> None:
    ctx, cancel = with_cancel(background())
    capsule, right = ctx.capsule(), cancel.capsule()
    assert "libctx.ctx_t" in repr(capsule) and "libctx.ctx_canceler_t" in repr(right)
    del ctx, cancel
    gc.collect()
    again = Context.from_handle(capsule)
    assert again.err() is None
    assert Canceler.from_handle(right)() and again.err() is not None
    with pytest.raises(ValueError):
        Canceler.from_handle(capsule)


@pytest.mark.parametrize("which", [0, 1], ids=["context", "canceler"])
def test_a_capsule_gives_its_reference_back(which: int) -> None:
    class Thing:
        pass

    key = libctx.Key[Thing]("thing")
    thing = Thing()
    gone = weakref.ref(thing)
    capsule = with_cancel(libctx.with_value(background(), key, thing))[which].capsule()
    del thing
    assert gone() is not None
    del capsule
    assert gone() is None


def test_the_descriptor_polls_readable_once_done() -> None:
    ctx, cancel = with_cancel(background())
    poller = select.poll()
    poller.register(ctx, select.POLLIN)
    assert poller.poll(0) == []
    in_thread(cancel).join()
    assert poller.poll(WATCHDOG * 1000) == [(ctx.done_fd(), select.POLLIN)]
    with selectors.DefaultSelector() as selector:
        selector.register(ctx, selectors.EVENT_READ)
        assert len(selector.select(WATCHDOG)) == 1


def test_a_descriptor_that_cancels() -> None:
    ctx, cancel = with_cancel(background())
    fd = cancel.cancel_fd()
    program = "import os, sys; os.eventfd_write(int(sys.argv[1]), 1)"
    subprocess.run([sys.executable, "-c", program, str(fd)], pass_fds=[fd], check=True)
    assert ctx.wait(WATCHDOG) and isinstance(ctx.err(), libctx.Canceled)
    os.eventfd_write(fd, 1)  # later ones do nothing
    os.close(fd)
