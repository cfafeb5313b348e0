# SPDX-License-Identifier: MIT
"""libctx.grpc.aio: calls of a client on asyncio. docs/calls.md has the rules."""

import asyncio
import gc
from contextlib import AsyncExitStack
from typing import Any

import grpc
import libctx
import libctx.grpc
import pytest
from calling import PARENT, PLAIN, AioSpy, Methods, seen
from calling_aio import CODE, EACH, Handler, begin, calling, each_of, echo, failing_handlers, finish, serving
from conftest import WATCHDOG, Run, Told, in_thread, in_use
from libctx.grpc.aio import ServerInterceptor, intercept_channel
from serving import while_not, with_watchdog


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
