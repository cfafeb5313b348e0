# SPDX-License-Identifier: MIT
"""ContextMiddleware below uvicorn, with its two parsers, and around Starlette and FastAPI."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import fastapi
import httpx
import libctx
import pytest
from conftest import WATCHDOG, Run
from libctx.asgi import ContextMiddleware
from serving import App, connected, serving, while_not
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

HOUR = "x-request-timeout-ms: 3600000"


@pytest.fixture(params=["httptools", "h11"])
def http(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def starlette(endpoint: Callable[[Request], Any], **options: Any) -> App:
    return ContextMiddleware(Starlette(routes=[Route("/", endpoint, methods=["GET", "POST"])]), **options)


def test_a_client_that_goes(http: str, run: Run) -> None:
    found: list[str] = []

    async def endpoint(request: Request) -> Response:
        found.append("entered")
        try:
            await asyncio.sleep(3600)
        finally:
            found.append(str(libctx.current().cause()))
        return Response()

    async def main() -> None:
        async with serving(starlette(endpoint), http) as port, connected(port) as client:
            await client.ask()
            await while_not(lambda: found)
            client.close()
            await while_not(lambda: len(found) == 2)

    run(main())
    assert found == ["entered", "the client has gone"]


def test_a_client_that_goes_when_its_body_is_there(http: str, run: Run) -> None:
    """The handler has not read it, and gets all of it."""
    found: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            found.append(b"")
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                while (message := await receive())["type"] == "http.request":
                    found[0] += message["body"]
                found.append(b"end")

    async def main() -> None:
        async with serving(ContextMiddleware(app), http, lifespan="off") as port, connected(port) as client:
            await client.ask(method="POST", body=b"x" * 50000)
            await while_not(lambda: found)
            client.writer.close()
            await while_not(lambda: len(found) == 2)

    run(main())
    assert found == [b"x" * 50000, b"end"]


def test_a_client_that_goes_from_a_response(http: str, run: Run) -> None:
    found: list[str] = []

    async def parts() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.sleep(3600)
        finally:
            found.append(str(libctx.current().cause()))

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(parts())

    async def main() -> None:
        async with serving(starlette(endpoint), http) as port, connected(port) as client:
            await client.ask()
            await client.head()
            client.close()
            await while_not(lambda: found)

    run(main())
    assert found == ["the client has gone"]


def test_the_deadline(http: str, clock: libctx.VirtualLoop, run: Run) -> None:
    async def endpoint(request: Request) -> Response:
        asyncio.get_running_loop().call_soon(clock.advance, 3600)
        await asyncio.sleep(3600)
        return Response()

    async def main() -> None:
        async with serving(starlette(endpoint, parent=clock.background()), http) as port, connected(port) as client:
            await client.ask("/", HOUR)
            assert await client.status() == 504
            assert await client.reader.readexactly(25) == b"context deadline exceeded"
            await client.ask("/", HOUR, method="HEAD")  # the connection goes on
            assert await client.status() == 504
            await client.ask("/", "x-request-timeout-ms: soon")
            assert await client.status() == 400

    run(main())


def test_the_deadline_of_a_response_that_has_begun(http: str, clock: libctx.VirtualLoop, run: Run) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        asyncio.get_running_loop().call_soon(clock.advance, 3600)
        await asyncio.sleep(3600)

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(parts())

    async def main() -> None:
        async with serving(starlette(endpoint, parent=clock.background()), http) as port, connected(port) as client:
            await client.ask("/", HOUR)
            assert await client.status() == 200
            assert await asyncio.wait_for(client.rest(), WATCHDOG) == b"5\r\nfirst\r\n"  # and no last part

    run(main())


def test_a_handler_in_a_thread(http: str, clock: libctx.VirtualLoop, run: Run) -> None:
    """It is answered for at once, and learns of the end by its context."""
    found: list[bool] = []
    answered = threading.Event()
    app = fastapi.FastAPI()

    @app.get("/")
    def endpoint() -> None:
        clock.advance(3600)
        found.append(libctx.current().wait(WATCHDOG) and answered.wait(WATCHDOG))

    async def main() -> None:
        app.add_middleware(ContextMiddleware, parent=clock.background())
        async with serving(app, http) as port, connected(port) as client:
            await client.ask("/", HOUR)
            assert await client.status() == 504
            answered.set()

    run(main())
    assert found == [True]


def test_requests_on_one_connection(http: str, run: Run) -> None:
    """Each has a context of its own. uvicorn stops reading large bodies for a while, and reads on in the variables of
    the handler: what comes next must not find the context of a request that is over.
    """
    found: list[libctx.Context] = []

    async def endpoint(request: Request) -> Response:
        found.append(libctx.current())
        assert not libctx.current().is_done
        return PlainTextResponse(str(len(await request.body())))

    async def main() -> None:
        async with serving(starlette(endpoint), http) as port, httpx.AsyncClient() as client:
            for size in (0, 300000, 0, 5):
                response = await client.post(f"http://127.0.0.1:{port}/", content=bytes(size))
                assert response.text == str(size)

    run(main())
    assert len(set(found)) == 4


def test_requests_that_are_sent_together(http: str, run: Run) -> None:
    async def endpoint(request: Request) -> Response:
        await asyncio.sleep(0.001)
        return PlainTextResponse(libctx.current().string("name", ""))

    async def main() -> None:
        async with serving(starlette(endpoint, strings=["name"]), http) as port, connected(port) as client:
            for name in ("one", "two"):
                await client.ask("/", f"Name: {name}")
            await client.ask("/", "Name: six", "connection: close")
            assert [part[-3:] for part in (await client.rest()).split(b"HTTP/1.1")[1:]] == [b"one", b"two", b"six"]

    run(main())


def test_head(http: str, run: Run) -> None:
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("text")

    async def main() -> None:
        async with serving(starlette(endpoint), http) as port, connected(port) as client:
            await client.ask("/", "connection: close", method="HEAD")
            assert "content-length: 4" in await client.head() and await client.rest() == b""

    run(main())


def test_a_body_that_the_handler_does_not_read(http: str, run: Run) -> None:
    async def endpoint(request: Request) -> Response:
        await asyncio.sleep(0.01)
        return PlainTextResponse("text")

    async def main() -> None:
        async with serving(starlette(endpoint), http) as port, connected(port) as client:
            client.writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n" + bytes(500000))
            assert await client.status() == 200

    run(main())


def test_a_client_that_waits_for_100(http: str, run: Run) -> None:
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("refused", 417) if "x-refuse" in request.headers else PlainTextResponse(await request.body())

    async def main() -> None:
        async with serving(starlette(endpoint), http) as port, connected(port) as client:
            await client.ask("/", "expect: 100-continue", "content-length: 2", method="POST")
            assert await client.status() == 100
            client.writer.write(b"ok")
            assert await client.status() == 200
        async with serving(starlette(endpoint), http) as port, connected(port) as client:
            await client.ask("/", "expect: 100-continue", "content-length: 2", "x-refuse: 1", method="POST")
            assert await client.status() == 417

    run(main())


def test_a_background_task(http: str, clock: libctx.VirtualLoop, run: Run) -> None:
    found: list[str] = []
    left = asyncio.Event()

    async def later() -> None:
        await left.wait()
        clock.advance(3600)
        async with libctx.timeout(60):
            await asyncio.sleep(0.001)
        found.append(libctx.current().string("name", ""))

    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("text", background=BackgroundTask(later))

    async def main() -> None:
        app = starlette(endpoint, parent=clock.background(), strings=["name"])
        async with serving(app, http) as port, connected(port) as client:
            await client.ask("/", HOUR, "name: seven", "connection: close")
            assert (await client.rest()).endswith(b"text")
            left.set()
            await while_not(lambda: found)

    run(main())
    assert found == ["seven"]


def test_middleware_of_starlette_around_and_inside(http: str, clock: libctx.VirtualLoop, run: Run) -> None:
    """Such middleware runs what is inside in tasks of its own."""
    found: list[str] = []

    async def dispatch(request: Request, go_on: Any) -> Response:
        response: Response = await go_on(request)
        response.headers.append("x-dispatched", "1")
        return response

    async def endpoint(request: Request) -> Response:
        found.append(libctx.current().string("name", ""))
        if "end" in request.query_params:
            asyncio.get_running_loop().call_soon(clock.advance, 3600)
            await asyncio.sleep(3600)
        return PlainTextResponse("text", background=BackgroundTask(lambda: found.append(f"later {libctx.current().cancelable}")))

    async def main() -> None:
        middleware = [
            Middleware(BaseHTTPMiddleware, dispatch=dispatch),
            Middleware(ContextMiddleware, parent=clock.background(), strings=["name"]),
            Middleware(BaseHTTPMiddleware, dispatch=dispatch),
        ]
        app = Starlette(routes=[Route("/", endpoint)], middleware=middleware)
        async with serving(app, http) as port, connected(port) as client:
            await client.ask("/", HOUR, "name: seven")
            assert "200" in (head := await client.head()) and head.count("x-dispatched") == 2
            assert await client.reader.readexactly(4) == b"text"
            await while_not(lambda: len(found) == 2)
            await client.ask("/?end", HOUR, "name: eight")
            assert "504" in (head := await client.head()) and head.count("x-dispatched") == 1

    run(main())
    assert found == ["seven", "later False", "eight"]


def test_a_handler_that_fails(http: str, run: Run) -> None:
    async def endpoint(request: Request) -> Response:
        raise KeyError("a fault")

    async def main() -> None:
        async with serving(starlette(endpoint), http) as port, connected(port) as client:
            await client.ask()
            assert await client.status() == 500

    run(main())


def test_what_is_no_request(http: str, run: Run) -> None:
    """The server answers it, and half of a request is no request."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the handler was called")

    async def main() -> None:
        async with serving(ContextMiddleware(app), http, lifespan="off") as port:
            for text, answer in ((b"no request\r\n\r\n", b"HTTP/1.1 400"), (b"GET / HTTP/1.1\r\nhost", b"")):
                async with connected(port) as client:
                    client.writer.write(text)
                    client.writer.write_eof()
                    assert (await client.rest())[:12] == answer

    run(main())
