# SPDX-License-Identifier: MIT
"""The life of a request below ContextMiddleware, with a server that each test plays itself."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar
from errno import ECONNRESET
from typing import Any

import libctx
import pytest
from conftest import WATCHDOG, Run
from libctx.asgi import ContextMiddleware
from serving import BODY, GONE, App, Server, http_scope, request, respond, while_not

TIMEOUT = "x-request-timeout-ms"
HOUR = str(3600 * 1000)


def serve(app: App, *headers: tuple[str, str], **options: Any) -> Callable[[Server], Awaitable[None]]:
    """One request of an application, below the middleware."""

    def call(server: Server) -> Awaitable[None]:
        return ContextMiddleware(app, **options)(http_scope(*headers), server.receive, server.send)

    return call


async def with_watchdog(call: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(call, WATCHDOG)


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


def test_work_after_the_response_is_not_ended(clock: libctx.VirtualLoop, run: Run) -> None:
    found: list[str] = []

    async def main() -> None:
        server, (parent, stop) = Server(), libctx.with_cancel(clock.background())

        async def app(scope: Any, receive: Any, send: Any) -> None:
            ctx = libctx.current()
            await respond(send)
            server.put(BODY, GONE)
            clock.advance(7200)
            stop()
            for _ in range(10):
                await asyncio.sleep(0.001)
            assert ctx.is_done
            async with libctx.timeout(60):
                found.append(libctx.current().string("request-id", ""))
            assert not libctx.current().cancelable

        headers = ((TIMEOUT, HOUR), ("Request-Id", "seven"))
        await with_watchdog(serve(app, *headers, parent=parent, strings=["request-id"])(server))
        assert server.status == 200 and len(server.sent) == 2

    run(main())
    assert found == ["seven"]


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


def test_the_server_has_its_own_variables(run: Run) -> None:
    """uvicorn may read on in those of a receive(). Answers are sent in those of the server, and current() tells logs
    whose they are.
    """
    found: list[tuple[str, str]] = []
    mine = ContextVar[str]("mine", default="")

    def note(what: str) -> None:
        found.append((what, mine.get() + libctx.current().string("request-id", "")))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        mine.set("the handler's")
        await receive()
        await asyncio.sleep(3600)

    async def main() -> None:
        parent, stop = libctx.with_cancel(libctx.background())

        async def receive() -> Any:
            note("receive")
            asyncio.get_running_loop().call_soon(stop, context=Context())
            return BODY if len(found) == 1 else await asyncio.sleep(3600)

        async def send(message: Any) -> None:
            note("send")

        mine.set("the server's ")
        call = ContextMiddleware(app, parent, strings=["request-id"])(http_scope(("request-id", "seven")), receive, send)
        await with_watchdog(call)

    run(main())
    assert found == [("receive", "the server's ")] * 2 + [("send", "the server's seven")] * 2


def test_a_task_that_is_left_behind_has_no_end_either(run: Run) -> None:
    async def main() -> None:
        server, done = Server(), asyncio.Event()
        tasks = []

        async def later() -> libctx.Context:
            await done.wait()
            return libctx.current()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            tasks.append(asyncio.create_task(later()))
            await respond(send)

        await with_watchdog(serve(app)(server))
        done.set()
        assert not (await tasks[0]).is_done

    run(main())


def test_what_a_handler_raises_is_its_own(run: Run) -> None:
    found: list[libctx.Context] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(libctx.current())
        raise KeyError("a fault")

    async def main() -> None:
        with pytest.raises(KeyError, match="a fault"):
            await with_watchdog(serve(app)(Server()))

    run(main())
    assert isinstance(found[0].cause(), KeyError)


def test_a_timeout_of_a_handler_is_its_own(run: Run) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with libctx.timeout(0):
            await asyncio.sleep(3600)

    async def main() -> None:
        server = Server()
        with pytest.raises(libctx.DeadlineExceeded):
            await with_watchdog(serve(app)(server))
        assert server.sent == []

    run(main())


def test_what_a_handler_raises_at_its_end_is_not_hidden(clock: libctx.VirtualLoop, run: Run) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        asyncio.get_running_loop().call_soon(clock.advance, 3600)
        try:
            await asyncio.sleep(3600)
        finally:
            raise KeyError("a fault")

    async def main() -> None:
        server = Server()
        with pytest.raises(KeyError, match="a fault"):
            await with_watchdog(serve(app, (TIMEOUT, HOUR), parent=clock.background())(server))
        assert server.status == 504 and len(server.sent) == 2

    run(main())


def test_a_task_group_of_a_handler(clock: libctx.VirtualLoop, run: Run) -> None:
    """Each of its tasks may say that the context is done."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def part() -> None:
            await asyncio.sleep(0)
            libctx.current().check()

        async with asyncio.TaskGroup() as group:
            group.create_task(part())
            group.create_task(part())
            clock.advance(3600)

    async def main() -> None:
        server = Server()
        await with_watchdog(serve(app, (TIMEOUT, HOUR), parent=clock.background())(server))
        assert server.status == 504

    run(main())


def test_a_cancel_from_elsewhere_propagates(run: Run) -> None:
    found: list[BaseException | None] = []

    async def main() -> None:
        server = Server()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            ctx = libctx.current()
            try:
                await asyncio.sleep(3600)
            finally:
                ctx.after(lambda: found.append(ctx.cause()))

        task = asyncio.ensure_future(serve(app)(server))
        await asyncio.sleep(0)
        task.cancel("the server's own")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.sent == []

    run(main())
    assert str(found[0]) == "the server's own"


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


def test_nothing_is_left_behind(run: Run) -> None:
    contexts: list[weakref.ref[libctx.Context]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        contexts.append(weakref.ref(libctx.current()))
        await asyncio.sleep(0.001)
        if len(contexts) == 2:
            raise KeyError("a fault")
        await respond(send)

    async def main() -> None:
        before = asyncio.all_tasks()
        for _ in range(3):
            with contextlib.suppress(KeyError):
                await serve(app, (TIMEOUT, HOUR))(Server())
        await while_not(lambda: len(asyncio.all_tasks() - before) == 1)  # which is this wait

    gc.collect()
    gc.disable()
    try:
        run(main())
        assert [each() for each in contexts] == [None] * 3
    finally:
        gc.enable()


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
