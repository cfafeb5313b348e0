# SPDX-License-Identifier: MIT
"""The channel of a client with threads."""

import functools
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, NoReturn

import grpc

from .._core import Context
from .._current import current
from .._propagation import STRINGS
from ._caller import AT_ONCE, COMPANION_TIMEOUT, Caller, delegated, engine_ends
from ._calls import TELL, Metadata, error_of

ERRORS = (grpc.RpcError, grpc.FutureCancelledError)


def intercept_channel(
    channel: grpc.Channel,
    *,
    strings: Iterable[str] = STRINGS,
    name: str | None = None,
    tell: bool = True,
) -> grpc.Channel:
    """A channel whose calls take current() along and end with it.

    A call has the time that the context has left, unless its own timeout is shorter, and in its metadata the trace, the
    baggage, and the strings of the context that `strings` names. When the context ends, the call is canceled. It then
    raises the error of the context, also if the engine or the server was first to see the deadline. All other errors
    are those of gRPC: libctx.grpc.cause() finds why a server with the interceptor gave them.

    If somebody gave a reason for a cancel, the server is told it, as what `name` says, by a small call of its own; unless
    tell is False. gRPC cancels once that is answered, and after 100 ms at the latest. A server that does not know
    such calls gets one, and then no more.

    gRPC can cancel no call that blocks. So one whose context can be canceled is a future() here that is waited for.
    """
    return _Channel(channel, Caller(strings, name), tell)


class _Companions:
    """Small calls that tell a server why another one is canceled."""

    def __init__(self, channel: grpc.Channel, tells: bool) -> None:
        self._tell: Any = channel.unary_unary(TELL)
        self.wanted = tells
        self._lock = threading.Lock()
        self._under_way = 0

    def send(self, metadata: tuple[tuple[str, str], ...], cancel: Callable[[], object]) -> None:
        """Cancels once the server has been told, or the companion's time is over."""
        with self._lock:
            tells = self.wanted and self._under_way < AT_ONCE
            self._under_way += tells
        if not tells:
            cancel()
            return
        try:
            call = self._tell.future(b"", COMPANION_TIMEOUT, metadata, wait_for_ready=False)
        except Exception:  # of a channel that was closed
            self._over(None, cancel)
        else:
            call.add_done_callback(functools.partial(self._over, cancel=cancel))

    def _over(self, call: Any, cancel: Callable[[], object]) -> None:
        with self._lock:
            self._under_way -= 1
            if call is not None and call.code() is grpc.StatusCode.UNIMPLEMENTED:
                self.wanted = False
        cancel()


class _Method:
    """A method of a server, as gRPC has it, whose calls are tied to contexts."""

    def __init__(self, channel: "_Channel", method: Any) -> None:
        self._channel = channel
        self._method = method

    def _start(
        self, start: Callable[..., Any], request: Any, timeout: float | None, metadata: Metadata | None, rest: Any
    ) -> "_Call":
        ctx = current()
        caller, companions = self._channel.caller, self._channel.companions
        out = caller.outgoing(ctx, timeout, metadata, companions.wanted)
        call = start(request, out.timeout, out.metadata, *rest)
        if ctx.cancelable:
            reference = weakref.ref(call)  # one that nobody has any more is canceled by gRPC

            def end() -> None:
                found = reference()
                if found is None or engine_ends(ctx):
                    return
                told = caller.companion(ctx, out.number)
                if told is not None and found.is_active():
                    companions.send(told, found.cancel)
                else:
                    found.cancel()

            watch = ctx.after(end)
            if not call.add_callback(watch.stop):
                watch.stop()
        return _Call(call, ctx, out.seconds)


class _AnsweredOnce(_Method):
    def __call__(
        self, request: Any, timeout: float | None = None, metadata: Metadata | None = None, *rest: Any, **named: Any
    ) -> Any:
        return self.with_call(request, timeout, metadata, *rest, **named)[0]

    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        ctx = current()
        rest = credentials, wait_for_ready, compression
        if not ctx.cancelable:
            out = self._channel.caller.outgoing(ctx, timeout, metadata, False)
            return self._method.with_call(request, out.timeout, out.metadata, *rest)
        call = self._start(self._method.future, request, timeout, metadata, rest)
        try:
            return call.result(), call
        except BaseException:
            call.cancel()
            raise

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        return self._start(self._method.future, request, timeout, metadata, (credentials, wait_for_ready, compression))


class _AnsweredByStream(_Method):
    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        return self._start(self._method, request, timeout, metadata, (credentials, wait_for_ready, compression))


class _AskingOnce(_AnsweredOnce):
    """With a stream of requests, as gRPC names it."""

    def __call__(self, request_iterator: Any, *rest: Any, **named: Any) -> Any:  # type: ignore[override]
        return super().__call__(request_iterator, *rest, **named)

    def with_call(self, request_iterator: Any, *rest: Any, **named: Any) -> Any:  # type: ignore[override]
        return super().with_call(request_iterator, *rest, **named)

    def future(self, request_iterator: Any, *rest: Any, **named: Any) -> Any:  # type: ignore[override]
        return super().future(request_iterator, *rest, **named)


class _AskingByStream(_AnsweredByStream):
    def __call__(self, request_iterator: Any, *rest: Any, **named: Any) -> Any:  # type: ignore[override]
        return super().__call__(request_iterator, *rest, **named)


grpc.UnaryUnaryMultiCallable.register(_AnsweredOnce)
grpc.StreamUnaryMultiCallable.register(_AskingOnce)
grpc.UnaryStreamMultiCallable.register(_AnsweredByStream)
grpc.StreamStreamMultiCallable.register(_AskingByStream)


class _Call:
    """A call as gRPC has it, a Call and a Future, but for its errors: the context's come first."""

    def __init__(self, call: Any, ctx: Context, seconds: float | None) -> None:
        self._call = call
        self._ctx = ctx
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return delegated(self._call, name)

    def _fail(self, error: BaseException) -> NoReturn:
        raise error_of(self._ctx, self._seconds, error)

    def result(self, timeout: float | None = None) -> Any:
        try:
            return self._call.result(timeout)
        except ERRORS as error:
            self._fail(error)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        try:
            error = self._call.exception(timeout)
        except grpc.FutureCancelledError as canceled:
            if (error := error_of(self._ctx, self._seconds, canceled)) is canceled:
                raise
        return None if error is None else error_of(self._ctx, self._seconds, error)

    def traceback(self, timeout: float | None = None) -> TracebackType | None:
        error = self.exception(timeout)
        return None if error is None else error.__traceback__

    def add_done_callback(self, fn: Callable[[Any], Any]) -> None:
        self._call.add_done_callback(lambda _: fn(self))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except ERRORS as error:
            self._fail(error)


grpc.Call.register(_Call)
grpc.Future.register(_Call)


class _Channel(grpc.Channel):
    def __init__(self, channel: grpc.Channel, caller: Caller, tells: bool) -> None:
        self._channel = channel
        self.caller = caller
        self.companions = _Companions(channel, tells)

    def unary_unary(self, *args: Any, **named: Any) -> Any:
        return _AnsweredOnce(self, self._channel.unary_unary(*args, **named))

    def unary_stream(self, *args: Any, **named: Any) -> Any:
        return _AnsweredByStream(self, self._channel.unary_stream(*args, **named))

    def stream_unary(self, *args: Any, **named: Any) -> Any:
        return _AskingOnce(self, self._channel.stream_unary(*args, **named))

    def stream_stream(self, *args: Any, **named: Any) -> Any:
        return _AskingByStream(self, self._channel.stream_stream(*args, **named))

    def subscribe(self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool | None = False) -> None:
        self._channel.subscribe(callback, bool(try_to_connect))

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        self._channel.unsubscribe(callback)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> "_Channel":
        self._channel.__enter__()
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._channel.__exit__(*error)
