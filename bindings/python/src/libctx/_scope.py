# SPDX-License-Identifier: MIT
"""`await ctx.done()` and `async with scope(ctx):`, in whichever of asyncio and trio is running."""

import sys
from collections.abc import Coroutine
from types import ModuleType, TracebackType
from typing import Any

from . import _asyncio
from ._core import Context, Derived, with_cancel
from ._current import Entered, enter, leave


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
        self._parent = ctx
        self._derived: Derived | None = None

    async def __aenter__(self) -> Context:
        if self._derived is not None:
            raise RuntimeError("a libctx.scope() is entered once")
        guard: ModuleType = _asyncio
        if _in_trio():
            from . import _trio as guard
        self._derived = derived = with_cancel(self._parent)
        self._guard = guard.Guard(derived.ctx)
        await self._guard.enter()
        self._entered: Entered = enter(derived.ctx)
        return derived.ctx

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._derived is not None
        ctx, cancel = self._derived
        try:
            ended = self._guard.leave(kind, value, traceback)
            error = ctx.err()
        finally:
            try:
                cancel.__exit__(kind, value, traceback)
            finally:
                leave(self._entered)
        if ended and error is not None:
            raise error
