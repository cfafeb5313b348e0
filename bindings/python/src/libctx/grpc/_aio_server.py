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
from .._current import current, enter, leave
from .._errors import Error
from .._propagation import STRINGS
from ._calls import TELL
from ._served import Seconds, Served, Serving
from ._server import Handler, answered, behavior_of, stream, unary, with_behavior

Work: TypeAlias = Coroutine[Any, Any, Any]
Outcome: TypeAlias = tuple[Any, BaseException | None]


def told(error: BaseException, ctx: Context) -> Error | None:
    """The error of a context that an exception stands for; a group does if all in it say that the call's has ended."""
    if isinstance(error, BaseExceptionGroup) and ctx.is_done:
        return ctx.err() if error.split((Error, asyncio.CancelledError))[1] is None else None
    return error if isinstance(error, Error) else None


class _Over(asyncio.Future[Outcome]):
    """What a handler returns or raises. gRPC cancels the task that waits for it: that ends the context of the call, so that
    the handler is canceled and can see why, and the task waits on.
    """

    def __init__(self, call: Served) -> None:
        super().__init__()
        self._call = call

    def cancel(self, msg: object = None) -> bool:
        if self.done():
            return False
        self._call.gone()
        _hub(self.get_loop()).drain()  # the handler's task is canceled now, and not in the next turn of the loop
        return True

    async def run(self, work: Work) -> None:
        try:
            self.set_result((await work, None))
        except BaseException as error:
            self.set_result((None, error))

    def not_begun(self, task: object) -> None:
        """If the task was canceled so early."""
        if not self.done():
            self.set_result((None, asyncio.CancelledError()))


async def _handle(call: Served, work: Work) -> Outcome:
    """Runs a handler in a task of its own, since a cancel by gRPC is none by the handler's own scopes."""
    over = _Over(call)
    entered = enter(call.ctx)
    task = over.get_loop().create_task(over.run(work))
    leave(entered)
    task.add_done_callback(over.not_begun)
    hub = _hub(over.get_loop())
    entry = hub.add(call.ctx, task.cancel)
    try:
        return await over
    finally:
        hub.discard(entry)
        work.close()


async def _serve(call: Served, context: Any, work: Work) -> Any:
    error: BaseException | None = None
    try:
        if not call.ctx.is_done:
            response, error = await _handle(call, work)
            if error is None and (not call.ctx.is_done or answered(context)):
                return response
        else:
            work.close()
        reason: Error | None = None
        if error is not None and not (call.ctx.is_done and isinstance(error, asyncio.CancelledError)):
            reason = told(error, call.ctx)
            if reason is None or answered(context):
                raise error
        code, text, why = call.status(reason)
        await context.abort(code, text, (*(context.trailing_metadata() or ()), why))  # nobody reads it if the client has gone
    finally:
        call.over()
        error = None  # its traceback holds this frame


def _of_task(begin: Callable[[Any], Served], handler: Handler) -> Handler:
    @functools.wraps(handler)
    async def run(request: Any, context: Any) -> Any:
        return await _serve(begin(context), context, handler(request, context))

    return run


def _of_generator(begin: Callable[[Any], Served], handler: Handler) -> Handler:
    async def write(request: Any, context: Any) -> None:
        async with aclosing(handler(request, context)) as responses:
            async for response in responses:
                current().check()  # a handler may go on after its end
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
        in_task = self._serving.handler(handler_call_details.method, handler, functools.partial(self._in_task, handler))
        return self._in_thread(handler, _Ends()) if in_task is None else in_task

    def _in_task(self, handler: Any) -> Any:
        behavior = behavior_of(handler)
        if inspect.iscoroutinefunction(behavior):
            return with_behavior(handler, _of_task(self._begin, behavior))
        if handler.response_streaming and inspect.isasyncgenfunction(behavior):
            return with_behavior(handler, _of_generator(self._begin, behavior))
        return None

    def _in_thread(self, handler: Any, ends: "_Ends") -> Any:
        make = stream if handler.response_streaming else unary
        return with_behavior(handler, make(functools.partial(self._begin_in_thread, ends), behavior_of(handler)))

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
