# SPDX-License-Identifier: MIT
"""The channel of a client on grpc.aio."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable
from typing import Any

import grpc
import grpc.aio

from .._core import Context
from .._current import current
from .._errors import Cause
from .._propagation import STRINGS
from ._caller import AT_ONCE, COMPANION_TIMEOUT, Caller, Outgoing, delegated, engine_ends
from ._calls import TELL, Metadata, cause_of, error_of

ERRORS = (grpc.RpcError, asyncio.CancelledError, asyncio.InvalidStateError)


def intercept_channel(
    channel: grpc.aio.Channel,
    *,
    strings: Iterable[str] = STRINGS,
    name: str | None = None,
    tell: bool = True,
) -> grpc.aio.Channel:
    """A channel of grpc.aio whose calls take current() along and end with it: see libctx.grpc.intercept_channel."""
    return _Channel(channel, Caller(strings, name), tell)


async def cause(call: Any) -> Cause | None:
    """Why a server that has the interceptor answered a call of grpc.aio so, once it is over: see libctx.grpc.cause."""
    return cause_of(await call.trailing_metadata())


class _Companions:
    """Small calls that tell a server why another one is canceled."""

    def __init__(self, channel: grpc.aio.Channel, tells: bool) -> None:
        self._tell: Any = channel.unary_unary(TELL)
        self.wanted = tells
        self._under_way: set[asyncio.Task[None]] = set()

    def send(self, metadata: tuple[tuple[str, str], ...], cancel: Callable[[], object]) -> None:
        """Cancels once the server has been told, or the companion's time is over."""
        if not self.wanted or len(self._under_way) >= AT_ONCE:
            cancel()
            return
        try:
            call = self._tell(b"", timeout=COMPANION_TIMEOUT, metadata=metadata, wait_for_ready=False)
        except Exception:  # of a channel that was closed
            cancel()
            return
        task = asyncio.get_running_loop().create_task(self._look(call, cancel))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _look(self, call: Any, cancel: Callable[[], object]) -> None:
        try:
            if await call.code() is grpc.StatusCode.UNIMPLEMENTED:
                self.wanted = False
        finally:
            cancel()


class _Method:
    """A method of a server, as gRPC has it, whose calls are tied to contexts."""

    def __init__(self, channel: "_Channel", method: Any, kind: type["_Call"]) -> None:
        self._channel = channel
        self._method = method
        self._kind = kind

    def __call__(
        self,
        request: Any = None,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        ctx = current()
        caller, companions = self._channel.caller, self._channel.companions
        out = caller.outgoing(ctx, timeout, metadata, companions.wanted)
        call = self._method(
            request,
            timeout=out.timeout,
            metadata=out.metadata,
            credentials=credentials,
            wait_for_ready=wait_for_ready,
            compression=compression,
        )
        if not ctx.cancelable:
            return call

        return self._kind(call, ctx, out, self._channel)


class _AskingMethod(_Method):
    """One with a stream of requests, as gRPC names it."""

    def __call__(self, request_iterator: Any = None, *rest: Any, **named: Any) -> Any:  # type: ignore[override]
        return super().__call__(request_iterator, *rest, **named)


def _on_the_loop(end: Callable[[], None]) -> Callable[[], None]:
    """For a callback of a context, which runs where that is canceled: at once if it is in the loop."""
    loop, thread = asyncio.get_running_loop(), threading.get_ident()

    def call() -> None:
        if threading.get_ident() == thread and loop.is_running():
            end()
            return
        try:
            loop.call_soon_threadsafe(end)
        except RuntimeError:
            pass  # the loop was closed, and its calls with it

    return call


grpc.aio.UnaryUnaryMultiCallable.register(_Method)
grpc.aio.UnaryStreamMultiCallable.register(_Method)
grpc.aio.StreamUnaryMultiCallable.register(_AskingMethod)
grpc.aio.StreamStreamMultiCallable.register(_AskingMethod)


class _Call:
    """A call as gRPC has it, which ends with its context.

    Whoever waits here waits for a future of their own. gRPC would take a cancel of the task that waits for one of the
    call, at once, and nobody could tell the server why.
    """

    def __init__(self, call: Any, ctx: Context, out: Outgoing, channel: "_Channel") -> None:
        self._call = call
        self._ctx = ctx
        self._out = out
        self._channel = channel
        self._canceled = False
        self._waiting: set[asyncio.Future[None]] = set()
        watch = ctx.after(_on_the_loop(self._end))
        call.add_done_callback(lambda _: watch.stop())

    def __getattr__(self, name: str) -> Any:
        return delegated(self._call, name)

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        self._call.add_done_callback(lambda _: callback(self))

    def _end(self) -> None:
        """The context is done, or the task that waits is canceled. If somebody gave the context a reason, the server hears it."""
        if self._canceled or self._call.done() or engine_ends(self._ctx):
            return
        self._canceled = True
        told = self._channel.caller.companion(self._ctx, self._out.number)
        if told is None:
            self._call.cancel()
        else:
            self._channel.companions.send(told, self._call.cancel)
        for waiting in self._waiting:
            _set(waiting)

    async def _wait_for(self, what: Any) -> None:
        """Until that is done; what has done() and add_done_callback(). Raises the error of a call that is canceled before."""
        if what.done():
            return
        over = asyncio.get_running_loop().create_future()
        what.add_done_callback(lambda _: _set(over))
        self._waiting.add(over)
        try:
            if not self._canceled:
                await over
        except asyncio.CancelledError:
            self._end()
            raise
        finally:
            self._waiting.discard(over)
        if not what.done():
            raise self._ctx.err() or asyncio.CancelledError()

    async def _step(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Reading or writing: in a task of its own, which ends with the call at the latest."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_look_at)
        await self._wait_for(task)
        try:
            return task.result()
        except ERRORS as error:
            raise self._error(error)  # noqa: B904

    def _error(self, error: BaseException) -> BaseException:
        return error_of(self._ctx, self._out.seconds, error)


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _look_at(task: asyncio.Task[Any]) -> None:
    """Otherwise asyncio would log what a task has raised that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


class _AnsweredOnce(_Call):
    def __await__(self) -> Generator[Any, Any, Any]:
        yield from self._wait_for(self._call).__await__()
        try:
            return (yield from self._call.__await__())
        except ERRORS as error:
            raise self._error(error)  # noqa: B904


class _AnsweredByStream(_Call):
    _responses: AsyncIterator[Any] | None = None

    def __aiter__(self) -> AsyncIterator[Any]:
        if self._responses is None:
            self._responses = self._iterate()
        return self._responses

    async def _iterate(self) -> AsyncIterator[Any]:
        responses = aiter(self._call)
        while (response := await self._step(_next(responses))) is not _OVER:
            yield response

    async def read(self) -> Any:
        return await self._step(self._call.read())


_OVER = object()  # after the last response; None may be one


async def _next(responses: AsyncIterator[Any]) -> Any:
    return await anext(responses, _OVER)


class _Asks(_Call):
    async def write(self, request: Any) -> None:
        await self._step(self._call.write(request))

    async def done_writing(self) -> None:
        await self._step(self._call.done_writing())


class _AsksAnsweredOnce(_Asks, _AnsweredOnce):
    pass


class _AsksAnsweredByStream(_Asks, _AnsweredByStream):
    pass


grpc.aio.UnaryUnaryCall.register(_AnsweredOnce)
grpc.aio.UnaryStreamCall.register(_AnsweredByStream)
grpc.aio.StreamUnaryCall.register(_AsksAnsweredOnce)
grpc.aio.StreamStreamCall.register(_AsksAnsweredByStream)


class _Channel(grpc.aio.Channel):
    def __init__(self, channel: grpc.aio.Channel, caller: Caller, tells: bool) -> None:
        self._channel = channel
        self.caller = caller
        self.companions = _Companions(channel, tells)

    def unary_unary(self, *args: Any, **named: Any) -> Any:
        return _Method(self, self._channel.unary_unary(*args, **named), _AnsweredOnce)

    def unary_stream(self, *args: Any, **named: Any) -> Any:
        return _Method(self, self._channel.unary_stream(*args, **named), _AnsweredByStream)

    def stream_unary(self, *args: Any, **named: Any) -> Any:
        return _AskingMethod(self, self._channel.stream_unary(*args, **named), _AsksAnsweredOnce)

    def stream_stream(self, *args: Any, **named: Any) -> Any:
        return _AskingMethod(self, self._channel.stream_stream(*args, **named), _AsksAnsweredByStream)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    async def __aenter__(self) -> "_Channel":
        await self._channel.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._channel.__aexit__(*error)
