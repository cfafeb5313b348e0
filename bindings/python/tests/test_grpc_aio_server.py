# SPDX-License-Identifier: MIT
"""libctx.grpc.aio: the calls of a server on asyncio, and how they are answered."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import libctx
import libctx.grpc
import pytest
from calling import NUMBER, PARENT, PLAIN, seen
from calling_aio import CODE, EACH, Handler, begin, calling, each_of, echo, failing, finish, serving
from conftest import WATCHDOG, Run
from libctx._asyncio import _hub
from libctx.grpc._aio_server import _handle
from libctx.grpc._served import Served, Serving
from libctx.grpc.aio import ServerInterceptor
from serving import while_not, with_watchdog


@EACH
def test_the_context_ends_with_its_handler(kind: str, run: Run) -> None:
    found: list[libctx.Context] = []

    async def main() -> None:
        async with serving(ServerInterceptor(), **echo(lambda: found.append(libctx.current()))) as address, calling(address) as methods:
            await finish(kind, begin(methods, kind, each_of(b"a")))
            await while_not(lambda: found and all(ctx.is_done for ctx in found))

    run(main())


@EACH
@pytest.mark.parametrize(("left", "error"), [(35, libctx.DeadlineExceeded), (37, libctx.Canceled)])
def test_a_client_that_goes_at_the_deadline(
    kind: str, left: float, error: type[Exception], clock: libctx.VirtualLoop, run: Run
) -> None:
    async def main() -> None:
        handler = Handler()
        server = ServerInterceptor(clock.background(), default_timeout=3600)
        async with serving(server, **handler.all) as address, calling(address, ours=False) as methods:
            call = begin(methods, kind)
            assert (await with_watchdog(handler.began.get())).remaining() == 3600
            clock.advance(3600 - left)
            call.cancel()
            assert seen(await with_watchdog(handler.ended.get()))[0] is error

    run(main())


@EACH
def test_a_server_that_ends_answers(kind: str, run: Run) -> None:
    async def main() -> None:
        handler = Handler()
        parent, stop = libctx.with_cancel(libctx.background())
        server = ServerInterceptor(parent, name="store")
        async with serving(server, **handler.all) as address, calling(address, ours=False) as methods:
            call = begin(methods, kind)
            await with_watchdog(handler.began.get())
            stop(OSError(28, "the disk is full"))
            error = await failing(kind, call)
            cause = libctx.grpc.cause(error)
            assert (error.code(), error.details()) == (CODE.UNAVAILABLE, "context canceled")
            assert cause is not None and (cause.message, cause.code, cause.peer) == ("[Errno 28] the disk is full", -28, "store")
            assert str(await libctx.grpc.aio.cause(call)) == str(cause)
            assert (await failing(kind, begin(methods, kind))).code() is CODE.UNAVAILABLE and handler.began.empty()

    run(main())


@EACH
@pytest.mark.parametrize("limits", [{"default_timeout": 60}, {"maximum_timeout": 60}])
def test_the_limits_of_a_server(kind: str, limits: dict[str, Any], clock: libctx.VirtualLoop, run: Run) -> None:
    async def main() -> None:
        handler = Handler()
        server = ServerInterceptor(clock.background(), **limits)
        async with serving(server, **handler.all) as address, calling(address, ours=False) as methods:
            call = begin(methods, kind, timeout=3600 if "maximum_timeout" in limits else None)
            assert (await with_watchdog(handler.began.get())).remaining() == 60
            clock.advance(60)
            error = await failing(kind, call)
            assert error.code() is CODE.DEADLINE_EXCEEDED
            assert str(libctx.grpc.cause(error)) == "context deadline exceeded"

    run(main())


async def inner_timeout(context: Any) -> None:
    async with libctx.timeout(0, cause="slow disk"):
        await asyncio.sleep(3600)


async def inner_cancel(context: Any) -> None:
    ctx, cancel = libctx.with_cancel(libctx.current())
    cancel("no need")
    context.set_trailing_metadata((("own", "1"),))
    ctx.check()


async def abort(context: Any) -> None:
    context.set_trailing_metadata((("own", "1"),))
    await context.abort(CODE.NOT_FOUND, "nothing here")


async def set_code(context: Any) -> None:
    context.set_code(CODE.ALREADY_EXISTS)


async def set_code_and_fail(context: Any) -> None:
    context.set_code(CODE.ALREADY_EXISTS)
    raise libctx.Canceled


async def fault(context: Any) -> None:
    raise ZeroDivisionError


async def asyncio_timeout(context: Any) -> None:
    """A cancel of the task that is none of the call's."""
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(3600)
    except TimeoutError:
        assert not libctx.current().is_done
        await context.abort(CODE.OUT_OF_RANGE, "too long")


ANSWERS: list[tuple[Callable[[Any], Awaitable[None]], grpc.StatusCode, str | None, bool]] = [
    (inner_timeout, CODE.DEADLINE_EXCEEDED, "slow disk", False),
    (inner_cancel, CODE.CANCELLED, "no need", True),
    (abort, CODE.NOT_FOUND, None, True),
    (set_code, CODE.ALREADY_EXISTS, None, False),
    (set_code_and_fail, CODE.ALREADY_EXISTS, None, False),
    (fault, CODE.UNKNOWN, None, False),
    (asyncio_timeout, CODE.OUT_OF_RANGE, None, False),
]


@pytest.mark.parametrize(("do", "code", "reason", "own"), ANSWERS)
@pytest.mark.parametrize("kind", ["unary", "down"])
def test_errors_of_a_handler(
    kind: str, do: Callable[[Any], Awaitable[None]], code: grpc.StatusCode, reason: str | None, own: bool, run: Run
) -> None:
    async def unary(request: bytes, context: Any) -> bytes:
        await do(context)
        return b""

    async def down(request: bytes, context: Any) -> AsyncIterator[bytes]:
        await do(context)
        for each in list[bytes]():
            yield each

    async def main() -> None:
        async with serving(ServerInterceptor(name="it"), unary=unary, down=down) as address, calling(address) as methods:
            error: Any = await failing(kind, begin(methods, kind))
            cause = libctx.grpc.cause(error)
            assert error.code() is code
            assert (None if cause is None else (cause.message, cause.peer)) == (None if reason is None else (reason, "it"))
            assert (error.trailing_metadata().get("own") == "1") == own

    run(main())


def test_a_handler_that_does_not_stop(clock: libctx.VirtualLoop, run: Run) -> None:
    """What it returns after the end is not sent, and its status only if it has set one."""

    async def stubborn(_: bytes, context: Any) -> bytes:
        clock.advance(60)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
        return b"late"

    async def several(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"in time"
        yield await stubborn(request, context)

    async def main() -> None:
        server = ServerInterceptor(clock.background(), default_timeout=60)
        async with serving(server, unary=stubborn, down=several) as address, calling(address, ours=False) as methods:
            assert (await failing("unary", methods.unary(b""))).code() is CODE.DEADLINE_EXCEEDED
            call = methods.down(b"")
            assert await call.read() == b"in time"
            with pytest.raises(grpc.RpcError) as caught:
                await with_watchdog(call.read())
            assert caught.value.code() is CODE.DEADLINE_EXCEEDED

    run(main())


def test_a_task_group_of_a_handler(run: Run) -> None:
    """All of its tasks are canceled, and the errors of contexts in its group are no fault of the handler."""

    async def wait() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            libctx.current().check()

    async def unary(request: bytes, context: Any) -> bytes:
        began.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wait())
            tasks.create_task(wait())
        return b""

    began = asyncio.Event()

    async def main() -> None:
        parent, stop = libctx.with_cancel(libctx.background())
        async with serving(ServerInterceptor(parent), unary=unary) as address, calling(address) as methods:
            call = methods.unary(b"")
            await with_watchdog(began.wait())
            stop("enough")
            error = await failing("unary", call)
            assert (error.code(), str(libctx.grpc.cause(error))) == (CODE.UNAVAILABLE, "enough")

    run(main())


def test_a_handler_that_cleans_up_is_canceled_once(run: Run) -> None:
    """By the companion, and not by the cancel after it, too; its server waits for it."""
    found: list[str] = []

    async def main() -> None:
        began, clean, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def unary(request: bytes, context: Any) -> bytes:
            began.set()
            try:
                await asyncio.sleep(3600)
            finally:
                found.append(str(libctx.current().cause()))
                await clean.wait()
                found.append("clean")
                over.set()
            return b""

        server = ServerInterceptor()
        async with serving(server, unary=unary) as address, calling(address, ours=False) as methods:
            call = methods.unary(b"", metadata=(("ctx-call", NUMBER),))
            await with_watchdog(began.wait())
            await methods.tell(b"", metadata=(("ctx-call", NUMBER), ("ctx-cause", libctx.encode_cause("why"))))
            await while_not(lambda: found)
            call.cancel()
            await methods.tell(b"")  # the server has seen what came before
            clean.set()
            await with_watchdog(over.wait())
            await while_not(lambda: not server._serving.numbered)

    run(main())
    assert found == ["why", "clean"]


def test_a_handler_whose_task_is_canceled_before_it_begins(run: Run) -> None:
    async def work() -> None:
        raise AssertionError("it has begun")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        call = Served(Serving(None, None, None, (), None), (), None)
        call.cancel()
        waiting = asyncio.create_task(_handle(call, work()))
        loop.call_soon(_hub(loop).drain)
        response, error = await with_watchdog(waiting)
        assert response is None and isinstance(error, asyncio.CancelledError)
        gc.collect()  # a coroutine that nobody awaits would be told of

    run(main())


def test_handlers_with_threads(run: Run) -> None:
    """gRPC runs those that are not async in a pool, and at each step another thread may go on with a stream."""
    began, over = asyncio.Event(), asyncio.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        found: list[Any] = []

        def unary(request: bytes, context: Any) -> bytes:
            ctx = libctx.current()
            loop.call_soon_threadsafe(began.set)
            ctx.wait()
            found.append(seen(ctx))
            loop.call_soon_threadsafe(over.set)
            ctx.check()
            return b""

        def down(request: bytes, context: Any) -> Iterator[bytes]:
            for _ in range(2):
                found.append(libctx.current().string("traceparent"))
                yield b"."

        with ThreadPoolExecutor(1) as pool:
            parent, stop = libctx.with_cancel(libctx.background())
            server = ServerInterceptor(parent)
            async with serving(server, pool=pool, unary=unary, down=down) as address, calling(address) as methods:
                assert await finish("down", methods.down(b"", metadata=(("traceparent", PARENT),))) == b".."
                assert pool.submit(libctx.current).result(WATCHDOG) == libctx.background()
                call = methods.unary(b"")
                await with_watchdog(began.wait())
                call.cancel()
                await with_watchdog(over.wait())
                assert found == [PARENT, PARENT, PLAIN]
                began.clear()
                call = methods.unary(b"")
                await with_watchdog(began.wait())
                stop("enough")
                error = await failing("unary", call)
                assert (error.code(), str(libctx.grpc.cause(error))) == (CODE.UNAVAILABLE, "enough")

    run(main())
