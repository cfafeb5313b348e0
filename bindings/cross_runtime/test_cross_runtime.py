# SPDX-License-Identifier: MIT
"""One process, one tree: Python, Rust and C end together, and the reason comes back.

run.sh says by the environment where everything is, and runs this once for each order in which a libctx may come
into a process. The tests go in the order of this file: the last one brings a second copy into the process.
"""

import asyncio
import ctypes
import errno
import os
import shutil
import socket
import uuid
from pathlib import Path

import pytest

handler_file, worker_file, installed_file = (
    os.path.realpath(os.environ[name]) for name in ("CTX_HANDLER", "CTX_WORKER", "CTX_INSTALLED")
)
order = os.environ["CTX_ORDER"]
assert order in ("wheel-first", "library-first")
if order == "library-first":
    ctypes.CDLL(handler_file)  # with all it needs, before libctx of Python

import libctx  # noqa: E402
from request import WATCHDOG, Client, Seen, handler, mapped, request  # noqa: E402

DEADLINE, CANCELED = -errno.ETIMEDOUT, -errno.ECANCELED


@pytest.fixture
def trace_id() -> str:
    return uuid.uuid4().hex


async def ready(server: socket.socket) -> None:
    """Until the C loop greets: then Rust and C are waiting."""
    assert await asyncio.get_running_loop().sock_recv(server, 64) == b"ready\n"


def handle(seconds: float, trace_id: str, client: Client) -> Seen:
    seen = asyncio.run(request(handler(handler_file), seconds, trace_id, client))
    assert len({seen.rust.thread, seen.c.thread, os.getpid()}) == 3  # each on its own thread
    return seen


def test_exactly_one_libctx_is_mapped() -> None:
    handler(handler_file)
    expected = libctx.library_path() if order == "wheel-first" else installed_file
    assert mapped() == {os.path.realpath(expected)}
    assert Path(libctx.library_path()).name == "libctx.so.1"


@pytest.mark.parametrize("seconds", [0.2, 0.0], ids=["later", "at once"])
def test_the_deadline_of_python_ends_all_three(seconds: float, trace_id: str) -> None:
    async def client(server: socket.socket, task: "asyncio.Task[None]") -> None:
        pass

    seen = handle(seconds, trace_id, client)
    assert isinstance(seen.error, libctx.DeadlineExceeded)
    assert (seen.rust.err, seen.c.err) == (DEADLINE, DEADLINE)
    assert seen.c.cancel_ns == 0  # it was not C
    assert min(seen.woken_ns, seen.rust.woken_ns, seen.c.woken_ns) >= seen.deadline_ns


def test_c_cancels_with_a_cause_and_python_raises_with_that_text(trace_id: str) -> None:
    words = f"I have heard enough, {uuid.uuid4().hex}"

    async def client(server: socket.socket, task: "asyncio.Task[None]") -> None:
        await ready(server)
        await asyncio.get_running_loop().sock_sendall(server, words.encode() + b"\n")

    seen = handle(WATCHDOG, trace_id, client)
    assert isinstance(seen.error, libctx.Canceled)
    cause = seen.error.__cause__
    assert isinstance(cause, libctx.Cause)
    assert (str(cause), cause.code) == (words, -errno.EPIPE)
    assert (seen.rust.err, seen.c.err) == (CANCELED, CANCELED)
    assert seen.rust.cause == words.encode()
    assert min(seen.woken_ns, seen.rust.woken_ns, seen.c.woken_ns) >= seen.c.cancel_ns > 0


@pytest.mark.parametrize(
    ("message", "words"), [("the server shuts down", b"the server shuts down"), (None, b"task canceled")]
)
def test_rust_and_c_read_the_trace_id_and_end_with_the_task(trace_id: str, message: str | None, words: bytes) -> None:
    async def client(server: socket.socket, task: "asyncio.Task[None]") -> None:
        await ready(server)
        task.cancel(message)

    seen = handle(WATCHDOG, trace_id, client)
    assert (seen.rust.trace_id, seen.c.trace_id) == (trace_id.encode(),) * 2
    assert isinstance(seen.error, asyncio.CancelledError)
    assert (seen.rust.err, seen.c.err) == (CANCELED, CANCELED)
    assert (seen.rust.cause, seen.c.cause) == (words,) * 2


def test_after_all_that_it_is_still_one() -> None:
    assert len(mapped()) == 1


def test_a_handle_of_another_copy_is_a_clear_error_everywhere(tmp_path: Path) -> None:
    other = ctypes.CDLL(str(shutil.copy(installed_file, tmp_path / "libctx.so.1")))
    assert len(mapped()) == 2  # so the other tests do see a second one
    ctx, canceler = ctypes.c_void_p(), ctypes.c_void_p()
    other.ctx_background.restype = ctypes.c_void_p
    root = ctypes.c_void_p(other.ctx_background())
    assert other.ctx_with_cancel(root, ctypes.byref(ctx), ctypes.byref(canceler)) == 0
    assert ctx.value is not None and canceler.value is not None

    with pytest.raises(OSError, match="another copy of libctx") as caught:
        libctx.Context.from_handle(ctx.value)
    assert caught.value.errno == errno.EREMOTE
    with pytest.raises(OSError, match="another copy of libctx") as caught:
        libctx.Canceler.from_handle(canceler.value)
    assert caught.value.errno == errno.EREMOTE

    own = libctx.with_cancel(libctx.background())
    serve = handler(handler_file).handler_serve
    assert serve(ctx.value, own.cancel.handle, -1, None) == -errno.EREMOTE
    start = ctypes.CDLL(worker_file).worker_start
    assert start(ctx, canceler, -1, None, None, None) == -errno.EREMOTE

    assert other.ctx_err(ctx) == 0  # and nothing has happened to it
    other.ctx_canceler_unref(canceler)
    other.ctx_unref(ctx)
