# SPDX-License-Identifier: MIT
"""Contexts in asyncio, on any loop that has add_reader()."""

import asyncio
import contextvars
from types import TracebackType
from weakref import WeakKeyDictionary

from ._core import Context
from ._hub import Entry, Hub

_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def _hub(loop: asyncio.AbstractEventLoop) -> Hub:
    hub = _hubs.get(loop)
    if hub is None:
        # Entries that waited on a loop when it was closed may refer to the loop, and would keep it in the
        # table. Other threads add and remove theirs meanwhile, so this does not iterate over the table itself.
        for reference in _hubs.keyrefs():
            old = reference()
            if old is not None and old.is_closed():
                _hubs.pop(old, None)
        hub = Hub()
        # Without context variables: the loop would keep those of the first caller, and so that one's context.
        contextvars.Context().run(loop.add_reader, hub.fileno(), hub.drain)
        _hubs[loop] = hub
    return hub


async def done(ctx: Context) -> None:
    loop = asyncio.get_running_loop()
    hub = _hub(loop)
    future = loop.create_future()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    entry = hub.add(ctx, wake)
    try:
        await future
    finally:
        hub.discard(entry)


class Guard:
    """Cancels the task in its body when the context ends, and says on exit whether that ended the body.

    It counts cancels as asyncio.timeout() does, so that a cancel from elsewhere propagates as usual. A cancel
    that was requested before, and was not delivered yet, is delivered before the body begins: later the guard
    could not tell it from its own.
    """

    def __init__(self, ctx: Context) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("libctx.scope() and timeout() want to be used inside a task")
        self._task = task
        self._ctx = ctx
        self._fired = False
        self._entry: Entry | None = None
        self._soon: asyncio.Handle | None = None

    async def enter(self) -> None:
        loop = self._task.get_loop()
        self._hub = _hub(loop)
        self._canceling = self._task.cancelling()
        if self._canceling > 0:
            await asyncio.sleep(0)
        if self._ctx.err() is None:
            self._entry = self._hub.add(self._ctx, self._fire)
        else:  # not by way of the descriptor: the first await in the body is to be the last
            self._soon = loop.call_soon(self._fire)

    def _fire(self) -> None:
        self._fired = True
        self._task.cancel()

    def disarm(self) -> None:
        """From now on the end of the context cancels nothing."""
        if self._entry is not None:
            self._hub.discard(self._entry)
        if self._soon is not None:
            self._soon.cancel()

    def leave(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self.disarm()
        if not self._fired:
            return False
        mine = self._task.uncancel() <= self._canceling
        # A generator may be closed by another task, whose cancels are its own.
        mine = mine and asyncio.current_task(self._task.get_loop()) is self._task
        return mine and kind is not None and issubclass(kind, asyncio.CancelledError)
