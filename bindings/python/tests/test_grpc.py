# SPDX-License-Identifier: MIT
"""libctx.grpc with threads: what goes along with a call, and how it ends at its client. docs/calls.md has the rules."""

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import grpc
import libctx
import libctx.grpc
import libctx.logging
import pytest
from calling import CODE, EACH, KINDS, LONGER, PARENT, PLAIN, Handler, Methods, Spy, ask, calling, echo, failing, finish, seen, serving
from conftest import WATCHDOG, in_thread, in_use, until
from libctx.grpc import ServerInterceptor


@EACH
def test_what_goes_along(kind: str, clock: libctx.VirtualLoop) -> None:
    found: list[libctx.Context] = []
    ctx = libctx.extract(clock.background(), {"traceparent": PARENT, "baggage": "user=ada"}).ctx
    for name, text in {"request-id": "seven", "bad": "line\nbreak", "umlaut": "ä", "unnamed": "here"}.items():
        ctx = libctx.with_string(ctx, name, text)
    strings = ("traceparent", "tracestate", "baggage", "request-id", "bad", "umlaut")
    with serving(ServerInterceptor(strings=strings), **echo(lambda: found.append(libctx.current()))) as address:
        with calling(address, strings=strings) as methods, libctx.use(libctx.with_timeout(ctx, 3600).ctx):
            assert finish(kind, methods.begin(kind, iter([b"a", b"b", b"c"]))) in (b"ask", b"ask" * 3, b"up", b"abc")
    assert len(found) == {"unary": 1}.get(kind, 3)
    for each in found:
        left = each.remaining()
        assert left is not None and 0 < left <= 3600 * LONGER
        names = ("traceparent", "baggage", "request-id", "bad", "umlaut", "unnamed")
        assert [each.string(name) for name in names] == [PARENT, "user=ada", "seven", None, None, None]


def test_a_call_outside_of_any_context() -> None:
    """It is gRPC's own, but for its server."""
    found: list[libctx.Context] = []
    with serving(spy := Spy(), ServerInterceptor(), **echo(lambda: found.append(libctx.current()))) as address:
        with calling(address) as methods:
            assert methods.unary(b"a") == b"a"
            assert b"".join(methods.both(iter([b"a", b"b"]))) == b"ab"
    assert all("ctx-call" not in metadata for _, metadata in spy.asked)
    assert [ctx.remaining() for ctx in found] == [None] * 3 and found[0] != libctx.background()


def test_what_the_caller_has_set_stays() -> None:
    found: list[libctx.Context] = []
    with serving(ServerInterceptor(), **echo(lambda: found.append(libctx.current()))) as address:
        with calling(address) as methods, libctx.timeout(3600):
            with libctx.use(libctx.with_baggage(libctx.current(), "user", "ada")):
                methods.unary(b"", timeout=60, metadata=(("baggage", "own=1"), ("x", "y")))
                methods.unary(b"", timeout=9999)
    times = [ctx.remaining() or 0 for ctx in found]
    assert 0 < times[0] <= 60 * LONGER < times[1] <= 3600 * LONGER
    assert [ctx.string("baggage") for ctx in found] == ["own=1", "user=ada"]


def test_a_context_that_is_done_sends_nothing() -> None:
    with serving(spy := Spy(), **echo(int)) as address, calling(address) as methods:
        ctx, cancel = libctx.with_cancel(libctx.background())
        cancel("the reason")
        with libctx.use(ctx):
            for kind in KINDS:
                with pytest.raises(libctx.Canceled) as caught:
                    methods.begin(kind, iter([]))
                assert str(caught.value.__cause__) == "the reason"
            with pytest.raises(libctx.Canceled):
                methods.unary(b"")
    assert not spy.asked


def test_a_call_that_blocks_is_canceled() -> None:
    handler = Handler()
    with serving(ServerInterceptor(), unary=handler.unary, up=handler.up) as address, calling(address) as methods:
        for method in (lambda: methods.unary(b""), lambda: methods.up.with_call(iter([b"ask"]))):
            ctx, cancel = libctx.with_cancel(libctx.background())

            def end(cancel: libctx.Canceler = cancel) -> None:
                handler.began.get(timeout=WATCHDOG)
                cancel("enough")

            thread = in_thread(end)
            with libctx.use(ctx), pytest.raises(libctx.Canceled, match="context canceled"):
                method()  # type: ignore[no-untyped-call]
            thread.join()
            handler.ended.get(timeout=WATCHDOG)


def test_a_call_that_blocks_gives_its_call() -> None:
    with serving(ServerInterceptor(), **echo(int)) as address, calling(address) as methods, libctx.timeout(3600):
        response, call = methods.unary.with_call(b"a")
        assert (response, call.code(), call.done()) == (b"a", CODE.OK, True)


@EACH
def test_the_deadline(kind: str, held: threading.Event) -> None:
    """The context of the client gives its reason, the engine ends the call, and the server sees its own deadline."""
    handler = Handler()
    with serving(spy := Spy(), ServerInterceptor(), **handler.all) as address, calling(address) as methods:
        for seconds in (0.1, 1, 10):  # one may be too short for the call to get there
            with libctx.timeout(seconds, cause="no time"), pytest.raises(libctx.DeadlineExceeded) as caught:
                finish(kind, methods.begin(kind, ask(held)))
            assert str(caught.value.__cause__) == "no time"
            if not handler.began.empty():
                break
        assert seen(handler.ended.get(timeout=WATCHDOG))[0] is libctx.DeadlineExceeded
    assert spy.told == 0


@EACH
def test_a_client_never_cancels_for_the_deadline_of_the_engine(kind: str, clock: libctx.VirtualLoop) -> None:
    """Rule 1: the context ends on a clock that the engine does not have, and the call goes on."""
    began, go_on = threading.Semaphore(0), threading.Event()

    def wait() -> None:
        began.release()
        assert go_on.wait(WATCHDOG)

    with serving(ServerInterceptor(), **echo(wait)) as address, calling(address) as methods:
        ctx = libctx.with_timeout(clock.background(), 3600, cause="late").ctx
        with libctx.use(ctx):
            call = methods.begin(kind, iter([b"a", b"b"]))
        assert began.acquire(timeout=WATCHDOG)
        clock.advance(3600)
        assert ctx.is_done and not call.done()
        go_on.set()
        assert finish(kind, call) in (b"ask", b"ask" * 3, b"up", b"ab")


def test_a_deadline_that_comes_from_elsewhere_cancels(held: threading.Event) -> None:
    """It is none that the engine has."""
    handler = Handler()
    with serving(ServerInterceptor(), **handler.all) as address, calling(address) as methods:
        ctx, cancel = libctx.with_cancel(libctx.with_timeout(libctx.background(), 3600).ctx)
        with libctx.use(ctx):
            call = methods.unary.future(b"")
        handler.began.get(timeout=WATCHDOG)
        cancel(deadline_exceeded=True)
        with pytest.raises(libctx.DeadlineExceeded):
            call.result(WATCHDOG)
        assert handler.ended.get(timeout=WATCHDOG).is_done


@EACH
@pytest.mark.parametrize(("left", "code", "late"), [
    (35, CODE.UNAVAILABLE, True), (35, CODE.CANCELLED, True), (35, CODE.DEADLINE_EXCEEDED, True),
    (37, CODE.UNAVAILABLE, False), (35, CODE.NOT_FOUND, False),
])  # fmt: skip
def test_a_call_that_breaks_at_the_deadline(
    kind: str, left: float, code: grpc.StatusCode, late: bool, clock: libctx.VirtualLoop
) -> None:
    """Rule 2, at the client."""

    def fail(*_: Any) -> Any:
        clock.advance(3600 - left)
        _[1].abort(code, "broken")

    def fail_later(*_: Any) -> Iterator[bytes]:
        fail(*_)
        yield b""

    with serving(unary=fail, up=fail, down=fail_later, both=fail_later) as address, calling(address) as methods:
        with libctx.use(libctx.with_timeout(clock.background(), 3600).ctx):
            with pytest.raises(libctx.DeadlineExceeded if late else grpc.RpcError) as caught:
                finish(kind, methods.begin(kind, iter([])))
    error = caught.value.__cause__ if late else caught.value
    assert isinstance(error, grpc.RpcError) and error.code() is code


@EACH
def test_the_own_context_comes_first(kind: str) -> None:
    """Rule 3: whatever the server says."""
    ctx, cancel = libctx.with_cancel(libctx.background())

    def fail(*_: Any) -> Any:
        cancel("first")
        _[1].abort(CODE.NOT_FOUND, "nothing here")

    def fail_later(*_: Any) -> Iterator[bytes]:
        fail(*_)
        yield b""

    with serving(unary=fail, up=fail, down=fail_later, both=fail_later) as address, calling(address) as methods:
        with libctx.use(ctx):
            call = methods.begin(kind, iter([]))
        with pytest.raises(libctx.Canceled) as caught:
            finish(kind, call)
        assert str(caught.value.__cause__) == "first"


@pytest.mark.parametrize("claim", ["", "no cause", "v=1", f"v=1&message={'x' * 2000}"])
def test_a_server_that_lies(claim: str) -> None:
    def fail(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("ctx-cause", claim), ("ctx-cause-bin", b"\0")))
        context.abort(CODE.UNAVAILABLE, "")
        return b""

    with serving(unary=fail) as address, calling(address) as methods, libctx.timeout(3600):
        error = failing("unary", methods.unary.future(b""))
        assert error.code() is CODE.UNAVAILABLE and libctx.grpc.cause(error) is None


def test_a_stream_that_nobody_reads_any_more(held: threading.Event) -> None:
    """gRPC cancels it with its object, and nothing of ours keeps that."""
    handler = Handler()
    with serving(ServerInterceptor(), both=handler.both) as address, calling(address) as methods, libctx.timeout(3600):
        call = methods.both(ask(held))
        handler.began.get(timeout=WATCHDOG)
        reference = weakref.ref(call._call)
        del call
        gc.collect()
        assert reference() is None
        assert seen(handler.ended.get(timeout=WATCHDOG)) == PLAIN


def test_requests_are_made_in_the_context_of_the_call() -> None:
    """On a thread of gRPC, which gives it the context variables of the caller."""
    found: list[libctx.Context] = []

    def requests() -> Iterator[bytes]:
        found.append(libctx.current())
        yield b"a"

    with serving(ServerInterceptor(), **echo(int)) as address, calling(address) as methods, libctx.timeout(3600) as ctx:
        assert methods.up(requests()) == b"up"
        assert list(methods.both(requests())) == [b"a"]
        assert found == [ctx, ctx]


def test_a_stream_of_requests_has_its_name() -> None:
    with serving(ServerInterceptor(), **echo(int)) as address, calling(address) as methods, libctx.timeout(3600):
        assert methods.up(request_iterator=iter([b"a"])) == b"up"
        assert methods.up.with_call(request_iterator=iter([b"a"]))[0] == b"up"
        assert methods.up.future(request_iterator=iter([b"a"])).result(WATCHDOG) == b"up"
        assert list(methods.both(request_iterator=iter([b"a"]))) == [b"a"]


def test_a_call_is_a_future_and_a_call() -> None:
    handler = Handler()
    over: list[Any] = []
    with serving(ServerInterceptor(), unary=handler.unary) as address, calling(address) as methods, libctx.timeout(3600):
        call = methods.unary.future(b"")
        assert isinstance(call, grpc.Future) and isinstance(call, grpc.Call) and isinstance(methods.unary, grpc.UnaryUnaryMultiCallable)
        with pytest.raises(grpc.FutureTimeoutError):
            call.result(0.001)
        call.add_done_callback(over.append)
        handler.began.get(timeout=WATCHDOG)
        assert call.is_active() and call.time_remaining() <= 3600
        assert call.cancel() and call.cancelled()
        for ask_for in (call.result, call.exception, call.traceback):
            with pytest.raises(grpc.FutureCancelledError):  # the caller's own cancel is no end of the context
                ask_for(WATCHDOG)
        assert seen(handler.ended.get(timeout=WATCHDOG)) == PLAIN
        until(lambda: over == [call])


def test_the_error_of_a_future() -> None:
    handler = Handler()
    with serving(ServerInterceptor(), unary=handler.unary) as address, calling(address) as methods:
        ctx, cancel = libctx.with_cancel(libctx.background())
        with libctx.use(ctx):
            call = methods.unary.future(b"")
        handler.began.get(timeout=WATCHDOG)
        cancel("why")
        error = call.exception(WATCHDOG)
        assert isinstance(error, libctx.Canceled) and str(error.__cause__) == "why"


class Counting(grpc.UnaryUnaryClientInterceptor):
    def __init__(self) -> None:
        self.timeouts: list[float | None] = []

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        self.timeouts.append(client_call_details.timeout)
        return continuation(client_call_details, request)


def test_with_interceptors_of_others() -> None:
    below, above = Counting(), Counting()
    with serving(ServerInterceptor(), **echo(int)) as address, grpc.insecure_channel(address) as plain:
        ours = libctx.grpc.intercept_channel(grpc.intercept_channel(plain, below))
        channel = grpc.intercept_channel(ours, above)
        with libctx.timeout(3600):
            assert Methods(channel).unary(b"a") == b"a"
    assert above.timeouts == [None] and below.timeouts[0] is not None


def test_nothing_of_a_call_is_kept() -> None:
    ended = Handler()
    lasting = libctx.with_cancel(libctx.background()).ctx  # by what is armed on it, neither
    server = ServerInterceptor(name="it")
    with serving(server, unary=ended.unary, **{k: v for k, v in echo(int).items() if k != "unary"}) as address, calling(address) as methods:

        def rounds(n: int) -> None:
            for _ in range(n):
                ctx, cancel = libctx.with_cancel(libctx.background())
                with libctx.use(ctx):
                    call = methods.unary.future(b"")
                ended.began.get(timeout=WATCHDOG)
                cancel("why")
                with pytest.raises(libctx.Canceled):
                    call.result(WATCHDOG)
                ended.ended.get(timeout=WATCHDOG)
                with libctx.use(lasting):
                    list(methods.down(b""))
                    methods.up(iter([b"a"]))
                    list(methods.both(iter([b"a"])))

        rounds(100)
        until(lambda: not server._serving.numbered)
        before, _ = in_use()
        rounds(200)
        until(lambda: not server._serving.numbered)
        after, _ = in_use()
        assert after - before < 400  # blocks: two for each round would be a leak


@pytest.mark.parametrize("name", ["Upper Case", "grpc-timeout", "key-bin", "ctx-call", "ctx-cause", "ä", ""])
def test_names_that_metadata_cannot_have(name: str) -> None:
    for make in (ServerInterceptor, lambda strings: libctx.grpc.intercept_channel(grpc.insecure_channel("127.0.0.1:1"), strings=strings)):
        if name != "Upper Case":
            with pytest.raises(ValueError, match="name"):
                make(strings=[name])
        else:
            with pytest.raises(ValueError, match="upper case"):
                make(strings=[name])


def test_arguments() -> None:
    with pytest.raises(TypeError, match="Context"):
        ServerInterceptor("parent")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="several names"):
        ServerInterceptor(strings="traceparent")
    with pytest.raises(ValueError):
        ServerInterceptor(default_timeout=-1)
