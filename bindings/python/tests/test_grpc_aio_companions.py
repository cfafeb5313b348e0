# SPDX-License-Identifier: MIT
"""libctx.grpc.aio: how a server learns why it is canceled."""

import asyncio
from typing import Any

import grpc
import libctx
import libctx.grpc
import pytest
from calling import CANCELS, NUMBER, PLAIN, TELL, AioSpy, Methods, handlers, seen
from calling_aio import CODE, EACH, Handler, begin, calling, failing, finish, serving
from conftest import Run
from libctx.grpc.aio import ServerInterceptor, intercept_channel
from serving import while_not, with_watchdog


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
