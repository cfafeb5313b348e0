# SPDX-License-Identifier: MIT
"""What the tests of gRPC share: methods of each kind with bytes each way, a server of them, and what it was asked."""

import os
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import libctx
import libctx.grpc
import pytest
from conftest import WATCHDOG

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TELL = "/libctx.Causes/Tell"
NUMBER = "0123456789abcdef" * 2
CODE = grpc.StatusCode
CANCELS = int(os.environ.get("CTX_CANCELS", "300"))  # of those tests that count what arrives
LONGER = 1.01  # gRPC rounds a timeout up when it sends it
KINDS = {"unary": "unary_unary", "down": "unary_stream", "up": "stream_unary", "both": "stream_stream"}
EACH = pytest.mark.parametrize("kind", ["unary", "down", "up", "both"])


def handlers(functions: dict[str, Callable[..., Any]]) -> dict[str, Any]:
    return {name: getattr(grpc, f"{KINDS[name]}_rpc_method_handler")(function) for name, function in functions.items()}


class Methods:
    """Of a channel of either kind."""

    def __init__(self, channel: Any) -> None:
        self.unary = channel.unary_unary("/t/unary")
        self.down = channel.unary_stream("/t/down")
        self.up = channel.stream_unary("/t/up")
        self.both = channel.stream_stream("/t/both")
        self.tell = channel.unary_unary(TELL)

    def begin(self, kind: str, requests: Any, **named: Any) -> Any:
        """A call of a channel with threads, as a future or a stream; the requests of an `up` or `both` are an iterator."""
        method = getattr(self, kind)
        return (method.future if kind in ("unary", "up") else method)(b"ask" if kind in ("unary", "down") else requests, **named)


class Spy(grpc.ServerInterceptor):
    """What a server was asked, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str | bytes]]] = []

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        self.asked.append((handler_call_details.method, dict(handler_call_details.invocation_metadata)))
        return continuation(handler_call_details)

    @property
    def told(self) -> int:
        return sum(method == TELL for method, _ in self.asked)


class AioSpy(grpc.aio.ServerInterceptor):
    def __init__(self) -> None:
        self.spy = Spy()
        self.asked = self.spy.asked

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        self.asked.append((handler_call_details.method, dict(handler_call_details.invocation_metadata)))
        return await continuation(handler_call_details)


@contextmanager
def serving(*interceptors: grpc.ServerInterceptor, workers: int = 8, **functions: Callable[..., Any]) -> Iterator[str]:
    """A server with threads; its address."""
    with ThreadPoolExecutor(workers) as pool:
        server = grpc.server(pool, interceptors=list(interceptors))
        server.add_registered_method_handlers("t", handlers(functions))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


@contextmanager
def calling(address: str, ours: bool = True, **options: Any) -> Iterator[Methods]:
    """The methods of a server, by a channel with threads, which is ours or gRPC's own."""
    with grpc.insecure_channel(address) as channel:
        yield Methods(libctx.grpc.intercept_channel(channel, **options) if ours else channel)


class Handler:
    """Handlers of each kind that wait until their context ends, and tell what they have seen."""

    def __init__(self, then: Callable[[Any], object] | None = None) -> None:
        self.began: queue.Queue[libctx.Context] = queue.Queue()
        self.ended: queue.Queue[libctx.Context] = queue.Queue()
        self._then = then

    def _wait(self, context: Any) -> bytes:
        ctx = libctx.current()
        self.began.put(ctx)
        ctx.wait()
        self.ended.put(ctx)
        if self._then is not None:
            self._then(context)
        ctx.check()
        return b"done"

    def unary(self, request: bytes, context: Any) -> bytes:
        return self._wait(context)

    def down(self, request: bytes, context: Any) -> Iterator[bytes]:
        yield self._wait(context)

    def up(self, requests: Iterator[bytes], context: Any) -> bytes:
        assert next(requests) == b"ask"
        return self._wait(context)

    def both(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        assert next(requests) == b"ask"
        yield self._wait(context)

    @property
    def all(self) -> dict[str, Any]:
        return {kind: getattr(self, kind) for kind in KINDS}


def seen(ctx: libctx.Context) -> tuple[type[BaseException] | None, str, object, str | None]:
    """How a context has ended: error, reason, origin, and who says so."""
    cause = ctx.cause()
    error = ctx.err()
    return (None if error is None else type(error)), str(cause), ctx.origin(), getattr(cause, "peer", None)


PLAIN = (libctx.Canceled, "the call was canceled", libctx.Origin.PEER, None)


def ask(held: Any) -> Iterator[bytes]:
    """Requests: one, and no more until `held` says so; the end of the call comes first."""
    yield b"ask"
    held.wait(WATCHDOG)


def finish(kind: str, call: Any) -> bytes:
    return bytes(call.result(WATCHDOG)) if kind in ("unary", "up") else b"".join(call)


def failing(kind: str, call: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        finish(kind, call)
    return caught.value


def echo(see: Callable[[], object]) -> dict[str, Any]:
    """Handlers that call a function at each step, and answer."""

    def unary(request: bytes, context: Any) -> bytes:
        see()
        return request

    def down(request: bytes, context: Any) -> Iterator[bytes]:
        for _ in range(3):
            see()
            yield request

    def up(requests: Iterator[bytes], context: Any) -> bytes:
        for _ in requests:
            see()
        return b"up"

    def both(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        for request in requests:
            see()
            yield request

    return {"unary": unary, "down": down, "up": up, "both": both}
