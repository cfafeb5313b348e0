# SPDX-License-Identifier: MIT
"""libctx.grpc with threads: how a server learns why it is canceled."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import libctx
import libctx.grpc
import libctx.logging
import pytest
from calling import CANCELS, CODE, EACH, NUMBER, PLAIN, TELL, Handler, Methods, Spy, ask, calling, failing, finish, handlers, seen, serving
from conftest import WATCHDOG, Told, until
from libctx.grpc import ServerInterceptor, _caller, _channel


@EACH
@pytest.mark.parametrize("reason", ["the user went away", None])
def test_a_cancel_at_the_client(kind: str, reason: str | None, held: threading.Event) -> None:
    handler = Handler()
    with serving(spy := Spy(), ServerInterceptor(), **handler.all) as address, calling(address, name="client") as methods:
        ctx, cancel = libctx.with_cancel(libctx.background())
        with libctx.use(ctx):
            call = methods.begin(kind, ask(held))
        handler.began.get(timeout=WATCHDOG)
        cancel(reason)
        with pytest.raises(libctx.Canceled) as caught:
            finish(kind, call)
        assert (None if caught.value.__cause__ is None else str(caught.value.__cause__)) == reason
        found = seen(handler.ended.get(timeout=WATCHDOG))
        if reason is not None:
            until(lambda: spy.told == 1)
        told = (libctx.Canceled, reason, libctx.Origin.CANCELED, "client")
        assert found in ((PLAIN,) if reason is None else (PLAIN, told))  # the cancel may have overtaken the reason
        assert call.code() is CODE.CANCELLED and call.done() and isinstance(call, grpc.Call)
        assert spy.told == (reason is not None)
        numbers = {metadata["ctx-call"] for _, metadata in spy.asked}
        assert len(numbers) == 1 and len(numbers.pop()) == 32


def test_nearly_all_reasons_arrive(held: threading.Event) -> None:
    rounds = CANCELS
    handler = Handler()
    found: list[str] = []
    with serving(ServerInterceptor(), unary=handler.unary) as address, calling(address) as methods:
        for number in range(rounds):
            ctx, cancel = libctx.with_cancel(libctx.background())
            with libctx.use(ctx):
                call = methods.unary.future(b"")
            handler.began.get(timeout=WATCHDOG)
            cancel(f"reason {number}")
            with pytest.raises(libctx.Canceled):
                call.result(WATCHDOG)
            found.append(str(handler.ended.get(timeout=WATCHDOG).cause()))
    right = sum(text == f"reason {number}" for number, text in enumerate(found))
    assert right >= 0.99 * rounds and set(found) <= {f"reason {n}" for n in range(rounds)} | {"the call was canceled"}


def test_a_companion_ends_a_call_at_once() -> None:
    """Also without the cancel that should follow it; its answer says nothing."""
    handler = Handler()
    claim = libctx.encode_cause(OSError(32, "the pipe broke"), "somebody")
    with serving(ServerInterceptor(name="it"), unary=handler.unary) as address, calling(address, ours=False) as methods:
        call = methods.unary.future(b"", metadata=(("ctx-call", NUMBER.upper()),))
        handler.began.get(timeout=WATCHDOG)
        for number, text in [("f" * 32, claim), ("", claim), (NUMBER[1:], claim), (NUMBER, "no cause"), (NUMBER, ""), (NUMBER, "v=1")]:
            assert methods.tell(b"", metadata=(("ctx-call", number), ("ctx-cause", text))) == b""
        assert methods.tell(b"") == methods.tell(b"junk", metadata=(("ctx-call", NUMBER),)) == b""
        assert not call.done() and handler.ended.empty()
        assert methods.tell(b"", metadata=(("ctx-call", NUMBER), ("ctx-cause", claim))) == b""
        claimed = (libctx.Canceled, "[Errno 32] the pipe broke", libctx.Origin.CANCELED, "somebody")
        assert seen(handler.ended.get(timeout=WATCHDOG)) == claimed
        error = failing("unary", call)
        assert (error.code(), str(libctx.grpc.cause(error))) == (CODE.CANCELLED, "[Errno 32] the pipe broke")
        assert methods.tell(b"", metadata=(("ctx-call", NUMBER), ("ctx-cause", claim))) == b""


def test_a_companion_needs_no_thread_of_the_pool() -> None:
    handler = Handler()
    with serving(ServerInterceptor(), workers=1, unary=handler.unary) as address, calling(address, ours=False) as methods:
        call = methods.unary.future(b"", metadata=(("ctx-call", NUMBER),))
        handler.began.get(timeout=WATCHDOG)
        methods.tell.future(b"", metadata=(("ctx-call", NUMBER), ("ctx-cause", libctx.encode_cause("why"))))
        assert str(handler.ended.get(timeout=WATCHDOG).cause()) == "why"
        call.cancel()


@pytest.mark.parametrize("number", [NUMBER[1:], NUMBER + "0", "g" * 32, "", " " + NUMBER[1:]])
def test_a_number_that_is_none(number: str) -> None:
    handler = Handler()
    server = ServerInterceptor()
    with serving(server, unary=handler.unary) as address, calling(address, ours=False) as methods:
        call = methods.unary.future(b"", metadata=(("ctx-call", number),))
        handler.began.get(timeout=WATCHDOG)
        assert not server._serving.numbered
        call.cancel()
        assert seen(handler.ended.get(timeout=WATCHDOG)) == PLAIN


def test_a_server_without_the_interceptor_is_told_once() -> None:
    handler = Handler()
    began = threading.Semaphore(0)

    def wait(request: bytes, context: Any) -> bytes:
        over = threading.Event()
        context.add_callback(over.set)
        began.release()
        assert over.wait(WATCHDOG)
        return b""

    with serving(spy := Spy(), unary=wait) as address, grpc.insecure_channel(address) as plain:
        channel: Any = libctx.grpc.intercept_channel(plain)
        methods = Methods(channel)
        for number in range(3):
            ctx, cancel = libctx.with_cancel(libctx.background())
            with libctx.use(ctx):
                call = methods.unary.future(b"")
            assert began.acquire(timeout=WATCHDOG)
            cancel("why")
            with pytest.raises(libctx.Canceled):
                call.result(WATCHDOG)
            if number == 0:
                until(lambda: not channel.companions.wanted)
    assert [method == TELL for method, _ in spy.asked] == [False, True, False, False]
    assert ["ctx-call" in metadata for _, metadata in spy.asked] == [True, True, False, False]
    assert handler.began.empty()


def test_reasons_can_stay_here() -> None:
    handler = Handler()
    with serving(spy := Spy(), ServerInterceptor(), unary=handler.unary) as address, calling(address, tell=False) as methods:
        ctx, cancel = libctx.with_cancel(libctx.background())
        with libctx.use(ctx):
            call = methods.unary.future(b"")
        handler.began.get(timeout=WATCHDOG)
        cancel("a secret")
        with pytest.raises(libctx.Canceled):
            call.result(WATCHDOG)
        assert seen(handler.ended.get(timeout=WATCHDOG)) == PLAIN
    assert [sorted(metadata) for _, metadata in spy.asked if "ctx-call" in metadata] == []


class Recorder:
    def __init__(self, method: Any) -> None:
        self.sent: list[Any] = []
        self._method = method

    def future(self, *args: Any, **named: Any) -> Any:
        self.sent.append(args)
        return self._method.future(*args, **named)


def test_at_most_64_companions_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer them: the others' reasons are lost, and their cancels do not wait."""
    assert _caller.COMPANION_TIMEOUT == 0.1
    monkeypatch.setattr(_channel, "COMPANION_TIMEOUT", WATCHDOG)
    n = 70
    told: list[str] = []
    hold, began, over = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def wait(request: bytes, context: Any) -> bytes:
        end = threading.Event()
        context.add_callback(end.set)
        began.release()
        assert end.wait(WATCHDOG)
        over.release()
        return b""

    def tell(request: bytes, context: Any) -> bytes:
        told.append("")
        hold.wait(WATCHDOG)
        return b""

    with ThreadPoolExecutor(n + 64 + 8) as pool:
        server = grpc.server(pool)
        server.add_registered_method_handlers("t", handlers({"unary": wait}))
        server.add_registered_method_handlers("libctx.Causes", {"Tell": grpc.unary_unary_rpc_method_handler(tell)})
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as plain:
            channel: Any = libctx.grpc.intercept_channel(plain)
            channel.companions._tell = recorder = Recorder(channel.companions._tell)
            ctx, cancel = libctx.with_cancel(libctx.background())
            with libctx.use(ctx):
                calls = [Methods(channel).unary.future(b"") for _ in range(n)]
            for _ in range(n):
                assert began.acquire(timeout=WATCHDOG)
            cancel("why")
            assert len(recorder.sent) == 64 and {args[1] for args in recorder.sent} == {WATCHDOG}
            for _ in range(n - 64):
                assert over.acquire(timeout=WATCHDOG)
            hold.set()
            for call in calls:
                with pytest.raises(libctx.Canceled):
                    call.result(WATCHDOG)
            for _ in range(64):
                assert over.acquire(timeout=WATCHDOG)
            until(lambda: channel.companions._under_way == 0)
        server.stop(None).wait()


def test_a_companion_of_a_channel_that_is_closed(told: Told) -> None:
    handler = Handler()
    with serving(ServerInterceptor(), unary=handler.unary) as address:
        channel: Any = libctx.grpc.intercept_channel(grpc.insecure_channel(address))
        ctx, cancel = libctx.with_cancel(libctx.background())
        with libctx.use(ctx):
            call = Methods(channel).unary.future(b"")
        handler.began.get(timeout=WATCHDOG)
        channel.close()
        assert seen(handler.ended.get(timeout=WATCHDOG)) == PLAIN
        cancel("too late")
        with pytest.raises(libctx.Canceled):
            call.result(WATCHDOG)
        canceled = threading.Event()
        channel.companions.send((("ctx-call", NUMBER), ("ctx-cause", "")), canceled.set)
        assert canceled.wait(WATCHDOG)
        assert channel.companions._under_way == 0 and not told
