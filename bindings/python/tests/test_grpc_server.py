# SPDX-License-Identifier: MIT
"""libctx.grpc with threads: the context of a handler, and what is answered when it has ended."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import libctx
import libctx.grpc
import libctx.logging
import pytest
from calling import CODE, EACH, KINDS, PARENT, Handler, ask, calling, echo, failing, finish, handlers, seen, serving
from conftest import WATCHDOG, until
from libctx.grpc import ServerInterceptor


@EACH
@pytest.mark.parametrize(("left", "error"), [(35, libctx.DeadlineExceeded), (37, libctx.Canceled)])
def test_a_client_that_goes_at_the_deadline(
    kind: str, left: float, error: type[Exception], clock: libctx.VirtualLoop, held: threading.Event
) -> None:
    """Rule 2, at the server; the client has no interceptor."""
    handler = Handler()
    server = ServerInterceptor(clock.background(), default_timeout=3600)
    with serving(server, **handler.all) as address, calling(address, ours=False) as methods:
        call = methods.begin(kind, ask(held))
        assert handler.began.get(timeout=WATCHDOG).remaining() == 3600
        clock.advance(3600 - left)
        call.cancel()
        assert seen(handler.ended.get(timeout=WATCHDOG))[0] is error


@EACH
def test_a_server_that_ends_answers(kind: str, held: threading.Event) -> None:
    """Rule 4; the client has no interceptor, and can read the reason all the same."""
    handler = Handler()
    parent, stop = libctx.with_cancel(libctx.background())
    with serving(ServerInterceptor(parent, name="store"), **handler.all) as address, calling(address, ours=False) as methods:
        call = methods.begin(kind, ask(held))
        handler.began.get(timeout=WATCHDOG)
        stop(OSError(28, "the disk is full"))
        error = failing(kind, call)
        cause = libctx.grpc.cause(error)
        assert (error.code(), error.details()) == (CODE.UNAVAILABLE, "context canceled")
        assert cause is not None and (cause.message, cause.code, cause.peer) == ("[Errno 28] the disk is full", -28, "store")
        again = failing(kind, methods.begin(kind, ask(held)))  # no handler begins
        assert again.code() is CODE.UNAVAILABLE and handler.began.empty()


@EACH
@pytest.mark.parametrize("limits", [{"default_timeout": 60}, {"maximum_timeout": 60}])
def test_the_limits_of_a_server(kind: str, limits: dict[str, Any], clock: libctx.VirtualLoop, held: threading.Event) -> None:
    handler = Handler()
    with serving(ServerInterceptor(clock.background(), **limits), **handler.all) as address, calling(address, ours=False) as methods:
        call = methods.begin(kind, ask(held), timeout=3600 if "maximum_timeout" in limits else None)
        assert handler.began.get(timeout=WATCHDOG).remaining() == 60
        clock.advance(60)
        error = failing(kind, call)
        assert error.code() is CODE.DEADLINE_EXCEEDED
        assert str(libctx.grpc.cause(error)) == "context deadline exceeded"


def test_a_handler_that_does_not_look(clock: libctx.VirtualLoop) -> None:
    """What it returns after the end is not sent."""

    def late(request: bytes, context: Any) -> bytes:
        clock.advance(60)
        return b"late"

    def late_parts(request: bytes, context: Any) -> Iterator[bytes]:
        yield b"in time"
        clock.advance(60)
        yield b"late"

    server = ServerInterceptor(clock.background(), default_timeout=60)
    with serving(server, unary=late, down=late_parts) as address, calling(address, ours=False) as methods:
        assert failing("unary", methods.begin("unary", None)).code() is CODE.DEADLINE_EXCEEDED
        call = methods.down(b"")
        assert next(call) == b"in time"
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert caught.value.code() is CODE.DEADLINE_EXCEEDED


def inner_timeout(context: Any) -> None:
    with libctx.use(libctx.with_timeout(libctx.background(), 0, cause="slow disk").ctx) as ctx:
        ctx.check()


def inner_cancel(context: Any) -> None:
    ctx, cancel = libctx.with_cancel(libctx.current())
    cancel("no need")
    ctx.check()


def abort(context: Any) -> None:
    context.set_trailing_metadata((("own", "1"),))
    context.abort(CODE.NOT_FOUND, "nothing here")


def set_code(context: Any) -> None:
    context.set_code(CODE.ALREADY_EXISTS)
    context.set_details("twice")


def set_code_and_fail(context: Any) -> None:
    set_code(context)
    raise libctx.Canceled


def trailing_and_fail(context: Any) -> None:
    context.set_trailing_metadata((("own", "1"),))
    inner_cancel(context)


ANSWERS: list[tuple[Callable[[Any], object], grpc.StatusCode, str | None, bool]] = [
    (inner_timeout, CODE.DEADLINE_EXCEEDED, "slow disk", False),
    (inner_cancel, CODE.CANCELLED, "no need", False),
    (trailing_and_fail, CODE.CANCELLED, "no need", True),
    (abort, CODE.NOT_FOUND, None, True),
    (set_code, CODE.ALREADY_EXISTS, None, False),
    (set_code_and_fail, CODE.ALREADY_EXISTS, None, False),
    (lambda _: 1 / 0, CODE.UNKNOWN, None, False),
]


@pytest.mark.parametrize(("do", "code", "reason", "own"), ANSWERS)
@pytest.mark.parametrize("kind", ["unary", "down"])
def test_errors_of_a_handler(kind: str, do: Callable[[Any], object], code: grpc.StatusCode, reason: str | None, own: bool) -> None:
    """Those of contexts become a status; a status of its own stays."""

    def unary(request: bytes, context: Any) -> bytes:
        do(context)
        return b""

    def down(request: bytes, context: Any) -> Iterator[bytes]:
        do(context)
        yield from ()

    with serving(ServerInterceptor(name="it"), unary=unary, down=down) as address, calling(address) as methods:
        error = failing(kind, methods.begin(kind, None))
        cause = libctx.grpc.cause(error)
        assert error.code() is code
        assert (None if cause is None else (cause.message, cause.peer)) == (None if reason is None else (reason, "it"))
        assert any(each.key == "own" for each in error.trailing_metadata()) == own


def test_a_status_that_a_handler_has_set_stays_after_the_end(clock: libctx.VirtualLoop) -> None:
    def late(request: bytes, context: Any) -> bytes:
        set_code(context)
        clock.advance(60)
        return b"late"

    server = ServerInterceptor(clock.background(), default_timeout=60)
    with serving(server, unary=late) as address, calling(address, ours=False) as methods:
        assert failing("unary", methods.begin("unary", None)).code() is CODE.ALREADY_EXISTS


def test_metadata_of_a_hostile_client() -> None:
    found: list[libctx.Context] = []
    bad = (("traceparent", "00-4bf92f3577b34da6"), ("tracestate", "a=1"), ("baggage", "half; =,=,ok=1"), ("ctx-cause", "%%%"))
    with serving(ServerInterceptor(), **echo(lambda: found.append(libctx.current()))) as address:
        with calling(address, ours=False) as methods:
            methods.unary(b"", metadata=bad)
            methods.unary(b"", metadata=(("baggage", "a=1"), ("baggage", "b=2")))
            large = failing("unary", methods.begin("unary", None, metadata=(("baggage", "a=" + "x" * (1 << 20)),)))
            assert large.code() is CODE.RESOURCE_EXHAUSTED  # of gRPC itself
            assert methods.unary(b"still here") == b"still here"
    assert [[ctx.string(name) for name in ("traceparent", "tracestate", "baggage")] for ctx in found] == [
        [None, None, "ok=1"], [None, None, "a=1,b=2"], [None, None, None],
    ]  # fmt: skip


def test_no_context_stays_on_a_thread_of_the_pool() -> None:
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, interceptors=[ServerInterceptor()])
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("t", handlers(echo(int)))])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with calling(f"127.0.0.1:{port}") as methods:
            for kind in KINDS:
                finish(kind, methods.begin(kind, iter([b"a"])))
                assert pool.submit(libctx.current).result(WATCHDOG) == libctx.background()
        server.stop(None).wait()


class Generic(grpc.GenericRpcHandler):
    """Has a new handler for each call of any method."""

    found = 0

    def service(self, handler_call_details: Any) -> Any:
        self.found += 1
        number = self.found
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"%d" % number)


def test_handlers_of_any_method(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were found are kept, but not too many."""
    monkeypatch.setattr("libctx.grpc._served.HANDLERS", 2)
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, [Generic()], [interceptor := ServerInterceptor()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            for number, name in enumerate(("/a/a", "/a/a", "/a/b", "/a/a", "/a/c", "/a/b", "/a/b"), 1):
                method: Any = channel.unary_unary(name)
                assert method(b"") == b"%d" % number
        assert 0 < len(interceptor._serving._handlers) <= 2
        server.stop(None).wait()


@EACH
def test_the_context_ends_with_its_handler(kind: str) -> None:
    """And so does what the handler has left behind below it."""
    found: list[libctx.Context] = []
    with serving(ServerInterceptor(), **echo(lambda: found.append(libctx.with_cancel(libctx.current()).ctx))) as address:
        with calling(address) as methods:
            finish(kind, methods.begin(kind, iter([b"a"])))
            until(lambda: found and all(ctx.is_done for ctx in found))


def test_work_that_outlives_its_call() -> None:
    """Rule 5."""
    found: list[tuple[bool, str | None]] = []
    go_on, done = threading.Event(), threading.Event()

    def later() -> None:
        assert go_on.wait(WATCHDOG)
        found.append((libctx.current().is_done, libctx.current().string("traceparent")))
        done.set()

    def unary(request: bytes, context: Any) -> bytes:
        with libctx.use(libctx.without_cancel(libctx.current())):
            threading.Thread(target=libctx.wrap(later)).start()
        return b""

    with serving(ServerInterceptor(), unary=unary) as address, calling(address) as methods:
        methods.unary(b"", metadata=(("traceparent", PARENT),))
        go_on.set()
        assert done.wait(WATCHDOG)
    assert found == [(False, PARENT)]


def test_the_trace_in_logs_of_a_handler(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(trace := libctx.logging.Filter())
    try:
        with serving(ServerInterceptor(), **echo(lambda: logging.warning("here"))) as address, calling(address) as methods:
            with libctx.use(libctx.extract(libctx.background(), {"traceparent": PARENT}).ctx):
                methods.unary(b"")
                list(methods.down(b""))
    finally:
        caplog.handler.removeFilter(trace)
    assert [getattr(record, "trace_id", None) for record in caplog.records if record.message == "here"] == [PARENT.split("-")[1]] * 4
