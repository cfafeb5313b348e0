# SPDX-License-Identifier: MIT
"""ContextMiddleware below uvicorn, with its two parsers, and around Starlette and FastAPI."""

import asyncio
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import fastapi
import httpx
import libctx
import pytest
import websockets.asyncio.client
import websockets.exceptions
from conftest import WATCHDOG, Run
from libctx.asgi import ContextMiddleware
from serving import App, connected, serving, while_not
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

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


def websocket_app(endpoint: Callable[[WebSocket], Any], **options: Any) -> App:
    return ContextMiddleware(Starlette(routes=[WebSocketRoute("/", endpoint)]), **options)


def test_a_websocket(run: Run) -> None:
    found: list[str] = []

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        assert libctx.current().deadline() is None
        await socket.send_text(await socket.receive_text() + libctx.current().string("name", ""))
        try:
            await socket.receive_text()
        except WebSocketDisconnect as error:
            await asyncio.sleep(0.001)  # the handler itself is not canceled
            found.append(f"{error.code}: {libctx.current().cause()}")

    async def main() -> None:
        async with serving(websocket_app(endpoint, default_timeout=30, maximum_timeout=60, strings=["name"])) as port:
            headers = {"Name": "seven", "x-request-timeout-ms": "1"}
            async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{port}/", additional_headers=headers) as client:
                await client.send("text of ")
                assert await client.recv() == "text of seven"
            await while_not(lambda: found)

    run(main())
    assert found == ["1000: the client has gone"]


def test_a_websocket_whose_handler_never_receives(run: Run) -> None:
    found: list[str] = []

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        found.append("entered")
        try:
            async with libctx.timeout(3600):
                await asyncio.sleep(3600)
        except libctx.Canceled as error:
            found.append(str(error.__cause__))

    async def main() -> None:
        async with serving(websocket_app(endpoint)) as port:
            async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{port}/"):
                await while_not(lambda: found)
            await while_not(lambda: len(found) == 2)

    run(main())
    assert found == ["entered", "the client has gone"]


def test_a_websocket_when_the_server_ends(run: Run) -> None:
    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("entered")
        await asyncio.sleep(3600)

    async def main() -> None:
        parent, stop = libctx.with_cancel(libctx.background())
        async with serving(websocket_app(endpoint, parent=parent)) as port:
            async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{port}/") as client:
                assert await client.recv() == "entered"
                stop()
                with pytest.raises(websockets.exceptions.ConnectionClosed) as caught:
                    await client.recv()
                assert caught.value.rcvd is not None and caught.value.rcvd.code == 1001
            with pytest.raises(websockets.exceptions.InvalidStatus):
                await websockets.asyncio.client.connect(f"ws://127.0.0.1:{port}/")

    run(main())


README = (Path(__file__).parents[1] / "README.md").read_text()
SERVER = """
import asyncio, libctx, signal, socket, sys, uvicorn
from libctx.asgi import ContextMiddleware

async def app(scope, receive, send):
    print("asked", flush=True)
    await (stopping if scope["path"] == "/short" else asyncio.sleep(3600))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"text"})

listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
"""


def server_of_the_readme(grace: float) -> str:
    program: str
    (program,) = re.findall(r"^```py\n(signal.*?)^```$", README, re.DOTALL | re.MULTILINE)
    changes = [("stopping, 20", f"stopping, {grace}"), ("run()", "run([listening])")]
    changes += [("ctx)))", "ctx), log_config=None, lifespan='off'))")]
    for old, new in changes:
        assert program.count(old) == 1
        program = program.replace(old, new)
    return SERVER + program


@pytest.mark.parametrize(("path", "grace", "status"), [("/short", 3600, 200), ("/long", 0, 503)])
def test_sigterm_leaves_time_for_what_was_begun(path: str, grace: float, status: int) -> None:
    command = [sys.executable, "-c", server_of_the_readme(grace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            answers: list[httpx.Response] = []
            asking = threading.Thread(target=lambda: answers.append(httpx.get(f"http://127.0.0.1:{port}{path}", timeout=WATCHDOG)))
            asking.start()
            assert server.stdout.readline() == "asked\n"
            server.send_signal(signal.SIGTERM)
            asking.join(WATCHDOG)
            assert [answer.status_code for answer in answers] == [status]
            _, errors = server.communicate(timeout=WATCHDOG)
            assert (server.returncode, errors) == (0, "")
        finally:
            server.kill()
