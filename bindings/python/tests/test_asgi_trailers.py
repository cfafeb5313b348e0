# SPDX-License-Identifier: MIT
"""The reason at the end of a response that has begun, with a server that has trailers, which each test plays itself."""

import asyncio
from typing import Any

import libctx
import pytest
from conftest import Run
from libctx.asgi import ContextMiddleware
from serving import BODY, GONE, Server, http_scope, respond, with_watchdog

TE = ("te", "gzip, Trailers")
PROMISE = [(b"trailer", b"ctx-cause")]


async def call(server: Server, app: Any, *headers: tuple[str, str], able: bool = True, **options: Any) -> None:
    scope = http_scope(*headers) | {"extensions": {"http.response.trailers": {}} if able else None}
    await with_watchdog(ContextMiddleware(app, **{"trailers": True} | options)(scope, server.receive, server.send))


async def begin(send: Any, **start: Any) -> None:
    await send({"type": "http.response.start", "status": 200} | start)
    await send({"type": "http.response.body", "body": b"first", "more_body": True})


def kinds(server: Server) -> list[str]:
    return [message["type"].removeprefix("http.response.") for message in server.sent]


def test_a_response_that_has_begun_ends_by_the_reason(run: Run) -> None:
    async def main() -> None:
        parent, cancel = libctx.with_cancel(libctx.background())
        server = Server()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await begin(send)
            asyncio.get_running_loop().call_soon(cancel, OSError(28, "the disk is full"))
            await asyncio.sleep(3600)

        await call(server, app, TE, parent=parent, name="store")
        assert kinds(server) == ["start", "body", "body", "trailers"]
        start, _, last, trailers = server.sent
        assert start["trailers"] and start["headers"] == PROMISE and not last.get("more_body", False)
        [(name, text)] = trailers["headers"]
        cause = libctx.decode_cause(text.decode())
        assert (name, cause.code, cause.peer, trailers["more_trailers"]) == (b"ctx-cause", -28, "store", False)

    run(main())


def test_a_response_that_is_whole_has_trailers_of_nothing(run: Run) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await begin(send, headers=[(b"x", b"y")])
        await send({"type": "http.response.body", "body": b"last"})

    async def main() -> None:
        server = Server()
        await call(server, app, TE)
        assert kinds(server) == ["start", "body", "body", "trailers"]
        assert server.sent[0]["headers"] == [(b"x", b"y"), *PROMISE] and server.sent[3]["headers"] == []

    run(main())


@pytest.mark.parametrize("why", ["not asked", "not able", "not wanted", "a length", "its own"])
def test_others_are_cut_off(why: str, run: Run) -> None:
    starts: dict[str, dict[str, Any]] = {"a length": {"headers": [(b"Content-Length", b"9")]}, "its own": {"trailers": True}}
    start = starts.get(why, {})

    async def main() -> None:
        parent, cancel = libctx.with_cancel(libctx.background())
        server = Server()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await begin(send, **start)
            asyncio.get_running_loop().call_soon(cancel)
            await asyncio.sleep(3600)

        headers = [] if why == "not asked" else [TE]
        await call(server, app, *headers, able=why != "not able", trailers=why != "not wanted", parent=parent)
        assert kinds(server) == ["start", "body"] and server.sent[0] == {"type": "http.response.start", "status": 200} | start

    run(main())


def test_a_client_that_has_gone_is_told_nothing(run: Run) -> None:
    async def main() -> None:
        server = Server()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await begin(send)
            server.put(BODY, GONE)
            await asyncio.sleep(3600)

        await call(server, app, TE)
        assert kinds(server) == ["start", "body"]

    run(main())


def test_an_end_before_the_response(run: Run) -> None:
    async def main() -> None:
        parent, cancel = libctx.with_cancel(libctx.background())
        cancel()
        server = Server()
        await call(server, respond, TE, parent=parent)
        assert kinds(server) == ["start", "body"] and server.status == 503 and "trailers" not in server.sent[0]

    run(main())


def test_a_handler_that_fails_in_its_response(run: Run) -> None:
    """That is not the end of the context: it is the server's to cut it off."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await begin(send)
        raise KeyError("a fault")

    async def main() -> None:
        server = Server()
        with pytest.raises(KeyError):
            await call(server, app, TE)
        assert kinds(server) == ["start", "body"]

    run(main())
