# SPDX-License-Identifier: MIT
"""libctx.grpc.aio: the same as with threads, in tasks. docs/calls.md has the rules."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import libctx
import libctx.grpc
import pytest
from calling import CANCELS, KINDS, NUMBER, PARENT, PLAIN, TELL, AioSpy, Methods, handlers, seen
from conftest import WATCHDOG, Run, Told, in_thread, in_use
from libctx._asyncio import _hub
from libctx.grpc._aio_server import _handle
from libctx.grpc._served import Served, Serving
from libctx.grpc.aio import ServerInterceptor, intercept_channel
from serving import while_not, with_watchdog

EACH = pytest.mark.parametrize("kind", KINDS)
CODE = grpc.StatusCode


@asynccontextmanager
async def serving(*interceptors: grpc.aio.ServerInterceptor, pool: Any = None, **functions: Any) -> AsyncIterator[str]:
    server = grpc.aio.server(pool, interceptors=list(interceptors))
    server.add_registered_method_handlers("t", handlers(functions))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def calling(address: str, ours: bool = True, **options: Any) -> AsyncIterator[Methods]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield Methods(intercept_channel(channel, **options) if ours else channel)


class Handler:
    """Handlers of each kind that wait until they are canceled, and tell what they see then."""

    def __init__(self, wait: Callable[[], Awaitable[object]] | None = None) -> None:
        self.began: asyncio.Queue[libctx.Context] = asyncio.Queue()
        self.ended: asyncio.Queue[libctx.Context] = asyncio.Queue()
        self._work = wait

    async def _wait(self) -> bytes:
        ctx = libctx.current()
        self.began.put_nowait(ctx)
        try:
            if self._work is not None:
                await self._work()
            else:
                await asyncio.sleep(3600)
        except asyncio.CancelledError:
            assert ctx.is_done and libctx.current() == ctx
            self.ended.put_nowait(ctx)
            raise
        return b"done"

    async def unary(self, request: bytes, context: Any) -> bytes:
        return await self._wait()

    async def down(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield await self._wait()

    async def up(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        assert await anext(aiter(requests)) == b"ask"
        return await self._wait()

    async def both(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            assert request == b"ask"
            yield await self._wait()

    @property
    def all(self) -> dict[str, Any]:
        return {kind: getattr(self, kind) for kind in KINDS}


def begin(methods: Methods, kind: str, requests: Any = None, **named: Any) -> Any:
    asks = kind in ("up", "both")
    return getattr(methods, kind)((ask() if requests is None else requests) if asks else b"ask", **named)


async def ask() -> AsyncIterator[bytes]:
    yield b"ask"
    await asyncio.sleep(3600)


async def each_of(*requests: bytes) -> AsyncIterator[bytes]:
    for request in requests:
        yield request


async def finish(kind: str, call: Any) -> bytes:
    if kind in ("unary", "up"):
        return bytes(await call)
    return b"".join([part async for part in call])


async def failing(kind: str, call: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        await finish(kind, call)
    return caught.value


def echo(see: Callable[[], object]) -> dict[str, Any]:
    """Handlers that call a function at each step, and answer."""

    async def unary(request: bytes, context: Any) -> bytes:
        see()
        return request

    async def down(request: bytes, context: Any) -> AsyncIterator[bytes]:
        for _ in range(3):
            see()
            yield request

    async def up(requests: AsyncIterator[bytes], context: Any) -> bytes:
        async for _ in requests:
            see()
        return b"up"

    async def both(requests: AsyncIterator[bytes], context: Any) -> None:  # by the other of gRPC's two ways
        while (request := await context.read()) is not grpc.aio.EOF:
            see()
            await context.write(request)

    return {"unary": unary, "down": down, "up": up, "both": both}


@EACH
def test_what_goes_along(kind: str, run: Run) -> None:
    found: list[libctx.Context] = []

    async def main() -> None:
        ctx = libctx.extract(libctx.background(), {"traceparent": PARENT, "baggage": "user=ada"}).ctx
        ctx = libctx.with_timeout(libctx.with_string(libctx.with_string(ctx, "request-id", "seven"), "bad", "line\nbreak"), 3600).ctx
        strings = ("traceparent", "baggage", "request-id", "bad")
        async with serving(ServerInterceptor(strings=strings), **echo(lambda: found.append(libctx.current()))) as address:
            async with calling(address, strings=strings) as methods:
                with libctx.use(ctx):
                    call = begin(methods, kind, each_of(b"a", b"b", b"c"))
                assert await finish(kind, call) in (b"ask", b"ask" * 3, b"up", b"abc")
                assert await call.code() is CODE.OK and call.done()

    run(main())
    assert len(found) == {"unary": 1}.get(kind, 3)
    for each in found:
        left = each.remaining()
        assert left is not None and 0 < left <= 3600 * 1.01  # gRPC rounds it up
        assert [each.string(name) for name in ("traceparent", "baggage", "request-id", "bad")] == [PARENT, "user=ada", "seven", None]


def test_a_call_outside_of_any_context(run: Run) -> None:
    async def main() -> None:
        async with serving(spy := AioSpy(), ServerInterceptor(), **echo(int)) as address, calling(address) as methods:
            assert await methods.unary(b"a") == b"a"
            assert await finish("both", methods.both(each_of(b"a", b"b"))) == b"ab"
        assert all("ctx-call" not in metadata for _, metadata in spy.asked)

    run(main())


@EACH
def test_the_context_ends_with_its_handler(kind: str, run: Run) -> None:
    found: list[libctx.Context] = []

    async def main() -> None:
        async with serving(ServerInterceptor(), **echo(lambda: found.append(libctx.current()))) as address, calling(address) as methods:
            await finish(kind, begin(methods, kind, each_of(b"a")))
            await while_not(lambda: found and all(ctx.is_done for ctx in found))

    run(main())


@EACH
@pytest.mark.parametrize("reason", ["the user went away", None])
def test_a_cancel_at_the_client(kind: str, reason: str | None, run: Run) -> None:
    async def main() -> None:
        handler = Handler()
        async with serving(spy := AioSpy(), ServerInterceptor(), **handler.all) as address, calling(address, name="client") as methods:
            ctx, cancel = libctx.with_cancel(libctx.background())
            with libctx.use(ctx):
                call = begin(methods, kind)
            await with_watchdog(handler.began.get())
            cancel(reason)
            with pytest.raises(libctx.Canceled) as caught:
                await finish(kind, call)
            assert (None if caught.value.__cause__ is None else str(caught.value.__cause__)) == reason
            found = seen(await with_watchdog(handler.ended.get()))
            if reason is not None:
                await while_not(lambda: spy.spy.told == 1)
            told = (libctx.Canceled, reason, libctx.Origin.CANCELED, "client")
            assert found in ((PLAIN,) if reason is None else (PLAIN, told))  # the cancel may have overtaken the reason
            assert spy.spy.told == (reason is not None)

    run(main())


def test_nearly_all_reasons_arrive(run: Run) -> None:
    rounds = CANCELS
    found: list[str] = []

    async def main() -> None:
        handler = Handler()
        async with serving(ServerInterceptor(), unary=handler.unary) as address, calling(address) as methods:
            for number in range(rounds):
                ctx, cancel = libctx.with_cancel(libctx.background())
                with libctx.use(ctx):
                    call = methods.unary(b"")
                await with_watchdog(handler.began.get())
                cancel(f"reason {number}")
                with pytest.raises(libctx.Canceled):
                    await call
                found.append(str((await with_watchdog(handler.ended.get())).cause()))

    run(main())
    right = sum(text == f"reason {number}" for number, text in enumerate(found))
    assert right >= 0.99 * rounds and set(found) <= {f"reason {n}" for n in range(rounds)} | {"the call was canceled"}


@EACH
def test_a_cancel_of_the_task_at_the_client(kind: str, run: Run) -> None:
    """It stays one, and gRPC passes it on."""

    async def main() -> None:
        handler = Handler()
        async with serving(ServerInterceptor(), **handler.all) as address, calling(address) as methods:
            with libctx.use(libctx.with_cancel(libctx.background()).ctx):
                task = asyncio.create_task(finish(kind, begin(methods, kind)))
            await with_watchdog(handler.began.get())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert seen(await with_watchdog(handler.ended.get())) == PLAIN

    run(main())


@EACH
def test_the_deadline(kind: str, run: Run) -> None:
    async def main() -> None:
        handler = Handler()
        async with serving(spy := AioSpy(), ServerInterceptor(), **handler.all) as address, calling(address) as methods:
            for seconds in (0.1, 1, 10):  # one may be too short for the call to get there
                with libctx.use(libctx.with_timeout(libctx.background(), seconds, cause="no time").ctx):
                    with pytest.raises(libctx.DeadlineExceeded) as caught:
                        await finish(kind, begin(methods, kind))
                assert str(caught.value.__cause__) == "no time"
                if not handler.began.empty():
                    break
            assert seen(await with_watchdog(handler.ended.get()))[0] is libctx.DeadlineExceeded
        assert spy.spy.told == 0

    run(main())


def test_a_cancel_of_both(run: Run) -> None:
    """Of the context and of the task: the task's must not get lost."""

    async def main() -> None:
        handler = Handler()
        async with serving(ServerInterceptor(), unary=handler.unary) as address, calling(address) as methods:
            ctx, cancel = libctx.with_cancel(libctx.background())
            with libctx.use(ctx):
                task = asyncio.create_task(finish("unary", begin(methods, "unary")))
            await with_watchdog(handler.began.get())
            cancel("why")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await with_watchdog(handler.ended.get())

    run(main())


def test_a_cancel_from_outside_of_the_loop(told: Told) -> None:
    """By another thread, and while no loop runs: the loop sees to it when it goes on."""
    handler = Handler()

    with asyncio.Runner() as runner:

        async def begin_call() -> tuple[Any, libctx.Canceler]:
            ctx, cancel = libctx.with_cancel(libctx.background())
            with libctx.use(ctx):
                call = methods.unary(b"")
            await with_watchdog(handler.began.get())
            return call, cancel

        async def end_call(call: Any) -> None:
            with pytest.raises(libctx.Canceled, match="context canceled"):
                await with_watchdog(call)
            await with_watchdog(handler.ended.get())

        stack = AsyncExitStack()
        address = runner.run(stack.enter_async_context(serving(ServerInterceptor(), unary=handler.unary)))
        methods = runner.run(stack.enter_async_context(calling(address)))
        for elsewhere in (True, False):
            call, cancel = runner.run(begin_call())
            if elsewhere:
                in_thread(lambda cancel=cancel: cancel("why")).join()  # type: ignore[misc]
            else:
                cancel("why")
            runner.run(end_call(call))
        runner.run(stack.aclose())
    assert not told


def test_in_a_scope(run: Run) -> None:
    """The scope cancels the task as the call ends, and says why; and so does the call, since it ends first."""
    found: list[str] = []

    async def main() -> None:
        handler = Handler()
        async with serving(ServerInterceptor(), unary=handler.unary) as address, calling(address) as methods:
            for number in range(100):
                ctx, cancel = libctx.with_cancel(libctx.background())

                async def end(cancel: libctx.Canceler, reason: str) -> None:
                    await handler.began.get()
                    cancel(reason)

                ending = asyncio.create_task(end(cancel, f"reason {number}"))
                with pytest.raises(libctx.Canceled) as caught:
                    async with libctx.scope(ctx):
                        await methods.unary(b"")
                assert str(caught.value.__cause__) == f"reason {number}"
                await ending
                found.append(str((await with_watchdog(handler.ended.get())).cause()))

    run(main())
    assert sum(text == f"reason {number}" for number, text in enumerate(found)) >= 99, found


@EACH
def test_a_client_never_cancels_for_the_deadline_of_the_engine(kind: str, clock: libctx.VirtualLoop, run: Run) -> None:
    async def main() -> None:
        go_on = asyncio.Event()
        handler = Handler(go_on.wait)
        async with serving(ServerInterceptor(), **handler.all) as address, calling(address) as methods:
            ctx = libctx.with_timeout(clock.background(), 3600, cause="late").ctx
            with libctx.use(ctx):
                call = begin(methods, kind, each_of(b"ask"))
            await with_watchdog(handler.began.get())
            clock.advance(3600)
            await asyncio.wait_for(ctx, WATCHDOG)
            await asyncio.sleep(0)
            assert not call.done()
            go_on.set()
            assert await finish(kind, call) == b"done"

    run(main())


def failing_handlers(fail: Callable[[], object], code: grpc.StatusCode) -> dict[str, Any]:
    async def one(_: Any, context: Any) -> Any:
        fail()
        await context.abort(code, "broken")

    async def several(_: Any, context: Any) -> AsyncIterator[bytes]:
        await one(_, context)
        yield b""

    return {"unary": one, "up": one, "down": several, "both": several}


@EACH
@pytest.mark.parametrize(("left", "code", "late"), [
    (35, CODE.UNAVAILABLE, True), (37, CODE.UNAVAILABLE, False), (35, CODE.NOT_FOUND, False),
])  # fmt: skip
def test_a_call_that_breaks_at_the_deadline(
    kind: str, left: float, code: grpc.StatusCode, late: bool, clock: libctx.VirtualLoop, run: Run
) -> None:
    async def main() -> None:
        async with serving(**failing_handlers(lambda: clock.advance(3600 - left), code)) as address, calling(address) as methods:
            with libctx.use(libctx.with_timeout(clock.background(), 3600).ctx):
                call = begin(methods, kind)
            with pytest.raises(libctx.DeadlineExceeded if late else grpc.RpcError):
                await finish(kind, call)

    run(main())


@EACH
def test_the_own_context_comes_first(kind: str, run: Run) -> None:
    async def main() -> None:
        ctx, cancel = libctx.with_cancel(libctx.background())
        async with serving(**failing_handlers(lambda: cancel("first"), CODE.NOT_FOUND)) as address, calling(address) as methods:
            with libctx.use(ctx):
                call = begin(methods, kind)
            with pytest.raises(libctx.Canceled) as caught:
                await finish(kind, call)
            assert str(caught.value.__cause__) == "first"

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


def test_a_companion_ends_a_call_at_once(run: Run) -> None:
    async def main() -> None:
        handler = Handler()
        claim = libctx.encode_cause(OSError(32, "the pipe broke"), "somebody")
        async with serving(ServerInterceptor(name="it"), unary=handler.unary) as address, calling(address, ours=False) as methods:
            call = methods.unary(b"", metadata=(("ctx-call", NUMBER),))
            await with_watchdog(handler.began.get())
            for number, text in [("f" * 32, claim), ("", claim), (NUMBER[1:], claim), (NUMBER, "no cause"), (NUMBER, "")]:
                assert await methods.tell(b"", metadata=(("ctx-call", number), ("ctx-cause", text))) == b""
            assert await methods.tell(b"junk", metadata=(("ctx-call", NUMBER),)) == b""
            assert not call.done() and handler.ended.empty()
            assert await methods.tell(b"", metadata=(("ctx-call", NUMBER), ("ctx-cause", claim))) == b""
            claimed = (libctx.Canceled, "[Errno 32] the pipe broke", libctx.Origin.CANCELED, "somebody")
            assert seen(await with_watchdog(handler.ended.get())) == claimed
            error = await failing("unary", call)
            assert (error.code(), str(libctx.grpc.cause(error))) == (CODE.CANCELLED, "[Errno 32] the pipe broke")

    run(main())


def test_a_server_without_the_interceptor_is_told_once(run: Run) -> None:
    async def main() -> None:
        began: asyncio.Queue[None] = asyncio.Queue()

        async def wait(request: bytes, context: Any) -> bytes:
            began.put_nowait(None)
            await asyncio.sleep(3600)
            return b""

        async with serving(spy := AioSpy(), unary=wait) as address, grpc.aio.insecure_channel(address) as plain:
            channel: Any = intercept_channel(plain)
            methods = Methods(channel)
            for number in range(3):
                ctx, cancel = libctx.with_cancel(libctx.background())
                with libctx.use(ctx):
                    call = methods.unary(b"")
                await with_watchdog(began.get())
                cancel("why")
                with pytest.raises(libctx.Canceled):
                    await call
                if number == 0:
                    await while_not(lambda: not channel.companions.wanted)
        assert [method == TELL for method, _ in spy.asked] == [False, True, False, False]
        assert ["ctx-call" in metadata for _, metadata in spy.asked] == [True, True, False, False]

    run(main())


def test_at_most_64_companions_are_under_way(run: Run) -> None:
    async def main() -> None:
        n = 70
        began: asyncio.Queue[None] = asyncio.Queue()
        over: asyncio.Queue[None] = asyncio.Queue()
        hold = asyncio.Event()
        told: list[object] = []

        async def wait(request: bytes, context: Any) -> bytes:
            began.put_nowait(None)
            try:
                await asyncio.sleep(3600)
            finally:
                over.put_nowait(None)
            return b""

        async def tell(request: bytes, context: Any) -> bytes:
            told.append(request)
            await hold.wait()
            return b""

        server = grpc.aio.server()
        server.add_registered_method_handlers("t", handlers({"unary": wait}))
        server.add_registered_method_handlers("libctx.Causes", {"Tell": grpc.unary_unary_rpc_method_handler(tell)})
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as plain:
            channel: Any = intercept_channel(plain)
            ctx, cancel = libctx.with_cancel(libctx.background())
            with libctx.use(ctx):
                calls = [Methods(channel).unary(b"") for _ in range(n)]
            for _ in range(n):
                await with_watchdog(began.get())
            cancel("why")
            for call in calls:
                with pytest.raises(libctx.Canceled):
                    await call
            for _ in range(n):
                await with_watchdog(over.get())
            await while_not(lambda: len(told) >= 64 or not channel.companions._under_way)
            assert len(told) <= 64
            hold.set()
            await while_not(lambda: not channel.companions._under_way)
            assert len(told) <= 64
        await server.stop(None)

    run(main())


def test_a_companion_of_a_channel_that_is_closed(run: Run) -> None:
    async def main() -> None:
        handler = Handler()
        async with serving(ServerInterceptor(), unary=handler.unary) as address:
            channel: Any = intercept_channel(grpc.aio.insecure_channel(address))
            ctx, cancel = libctx.with_cancel(libctx.background())
            with libctx.use(ctx):
                call = Methods(channel).unary(b"")
            await with_watchdog(handler.began.get())
            await channel.close()
            assert seen(await with_watchdog(handler.ended.get())) == PLAIN
            cancel("too late")
            with pytest.raises((libctx.Canceled, asyncio.CancelledError)):
                await call
            then: list[None] = []
            channel.companions.send((("ctx-call", NUMBER), ("ctx-cause", "")), lambda: then.append(None))
            await while_not(lambda: then)

    run(main())


def test_the_deadline_of_a_scope(run: Run) -> None:
    """It cancels the task that waits; the engine ends the call, and nothing is told."""

    async def main() -> None:
        handler = Handler()
        async with serving(spy := AioSpy(), ServerInterceptor(), unary=handler.unary) as address, calling(address) as methods:
            for seconds in (0.1, 1, 10):  # one may be too short for the call to get there
                with pytest.raises(libctx.DeadlineExceeded) as caught:
                    async with libctx.timeout(seconds, cause="no time"):
                        await methods.unary(b"")
                assert str(caught.value.__cause__) == "no time"
                if not handler.began.empty():
                    break
            assert seen(await with_watchdog(handler.ended.get()))[0] is libctx.DeadlineExceeded
        assert spy.spy.told == 0

    run(main())


def test_as_grpc_has_it(run: Run) -> None:
    """The name of a stream of requests; and a response that is None, as of a deserializer that failed, is no end."""

    async def main() -> None:
        async with serving(ServerInterceptor(), **echo(int)) as address, grpc.aio.insecure_channel(address) as plain:
            methods = Methods(intercept_channel(plain))
            with libctx.use(libctx.with_cancel(libctx.background()).ctx):
                assert await methods.up(request_iterator=each_of(b"a")) == b"up"
                assert [part async for part in methods.both(request_iterator=each_of(b"a"))] == [b"a"]
                down: Any = intercept_channel(plain).unary_stream("/t/down", response_deserializer=lambda _: None)
                assert [part async for part in down(b"a")] == [None] * 3

    run(main())


def test_reading_and_writing(run: Run) -> None:
    """gRPC's other way to use a stream."""

    async def main() -> None:
        async with serving(ServerInterceptor(), **echo(int)) as address, calling(address) as methods:
            ctx, cancel = libctx.with_cancel(libctx.background())
            with libctx.use(ctx):
                call, up = methods.both(), methods.up()
            await call.write(b"a")
            assert await call.read() == b"a"
            await up.write(b"a")
            await up.done_writing()
            assert await up == b"up" and isinstance(call, grpc.aio.StreamStreamCall) and isinstance(up, grpc.aio.StreamUnaryCall)
            cancel("enough")
            for use in (call.read, lambda: call.write(b"b"), call.read):
                with pytest.raises(libctx.Canceled) as caught:
                    await with_watchdog(use())
                assert str(caught.value.__cause__) == "enough"

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


def test_nothing_of_a_call_is_kept(run: Run) -> None:
    async def main() -> None:
        ended = Handler()
        lasting = libctx.with_cancel(libctx.background()).ctx  # by what is armed on it, neither
        server = ServerInterceptor(name="it")
        async with serving(server, **(echo(int) | {"unary": ended.unary})) as address, calling(address) as methods:

            async def rounds(n: int) -> None:
                for _ in range(n):
                    ctx, cancel = libctx.with_cancel(libctx.background())
                    with libctx.use(ctx):
                        call = methods.unary(b"")
                    await ended.began.get()
                    cancel("why")
                    with pytest.raises(libctx.Canceled):
                        await call
                    await ended.ended.get()
                    with libctx.use(lasting):
                        await finish("down", methods.down(b""))
                        await methods.up(each_of(b"a"))
                        await finish("both", methods.both(each_of(b"a")))

            await rounds(100)
            await while_not(lambda: not server._serving.numbered)
            gc.collect()
            before, _ = in_use()
            await rounds(200)
            await while_not(lambda: not server._serving.numbered)
            gc.collect()
            after, _ = in_use()
            assert after - before < 400  # blocks: two for each round would be a leak

    run(main())
