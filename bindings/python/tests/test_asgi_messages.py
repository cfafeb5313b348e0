# SPDX-License-Identifier: MIT
"""What goes through ContextMiddleware, between a server that each test plays itself and an application."""

import asyncio
from typing import Any

import libctx
import pytest
from conftest import Run
from libctx.asgi import ContextMiddleware
from serving import BODY, GONE, Server, http_scope, request, respond, serve, while_not, with_watchdog


@pytest.mark.parametrize("kind", ["close", "http.response.start"])
def test_a_websocket_that_is_refused(kind: str, run: Run) -> None:
    """Nothing is sent after the refusal, even if the parent ends then; a whole one leaves the handler its time."""
    found: list[str] = []

    async def main() -> None:
        server, (parent, stop) = Server(), libctx.with_cancel(libctx.background())

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": f"websocket.{kind}"})
            asyncio.get_running_loop().call_soon(stop)
            await parent
            await asyncio.sleep(0.001)
            found.append(kind)

        scope = http_scope(kind="websocket")
        await with_watchdog(ContextMiddleware(app, parent)(scope, server.receive, server.send))
        assert [each["type"] for each in server.sent] == [f"websocket.{kind}"]

    run(main())
    assert found == (["close"] if kind == "close" else [])


def test_a_websocket_whose_end_is_on_its_way(run: Run) -> None:
    async def main() -> None:
        server, (parent, stop) = Server(), libctx.with_cancel(libctx.background())

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.close"})

        async def send(message: Any) -> None:
            server.sent.append(message)
            asyncio.get_running_loop().call_soon(stop)
            await asyncio.sleep(3600)

        await with_watchdog(ContextMiddleware(app, parent)(http_scope(kind="websocket"), server.receive, send))
        assert len(server.sent) == 1

    run(main())


def test_the_body_is_not_lost_when_the_client_goes(run: Run) -> None:
    found: list[Any] = []

    async def main() -> None:
        server = Server()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            server.put(request(b"one", True), request(b"two"), GONE)
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                found.extend([await receive() for _ in range(4)])

        await with_watchdog(serve(app)(server))

    run(main())
    assert found == [request(b"one", True), request(b"two"), GONE, GONE]


def test_several_tasks_receive(run: Run) -> None:
    """And one that is canceled takes no message with it."""
    found: list[bytes] = []

    async def main() -> None:
        server = Server()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            first, second, third = (asyncio.create_task(receive()) for _ in range(3))
            await asyncio.sleep(0)
            first.cancel()
            server.put(request(b"one", True), request(b"two"))
            found.extend([each["body"] for each in await asyncio.gather(second, third)])
            await respond(send)

        await with_watchdog(serve(app)(server))

    run(main())
    assert sorted(found) == [b"one", b"two"]


def test_no_more_is_read_ahead_than_a_server_reads(run: Run) -> None:
    async def main() -> None:
        server = Server()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for _ in range(5):
                server.put(request(bytes(40000), True))
            await while_not(lambda: server.received == 2)
            for _ in range(10):
                await asyncio.sleep(0)
            assert server.received == 2
            await receive()
            await while_not(lambda: server.received == 3)
            for _ in range(4):
                assert (await receive())["body"] == bytes(40000)
            await respond(send)

        await with_watchdog(serve(app)(server))

    run(main())


def test_a_client_that_waits_for_100_is_told_when_the_handler_asks(run: Run) -> None:
    async def main() -> None:
        server = Server()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            server.put(BODY)
            for _ in range(10):
                await asyncio.sleep(0)
            assert server.received == 0
            assert await receive() == BODY
            await respond(send)

        await with_watchdog(serve(app, ("expect", "100-Continue"))(server))
        assert server.status == 200

    run(main())


def test_what_the_server_raises_reaches_the_handler(run: Run) -> None:
    async def main() -> None:
        server = Server()

        async def receive() -> Any:
            raise ConnectionError("the server's own")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            with pytest.raises(ConnectionError, match="the server's own"):
                await receive()
            await respond(send)

        await with_watchdog(ContextMiddleware(app)(http_scope(), receive, server.send))
        assert server.status == 200

    run(main())


def test_a_disconnect_after_the_response_ends_nothing(run: Run) -> None:
    """That is how a server says that there is no more."""

    async def main() -> None:
        server = Server()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            ctx = libctx.current()
            await respond(send)
            server.put(BODY, GONE)
            await while_not(lambda: server.received == 2)
            await asyncio.sleep(0.001)
            assert not ctx.is_done and await receive() == BODY and await receive() == GONE

        await with_watchdog(serve(app)(server))

    run(main())


def test_one_that_answers_at_once_needs_no_reader(run: Run) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send)

    async def main() -> None:
        server = Server()
        server.put(BODY)
        await with_watchdog(serve(app)(server))
        await asyncio.sleep(0.001)
        assert server.received == 0

    run(main())
