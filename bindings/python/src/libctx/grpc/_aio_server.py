# SPDX-License-Identifier: MIT
"""The interceptor of a server of grpc.aio."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
import grpc.aio

from .._asyncio import _hub
from .._core import Context
from .._current import enter, leave
from .._errors import Error
from .._propagation import STRINGS
from ._calls import TELL
from ._served import Seconds, Served, Serving
from ._server import Handler, answered, stream, unary, with_behavior

Work: TypeAlias = Coroutine[Any, Any, Any]


def told(error: BaseException, ctx: Context) -> Error | None:
    """The error of a context that an exception stands for; a group does if all in it say that the call's has ended."""
    if isinstance(error, BaseExceptionGroup) and ctx.is_done:
        return ctx.err() if error.split((Error, asyncio.CancelledError))[1] is None else None
    return error if isinstance(error, Error) else None


async def _serve(call: Served, context: Any, work: Work) -> Any:
    """Runs a handler in a task of its own: gRPC cancels the one that calls this, and so that is no cancel of its scopes."""
    try:
        error: BaseException | None = None
        if not call.ctx.is_done:
            task = await _run(call, work)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is None and (not call.ctx.is_done or answered(context)):
                return task.result()
        else:
            work.close()
        reason: Error | None = None
        if error is not None and not (call.ctx.is_done and isinstance(error, asyncio.CancelledError)):
            reason = told(error, call.ctx)
            if reason is None or answered(context):
                raise error
        code, text, why = call.status(reason)
        try:
            await context.abort(code, text, (*(context.trailing_metadata() or ()), why))
        except grpc.aio.AbortError:
            raise
        except grpc.aio.BaseError:
            pass  # its client has gone meanwhile
    finally:
        call.over()
        error = None  # its traceback holds this frame


async def _run(call: Served, work: Work) -> asyncio.Task[Any]:
    """Until the handler has ended. A cancel of gRPC ends its context first, so that it can see why it is canceled."""
    loop = asyncio.get_running_loop()
    entered = enter(call.ctx)
    task = loop.create_task(work)
    leave(entered)
    over = loop.create_future()

    def end(task: object) -> None:
        if not over.done():
            over.set_result(None)

    task.add_done_callback(end)
    hub = _hub(loop)
    entry = hub.add(call.ctx, task.cancel)
    try:
        await over
    except asyncio.CancelledError:
        call.gone()
        hub.drain()  # the task is canceled now, and not in the next turn of the loop
        while not task.done():
            await asyncio.wait([task])
        error = None if task.cancelled() else task.exception()
        if error is not None and told(error, call.ctx) is None:
            raise error from None
        raise
    finally:
        hub.discard(entry)
    return task


def _of_task(begin: Callable[[Any], Served], handler: Handler) -> Handler:
    @functools.wraps(handler)
    async def run(request: Any, context: Any) -> Any:
        return await _serve(begin(context), context, handler(request, context))

    return run


def _of_generator(begin: Callable[[Any], Served], handler: Handler) -> Handler:
    async def write(request: Any, context: Any) -> None:
        async with aclosing(handler(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    async def run(request: Any, context: Any) -> None:
        await _serve(begin(context), context, write(request, context))

    return run


async def _told(request: bytes, context: Any) -> bytes:
    return b""


class ServerInterceptor(grpc.aio.ServerInterceptor):
    """Runs each handler of a grpc.aio.server in a context of its own, as libctx.grpc.ServerInterceptor does.

    When the context ends, the handler is canceled where it awaits, and sees why in current(). It is answered once it has
    ended. A handler that is not async has a thread, which nothing can stop.
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

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        if handler_call_details.method == TELL:
            self._serving.tell(handler_call_details.invocation_metadata)
            return grpc.unary_unary_rpc_method_handler(_told)
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        return with_behavior(handler, functools.partial(self._behavior, bool(handler.response_streaming)))

    def _behavior(self, answers: bool, handler: Handler) -> Handler:
        if inspect.iscoroutinefunction(handler):
            return _of_task(self._begin, handler)
        if answers and inspect.isasyncgenfunction(handler):
            return _of_generator(self._begin, handler)
        return (stream if answers else unary)(functools.partial(self._begin_in_thread, _Ends()), handler)

    def _begin(self, context: Any) -> Served:
        return Served(self._serving, context.invocation_metadata(), context.time_remaining())

    def _begin_in_thread(self, ends: "_Ends", context: Any) -> Served:
        call = self._begin(context)
        ends.arm(call)
        return call


class _Ends:
    """Ends the context of a handler in a thread with the task that gRPC has for the call, which is the one that makes this."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._over = False
        self._call: Served | None = None
        task.add_done_callback(self._end)

    def arm(self, call: Served) -> None:
        self._call = call
        if self._over:
            call.gone()

    def _end(self, task: object) -> None:
        self._over = True
        if self._call is not None:
            self._call.gone()
