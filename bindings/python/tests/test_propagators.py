# SPDX-License-Identifier: MIT
"""The texts of ctx/propagate.h against those who speak them, in both directions: gRPC's client and server, and the
propagators of OpenTelemetry. Called as C is, since the binding has no functions for them yet."""

import ctypes
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events
import libctx
import pytest
from conftest import WATCHDOG
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

GRPC_TIMEOUT, TRACE, BAGGAGE = 1, 2, 4
ALL = GRPC_TIMEOUT | TRACE | BAGGAGE
FOREVER = 2**63 - 1
SECOND = 10**9

library = ctypes.CDLL(libctx.library_path())
SET = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
GET = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p), ctypes.c_void_p)


class Formats(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("flags", ctypes.c_uint32), ("timeout_ms", ctypes.c_char_p),
                ("maximum_ns", ctypes.c_int64), ("default_ns", ctypes.c_int64)]


for function, result, parameters in (
    ("ctx_background", ctypes.c_void_p, []),
    ("ctx_with_timeout", ctypes.c_int, [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p]),
    ("ctx_unref", ctypes.c_void_p, [ctypes.c_void_p]),
    ("ctx_remaining", ctypes.c_int64, [ctypes.c_void_p]),
    ("ctx_string", ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_char_p]),
    ("ctx_inject", ctypes.c_int, [ctypes.c_void_p, ctypes.POINTER(Formats), SET, ctypes.c_void_p]),
    ("ctx_extract", ctypes.c_int, [ctypes.c_void_p, ctypes.POINTER(Formats), GET, ctypes.c_void_p, ctypes.c_void_p,
                                   ctypes.c_void_p]),
    ("ctx_baggage", ctypes.c_int64, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]),
    ("ctx_with_baggage", ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]),
):
    getattr(library, function).restype = result
    getattr(library, function).argtypes = parameters

FORMATS = Formats(ctypes.sizeof(Formats), ALL, None, 0, 0)


class Context:
    """A context of C's, given back when nobody has it."""

    def __init__(self, handle: int | None) -> None:
        self.handle = handle

    def __del__(self, unref: Callable[[int | None], object] = library.ctx_unref) -> None:
        unref(self.handle)

    def string(self, name: str) -> str | None:
        text: bytes | None = library.ctx_string(self.handle, name.encode())
        return None if text is None else text.decode()

    def remaining(self) -> int:
        return int(library.ctx_remaining(self.handle))

    def member(self, name: str) -> str:
        value = ctypes.create_string_buffer(20_000)
        length = library.ctx_baggage(self.handle, name.encode(), value, len(value))
        assert length >= 0, name
        return value.value.decode()


ROOT = Context(library.ctx_background())


def made(result: int, handle: ctypes.c_void_p) -> Context:
    assert result == 0
    return Context(handle.value)


def with_timeout(ns: int) -> Context:
    handle = ctypes.c_void_p()
    return made(library.ctx_with_timeout(ROOT.handle, ns, ctypes.byref(handle), None), handle)


def with_baggage(parent: Context, name: str, value: str) -> Context:
    handle = ctypes.c_void_p()
    return made(library.ctx_with_baggage(parent.handle, name.encode(), value.encode(), ctypes.byref(handle)), handle)


def inject(ctx: Context) -> dict[str, str]:
    headers = {}

    def add(name: bytes, text: bytes, _: int) -> int:
        headers[name.decode()] = text.decode()
        return 0

    assert library.ctx_inject(ctx.handle, ctypes.byref(FORMATS), SET(add), None) == 0
    return headers


def extract(headers: Mapping[str, str]) -> Context:
    lent = []

    def find(name: bytes, text: "ctypes._Pointer[ctypes.c_char_p]", _: int) -> int:
        found = headers.get(name.decode())
        if found is None:
            return -1
        lent.append(found.encode())
        text[0] = lent[-1]
        return len(lent[-1])

    handle = ctypes.c_void_p()
    return made(library.ctx_extract(ROOT.handle, ctypes.byref(FORMATS), GET(find), None, ctypes.byref(handle), None), handle)


# gRPC. A duration is on its way for some time, which the test measures: so much less may arrive, and one of the
# milliseconds in which gRPC counts.

TICK = 0.001

METHOD = "/test.Service/Call"
TIMES = [0.9, 5, 61.5, 3_600, 100_000, 86_400 * 365]


@contextmanager
def http2_server() -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A server that writes down the headers of each call, and ends it."""
    calls: list[dict[str, str]] = []

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(WATCHDOG)
            state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
            state.initiate_connection()
            connection.sendall(state.data_to_send())
            while data := connection.recv(65_536):
                for event in state.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        calls.append({str(name): str(text) for name, text in event.headers})
                    elif isinstance(event, h2.events.StreamEnded):
                        state.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc"),
                                                             ("grpc-status", "5")], end_stream=True)
                connection.sendall(state.data_to_send())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(WATCHDOG)
        thread = threading.Thread(target=serve, args=[listening])
        thread.start()
        yield listening.getsockname()[1], calls
        thread.join(WATCHDOG)
        assert not thread.is_alive()


def test_what_a_grpc_client_sends_is_read() -> None:
    with http2_server() as (port, calls), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_unary(METHOD)
        for seconds in TIMES:
            begin = time.monotonic()
            with pytest.raises(grpc.RpcError) as error:
                call(b"", timeout=seconds, wait_for_ready=True)
            assert error.value.code() == grpc.StatusCode.NOT_FOUND
            received = extract(calls[-1]).remaining()
            lasted = time.monotonic() - begin
            assert (seconds - lasted - TICK) * SECOND <= received <= seconds * SECOND * 1.02  # it sends few digits, rounded up
        with pytest.raises(grpc.RpcError):
            call(b"", wait_for_ready=True)
        assert "grpc-timeout" not in calls[-1]
        assert extract(calls[-1]).remaining() == FOREVER


def call_with(port: int, headers: Mapping[str, str]) -> None:
    """One call of a server, by a client that knows nothing of gRPC's timeouts."""
    state = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    state.initiate_connection()
    state.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":path", METHOD), (":authority", "localhost"),
                           ("te", "trailers"), ("content-type", "application/grpc"), *headers.items()])
    state.send_data(1, b"\0\0\0\0\0", end_stream=True)
    with socket.create_connection(("127.0.0.1", port), timeout=WATCHDOG) as connection:
        connection.sendall(state.data_to_send())
        while not any(isinstance(event, h2.events.StreamEnded) for event in state.receive_data(connection.recv(65_536))):
            connection.sendall(state.data_to_send())


def test_a_grpc_server_reads_what_is_sent() -> None:
    seen: list[float | None] = []

    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        seen.append(context.time_remaining())
        return b""

    handler = grpc.method_handlers_generic_handler("test.Service", {"Call": grpc.unary_unary_rpc_method_handler(answer)})
    server = grpc.server(ThreadPoolExecutor(1), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        for seconds in [WATCHDOG, 3_600, 100_000, 86_400 * 30]:
            begin = time.monotonic()
            call_with(port, inject(with_timeout(int(seconds * SECOND))))
            lasted = time.monotonic() - begin
            received = seen[-1]
            assert received is not None
            assert seconds - lasted - TICK <= received <= seconds * 1.001 + TICK
        call_with(port, inject(ROOT))
        assert len(seen) == 5
        assert seen[-1] is None or seen[-1] > 86_400 * 365  # how gRPC says "none"
    finally:
        server.stop(None).wait(WATCHDOG)


# OpenTelemetry.

trace_ids = st.integers(1, 2**128 - 1)
span_ids = st.integers(1, 2**64 - 1)
flags = st.integers(0, 255)
state_values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=",="), min_size=1, max_size=20)
states = st.dictionaries(st.from_regex(r"[a-z][a-z0-9_\-*/]{0,10}", fullmatch=True), state_values, max_size=32)
tokens = st.from_regex(r"[A-Za-z0-9_.~-]{1,20}", fullmatch=True)
values = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=40)


def span_of(headers: Mapping[str, str]) -> trace.SpanContext:
    context = TraceContextTextMapPropagator().extract(headers)
    return trace.get_current_span(context).get_span_context()


@given(trace_ids, span_ids, flags, states)
def test_a_trace_of_opentelemetry_goes_through(trace_id: int, span_id: int, flag: int, state: dict[str, str]) -> None:
    sent = trace.SpanContext(trace_id, span_id, True, trace.TraceFlags(flag), trace.TraceState(list(state.items())))
    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers, trace.set_span_in_context(trace.NonRecordingSpan(sent)))
    ctx = extract(headers)
    assert ctx.string("traceparent") == headers["traceparent"]
    assert ctx.string("tracestate") == headers.get("tracestate")
    received = span_of(inject(ctx))
    assert (received.trace_id, received.span_id, received.trace_flags) == (trace_id, span_id, flag)
    assert list(received.trace_state.items()) == list(state.items())


PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@given(st.text("0123456789abcdefABCDEFg- \t", max_size=60) | st.integers(0, len(PARENT) - 1).flatmap(
    lambda at: st.sampled_from("0fFgG- \t").map(lambda char: PARENT[:at] + char + PARENT[at + 1:])))
def test_both_take_the_same_traceparent(text: str) -> None:
    span = span_of({"traceparent": text})
    held = extract({"traceparent": text}).string("traceparent")
    assert (held is not None) == span.is_valid
    if held is not None:
        assert (span_of({"traceparent": held}).trace_id, span_of({"traceparent": held}).span_id) == (
            span.trace_id, span.span_id)


@given(st.dictionaries(tokens, values, min_size=1, max_size=20))
def test_baggage_that_libctx_sets_is_read(members: dict[str, str]) -> None:
    ctx = ROOT
    for name, value in members.items():
        ctx = with_baggage(ctx, name, value)
    headers = inject(ctx)
    read = baggage.get_all(W3CBaggagePropagator().extract(headers))
    assert read == {name: value.strip() for name, value in members.items()}  # OpenTelemetry strips what it has decoded
    received = extract(headers)
    assert {name: received.member(name) for name in members} == members


@given(st.dictionaries(tokens, values, min_size=1, max_size=20))
def test_baggage_of_opentelemetry_is_read(members: dict[str, str]) -> None:
    context = None
    for name, value in members.items():
        context = baggage.set_baggage(name, value, context)
    headers: dict[str, str] = {}
    W3CBaggagePropagator().inject(headers, context)
    received = extract(headers)
    # It writes a space as "+", which to W3C Baggage is a plus sign; a plus sign of its own is "%2B".
    assert {name: received.member(name) for name in members} == {
        name: value.replace(" ", "+") for name, value in members.items()}
