# SPDX-License-Identifier: MIT
"""One request of an ASGI application, or one WebSocket, and what ends it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from errno import ECONNRESET
from typing import Any, TypeAlias

from ._asyncio import Guard
from ._core import Canceler, Context, encode_cause, without_cancel
from ._current import enter, leave, use
from ._errors import Cause, DeadlineExceeded, Error, Origin
from ._inbox import Inbox, Message, Receive
from ._propagation import CAUSE, at_deadline

Send: TypeAlias = Callable[[Any], Awaitable[None]]
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

# A WebSocket is refused by a close or by a response.
FIRST = frozenset(("http.response.start", "websocket.close", "websocket.http.response.start"))
PARTS = frozenset(
    ("http.response.body", "http.response.zerocopysend", "http.response.pathsend", "websocket.close", "websocket.http.response.body")
)
GOING_AWAY = 1001


async def answer(kind: str, send: Send, status: int, text: str, *more: tuple[bytes, bytes]) -> None:
    """The whole answer to a request; a WebSocket is closed."""
    if kind == "websocket":
        await send({"type": "websocket.close", "code": GOING_AWAY, "reason": text})
        return
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Exchange(Guard):
    """Runs the application with its context as current(), until one of the two ends."""

    def __init__(
        self, ctx: Context, cancel: Canceler, parent: Context, who: str | None, kind: str, receive: Receive, send: Send
    ) -> None:
        super().__init__(ctx)
        self._cancel = cancel
        self._parent = parent
        self._who = who
        self._kind = kind
        self._send = send
        self._seconds = ctx.remaining()
        self._started = False  # the response of the application, or its end of a WebSocket
        self._complete = False
        self._gone = False
        self._answer: asyncio.Task[None] | None = None  # ours, in place of that of the application
        self._trailers = False  # wanted, or promised if the response has started
        self._variables = copy_context()
        self.inbox = Inbox(receive, self._client_gone, self._variables)

    async def run(self, app: App, scope: Any, trailers: bool = False) -> None:
        """With trailers, a response that has begun ends by the reason in place of being cut off."""
        self._trailers = trailers
        await self.enter()
        self._entered = enter(self._ctx)
        failure: BaseException | None = None
        try:
            if self._ctx.is_done:
                self._respond()
            else:
                await app(scope, self.inbox.receive, self.send)
        except BaseException as error:
            failure = error
            if not self.leave(type(error), error, None) and not self._is_told(error):
                raise
        else:
            self.leave(None, None, None)
        finally:
            leave(self._entered)
            self.inbox.close()
            self._cancel.__exit__(None if failure is None else type(failure), failure, None)
            failure = None  # its traceback holds this frame
            if self._answer is not None:
                await self._answer
            elif self._is_over() and self._started and self._trailers and not self._gone:
                self._complete = True
                await self._send({"type": "http.response.body", "body": b""})
                await self._send_trailers([(CAUSE.encode(), self._why())])

    def _is_told(self, error: BaseException) -> bool:
        """Whether an exception says only that the context is done. That of a task group may say so several times."""
        if not self._ctx.is_done:
            return False
        if isinstance(error, BaseExceptionGroup):
            return error.split((Error, asyncio.CancelledError))[1] is None
        return isinstance(error, Error)

    async def send(self, message: Message) -> None:
        """For the application. After the end no response begins, and none goes on."""
        if self._is_over():
            self._respond()
            self._ctx.check()
        if message["type"] in FIRST:
            self._started = True
            message = self._promise(message)
        last = message["type"] in PARTS and not message.get("more_body", False)
        if last:
            self._complete = True
        await self._send(message)
        if last and self._trailers:
            await self._send_trailers([])
        if last:
            self._detach()

    def _promise(self, message: Message) -> Message:
        """Trailers of ours, unless the length is told, or there are the application's own."""
        headers = list(message.get("headers", ()))
        self._trailers &= not message.get("trailers") and all(name.lower() != b"content-length" for name, _ in headers)
        if not self._trailers:
            return message
        return {**message, "headers": [*headers, (b"trailer", CAUSE.encode())], "trailers": True}

    async def _send_trailers(self, headers: list[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.trailers", "headers": headers, "more_trailers": False})

    def _why(self) -> bytes:
        return encode_cause(self._ctx.cause() or "", self._who).encode()

    def _is_over(self) -> bool:
        if self._complete:
            return False
        return self._fired or (self._kind == "http" and not self._started and self._ctx.is_done)

    def _detach(self) -> None:
        """From now on nothing ends what is left to do here; the values stay."""
        self.disarm()
        self._entered[0].ctx = without_cancel(self._ctx)

    def _client_gone(self) -> None:
        """As the server says, which says so after a complete response, too."""
        if self._complete:
            return
        self._gone = True
        if at_deadline(self._ctx, self._seconds):
            self._cancel(deadline_exceeded=True)
        else:
            self._cancel(Cause("the client has gone", -ECONNRESET, origin=Origin.PEER))

    def _fire(self) -> None:
        if self._gone and self._kind == "websocket":
            return  # its handler asks receive(), and may have more to do
        self._respond()
        super()._fire()

    def _respond(self) -> None:
        """Does not wait for the application, which may not stop."""
        if not (self._started or self._gone or self._answer):
            self._answer = self._task.get_loop().create_task(self._refuse(), context=self._variables)

    async def _refuse(self) -> None:
        with use(self._ctx):
            error = self._ctx.err()
            late = isinstance(error, DeadlineExceeded) and not self._ctx.ended_by(self._parent)
            await answer(self._kind, self._send, 504 if late else 503, str(error), (CAUSE.encode(), self._why()))
