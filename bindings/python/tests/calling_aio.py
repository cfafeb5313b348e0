# SPDX-License-Identifier: MIT
"""What the tests of gRPC on asyncio share, beside calling.py: servers, channels and handlers in tasks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import libctx
import libctx.grpc
import pytest
from calling import KINDS, Methods, handlers
from libctx.grpc.aio import intercept_channel

EACH = pytest.mark.parametrize("kind", KINDS)


CODE = grpc.StatusCode


@asynccontextmanager
async def serving(*interceptors: grpc.aio.ServerInterceptor, pool: Any = None, **functions: Any) -> AsyncIterator[str]:
    server = grpc.aio.server(pool, interceptors=list(interceptors))
    server.add_registered_method_handlers("t", handlers(functions))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def calling(address: str, ours: bool = True, **options: Any) -> AsyncIterator[Methods]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield Methods(intercept_channel(channel, **options) if ours else channel)


class Handler:
    """Handlers of each kind that wait until they are canceled, and tell what they see then."""

    def __init__(self, wait: Callable[[], Awaitable[object]] | None = None) -> None:
        self.began: asyncio.Queue[libctx.Context] = asyncio.Queue()
        self.ended: asyncio.Queue[libctx.Context] = asyncio.Queue()
        self._work = wait

    async def _wait(self) -> bytes:
        ctx = libctx.current()
        self.began.put_nowait(ctx)
        try:
            if self._work is not None:
                await self._work()
            else:
                await asyncio.sleep(3600)
        except asyncio.CancelledError:
            assert ctx.is_done and libctx.current() == ctx
            self.ended.put_nowait(ctx)
            raise
        return b"done"

    async def unary(self, request: bytes, context: Any) -> bytes:
        return await self._wait()

    async def down(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield await self._wait()

    async def up(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        assert await anext(aiter(requests)) == b"ask"
        return await self._wait()

    async def both(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            assert request == b"ask"
            yield await self._wait()

    @property
    def all(self) -> dict[str, Any]:
        return {kind: getattr(self, kind) for kind in KINDS}


def begin(methods: Methods, kind: str, requests: Any = None, **named: Any) -> Any:
    asks = kind in ("up", "both")
    return getattr(methods, kind)((ask() if requests is None else requests) if asks else b"ask", **named)


async def ask() -> AsyncIterator[bytes]:
    yield b"ask"
    await asyncio.sleep(3600)


async def each_of(*requests: bytes) -> AsyncIterator[bytes]:
    for request in requests:
        yield request


async def finish(kind: str, call: Any) -> bytes:
    if kind in ("unary", "up"):
        return bytes(await call)
    return b"".join([part async for part in call])


async def failing(kind: str, call: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        await finish(kind, call)
    return caught.value


def echo(see: Callable[[], object]) -> dict[str, Any]:
    """Handlers that call a function at each step, and answer."""

    async def unary(request: bytes, context: Any) -> bytes:
        see()
        return request

    async def down(request: bytes, context: Any) -> AsyncIterator[bytes]:
        for _ in range(3):
            see()
            yield request

    async def up(requests: AsyncIterator[bytes], context: Any) -> bytes:
        async for _ in requests:
            see()
        return b"up"

    async def both(requests: AsyncIterator[bytes], context: Any) -> None:  # by the other of gRPC's two ways
        while (request := await context.read()) is not grpc.aio.EOF:
            see()
            await context.write(request)

    return {"unary": unary, "down": down, "up": up, "both": both}


def failing_handlers(fail: Callable[[], object], code: grpc.StatusCode) -> dict[str, Any]:
    async def one(_: Any, context: Any) -> Any:
        fail()
        await context.abort(code, "broken")

    async def several(_: Any, context: Any) -> AsyncIterator[bytes]:
        await one(_, context)
        yield b""

    return {"unary": one, "up": one, "down": several, "both": several}
