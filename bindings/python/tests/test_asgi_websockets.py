# SPDX-License-Identifier: MIT
"""WebSockets below ContextMiddleware, uvicorn and Starlette."""

import asyncio
from collections.abc import Callable
from typing import Any

import libctx
import pytest
import websockets.asyncio.client
import websockets.exceptions
from conftest import Run
from libctx.asgi import ContextMiddleware
from serving import App, serving, while_not
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


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
