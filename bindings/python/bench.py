#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Benchmarks of the binding against its peers, in one run, in processor time of the process.

    bench.py [repetitions]     wants anyio, cffi, uvicorn and httptools; the two of a pair take turns, and medians are told

A bare wrapper by cffi is told beside it. It is compiled in each run, with the repository's headers and the
library of the package. What ContextMiddleware costs a request to uvicorn is told, too.

Exits 1 if a target was missed: derive, cancel and release at most 0.6 of an anyio.CancelScope entered
and left; a task that awaits its own context, woken with 10,000 others by one cancel, at most 5 us above
one that awaits an asyncio.Event.
"""

import asyncio
import gc
import importlib
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import libctx
import uvicorn
from libctx.asgi import ContextMiddleware

ROUND = 20_000
TASKS = 10_000
REQUESTS = 5_000

clock = time.process_time


def derived(n: int) -> float:
    """Derive, cancel, release, in plain calls."""
    parent, with_cancel = libctx.background(), libctx.with_cancel
    begin = clock()
    for _ in range(n):
        ctx, cancel = with_cancel(parent)
        cancel()
        del ctx, cancel
    return (clock() - begin) / n


def body(n: int) -> float:
    """The same by a with statement."""
    parent, with_cancel = libctx.background(), libctx.with_cancel
    begin = clock()
    for _ in range(n):
        with with_cancel(parent):
            pass
    return (clock() - begin) / n


def timed(n: int) -> float:
    """The same with a timeout of an hour."""
    parent, with_timeout = libctx.background(), libctx.with_timeout
    begin = clock()
    for _ in range(n):
        with with_timeout(parent, 3600.0):
            pass
    return (clock() - begin) / n


def anyio_scope(n: int) -> float:
    async def run() -> float:
        begin = clock()
        for _ in range(n):
            with anyio.CancelScope():
                pass
        return (clock() - begin) / n

    return asyncio.run(run())


def bare_wrapper() -> Callable[[int], float]:
    """The same by cffi in its API mode: two calls into C, and a drop function for each handle."""
    ffi: Any = importlib.import_module("cffi").FFI()
    ffi.cdef("""
        typedef struct ctx_context ctx_t; typedef struct ctx_canceler ctx_canceler_t;
        ctx_t *ctx_background(void);
        int ctx_with_cancel(ctx_t *, ctx_t **, ctx_canceler_t **);
        int ctx_cancel(ctx_canceler_t *);
        ctx_t *ctx_unref(ctx_t *);
        ctx_canceler_t *ctx_canceler_unref(ctx_canceler_t *);
    """)
    header = Path(__file__).parents[2] / "include"
    ffi.set_source("libctx_bare", "#include <ctx/ctx.h>", include_dirs=[str(header)],
                   extra_link_args=[libctx.library_path()])  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        ffi.compile(tmpdir=folder)
        sys.path.insert(0, folder)
        bare: Any = importlib.import_module("libctx_bare")
        sys.path.remove(folder)
    new, gc_of, lib = bare.ffi.new, bare.ffi.gc, bare.lib

    def run(n: int) -> float:
        parent, with_cancel, stop = lib.ctx_background(), lib.ctx_with_cancel, lib.ctx_cancel
        drop, drop_canceler = lib.ctx_unref, lib.ctx_canceler_unref
        begin = clock()
        for _ in range(n):
            made, made_canceler = new("ctx_t **"), new("ctx_canceler_t **")
            with_cancel(parent, made, made_canceler)
            ctx, cancel = gc_of(made[0], drop), gc_of(made_canceler[0], drop_canceler)
            stop(cancel)
            del ctx, cancel
        return (clock() - begin) / n

    return run


def tasks_on_contexts(n: int) -> float:
    """From the first derivation to the last task's end, each on a context of its own."""

    async def wait(parent: libctx.Context) -> None:
        await libctx.with_cancel(parent).ctx

    async def run() -> float:
        begin = clock()
        parent, cancel = libctx.with_cancel(libctx.background())
        tasks = [asyncio.create_task(wait(parent)) for _ in range(n)]
        await asyncio.sleep(0)
        cancel()
        for task in tasks:
            await task
        return (clock() - begin) / n

    return asyncio.run(run())


def tasks_on_event(n: int) -> float:
    async def wait(event: asyncio.Event) -> None:
        await event.wait()

    async def run() -> float:
        begin = clock()
        event = asyncio.Event()
        tasks = [asyncio.create_task(wait(event)) for _ in range(n)]
        await asyncio.sleep(0)
        event.set()
        for task in tasks:
            await task
        return (clock() - begin) / n

    return asyncio.run(run())


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Answers(asyncio.Protocol):
    """A client that sends a request whenever the answer to the last one is there."""

    REQUEST = (
        b"GET / HTTP/1.1\r\nhost: a\r\nuser-agent: bench\r\naccept: */*\r\nx-request-timeout-ms: 60000\r\n"
        b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nbaggage: user=ada,tier=gold\r\n\r\n"
    )

    def __init__(self, n: int, done: asyncio.Future[None]) -> None:
        self.left = n
        self.done = done
        self.text = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.REQUEST)

    def data_received(self, data: bytes) -> None:
        self.text += data
        if not self.text.endswith(b"\r\n\r\nok"):
            return
        self.text = b""
        self.left -= 1
        if self.left:
            self.transport.write(self.REQUEST)
        else:
            self.transport.close()
            self.done.set_result(None)


def requests(app: Any) -> Callable[[int], float]:
    """Requests to uvicorn in this process, one after the other on a Unix socket; the client's time is in it."""

    async def run(n: int) -> float:
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"{folder}/socket")
            server = uvicorn.Server(uvicorn.Config(app, http="httptools", log_config=None, access_log=False, lifespan="off"))
            serving = asyncio.create_task(server.serve([listening]))
            while not server.started:
                await asyncio.sleep(0.001)
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            begin = clock()
            await loop.create_unix_connection(lambda: Answers(n, done), listening.getsockname())
            await done
            took = (clock() - begin) / n
            server.should_exit = True
            await serving
            return took

    return lambda n: asyncio.run(run(n))


def medians(repetitions: int, n: int, *functions: Callable[[int], float]) -> list[float]:
    """Nanoseconds of each, their runs interleaved; the first round only warms up."""
    found: list[list[float]] = [[] for _ in functions]
    for round_number in range(repetitions + 1):
        for function, list_of_it in zip(functions, found, strict=True):
            gc.collect()
            time_of_one = function(n) * 1e9
            if round_number:
                list_of_it.append(time_of_one)
    return [statistics.median(list_of_it) for list_of_it in found]


def main() -> int:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    print(f"libctx {libctx.version()}, Python {sys.version.split()[0]}, anyio on asyncio, {repetitions} repetitions")

    functions = derived, body, timed, bare_wrapper(), anyio_scope
    plain, block, hour, bare, scope = medians(repetitions, ROUND, *functions)
    print(f"  anyio.CancelScope entered and left        {scope:7.0f} ns")
    times = ("by calls", plain), ("by `with`", block), ("by `with`, 1 h timeout", hour), ("by calls, bare cffi", bare)
    for what, time_of_one in times:
        print(f"  derive, cancel, release {what:22s}  {time_of_one:5.0f} ns  {time_of_one / scope:5.2f} x")

    own, event = medians(repetitions, TASKS, tasks_on_contexts, tasks_on_event)
    above = (own - event) / 1000
    print(f"  {TASKS} tasks, one asyncio.Event        {event / 1000:7.2f} us a task")
    print(f"  {TASKS} tasks, each its own context     {own / 1000:7.2f} us a task, {above:+.2f} us")

    bare_app, ours = medians(repetitions, REQUESTS, requests(hello), requests(ContextMiddleware(hello)))
    print(f"  a request to uvicorn                      {1e9 / bare_app:7.0f} requests a second")
    print(f"  the same with ContextMiddleware           {1e9 / ours:7.0f} requests a second, {(ours - bare_app) / 1000:+.2f} us each")

    missed = [what for what, ok in (("P16: 0.6 x", block <= 0.6 * scope), ("tasks: 5 us", above <= 5)) if not ok]
    print("missed: " + ", ".join(missed) if missed else "all targets met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
