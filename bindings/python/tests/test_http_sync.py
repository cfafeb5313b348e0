# SPDX-License-Identifier: MIT
"""httpx.Client with libctx.httpx.SyncTransport: headers out, and what a blocking client can know of the end."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import libctx
import libctx.httpx
import pytest
from conftest import WATCHDOG, in_thread
from libctx import background, with_cancel, with_timeout
from test_http_clients import BEGUN, PARENT

Sent = dict[str, float | None]


@contextmanager
def answering(*parts: bytes | Callable[[], object]) -> Iterator[tuple[str, list[bytes]]]:
    """A server for one request: it sends these bytes, makes these calls, and keeps the connection until the client closes."""
    asked: list[bytes] = []

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(WATCHDOG)
            asked.append(connection.recv(1 << 16))
            for part in parts:
                if callable(part):
                    part()
                else:
                    connection.sendall(part)
            while connection.recv(1 << 16):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = in_thread(serve)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/", asked
        thread.join(WATCHDOG)


def client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    return httpx.Client(transport=libctx.httpx.SyncTransport(transport))


def test_headers_and_timeouts(clock: libctx.VirtualLoop) -> None:
    found: list[tuple[httpx.Headers, Sent]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        found.append((request.headers, request.extensions["timeout"]))
        return httpx.Response(200, text="ok")

    with client(httpx.MockTransport(answer)) as http:
        assert http.get("http://here/").text == "ok"
        ctx = libctx.extract(clock.background(), {"traceparent": PARENT}).ctx
        with libctx.use(with_timeout(ctx, 1.5).ctx):
            http.get("http://here/", headers={"baggage": "own=1"})
            http.get("http://here/", timeout=httpx.Timeout(None, read=1))
    headers = [[each.get(name) for name in ("x-request-timeout-ms", "traceparent", "baggage")] for each, _ in found]
    assert headers == [[None] * 3, ["1500", PARENT, "own=1"], ["1500", PARENT, None]]
    every = ("connect", "read", "write", "pool")
    assert [sent for _, sent in found] == [dict.fromkeys(every, 5), dict.fromkeys(every, 1.5), dict.fromkeys(every, 1.5) | {"read": 1}]


def test_the_deadline_is_the_error_of_the_context() -> None:
    with answering() as (url, asked), client() as http:
        with libctx.use(with_timeout(background(), 0.05, cause="no answer").ctx), pytest.raises(libctx.DeadlineExceeded) as caught:
            http.get(url)
    assert b"x-request-timeout-ms: " in asked[0].lower() and str(caught.value.__cause__) in ("no answer", "timed out")


def test_the_deadline_in_a_body() -> None:
    with answering(BEGUN) as (url, _), client() as http:
        with libctx.use(with_timeout(background(), 0.2).ctx), pytest.raises(libctx.DeadlineExceeded):
            http.get(url)


def test_an_own_timeout_that_is_shorter() -> None:
    with answering() as (url, _), client() as http, libctx.use(with_timeout(background(), 3600).ctx):
        with pytest.raises(httpx.ReadTimeout):
            http.get(url, timeout=0.01)


def test_a_cancel_is_seen_between_parts() -> None:
    ctx, cancel = with_cancel(background())
    with answering(BEGUN, lambda: cancel("why"), b"part") as (url, _), client() as http:
        with libctx.use(ctx), pytest.raises(libctx.Canceled) as caught:
            http.get(url, timeout=WATCHDOG)
    assert str(caught.value.__cause__) == "why"


def test_a_connection_that_breaks_after_the_end() -> None:
    ctx, cancel = with_cancel(background())

    def fail(request: httpx.Request) -> httpx.Response:
        cancel("why")
        raise httpx.ReadError("broken")

    with client(httpx.MockTransport(fail)) as http, libctx.use(ctx), pytest.raises(libctx.Canceled) as caught:
        http.get("http://here/")
    assert str(caught.value.__cause__) == "why"


def test_a_context_that_is_done_sends_nothing() -> None:
    ctx, cancel = with_cancel(background())
    cancel()
    with client(httpx.MockTransport(lambda request: pytest.fail("it was sent"))) as http:
        with libctx.use(ctx), pytest.raises(libctx.Canceled):
            http.get("http://here/")


def test_a_whole_answer_and_its_reason() -> None:
    why = libctx.encode_cause(OSError(28, "the disk is full"), "store").encode()
    with answering(b"HTTP/1.1 503 No\r\nctx-cause: " + why + b"\r\ncontent-length: 2\r\n\r\nok") as (url, _), client() as http:
        response = http.get(url)
    cause = libctx.httpx.cause(response)
    assert (response.status_code, response.text) == (503, "ok") and cause is not None and cause.peer == "store"
