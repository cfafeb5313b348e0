# SPDX-License-Identifier: MIT
"""Requests of httpx, which take the current context along and end with it, in asyncio and trio.

    client = httpx.AsyncClient(transport=libctx.httpx.Transport())
"""

from collections.abc import AsyncIterator, Iterable

try:
    import httpx
except ImportError as _missing:
    raise ImportError("libctx.httpx needs httpx: pip install httpx") from _missing

from ._core import Context
from ._current import current
from ._errors import Cause
from ._propagation import STRINGS, TIMEOUT, Format, cause_in, check_deadline
from ._scope import scope

__all__ = ["Transport", "cause"]


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


def cause(response: httpx.Response) -> Cause | None:
    """Why a server that has libctx.asgi gave such an answer, as it says itself; None if it does not say."""
    return cause_in(response.headers)
