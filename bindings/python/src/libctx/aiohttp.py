# SPDX-License-Identifier: MIT
"""Requests of aiohttp's client, which take the current context along and end with it.

    session = aiohttp.ClientSession(middlewares=[libctx.aiohttp.Middleware()])
"""

import asyncio
import weakref
from collections.abc import Iterable

try:
    import aiohttp
    from aiohttp import ClientHandlerType
except ImportError as _missing:
    raise ImportError("libctx.aiohttp needs aiohttp 3.12 or newer: pip install aiohttp") from _missing

from . import _asyncio
from ._core import Context, with_cancel
from ._current import current
from ._errors import Cause
from ._propagation import STRINGS, TIMEOUT, Format, cause_in, check_deadline
from ._scope import scope

__all__ = ["Middleware", "cause"]


class Middleware:
    """The request has the headers of current(), and ends with it: see libctx.httpx.Transport.

    When the context ends while the body of the response is read, the connection is closed, and readers get the error
    of the context.
    """

    def __init__(self, *, timeout_header: str | None = TIMEOUT, strings: Iterable[str] = STRINGS) -> None:
        self._format = Format(timeout_header, strings)

    async def __call__(self, request: aiohttp.ClientRequest, handler: ClientHandlerType) -> aiohttp.ClientResponse:
        ctx = current()
        self._format.inject(ctx, request.headers)
        seconds = ctx.remaining()
        try:
            async with scope(ctx):
                response = await handler(request)
        except aiohttp.ClientConnectionError as error:
            check_deadline(ctx, seconds, error)
            raise
        _end_with(response, ctx)
        return response


def _end_with(response: aiohttp.ClientResponse, ctx: Context) -> None:
    """Until the body is read, or nobody has the response any more, which any thread may find out."""
    reading, over = with_cancel(ctx)
    reference = weakref.ref(response)

    def end() -> None:
        found, error = reference(), ctx.err()
        if found is not None and error is not None and not found.content.is_eof():
            found.content.set_exception(error)
            found.close()

    _asyncio._hub(asyncio.get_running_loop()).add(reading, end)
    weakref.finalize(response, over).atexit = False
    response.content.on_eof(lambda: None if over() else None)


def cause(response: aiohttp.ClientResponse) -> Cause | None:
    """Why a server that has libctx.asgi gave such an answer, as it says itself; None if it does not say."""
    return cause_in(response.headers)
