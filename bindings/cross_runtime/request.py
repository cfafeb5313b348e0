# SPDX-License-Identifier: MIT
"""A request that Python handles with Rust and C: one context for all three, and what each sees of it."""

import asyncio
import ctypes
import os
import socket
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libctx

WATCHDOG = 60.0  # seconds; nothing waits for it, but what hangs


class Sight(ctypes.Structure):
    """What one of the runtimes has seen of the context: sight_t of worker.h."""

    _fields_ = [
        ("woken_ns", ctypes.c_int64),
        ("cancel_ns", ctypes.c_int64),
        ("err", ctypes.c_int32),
        ("thread", ctypes.c_int32),
        ("trace_id", ctypes.c_char * 64),
        ("cause", ctypes.c_char * 128),
    ]


@dataclass
class Seen:
    """All that there is to see of one request."""

    error: BaseException | None  # what Python raised
    woken_ns: int  # when its handler caught that
    deadline_ns: int
    rust: Sight
    c: Sight


def handler(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    library.handler_serve.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
    return library


def mapped() -> set[str]:
    """The files with a libctx in them that this process has in memory, also renamed or linked statically."""
    lines = (line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines())
    files = {line[5] for line in lines if len(line) == 6 and line[5].startswith("/") and "x" in line[1]}
    return {file for file in files if b"context.Background" in Path(file).read_bytes()}  # what it calls the root


Client = Callable[[socket.socket, "asyncio.Task[None]"], Coroutine[Any, Any, None]]


async def request(library: ctypes.CDLL, seconds: float, trace_id: str, client: Client) -> Seen:
    """Handles one request of a client, which knows the socket to the server, and the task that handles it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    seen = (Sight * 2)()
    error: BaseException | None = None
    woken_ns = 0

    traced = libctx.with_string(libctx.background(), "trace-id", trace_id)
    ctx, cancel = libctx.with_timeout(traced, seconds)

    def serve(its: libctx.Context) -> "Future[int]":
        """Calls Rust on a thread, without the GIL. Rust borrows its context, also after a canceled body."""
        future = pool.submit(library.handler_serve, its.handle, cancel.handle, theirs.fileno(), seen)
        calls.append((its, future))
        return future

    async def handle() -> None:
        nonlocal error, woken_ns
        try:
            async with libctx.scope(ctx) as inner:
                # Rust and C end with the context, and so does this body.
                result = await asyncio.shield(asyncio.wrap_future(serve(inner)))
                if result < 0:
                    raise OSError(-result, os.strerror(-result))
                await asyncio.sleep(WATCHDOG)  # Rust was faster than the news to this body
        except (libctx.Error, asyncio.CancelledError) as caught:
            woken_ns = time.monotonic_ns()
            error = caught

    with ours, theirs, ThreadPoolExecutor(1) as pool:
        calls: list[tuple[libctx.Context, Future[int]]] = []
        task = asyncio.create_task(handle())
        visitor = asyncio.create_task(client(ours, task))
        await task
        if not calls:
            serve(ctx)  # the context ended before the body began; Rust and C are to see that, too
        await asyncio.wrap_future(calls[0][1])
        await visitor
    deadline = ctx.deadline()
    assert deadline is not None
    return Seen(error, woken_ns, round(deadline * 1e9), seen[0], seen[1])
