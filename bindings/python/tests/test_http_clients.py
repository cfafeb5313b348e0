# SPDX-License-Identifier: MIT
"""The adapters of httpx and aiohttp: headers out, and the end of a request with its context."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anyio
import httpx
import libctx
import libctx.aiohttp
import libctx.httpx
import pytest
from conftest import WATCHDOG, AnyRun, Run, python
from libctx import _asyncio
from libctx.asgi import ContextMiddleware
from serving import respond, serving, while_not

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
Get = Callable[..., Awaitable[tuple[int, str, libctx.Cause | None]]]


async def get_by_httpx(port: int, headers: dict[str, str] | None = None, **options: Any) -> tuple[int, str, libctx.Cause | None]:
    async with httpx.AsyncClient(transport=libctx.httpx.Transport(**options)) as client:
        response = await client.get(f"http://127.0.0.1:{port}/", headers=headers, timeout=None)
        return response.status_code, response.text, libctx.httpx.cause(response)


async def get_by_aiohttp(port: int, headers: dict[str, str] | None = None, **options: Any) -> tuple[int, str, libctx.Cause | None]:
    async with aiohttp.ClientSession(middlewares=[libctx.aiohttp.Middleware(**options)]) as session:
        async with session.get(f"http://127.0.0.1:{port}/", headers=headers) as response:
            return response.status, await response.text(), libctx.aiohttp.cause(response)


GET = pytest.mark.parametrize("get", [get_by_httpx, get_by_aiohttp])


@asynccontextmanager
async def answering(*parts: bytes, read: bool = True) -> AsyncIterator[tuple[int, asyncio.Queue[bytes], asyncio.Event]]:
    """A server that answers a request by these bytes, tells what it was asked, and closes when told to."""
    asked: asyncio.Queue[bytes] = asyncio.Queue()
    hang_up = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        for part in parts:
            writer.write(part)
        try:
            await hang_up.wait()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], asked, hang_up
    finally:
        hang_up.set()
        server.close()


BEGUN = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nfirst"


@GET
def test_headers_out(get: Get, clock: libctx.VirtualLoop, run: Run) -> None:
    found: list[dict[str, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await respond(send)

    async def main() -> None:
        async with serving(app, lifespan="off") as port:
            assert (await get(port))[:2] == (200, "ok")
            ctx = libctx.extract(clock.background(), {"traceparent": PARENT, "baggage": "user=ada"}).ctx
            ctx = libctx.with_string(libctx.with_string(ctx, "request-id", "seven"), "bad", "line\nbreak")
            with libctx.use(ctx):
                async with libctx.timeout(1.5):
                    await get(port)
                    await get(port, headers={"x-request-timeout-ms": "7", "baggage": "own=1"})
                    await get(port, timeout_header="grpc-timeout", strings=["request-id", "bad"])
                    await get(port, timeout_header=None, strings=[])

    run(main())
    names = ("x-request-timeout-ms", "grpc-timeout", "traceparent", "baggage", "request-id", "bad")
    assert [[headers.get(name) for name in names] for headers in found] == [
        [None, None, None, None, None, None],
        ["1500", None, PARENT, "user=ada", None, None],
        ["7", None, PARENT, "own=1", None, None],
        [None, "1500000u", None, None, "seven", None],
        [None, None, None, None, None, None],
    ]


@GET
def test_a_context_that_is_done_sends_nothing(get: Get, run: Run) -> None:
    async def main() -> None:
        ctx, cancel = libctx.with_cancel(libctx.background())
        cancel("the reason")
        async with answering() as (port, asked, _):
            with libctx.use(ctx), pytest.raises(libctx.Canceled) as caught:
                await get(port)
            assert str(caught.value.__cause__) == "the reason" and asked.empty()

    run(main())


@GET
@pytest.mark.parametrize("begun", [False, True])
def test_the_end_of_the_context_ends_a_request(get: Get, begun: bool, clock: libctx.VirtualLoop, run: Run) -> None:
    """No scope of the caller does: use() cancels nothing. The server is told by the connection."""

    async def main() -> None:
        ctx = libctx.with_timeout(clock.background(), 3600, cause="no answer").ctx
        gone = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            if begun:
                writer.write(BEGUN)
            asyncio.get_running_loop().call_later(0.01, clock.advance, 3600)
            assert await reader.read() == b""
            gone.set()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            with libctx.use(ctx), pytest.raises(libctx.DeadlineExceeded) as caught:
                await asyncio.wait_for(get(server.sockets[0].getsockname()[1]), WATCHDOG)
            assert str(caught.value.__cause__) == "no answer"
            await asyncio.wait_for(gone.wait(), WATCHDOG)

    run(main())


@GET
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(("left", "late"), [(35, True), (37, False)])
def test_a_connection_that_breaks_at_the_deadline(
    get: Get, begun: bool, left: float, late: bool, clock: libctx.VirtualLoop, run: Run
) -> None:
    """But for a body of aiohttp, where its own error remains."""

    async def main() -> None:
        own = (httpx.TransportError, aiohttp.ClientError)
        expected = libctx.DeadlineExceeded if late and not (begun and get is get_by_aiohttp) else own
        async with answering(*([BEGUN] if begun else [])) as (port, asked, hang_up):

            async def end() -> None:
                await asked.get()
                clock.advance(3600 - left)
                hang_up.set()

            with libctx.use(libctx.with_timeout(clock.background(), 3600).ctx):
                ending = asyncio.create_task(end())
                with pytest.raises(expected):
                    await asyncio.wait_for(get(port), WATCHDOG)
                await ending

    run(main())


@GET
def test_the_reason_of_a_server(get: Get, clock: libctx.VirtualLoop, run: Run) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(3600)

    async def main() -> None:
        parent, stop = libctx.with_cancel(libctx.background())
        stop(OSError(28, "the disk is full"))
        async with serving(ContextMiddleware(app, parent, name="store"), lifespan="off") as port:
            status, _, cause = await get(port)
            assert status == 503 and cause is not None
            assert (cause.message, cause.code, cause.peer) == ("[Errno 28] the disk is full", -28, "store")

    run(main())


@GET
@pytest.mark.parametrize("claim", ["", "ctx-cause: no cause\r\n", "ctx-cause: v=1\r\n", f"ctx-cause: v=1&message={'x' * 2000}\r\n"])
def test_a_server_that_says_nothing_or_lies(get: Get, claim: str, run: Run) -> None:
    async def main() -> None:
        async with answering(f"HTTP/1.1 503 No\r\n{claim}content-length: 2\r\n\r\nok".encode()) as (port, _, _):
            assert await get(port) == (503, "ok", None)

    run(main())


def test_httpx_in_asyncio_and_trio(clock: libctx.VirtualLoop, anyrun: AnyRun) -> None:
    async def main() -> None:
        asked = anyio.Event()

        async def answer(stream: Any) -> None:
            async with stream:
                await stream.receive()
                await stream.send(BEGUN)
                asked.set()
                await anyio.sleep_forever()

        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, answer)

            async def late() -> None:
                await asked.wait()
                clock.advance(3600)

            tasks.start_soon(late)
            with libctx.use(libctx.with_timeout(clock.background(), 3600).ctx), pytest.raises(libctx.DeadlineExceeded):
                await get_by_httpx(listener.extra(anyio.abc.SocketAttribute.local_port))
            tasks.cancel_scope.cancel()

    anyrun(main)


def test_the_reader_of_a_body_is_not_canceled_between_parts(clock: libctx.VirtualLoop, run: Run) -> None:
    async def main() -> None:
        async with answering(BEGUN) as (port, _, _), httpx.AsyncClient(transport=libctx.httpx.Transport()) as client:
            with libctx.use(libctx.with_timeout(clock.background(), 3600).ctx):
                async with client.stream("GET", f"http://127.0.0.1:{port}/") as response:
                    parts = response.aiter_raw()
                    assert await anext(parts) == b"first"
                    clock.advance(3600)
                    await asyncio.sleep(0.001)
                    with pytest.raises(libctx.DeadlineExceeded):
                        await anext(parts)

    run(main())


@asynccontextmanager
async def waiting() -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A server that begins an answer, and tells when its client has closed the connection."""
    closed = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(BEGUN)
        await reader.read()
        closed.set()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], closed


def test_a_response_of_httpx_that_is_left_early(run: Run) -> None:
    async def main() -> None:
        async with waiting() as (port, closed), httpx.AsyncClient(transport=libctx.httpx.Transport()) as client:
            async with client.stream("GET", f"http://127.0.0.1:{port}/"):
                pass
            await asyncio.wait_for(closed.wait(), WATCHDOG)

    run(main())


def test_a_response_of_aiohttp_that_nobody_reads_now(run: Run) -> None:
    """The server is told at once."""

    async def main() -> None:
        ctx, cancel = libctx.with_cancel(libctx.background())
        async with waiting() as (port, closed), aiohttp.ClientSession(middlewares=[libctx.aiohttp.Middleware()]) as session:
            with libctx.use(ctx):
                async with session.get(f"http://127.0.0.1:{port}/") as response:
                    cancel()
                    await asyncio.wait_for(closed.wait(), WATCHDOG)
                    with pytest.raises(libctx.Canceled):
                        await response.read()

    run(main())


def test_what_waits_for_a_response_of_aiohttp_goes_with_it(run: Run) -> None:
    """When it is read, or when nobody has it any more; nothing else keeps it."""

    async def main() -> None:
        waits = _asyncio._hub(asyncio.get_running_loop())._calls
        async with answering(BEGUN, b"part") as (read, _, _), answering(BEGUN) as (unread, _, _):
            async with aiohttp.ClientSession(middlewares=[libctx.aiohttp.Middleware()]) as session:
                with libctx.use(libctx.with_cancel(libctx.background()).ctx):
                    async with session.get(f"http://127.0.0.1:{read}/") as response:
                        assert await response.text() == "firstpart"
                        await while_not(lambda: not waits)
                    async with session.get(f"http://127.0.0.1:{unread}/") as response:
                        reference = weakref.ref(response)
                    assert waits
                    del response
                    gc.collect()
                    assert reference() is None
                    await while_not(lambda: not waits)

    run(main())


@pytest.mark.parametrize("name", ["httpx", "aiohttp"])
def test_a_package_that_is_missing(name: str) -> None:
    program = f"""
import sys
import libctx
print([each for each in ("httpx", "aiohttp", "trio", "logging") if each in sys.modules and each != "logging"])
sys.modules[{name!r}] = None
try:
    import libctx.{name}
except ImportError as error:
    print(error)
"""
    result = python(program)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"[]\nlibctx.{name} needs {name}")
    assert f"pip install {name}" in result.stdout
