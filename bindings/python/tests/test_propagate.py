# SPDX-License-Identifier: MIT
"""Contexts into headers and out of them, and causes as text. The formats themselves are tested in C."""

import errno
import os
import threading
from collections.abc import Iterator, MutableMapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import libctx
import pytest
from conftest import throw
from libctx import background, decode_cause, encode_cause, extract, inject, with_baggage, with_cancel, with_string

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MS = "x-request-timeout-ms"


class Headers(MutableMapping[str, str]):
    """A mapping that is no dictionary, and does not mind the case of a name."""

    def __init__(self, pairs: dict[str, str]) -> None:
        self.pairs = {name.lower(): text for name, text in pairs.items()}

    def __getitem__(self, name: str) -> str:
        return self.pairs[name.lower()]

    def __setitem__(self, name: str, text: str) -> None:
        self.pairs[name.lower()] = text

    def __delitem__(self, name: str) -> None:
        del self.pairs[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)


@pytest.mark.parametrize("kind", [dict, Headers])
def test_there_and_back(kind: Any, clock: libctx.VirtualLoop) -> None:
    headers = {MS: "1500", "traceparent": PARENT, "tracestate": "a=b", "baggage": "user=ada,tier=gold;p", "other": "x"}
    ctx, cancel = extract(clock.background(), kind(headers), timeout_ms=MS)
    assert ctx.remaining() == 1.5
    assert ctx.strings() == {name: headers[name] for name in ("traceparent", "tracestate", "baggage")}
    out = kind({"other": "x"})
    assert inject(ctx, out, timeout_ms=MS) is out
    assert dict(out) == headers
    assert cancel() and ctx.is_done


def test_what_is_asked_for(clock: libctx.VirtualLoop) -> None:
    headers = {MS: "1500", "grpc-timeout": "1S", "traceparent": PARENT, "baggage": "user=ada"}
    ctx = extract(clock.background(), headers, grpc_timeout=True, trace=False).ctx
    assert (ctx.remaining(), ctx.strings()) == (1, {"baggage": "user=ada"})
    ctx = extract(clock.background(), headers, grpc_timeout=True, timeout_ms=MS, baggage=False).ctx
    assert (ctx.remaining(), ctx.strings()) == (1, {"traceparent": PARENT})
    assert inject(ctx) == {"traceparent": PARENT}
    assert inject(ctx, trace=False) == {}
    assert inject(ctx, grpc_timeout=True, trace=False) == {"grpc-timeout": "1000000u"}
    assert inject(with_baggage(ctx, "a", "b"), baggage=False, trace=False, timeout_ms=MS) == {MS: "1000"}


def test_the_environment() -> None:
    variables = {"TRACEPARENT": PARENT, "BAGGAGE": "user=ada", "traceparent": "x"}
    ctx = extract(background(), variables, environment=True).ctx
    assert ctx.strings() == {"traceparent": PARENT, "baggage": "user=ada"}
    assert inject(ctx, environment=True) == {"TRACEPARENT": PARENT, "BAGGAGE": "user=ada"}
    assert extract(background(), os.environ, environment=True).ctx.string("baggage") == os.environ.get("BAGGAGE")


def test_default_and_maximum(clock: libctx.VirtualLoop) -> None:
    def remaining(headers: dict[str, str], **limits: Any) -> float | None:
        return extract(clock.background(), headers, timeout_ms=MS, **limits).ctx.remaining()

    assert remaining({}) is None
    assert remaining({}, default_timeout=30) == 30
    assert remaining({}, maximum_timeout=timedelta(minutes=1)) == 60
    assert remaining({MS: "1000"}, default_timeout=30, maximum_timeout=60) == 1
    assert remaining({MS: "3600000"}, default_timeout=30, maximum_timeout=60) == 60
    parent = libctx.with_timeout(clock.background(), 5).ctx
    assert extract(parent, {MS: "10000"}, timeout_ms=MS).ctx.remaining() == 5


def test_a_request_has_no_part_of_its_servers_trace() -> None:
    server = with_string(with_baggage(background(), "user", "ada"), "traceparent", PARENT)
    assert extract(server, {}).ctx.strings() == {}
    assert extract(server, {}, trace=False).ctx.string("traceparent") == PARENT


def test_a_timeout_of_nothing_is_over() -> None:
    ctx = extract(background(), {MS: "0"}, timeout_ms=MS).ctx
    assert isinstance(ctx.err(), libctx.DeadlineExceeded)


def test_a_context_that_is_done_goes_nowhere() -> None:
    ctx, cancel = with_cancel(background())
    cancel("the reason")
    headers = {"other": "x"}
    with pytest.raises(libctx.Canceled) as caught:
        inject(ctx, headers, timeout_ms=MS)
    assert str(caught.value.__cause__) == "the reason" and headers == {"other": "x"}
    assert extract(ctx, {}).ctx.is_done


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "", "1e3", "99999999999", "\N{DIGIT ONE}\0", "é"])
def test_a_malformed_timeout(text: str) -> None:
    with pytest.raises(ValueError, match="malformed timeout"):
        extract(background(), {MS: text}, timeout_ms=MS)
    with pytest.raises(ValueError, match="malformed timeout"):
        extract(background(), {"grpc-timeout": text}, grpc_timeout=True)


def test_what_else_is_malformed_is_left_out() -> None:
    headers = {"traceparent": "x", "tracestate": "a=b", "baggage": "a=1, b\n=2,,c=3"}
    assert extract(background(), headers).ctx.strings() == {"baggage": "a=1,c=3"}
    ctx = with_string(with_string(background(), "traceparent", f"{PARENT}\r\nevil: 1"), "baggage", "a=1,\r\nevil=1")
    assert inject(ctx) == {"baggage": "a=1"}


def test_a_megabyte_of_baggage() -> None:
    ctx = extract(background(), {"baggage": ",".join(f"key{i}={i}" for i in range(100_000))}).ctx
    assert len(ctx.string("baggage", "").split(",")) == 64
    assert ctx.baggage("key63") == "63" and ctx.baggage("key64") is None


@pytest.mark.parametrize("kind", [dict, Headers])
def test_a_header_that_is_no_text(kind: Any) -> None:
    wrong: Any = {"baggage": b"a=1"}
    if kind is Headers:
        wrong = Headers({})
        wrong["baggage"] = b"a=1"
    with pytest.raises(TypeError, match="header is a str"):
        extract(background(), wrong)
    with pytest.raises(UnicodeEncodeError):
        extract(background(), kind({"baggage": "\ud800"}))


def test_what_a_mapping_raises() -> None:
    """It is asked no more."""
    calls: list[str] = []

    class Broken(Headers):
        def __getitem__(self, name: str) -> str:
            calls.append(name)
            throw(OSError("broken"))
            return ""

        def __setitem__(self, name: str, text: str) -> None:
            calls.append(name)
            throw(OSError("broken"))

    with pytest.raises(OSError, match="broken"):
        extract(background(), Broken({}), timeout_ms=MS)
    with pytest.raises(OSError, match="broken"):
        inject(with_string(with_baggage(background(), "a", "b"), "traceparent", PARENT), Broken({}))
    assert len(calls) == 2
    with pytest.raises(TypeError):
        inject(with_baggage(background(), "a", "b"), MappingProxyType({}))  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        extract(background(), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("time", [0, -1, timedelta()])
def test_limits_that_are_none(time: Any) -> None:
    with pytest.raises(ValueError, match="timeout"):
        extract(background(), {}, default_timeout=time)
    with pytest.raises(ValueError, match="timeout"):
        extract(background(), {}, maximum_timeout=time)


def test_arguments() -> None:
    with pytest.raises(ValueError, match="token"):
        extract(background(), {}, timeout_ms="no token")
    with pytest.raises(ValueError, match="token"):
        inject(background(), timeout_ms="")
    with pytest.raises(TypeError, match="Context"):
        extract(None, {})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Context"):
        inject(None)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="Context"):
        with_baggage(None, "a", "b")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        extract(background(), {}, maximum_timeout="1")  # type: ignore[arg-type]


def test_members_of_the_baggage() -> None:
    ctx = with_baggage(with_baggage(background(), "user", "Ada, née Byron"), "tier", "gold")
    assert ctx.baggage("user") == "Ada, née Byron"
    assert ctx.baggage("none") is None and ctx.baggage("none", "nobody") == "nobody"
    assert ctx.string("baggage") == "user=Ada%2C%20n%C3%A9e%20Byron,tier=gold"
    assert with_baggage(ctx, "user", None).string("baggage") == "tier=gold"
    assert with_baggage(ctx, "long", "x" * 4000).baggage("long") == "x" * 4000
    with pytest.raises(ValueError, match="token"):
        with_baggage(ctx, "no token", "x")
    with pytest.raises(ValueError, match="8192"):
        with_baggage(ctx, "a", "x" * 9000)


def test_require(clock: libctx.VirtualLoop) -> None:
    ctx, cancel = libctx.with_timeout(clock.background(), 10)
    ctx.require(10)
    ctx.require(timedelta(seconds=1))
    background().require(1e9)
    with pytest.raises(libctx.DeadlineExceeded, match="less time remains"):
        ctx.require(10.1)
    with pytest.raises(ValueError):
        ctx.require(-1)
    with pytest.raises(TypeError):
        ctx.require("1")  # type: ignore[arg-type]
    cancel("the reason")
    with pytest.raises(libctx.Canceled) as caught:
        ctx.require(1)
    assert str(caught.value.__cause__) == "the reason"


def test_a_cause_there_and_back() -> None:
    text = encode_cause(libctx.Cause("the disk, full", -errno.ENOSPC, origin=libctx.Origin.OVERLOAD), "store")
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%&=")
    cause = decode_cause(text)
    assert type(cause) is libctx.Cause
    assert (cause.message, cause.code, cause.origin, cause.peer) == ("the disk, full", -errno.ENOSPC, 8, "store")
    assert cause.origin is libctx.Origin.OVERLOAD and cause.place is None
    assert decode_cause(encode_cause("why")).peer == ""
    assert libctx.Cause("why").peer is None


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        ("why", ("why", -errno.ECANCELED, 1)),
        (OSError(errno.EIO, "broken"), ("[Errno 5] broken", -errno.EIO, 1)),
        (libctx.Canceled(), ("context canceled", -errno.ECANCELED, 1)),
        (libctx.DeadlineExceeded(), ("context deadline exceeded", -errno.ETIMEDOUT, 2)),
        ("é" * 1000, None),
    ],
)
def test_any_reason_as_text(reason: BaseException | str, found: tuple[str, int, int] | None) -> None:
    cause = decode_cause(encode_cause(reason))
    if found is None:
        assert len(encode_cause(reason)) <= 511 and cause.message.startswith("éé")
    else:
        assert (cause.message, cause.code, cause.origin) == found


def test_the_claim_of_a_peer_keeps_whose_it_is() -> None:
    """Through the tree, another thread of it and a second encoding."""
    claim = decode_cause(encode_cause("the disk is full", "store"))
    ctx, cancel = with_cancel(background())
    cancel(claim)
    found: list[BaseException | None] = []
    thread = threading.Thread(target=lambda: found.append(ctx.cause()))
    thread.start()
    thread.join()
    assert isinstance(found[0], libctx.Cause)
    assert (found[0].peer, found[0].message) == ("store", "the disk is full")
    assert decode_cause(encode_cause(found[0], "proxy")).peer == "store"
    assert decode_cause(encode_cause(libctx.Cause("mine"), "proxy")).peer == "proxy"
    nobody, cancel = with_cancel(background())
    cancel(decode_cause(encode_cause("why")))
    cause = nobody.cause()
    assert isinstance(cause, libctx.Cause) and cause.peer == ""
    inner, cancel = with_cancel(background())
    cancel(ctx.err())  # the error of another context, whose reason is the claim
    cause = inner.cause()
    assert isinstance(cause, libctx.Cause) and cause.peer == "store"


@pytest.mark.parametrize("text", ["", "x", "v=1", "v=1&code=&message=x", "\0", "é", "v=1&code=-5&" + "x" * 600])
def test_a_malformed_text_of_a_cause(text: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        decode_cause(text)


def test_causes_that_are_none() -> None:
    with pytest.raises(TypeError):
        encode_cause(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        encode_cause(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        decode_cause(b"v=1")  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        encode_cause("why", "a\0b")
