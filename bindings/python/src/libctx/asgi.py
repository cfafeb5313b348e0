# SPDX-License-Identifier: MIT
"""A context for each request of an ASGI application, on asyncio: Starlette, FastAPI and others, below any server.

    app = libctx.asgi.ContextMiddleware(app, parent=server, default_timeout=30, maximum_timeout=60)

It ends with the request: when the client goes, at the deadline, with the server's context.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, TypeAlias

from ._core import Context, background, encode_cause
from ._current import use
from ._exchange import App, Exchange, Send, answer
from ._inbox import Receive
from ._propagation import STRINGS, TIMEOUT, Format

__all__ = ["ContextMiddleware"]

Seconds: TypeAlias = float | timedelta | None


class ContextMiddleware:
    """Runs each request in a context of its own, which is current() there.

    The context ends, and the handler is canceled where it awaits,

    - when the client goes: also if the handler never calls receive();
    - at the deadline: 504, if no response has begun. The timeout is what the client sends in milliseconds in
      `timeout_header`, else `default_timeout`, and never longer than `maximum_timeout` (both in seconds);
    - when `parent` ends (background() unless it is named): 503, if no response has begun.

    A response that has begun is cut off, which the client can tell from a whole one. With `trailers` it ends by the trailer
    ctx-cause in place of that, if the server has trailers and the client asks for them: for clients that look there, as
    others take it for the whole. The answer does not wait for a
    handler that does not stop; what such a handler sends later raises the error of its context.

    Headers that are named in `strings` become strings of the context; those of the trace and the baggage are checked
    first. A malformed timeout is answered by 400. Answers of the middleware say why in the header ctx-cause, and that
    `name` says so: see libctx.decode_cause().

    Work after the response, such as a BackgroundTask, has the values of the request, and neither its deadline nor its
    client ends it: current() is then what without_cancel() gives. A WebSocket has no deadline. When its client goes,
    its context ends, and the handler learns that from receive(), as always.
    """

    def __init__(
        self,
        app: App,
        parent: Context | None = None,
        *,
        timeout_header: str | None = TIMEOUT,
        default_timeout: Seconds = None,
        maximum_timeout: Seconds = None,
        strings: Iterable[str] = STRINGS,
        name: str | None = None,
        trailers: bool = False,
    ) -> None:
        self._app = app
        self._parent = background() if parent is None else parent
        if not isinstance(self._parent, Context):
            raise TypeError(f"expected a libctx.Context, not {type(parent)!r}")
        self._name = name
        self._trailers = trailers
        encode_cause("", name)  # a name that is none is refused here, and so are times below
        self._format = Format(timeout_header, strings)
        self._limits = {"default_timeout": default_timeout, "maximum_timeout": maximum_timeout}
        self._format.extract(background(), {}, self._limits)
        self._wanted = {each.encode(): each for each in (*self._format.names, "expect", "te")}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            with use(self._parent):
                await self._app(scope, receive, send)
            return
        headers = self._headers(scope)
        try:
            ctx, cancel = self._format.extract(self._parent, headers, self._limits if kind == "http" else None)
        except ValueError as error:
            await answer(kind, send, 400, str(error))
            return
        exchange = Exchange(ctx, cancel, self._parent, self._name, kind, receive, send)
        if headers.get("expect", "").lower() != "100-continue":
            exchange.inbox.start_soon()
        able = kind == "http" and "http.response.trailers" in (scope.get("extensions") or ())
        asked = "trailers" in map(str.strip, headers.get("te", "").lower().split(","))
        await exchange.run(self._app, scope, self._trailers and able and asked)

    def _headers(self, scope: Any) -> dict[str, str]:
        """Those that are asked for; one that came several times is one text."""
        found: dict[str, str] = {}
        for raw, value in scope["headers"]:
            name = self._wanted.get(raw.lower())
            if name is not None:
                text = value.decode("latin-1")
                found[name] = f"{found[name]},{text}" if name in found else text
        return found
