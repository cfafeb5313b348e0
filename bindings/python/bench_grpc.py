#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""P21 in Python: what libctx.grpc adds to a unary call on loopback, and to the way of a cancel.

    bench_grpc.py [rounds]     wants grpcio; the two of a pair take turns, and medians are told

The server is a process of its own. Bare is gRPC alone: the same metadata and timeout, set by hand, and no interceptor. A call
takes the processor time of both processes; its real time is told, too. Of a cancel it is the real time from the client's
cancel to the handler's going on: with threads the bare handler waits for an Event, which gRPC sets by a callback, ours for
its context; with tasks both are canceled.

With threads gRPC cancels no call that blocks, so that those of a context that can end are compared with a future. What
blocks belongs to a context that never ends.

Exits 1 if a target was missed: a call 1.05 x bare, the way of a cancel 1.1 x bare.
"""

import asyncio
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import libctx
import libctx.grpc

CALLS = 200  # a round
CANCELS = 20
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
METADATA = (("traceparent", TRACE), ("baggage", "user=ada,tier=gold"))

clock = time.monotonic  # the same in all processes


def tell(when: float) -> None:
    print(when, flush=True)


def used(request: bytes, context: Any) -> bytes:
    return b"%f" % time.process_time()


def handlers(echo: Callable[..., Any], wait: Callable[..., Any]) -> dict[str, Any]:
    return {
        "echo": grpc.unary_unary_rpc_method_handler(echo),
        "wait": grpc.unary_stream_rpc_method_handler(wait),
        "used": grpc.unary_unary_rpc_method_handler(used),
    }


def serve_threads(ours: bool) -> None:
    def echo(request: bytes, context: Any) -> bytes:
        return request

    def wait(request: bytes, context: Any) -> Iterable[bytes]:
        over = threading.Event()
        if not ours:
            context.add_callback(over.set)
        context.send_initial_metadata(())
        if ours:
            libctx.current().wait()
        else:
            over.wait()
        tell(clock())
        yield from ()

    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool, interceptors=[libctx.grpc.ServerInterceptor()] if ours else None)
        server.add_registered_method_handlers("t", handlers(echo, wait))
        tell(server.add_insecure_port("127.0.0.1:0"))
        server.start()
        sys.stdin.read()
        server.stop(None).wait()


async def serve_tasks(ours: bool) -> None:
    async def echo(request: bytes, context: Any) -> bytes:
        return request

    async def wait(request: bytes, context: Any) -> None:
        try:
            await context.send_initial_metadata(())
            await asyncio.sleep(3600)
        finally:
            tell(clock())

    server = grpc.aio.server(ThreadPoolExecutor(1), interceptors=[libctx.grpc.aio.ServerInterceptor()] if ours else None)
    server.add_registered_method_handlers("t", handlers(echo, wait))
    tell(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


class Server:
    """A server in a process of its own, and a channel to it for the two questions of a benchmark."""

    def __init__(self, kind: str, ours: bool) -> None:
        command = [sys.executable, __file__, "serve", kind, "ours" if ours else "bare"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.address = f"127.0.0.1:{int(self.line())}"
        self._channel = grpc.insecure_channel(self.address)
        self._used: Any = self._channel.unary_unary("/t/used")

    def line(self) -> float:
        assert self._process.stdout is not None
        return float(self._process.stdout.readline())

    def used(self) -> float:
        """Seconds of a processor, the server's and those of this process."""
        return float(self._used(b"")) + time.process_time()

    def close(self) -> None:
        self._channel.close()
        self._process.communicate()


def request_context() -> libctx.Context:
    """As a server has it that was called itself."""
    return libctx.with_timeout(libctx.extract(libctx.background(), dict(METADATA)).ctx, 60).ctx


class Client:
    """Calls of one kind; each way of calling is a row."""

    def __init__(self, kind: str) -> None:
        self.bare, self.ours = Server(kind, False), Server(kind, True)
        self.rows: dict[str, list[tuple[float, float]]] = {}

    def of_calls(self, name: str, server: Server, before: float, begin: float) -> None:
        real = clock() - begin
        self._add(name, (server.used() - before) / CALLS, real / CALLS)

    def of_cancels(self, name: str, ways: list[float]) -> None:
        self._add(name, statistics.median(ways), statistics.median(ways))

    def _add(self, name: str, *times: float) -> None:
        self.rows.setdefault(name, []).append((times[0] * 1e6, times[1] * 1e6))

    def medians(self) -> dict[str, tuple[float, float]]:
        """But for the first round, which warms up."""
        self.bare.close()
        self.ours.close()
        return {
            name: (statistics.median(cpu for cpu, _ in rows[1:]), statistics.median(real for _, real in rows[1:]))
            for name, rows in self.rows.items()
        }


def threads(rounds: int) -> dict[str, tuple[float, float]]:
    client = Client("threads")
    bare: Any = grpc.insecure_channel(client.bare.address)
    ours: Any = libctx.grpc.intercept_channel(grpc.insecure_channel(client.ours.address))
    bare_call, our_call = (channel.unary_unary("/t/echo") for channel in (bare, ours))
    bare_wait, our_wait = (channel.unary_stream("/t/wait") for channel in (bare, ours))

    def calls(name: str, server: Server, call: Callable[[], object]) -> None:
        before, begin = server.used(), clock()
        for _ in range(CALLS):
            call()
        client.of_calls(name, server, before, begin)

    def cancel_bare(name: str) -> None:
        ways = []
        for _ in range(CANCELS):
            call = bare_wait(b"")
            call.initial_metadata()
            begin = clock()
            call.cancel()
            ways.append(client.bare.line() - begin)
        client.of_cancels(name, ways)

    def cancel_ours(name: str, reason: str | None) -> None:
        ways = []
        for _ in range(CANCELS):
            ctx, cancel = libctx.with_cancel(libctx.background())
            with libctx.use(ctx):
                call = our_wait(b"")
            call.initial_metadata()
            begin = clock()
            cancel(reason)
            ways.append(client.ours.line() - begin)
        client.of_cancels(name, ways)

    for _ in range(rounds + 1):
        calls("bare", client.bare, lambda: bare_call.future(b"", timeout=60, metadata=METADATA).result())
        with libctx.use(request_context()):
            calls("ours", client.ours, lambda: our_call(b""))
        calls("bare, blocking", client.bare, lambda: bare_call(b"", timeout=60, metadata=METADATA))
        calls("ours, blocking", client.ours, lambda: our_call(b"", timeout=60, metadata=METADATA))
        cancel_bare("bare cancel")
        cancel_ours("our cancel", None)
    for _ in range(rounds + 1):  # last: a server that was told a reason lets the calls after it wait for theirs
        cancel_ours("our cancel, with a reason", "why")
    bare.close()
    ours.close()
    return client.medians()


async def tasks(rounds: int) -> dict[str, tuple[float, float]]:
    client = Client("tasks")
    bare: Any = grpc.aio.insecure_channel(client.bare.address)
    ours: Any = libctx.grpc.aio.intercept_channel(grpc.aio.insecure_channel(client.ours.address))
    bare_call, our_call = (channel.unary_unary("/t/echo") for channel in (bare, ours))
    bare_wait, our_wait = (channel.unary_stream("/t/wait") for channel in (bare, ours))

    async def calls(name: str, server: Server, call: Callable[[], Any]) -> None:
        before, begin = server.used(), clock()
        for _ in range(CALLS):
            await call()
        client.of_calls(name, server, before, begin)

    async def cancel_bare(name: str) -> None:
        ways = []
        for _ in range(CANCELS):
            call: Any = bare_wait(b"")
            await call.initial_metadata()
            begin = clock()
            call.cancel()
            ways.append(await asyncio.to_thread(client.bare.line) - begin)
        client.of_cancels(name, ways)

    async def cancel_ours(name: str, reason: str | None) -> None:
        ways = []
        for _ in range(CANCELS):
            ctx, cancel = libctx.with_cancel(libctx.background())
            with libctx.use(ctx):
                call: Any = our_wait(b"")
            await call.initial_metadata()
            begin = clock()
            cancel(reason)
            ways.append(await asyncio.to_thread(client.ours.line) - begin)
        client.of_cancels(name, ways)

    for _ in range(rounds + 1):
        await calls("bare", client.bare, lambda: bare_call(b"", timeout=60, metadata=METADATA))
        with libctx.use(request_context()):
            await calls("ours", client.ours, lambda: our_call(b""))
        await cancel_bare("bare cancel")
        await cancel_ours("our cancel", None)
    for _ in range(rounds + 1):
        await cancel_ours("our cancel, with a reason", "why")
    await bare.close()
    await ours.close()
    return client.medians()


PEERS = {
    "ours": ("bare", 1.05),
    "ours, blocking": ("bare, blocking", None),
    "our cancel": ("bare cancel", 1.1),
    "our cancel, with a reason": ("bare cancel", None),
}


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    print(f"libctx {libctx.version()}, Python {sys.version.split()[0]}, grpcio {grpc.__version__}, {rounds} rounds")
    missed = []
    for kind, found in (("tasks", asyncio.run(tasks(rounds))), ("threads", threads(rounds))):
        for name, (cpu, real) in found.items():
            peer, target = PEERS.get(name, (name, None))
            ratio = cpu / found[peer][0]
            beside = "" if "cancel" in name else f", real {real:5.0f} us {real / found[peer][1]:5.2f} x"
            print(f"  {kind:7s} {name:26s} {cpu:7.0f} us {ratio:5.2f} x{beside}")
            if target is not None and ratio > target:
                missed.append(f"P21, {kind}, {name}: {target} x")
    print("missed: " + "; ".join(missed) if missed else "all targets met")
    return 1 if missed else 0


if __name__ == "__main__":
    if sys.argv[1:2] != ["serve"]:
        sys.exit(main())
    if sys.argv[2] == "tasks":
        asyncio.run(serve_tasks(sys.argv[3] == "ours"))
    else:
        serve_threads(sys.argv[3] == "ours")
