# SPDX-License-Identifier: MIT
"""The context of a request below ContextMiddleware, and what ends it, with a server that each test plays itself."""

import asyncio
from errno import ECONNRESET
from typing import Any

import libctx
import pytest
from conftest import Run
from libctx.asgi import ContextMiddleware
from serving import BODY, GONE, HOUR, TIMEOUT, Server, request, respond, serve, while_not, with_watchdog


def test_a_request_has_a_context_of_its_own(clock: libctx.VirtualLoop, run: Run) -> None:
    found: list[libctx.Context] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(libctx.current())
        assert libctx.current().remaining() == 1.5
        assert (await receive())["body"] == b"text"
        await respond(send)

    async def main() -> None:
        outside = libctx.current()
        server = Server()
        server.put(request(b"text"))
        await with_watchdog(serve(app, (TIMEOUT, "1500"), parent=clock.background())(server))
        assert server.status == 200 and server.sent[1]["body"] == b"ok"
        assert libctx.current() == outside

    run(main())
    assert isinstance(found[0].err(), libctx.Canceled)  # what the handler has left behind ends with it


def test_a_client_that_goes_ends_a_handler_that_never_receives(run: Run) -> None:
    found: list[BaseException | None] = []

    async def main() -> None:
        server = Server()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            server.put(BODY, GONE)
            try:
                await asyncio.sleep(3600)
            finally:
                found.append(libctx.current().cause())
                assert libctx.current().origin() == libctx.Origin.PEER

        await with_watchdog(serve(app)(server))
        assert server.sent == []

    run(main())
    assert isinstance(found[0], libctx.Cause) and found[0].code == -ECONNRESET
    assert str(found[0]) == "the client has gone"


def test_the_deadline_is_answered_by_504(clock: libctx.VirtualLoop, run: Run) -> None:
    found: list[BaseException | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asyncio.get_running_loop().call_soon(clock.advance, 3600)
        try:
            await asyncio.sleep(3600)
        finally:
            found.append(libctx.current().err())

    async def main() -> None:
        server = Server()
        await with_watchdog(serve(app, (TIMEOUT, HOUR), parent=clock.background())(server))
        assert server.status == 504 and server.sent[1]["body"] == b"context deadline exceeded"

    run(main())
    assert isinstance(found[0], libctx.DeadlineExceeded)


def test_the_end_of_the_parent_is_answered_by_503(run: Run) -> None:
    async def main() -> None:
        server, (parent, stop) = Server(), libctx.with_cancel(libctx.background())

        async def app(scope: Any, receive: Any, send: Any) -> None:
            asyncio.get_running_loop().call_soon(stop, "the server stops")
            await asyncio.sleep(3600)

        await with_watchdog(serve(app, parent=parent)(server))
        assert server.status == 503
        server = Server()
        await with_watchdog(serve(app, parent=parent)(server))  # from then on at once
        assert server.status == 503

    run(main())


def test_the_deadline_of_the_parent_is_its_end(clock: libctx.VirtualLoop, run: Run) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        asyncio.get_running_loop().call_soon(clock.advance, 60)
        await asyncio.sleep(3600)

    async def main() -> None:
        server = Server()
        parent = libctx.with_timeout(clock.background(), 60).ctx
        await with_watchdog(serve(app, (TIMEOUT, HOUR), parent=parent)(server))
        assert server.status == 503

    run(main())


def test_default_and_maximum(clock: libctx.VirtualLoop, run: Run) -> None:
    found: list[float | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(libctx.current().remaining())
        await respond(send)

    async def main() -> None:
        options = {"parent": clock.background(), "default_timeout": 30, "maximum_timeout": 60}
        for headers in ((), ((TIMEOUT, "1000"),), ((TIMEOUT, HOUR),)):
            await with_watchdog(serve(app, *headers, **options)(Server()))
        await with_watchdog(serve(app, (TIMEOUT, "1"), timeout_header=None)(Server()))
        await with_watchdog(serve(app, ("Deadline", "5"), timeout_header="deadline", parent=clock.background())(Server()))

    run(main())
    assert found == [30, 1, 60, None, 0.005]


def test_strings_of_the_request(run: Run) -> None:
    """They are its own: what the server's context has under these names is not."""
    found: list[dict[str, str]] = []
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    sent = (("traceparent", trace), ("baggage", "user=ada"), ("baggage", "tier=gold"), ("Request-Id", "seven"), ("other", "x"))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(libctx.current().strings())
        await respond(send)

    async def main() -> None:
        parent = libctx.with_baggage(libctx.with_string(libctx.background(), "request-id", "the server"), "user", "root")
        for strings in (["traceparent", "baggage", "Request-Id"], ["request-id"], []):
            await with_watchdog(serve(app, *sent, parent=parent, strings=strings)(Server()))
        await with_watchdog(serve(app, parent=parent, strings=["request-id", "baggage"])(Server()))
        await with_watchdog(serve(app, *sent, ("traceparent", trace), ("baggage", f"{'x' * 1000000}=1"))(Server()))

    run(main())
    plain = {"request-id": "the server", "baggage": "user=root"}
    assert found == [
        {"traceparent": trace, "baggage": "user=ada,tier=gold", "request-id": "seven"},
        plain | {"request-id": "seven"},
        plain,
        {},
        {"baggage": "user=ada,tier=gold"},
    ]


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "", "1,2", "99999999999", "1\x00", "é"])
def test_a_malformed_timeout_is_answered_by_400(text: str, run: Run) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the handler was called")

    async def main() -> None:
        server = Server()
        await with_watchdog(serve(app, (TIMEOUT, text), default_timeout=30)(server))
        assert server.status == 400 and b"timeout" in server.sent[1]["body"]

    run(main())


def test_a_timeout_of_nothing(run: Run) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the handler was called")

    async def main() -> None:
        server = Server()
        await with_watchdog(serve(app, (TIMEOUT, "0"))(server))
        assert server.status == 504

    run(main())


def test_a_response_that_has_begun_is_cut_off(clock: libctx.VirtualLoop, run: Run) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        asyncio.get_running_loop().call_soon(clock.advance, 3600)
        await asyncio.sleep(3600)

    async def main() -> None:
        server = Server()
        await with_watchdog(serve(app, (TIMEOUT, HOUR), parent=clock.background())(server))
        assert [each.get("body") for each in server.sent] == [None, b"first"]

    run(main())


def test_a_handler_that_does_not_stop_is_not_waited_for(clock: libctx.VirtualLoop, run: Run) -> None:
    found: list[BaseException] = []

    async def main() -> None:
        server, leave = Server(), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            asyncio.get_running_loop().call_soon(clock.advance, 3600)
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await leave.wait()
            try:
                await respond(send)
            except libctx.DeadlineExceeded as error:
                found.append(error)
            await respond(send)

        task = asyncio.ensure_future(serve(app, (TIMEOUT, HOUR), parent=clock.background())(server))
        await while_not(lambda: len(server.sent) == 2)
        assert server.status == 504 and not task.done()
        leave.set()
        await with_watchdog(task)
        assert len(server.sent) == 2

    run(main())
    assert len(found) == 1


def test_a_response_that_is_ready_too_late_is_not_sent(clock: libctx.VirtualLoop, run: Run) -> None:
    """Also if the event loop has not been told of the end yet."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        clock.advance(3600)
        await respond(send)

    async def checks(scope: Any, receive: Any, send: Any) -> None:
        clock.advance(3600)
        try:
            libctx.current().check()
        except libctx.Error:
            await respond(send, status=500)  # as Starlette does
            raise

    async def main() -> None:
        for each in (app, checks):
            server = Server()
            await with_watchdog(serve(each, (TIMEOUT, HOUR), parent=clock.background())(server))
            assert (server.status, len(server.sent)) == (504, 2)

    run(main())


@pytest.mark.parametrize(("left", "deadline"), [(0.004, True), (0.006, False)])
def test_a_hang_up_at_the_deadline_is_the_deadline(left: float, deadline: bool, clock: libctx.VirtualLoop, run: Run) -> None:
    check_hang_up(0.1, left, deadline, clock, run)


@pytest.mark.parametrize(("left", "deadline"), [(35, True), (37, False)])
def test_a_hang_up_at_a_late_deadline_is_the_deadline(left: float, deadline: bool, clock: libctx.VirtualLoop, run: Run) -> None:
    check_hang_up(3600, left, deadline, clock, run)


def check_hang_up(seconds: float, left: float, deadline: bool, clock: libctx.VirtualLoop, run: Run) -> None:
    found: list[libctx.Error | None] = []

    async def main() -> None:
        server = Server()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            clock.advance(seconds - left)
            server.put(BODY, GONE)
            try:
                await asyncio.sleep(3600)
            finally:
                found.append(libctx.current().err())

        await with_watchdog(serve(app, (TIMEOUT, str(int(seconds * 1000))), parent=clock.background())(server))
        assert server.sent == []

    run(main())
    assert isinstance(found[0], libctx.DeadlineExceeded if deadline else libctx.Canceled)


def test_the_lifespan_has_the_context_of_the_server(run: Run) -> None:
    async def main() -> None:
        parent = libctx.with_cancel(libctx.background()).ctx
        calls: list[tuple[Any, Any, Any]] = []

        async def app(*call: Any) -> None:
            assert libctx.current() == parent
            calls.append(call)

        server = Server()
        scope = {"type": "lifespan"}
        await ContextMiddleware(app, parent)(scope, server.receive, server.send)
        assert calls == [(scope, server.receive, server.send)]

    run(main())


def test_arguments() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    with pytest.raises(TypeError, match="Context"):
        ContextMiddleware(app, 5)  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError)):
        ContextMiddleware(app, default_timeout="soon")  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError)):
        ContextMiddleware(app, maximum_timeout=-1)
    with pytest.raises(ValueError):
        ContextMiddleware(app, timeout_header="no token")
    with pytest.raises(ValueError):
        ContextMiddleware(app, name="a\0b")
    with pytest.raises(TypeError, match="several names"):
        ContextMiddleware(app, strings="baggage")
