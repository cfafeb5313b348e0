# SPDX-License-Identifier: MIT
"""`await ctx`, `async with scope(ctx):` and `async with timeout(2):`, in whichever of asyncio and trio is running."""

import inspect
import sys
from collections.abc import Coroutine
from datetime import timedelta
from types import ModuleType, TracebackType
from typing import Any

from . import _asyncio
from ._core import Context, Derived, with_cancel, with_deadline, with_idle, with_timeout
from ._current import Entered, current, enter, leave
from ._errors import Canceled, DeadlineExceeded, Error


def _in_trio() -> bool:
    """Asked first: trio can be a guest in an asyncio loop, and that loop is then running as well."""
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except (RuntimeError, AttributeError):  # AttributeError: another thread is just importing it
        return False
    return True


def done(ctx: Context) -> Coroutine[Any, Any, None]:
    """The result of Context.wait_done()."""
    if _in_trio():
        from . import _trio

        return _trio.done(ctx)
    return _asyncio.done(ctx)


class scope:
    """Ties a body and a context together.

        async with libctx.scope(ctx) as inner: ...

    When ctx ends, the body is canceled where it awaits, and Canceled or DeadlineExceeded is raised, with
    the cause as its __cause__. A cancel from elsewhere propagates as usual. The other way round, inner, which is
    derived from ctx, belongs to the body: leaving the body cancels it, so that a canceled task cancels
    everything that it called with inner. In the body it is the current() context.
    """

    def __init__(self, ctx: Context) -> None:
        self._start(with_cancel(ctx))

    def _start(self, derived: Derived) -> None:
        self._derived = derived
        self._entered: Entered | None = None

    def _enter(self) -> Context:
        ctx = self._derived.ctx
        self._entered = enter(ctx)
        return ctx

    def _once(self) -> None:
        if self._entered is not None:
            raise RuntimeError(f"a libctx.{type(self).__name__}() is entered once")

    async def __aenter__(self) -> Context:
        self._once()
        guard: ModuleType = _asyncio
        if _in_trio():
            from . import _trio as guard
        self._guard = guard.Guard(self._derived.ctx)
        await self._guard.enter()
        return self._enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            ended = self._guard.leave(kind, value, traceback)
            error = self._derived.ctx.err()
        finally:
            self._leave(kind, value, traceback)
        if ended and error is not None:
            raise self._end(error)

    def _leave(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._entered is not None
        try:
            self._derived.cancel.__exit__(kind, value, traceback)
        finally:
            leave(self._entered)

    def _end(self, error: Error) -> Error:
        """What the body raises that was ended by this error of its context."""
        return error


class timeout(scope):
    """A scope of its own context, which ends after that many seconds: a number, a timedelta, or None for never.

        async with libctx.timeout(2, cause="the query took too long") as ctx: ...

    If the time is over before the body is, the body is canceled where it awaits, and DeadlineExceeded, a
    TimeoutError, is raised. Whatever else ends the body raises no TimeoutError: if the parent ends, Canceled is
    raised, from the parent's error. The parent is current() unless it is named.

    In code that does not await, `with libctx.timeout(2) as ctx:` ends the context in time, for those who look:
    ctx.check(), waits, code of other languages. It raises nothing itself.
    """

    def __init__(
        self,
        seconds: float | timedelta | None,
        *,
        cause: BaseException | str | None = None,
        parent: Context | None = None,
    ) -> None:
        self._start(self._derive(current() if parent is None else parent, seconds, cause))

    def _derive(self, parent: Context, seconds: float | timedelta | None, cause: BaseException | str | None) -> Derived:
        return with_timeout(parent, seconds, cause=cause)

    def __enter__(self) -> Context:
        self._once()
        if sys._getframe(1).f_code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
            raise RuntimeError(f"in an async function write `async with libctx.{type(self).__name__}(...)`")
        return self._enter()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(kind, value, traceback)

    def _end(self, error: Error) -> Error:
        ctx = self._derived.ctx
        if ctx.ended_by(ctx) or not isinstance(error, DeadlineExceeded):
            return error
        canceled = Canceled()
        canceled.__cause__ = error
        return canceled


class deadline(timeout):
    """As timeout(), at a time on the clock of the parent's now(): that of time.monotonic() and loop.time(), unless
    the parent is of a loop with another clock.
    """

    def __init__(
        self, when: float | None, *, cause: BaseException | str | None = None, parent: Context | None = None
    ) -> None:
        self._start(with_deadline(current() if parent is None else parent, when, cause=cause))


class idle(timeout):
    """As timeout(), after that many seconds without progress: each ctx.touch() begins them anew.

        async with libctx.idle(30) as ctx:
            async for part in download():
                ctx.touch()
    """

    def _derive(self, parent: Context, seconds: float | timedelta | None, cause: BaseException | str | None) -> Derived:
        return with_idle(parent, seconds, cause=cause)
