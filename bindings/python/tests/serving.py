# SPDX-License-Identifier: MIT
"""What the tests of the adapters share: uvicorn on loopback, clients of it, and a server that a test plays itself."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from conftest import WATCHDOG
from libctx.asgi import ContextMiddleware

App = Callable[[Any, Any, Any], Any]
TIMEOUT = "x-request-timeout-ms"
HOUR = str(3600 * 1000)


@asynccontextmanager
async def serving(app: Any, http: Any = "httptools", **options: Any) -> AsyncIterator[int]:
    """uvicorn, with the application; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, http=http, log_config=None, **options))
        task = asyncio.create_task(server.serve([listening]))
        while not server.started:
            assert not task.done(), "uvicorn did not start"
            await asyncio.sleep(0.001)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, WATCHDOG)


class Client:
    """A connection, on which a test sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, path: str = "/", *headers: str, method: str = "GET", body: bytes = b"") -> None:
        lines = [f"{method} {path} HTTP/1.1", "host: a", *headers]
        if body:
            lines.append(f"content-length: {len(body)}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self.writer.drain()

    async def status(self) -> int:
        return int((await self.head()).split()[1])

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def rest(self) -> bytes:
        return await self.reader.read()

    def close(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield client
    finally:
        client.close()


def http_scope(*headers: tuple[str, str], kind: str = "http") -> dict[str, Any]:
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    return {"type": kind, "method": "GET", "path": "/", "headers": pairs, "asgi": {"spec_version": "2.3"}}


class Server:
    """Plays a server: what was put() is received, and what was sent is in `sent`."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.received = 0
        self.sent: list[dict[str, Any]] = []

    def put(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.queue.put_nowait(message)

    async def receive(self) -> dict[str, Any]:
        message = await self.queue.get()
        assert message is not None
        self.received += 1
        return message

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        return next((each["status"] for each in self.sent if each["type"] == "http.response.start"), None)


BODY = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


def request(body: bytes = b"", more_body: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more_body}


async def respond(send: Any, text: bytes = b"ok", status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


async def while_not(condition: Callable[[], object]) -> None:
    """Waits in a task for something that no call waits for."""

    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0.001)

    await asyncio.wait_for(poll(), WATCHDOG)


def serve(app: App, *headers: tuple[str, str], **options: Any) -> Callable[[Server], Awaitable[None]]:
    """One request of an application, below the middleware."""

    def call(server: Server) -> Awaitable[None]:
        return ContextMiddleware(app, **options)(http_scope(*headers), server.receive, server.send)

    return call


async def with_watchdog(call: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(call, WATCHDOG)
