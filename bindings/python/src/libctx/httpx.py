# SPDX-License-Identifier: MIT
"""Requests of httpx, which take the current context along and end with it, in asyncio and trio, and in threads.

    client = httpx.AsyncClient(transport=libctx.httpx.Transport())
    client = httpx.Client(transport=libctx.httpx.SyncTransport())
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

try:
    import httpx
except ImportError as _missing:
    raise ImportError("libctx.httpx needs httpx: pip install httpx") from _missing

from ._core import Context
from ._current import current
from ._errors import Cause
from ._propagation import STRINGS, TIMEOUT, Format, cause_in, check_deadline
from ._scope import scope

__all__ = ["SyncTransport", "Transport", "cause"]


class Transport(httpx.AsyncBaseTransport):
    """Sends by another transport, an httpx.AsyncHTTPTransport unless it is named.

    The request has the headers of current(): the time that remains, in milliseconds under the name timeout_header,
    and strings of the context, with the trace and the baggage. Headers that the caller has set stay. When the context
    ends, the request is canceled, also while the body of its response is read, and raises the error of the context.
    A connection that breaks at the deadline is the deadline. The timeouts of httpx itself apply as ever.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        timeout_header: str | None = TIMEOUT,
        strings: Iterable[str] = STRINGS,
    ) -> None:
        self._transport = httpx.AsyncHTTPTransport() if transport is None else transport
        self._format = Format(timeout_header, strings)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        ctx = current()
        self._format.inject(ctx, request.headers)
        seconds = ctx.remaining()
        try:
            async with scope(ctx):
                response = await self._transport.handle_async_request(request)
        except httpx.TransportError as error:
            check_deadline(ctx, seconds, error)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Stream(response.stream, ctx, seconds)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


class _Stream(httpx.AsyncByteStream):
    """The body of a response. No scope is open while its reader has a part."""

    def __init__(self, stream: httpx.AsyncByteStream, ctx: Context, seconds: float | None) -> None:
        self._stream = stream
        self._ctx = ctx
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = aiter(self._stream)
        while True:
            try:
                async with scope(self._ctx):
                    part = await anext(parts, None)
            except httpx.TransportError as error:
                check_deadline(self._ctx, self._seconds, error)
                raise
            if part is None:
                return
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class SyncTransport(httpx.BaseTransport):
    """As Transport, for an httpx.Client: sends by another transport, an httpx.HTTPTransport unless it is named.

    Nothing interrupts a thread that waits for a socket. So each wait of the request lasts no longer than what remained to
    the context when the request began, and the end is seen when a wait is over: between the parts of a response, or by
    the timeout, which is then the error of the context. A cancel is seen no earlier.
    """

    def __init__(
        self,
        transport: httpx.BaseTransport | None = None,
        *,
        timeout_header: str | None = TIMEOUT,
        strings: Iterable[str] = STRINGS,
    ) -> None:
        self._transport = httpx.HTTPTransport() if transport is None else transport
        self._format = Format(timeout_header, strings)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        ctx = current()
        self._format.inject(ctx, request.headers)
        seconds = ctx.remaining()
        if seconds is not None:
            own = request.extensions.get("timeout", {})
            waits = {each: own.get(each) for each in ("connect", "read", "write", "pool")}
            limits = {each: seconds if wait is None else min(wait, seconds) for each, wait in waits.items()}
            request.extensions = request.extensions | {"timeout": limits}
        with _ending(ctx, seconds):
            response = self._transport.handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _SyncStream(response.stream, ctx, seconds)
        return response

    def close(self) -> None:
        self._transport.close()


class _SyncStream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, ctx: Context, seconds: float | None) -> None:
        self._stream = stream
        self._ctx = ctx
        self._seconds = seconds

    def __iter__(self) -> Iterator[bytes]:
        parts = iter(self._stream)
        while True:
            self._ctx.check()
            with _ending(self._ctx, self._seconds):
                part = next(parts, None)
            if part is None:
                return
            yield part

    def close(self) -> None:
        self._stream.close()


@contextmanager
def _ending(ctx: Context, seconds: float | None) -> Iterator[None]:
    """An error of the transport at the end of the context is that end."""
    try:
        yield
    except httpx.TransportError as error:
        end = ctx.err()
        if end is not None:
            raise end from (end.__cause__ or error)
        check_deadline(ctx, seconds, error)
        raise


def cause(response: httpx.Response) -> Cause | None:
    """Why a server that has libctx.asgi gave such an answer, as it says itself; None if it does not say."""
    return cause_in(response.headers)
