# SPDX-License-Identifier: MIT
"""Contexts that a descriptor or a signal ends."""

import errno
import os
import select
import signal
import socket
from pathlib import Path

import libctx
import pytest
from conftest import WATCHDOG, python
from libctx import background, with_cancel, with_fd, with_signal


def test_a_descriptor() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        for file in (ours, ours.fileno()):
            derived = with_fd(background(), file, select.POLLRDHUP)
            assert derived.ctx.err() is None
        ctx, cancel = derived
        theirs.close()
        assert ctx.wait(WATCHDOG)
        assert isinstance(ctx.err(), libctx.Canceled)
        cause = ctx.cause()
        assert isinstance(cause, libctx.Cause) and cause.code & select.POLLRDHUP
        assert cancel() is False


def test_its_parent_and_its_canceler_end_it_too() -> None:
    reading, writing = os.pipe()
    parent, cancel = with_cancel(background())
    first, second = with_fd(parent, reading, select.POLLIN), with_fd(parent, fd=reading, events=select.POLLIN)
    assert first.cancel("by hand") and not second.ctx.wait(0)
    assert cancel() and second.ctx.err() is not None
    os.close(reading)
    os.close(writing)


def test_descriptors_that_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(PermissionError, match="regular file"):
        with_fd(background(), file, select.POLLOUT)
    with pytest.raises(OSError) as caught:
        with_fd(background(), 1 << 20, select.POLLIN)
    assert caught.value.errno == errno.EBADF
    with pytest.raises(ValueError):
        with_fd(background(), -1, select.POLLIN)
    with pytest.raises(ValueError, match="at least one event"):
        with_fd(background(), 0, 0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for events in ((1 << 32) + select.POLLIN, select.POLLIN - (1 << 32), 1 << 32, -1, 1 << 31):
            with pytest.raises(ValueError, match="valid"):  # no bits of it are cut off
                with_fd(background(), ours, events)
        with pytest.raises(OverflowError):
            with_fd(background(), ours, 1 << 80)
    with pytest.raises(TypeError):
        with_fd(None, 0, select.POLLIN)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        with_fd(background(), "0", select.POLLIN)  # type: ignore[arg-type]


SIGNAL = """
import ctypes, libctx, os, signal, subprocess
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
signal.signal(signal.SIGTERM, lambda *_: print("the handler"))
library = ctypes.CDLL(libctx.library_path())
for number in (signal.SIGTERM, signal.SIGUSR1):
    ctx, cancel = libctx.with_signal(libctx.background(), signal.SIGTERM, signal.SIGUSR1)
    child = subprocess.Popen(["sh", "-c", f"kill -{int(number)} {os.getpid()}"])
    # C, which does not return to Python meanwhile
    print(library.ctx_wait(ctypes.c_void_p(ctx.handle), ctypes.c_int64(60 * 10**9)))
    print(repr(ctx.err()), ctx.cause().code == number, cancel())
    assert child.wait() == 0
"""


def test_a_signal_ends_what_waits_in_c() -> None:
    result = python(SIGNAL)
    says = "1\nCanceled('context canceled') True False\n" * 2
    assert (result.returncode, result.stdout, result.stderr) == (0, says, "")


IN_ASYNCIO = """
import asyncio, libctx, os, signal

async def main():
    with libctx.with_signal(libctx.background(), signal.SIGTERM) as ctx:
        async with libctx.scope(ctx):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(60)

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
try:
    asyncio.run(main())
except libctx.Canceled as error:
    print(error.__cause__.code == signal.SIGTERM)
"""


def test_a_signal_ends_a_scope() -> None:
    result = python(IN_ASYNCIO)
    assert (result.returncode, result.stdout, result.stderr) == (0, "True\n", "")


def test_signals_that_are_refused() -> None:
    assert signal.SIGUSR2 not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    for signals in ((signal.SIGUSR2,), (signal.SIGKILL,), (0,), (-1,), (1 << 40,)):
        with pytest.raises(ValueError, match="pthread_sigmask"):
            with_signal(background(), *signals)
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:  # no bits of a number are cut off
        for number in (signal.SIGUSR2 + (1 << 32), signal.SIGUSR2 - (1 << 32)):
            with pytest.raises(ValueError, match="pthread_sigmask"):
                with_signal(background(), number)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    with pytest.raises(ValueError, match="SIGKILL"):
        with_signal(background(), signal.SIGKILL)
    with pytest.raises(TypeError):
        with_signal(background())
    with pytest.raises(TypeError):
        with_signal()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        with_signal(background(), "SIGTERM")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        with_signal(signal.SIGUSR2, signal.SIGUSR2)  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        with_signal(background(), 1 << 80)
