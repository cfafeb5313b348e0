# SPDX-License-Identifier: MIT
"""What the README says works in a scope: whatever a cancel of its task ends. The servers here never answer."""

import asyncio
import socket
import socketserver
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from io import BufferedIOBase

import aiohttp
import anyio
import asyncpg  # type: ignore[import-untyped]
import httpx
import libctx
import psycopg
import pytest
from conftest import WATCHDOG, AnyRun, Run, in_thread


@pytest.fixture
def server() -> Iterator[tuple[int, Callable[[int], None]]]:
    """The port of a server that accepts and then says nothing, and a wait for so many connections to it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(WATCHDOG)
        accepted: list[socket.socket] = []

        def accept(n: int) -> None:
            accepted.extend(listening.accept()[0] for _ in range(n))

        yield listening.getsockname()[1], accept
        for connection in accepted:
            connection.close()


Server = tuple[int, Callable[[int], None]]


async def with_asyncpg(port: int) -> None:
    await asyncpg.connect(host="127.0.0.1", port=port, user="u", database="d", ssl=False)


async def with_psycopg(port: int) -> None:
    await psycopg.AsyncConnection.connect(f"host=127.0.0.1 port={port} user=u dbname=d sslmode=disable")


async def with_aiohttp(port: int) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/"):
        pass


async def with_httpx(port: int) -> None:
    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{port}/", timeout=None)


async def with_streams(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await reader.read()
    finally:
        writer.close()


Call = Callable[[int], Awaitable[None]]


@pytest.mark.parametrize("call", [with_asyncpg, with_psycopg, with_aiohttp, with_httpx, with_streams])
def test_a_client_in_asyncio(call: Call, server: Server, clock: libctx.VirtualLoop, run: Run) -> None:
    port, accept = server

    async def late() -> None:
        await asyncio.to_thread(accept, 1)  # from now on the client waits for an answer
        clock.advance(3600)

    async def main() -> None:
        helper = asyncio.create_task(late())
        with pytest.raises(TimeoutError) as caught:
            async with libctx.timeout(3600, cause="no answer"):
                await call(port)
        assert type(caught.value) is libctx.DeadlineExceeded and str(caught.value.__cause__) == "no answer"
        await helper

    run(main())


async def query_by_asyncpg(port: int) -> None:
    connection = await asyncpg.connect(host="127.0.0.1", port=port, user="u", database="d", ssl=False)
    try:
        await connection.execute("select pg_sleep(7200)")
    finally:
        connection.terminate()


async def query_by_psycopg(port: int) -> None:
    where = f"host=127.0.0.1 port={port} user=u dbname=d sslmode=disable gssencmode=disable"
    connection = await psycopg.AsyncConnection.connect(where)
    try:
        await connection.execute("select pg_sleep(7200)")
    finally:
        await connection.close()


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", 4 + len(body)) + body


class Postgres(socketserver.StreamRequestHandler):
    """Answers no query, but ends it when it is told to."""

    READY = message(b"Z", b"I")
    SETTINGS = (b"server_version\0" + b"16.0\0", b"client_encoding\0UTF8\0", b"standard_conforming_strings\0on\0")
    WELCOME = b"".join(message(b"S", each) for each in SETTINGS) + message(b"K", bytes(8)) + READY
    CANCELED = message(b"E", b"SERROR\0VERROR\0C57014\0Mcanceled\0\0") + READY
    asked: Callable[[], object]
    asking: BufferedIOBase

    def handle(self) -> None:
        size, code = struct.unpack("!ii", self.rfile.read(8))
        self.rfile.read(size - 8)
        if code == 80877102:  # a CancelRequest
            Postgres.asking.write(self.CANCELED)
            return
        self.wfile.write(message(b"R", bytes(4)) + self.WELCOME)
        kind, size = struct.unpack("!ci", self.rfile.read(5))
        self.rfile.read(size - 4)
        Postgres.asking = self.wfile
        Postgres.asked()
        self.rfile.read()


@pytest.mark.parametrize("query", [query_by_asyncpg, query_by_psycopg])
def test_a_query(query: Call, clock: libctx.VirtualLoop, run: Run) -> None:
    """The clients cancel it on the server as well, and psycopg waits for that, 5 s at most."""
    Postgres.asked = staticmethod(partial(clock.advance, 3600))

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with libctx.timeout(3600):
                await asyncio.wait_for(query(postgres.server_address[1]), WATCHDOG)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Postgres) as postgres:
        in_thread(partial(postgres.serve_forever, 0.01))
        try:
            run(main())
        finally:
            postgres.shutdown()


def test_the_clients_of_a_task_group(server: Server, clock: libctx.VirtualLoop, run: Run) -> None:
    port, accept = server
    calls = (with_asyncpg, with_psycopg, with_aiohttp, with_httpx, with_streams)

    async def late() -> None:
        await asyncio.to_thread(accept, len(calls))
        clock.advance(3600)

    async def main() -> None:
        helper = asyncio.create_task(late())
        with pytest.raises(TimeoutError):
            async with libctx.timeout(3600), asyncio.TaskGroup() as group:
                for call in calls:
                    group.create_task(call(port))
        await helper

    run(main())


def test_httpx_and_task_groups_of_anyio(server: Server, clock: libctx.VirtualLoop, anyrun: AnyRun) -> None:
    port, accept = server

    async def main() -> None:
        async with anyio.create_task_group() as around:

            async def late() -> None:
                await anyio.to_thread.run_sync(accept, 2)
                clock.advance(3600)

            around.start_soon(late)
            with pytest.raises(TimeoutError):
                async with libctx.timeout(3600), anyio.create_task_group() as group:
                    group.start_soon(with_httpx, port)
                    group.start_soon(with_httpx, port)

    anyrun(main)


def test_the_cancel_scopes_of_anyio(clock: libctx.VirtualLoop, anyrun: AnyRun) -> None:
    """Around a scope and inside one."""

    async def main() -> None:
        async with libctx.timeout(3600) as ctx:
            with anyio.move_on_after(0.005) as moved:
                await anyio.sleep_forever()
            assert moved.cancelled_caught and not ctx.is_done
        with anyio.move_on_after(0.005) as moved:
            async with libctx.timeout(3600) as ctx:
                await anyio.sleep_forever()
        assert moved.cancelled_caught and isinstance(ctx.err(), libctx.Canceled)

    anyrun(main)


def test_a_thread_of_to_thread(clock: libctx.VirtualLoop, anyrun: AnyRun) -> None:
    """It inherits current(), whose end reaches it."""
    found: list[str] = []
    left = threading.Event()

    def work() -> None:
        clock.advance(3600)
        libctx.current().wait(WATCHDOG)
        found.append(str(libctx.current().cause()))
        left.set()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with libctx.timeout(3600, cause="late"):
                await anyio.to_thread.run_sync(work)
                await anyio.sleep_forever()

    anyrun(main)
    assert left.wait(WATCHDOG) and found == ["late"]
