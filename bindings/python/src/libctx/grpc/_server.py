# SPDX-License-Identifier: MIT
"""The interceptor of a server with threads."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, TypeAlias

import grpc

from .._core import Context
from .._current import enter, leave, use
from .._errors import Error
from .._propagation import STRINGS
from ._calls import TELL
from ._served import Seconds, Served, Serving

Handler: TypeAlias = Callable[[Any, Any], Any]
Begin: TypeAlias = Callable[[Any], Served]


def in_context(ctx: Context, steps: Any) -> Iterator[Any]:
    """What an iterator gives; ctx is current() while it works, and nowhere else."""
    with use(ctx):
        iterator = iter(steps)
    try:
        while True:
            entered = enter(ctx)
            try:
                step = next(iterator)
            except StopIteration:
                return
            finally:
                leave(entered)
            yield step
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            with use(ctx):
                close()


def answered(context: Any) -> bool:
    """Whether the handler has set a status itself, which stays."""
    code = getattr(context, "code", None)  # a handler with threads in a server of grpc.aio cannot be asked
    return code is not None and code() not in (None, grpc.StatusCode.OK)


def _refuse(call: Served, context: Any, error: Error | None) -> NoReturn:
    code, text, why = call.status(error)
    trailing = getattr(context, "trailing_metadata", tuple)
    context.set_trailing_metadata((*(trailing() or ()), why))
    context.abort(code, text)
    raise AssertionError("abort() raises")


def unary(begin: Begin, handler: Handler) -> Handler:
    @functools.wraps(handler)
    def run(request: Any, context: Any) -> Any:
        call = begin(context)
        try:
            if not call.ctx.is_done:
                entered = enter(call.ctx)
                try:
                    response = handler(request, context)
                finally:
                    leave(entered)
                if not call.ctx.is_done or answered(context):
                    return response
            _refuse(call, context, None)
        except Error as error:
            if answered(context):
                raise
            _refuse(call, context, error)
        finally:
            call.over()

    return run


def stream(begin: Begin, handler: Handler) -> Handler:
    @functools.wraps(handler)
    def run(request: Any, context: Any) -> Iterator[Any]:
        call = begin(context)
        try:
            if not call.ctx.is_done:
                with use(call.ctx):
                    responses = handler(request, context)
                for response in in_context(call.ctx, responses):
                    if call.ctx.is_done:
                        break
                    yield response
            if call.ctx.is_done and not answered(context):
                _refuse(call, context, None)
        except Error as error:
            if answered(context):
                raise
            _refuse(call, context, error)
        finally:
            call.over()

    return run


def _kind(handler: Any) -> str:
    return f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"


def behavior_of(handler: Any) -> Handler:
    """The function of what gRPC calls a handler of a method."""
    behavior: Handler = getattr(handler, _kind(handler))
    return behavior


def with_behavior(handler: Any, behavior: Handler) -> Any:
    """The same with another one."""
    make = getattr(grpc, f"{_kind(handler)}_rpc_method_handler")
    return make(behavior, handler.request_deserializer, handler.response_serializer)


def _told(request: bytes, context: Any) -> bytes:
    return b""


class ServerInterceptor(grpc.ServerInterceptor):
    """Runs each handler of a grpc.server in a context of its own, which is current() there, at each step of a stream, too.

    The context ends

    - when the client cancels or goes, with its reason, if it tells one (see intercept_channel);
    - at the deadline of the call: its timeout is what the client gives, else `default_timeout`, and never longer than
      `maximum_timeout` (both in seconds);
    - when `parent` ends (background() unless it is named).

    A handler has a thread of its own, which nothing can stop: it looks at current(), waits for it, or calls what does.
    Once it returns, raises the error of a context, or gives the next message, the call is answered by DEADLINE_EXCEEDED
    for the deadline, UNAVAILABLE for the end of `parent`, CANCELLED for all else; the trailer ctx-cause has the reason,
    and `name` as who says so. A status that the handler has set itself stays.

    Metadata that is named in `strings` becomes strings of the context; that of the trace and the baggage is checked first.

    Name this interceptor before all others: what comes first sees the companions of cancels, too, as unknown methods.
    """

    def __init__(
        self,
        parent: Context | None = None,
        *,
        default_timeout: Seconds = None,
        maximum_timeout: Seconds = None,
        strings: Iterable[str] = STRINGS,
        name: str | None = None,
    ) -> None:
        self._serving = Serving(parent, default_timeout, maximum_timeout, strings, name)

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        if handler_call_details.method == TELL:
            # Here, and not in the handler: that would wait for a thread of the pool.
            self._serving.tell(handler_call_details.invocation_metadata)
            return grpc.unary_unary_rpc_method_handler(_told)
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        return self._serving.handler(handler_call_details.method, handler, functools.partial(self._make, handler))

    def _make(self, handler: Any) -> Any:
        make = stream if handler.response_streaming else unary
        return with_behavior(handler, make(self._begin, behavior_of(handler)))

    def _begin(self, context: Any) -> Served:
        call = Served(self._serving, context.invocation_metadata(), context.time_remaining())
        if not context.add_callback(call.gone):  # it is over already
            call.gone()
        return call
