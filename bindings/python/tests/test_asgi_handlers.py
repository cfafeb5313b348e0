# SPDX-License-Identifier: MIT
"""What a handler below ContextMiddleware raises, and what it leaves behind, with a server that each test plays itself."""

import asyncio
import contextlib
import gc
import weakref
from contextvars import Context, ContextVar
from typing import Any

import libctx
import pytest
from conftest import Run
from libctx.asgi import ContextMiddleware
from serving import BODY, GONE, HOUR, TIMEOUT, Server, http_scope, respond, serve, while_not, with_watchdog


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
