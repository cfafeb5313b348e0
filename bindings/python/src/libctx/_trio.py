# SPDX-License-Identifier: MIT
"""Contexts in trio: one descriptor a run, watched by a system task; and trio's own cancel scopes."""

from types import TracebackType

import trio

from ._core import Context
from ._hub import Entry, Hub

_hubs: trio.lowlevel.RunVar[Hub] = trio.lowlevel.RunVar("libctx")


async def _drain(hub: Hub) -> None:
    fd = hub.fileno()
    while True:
        await trio.lowlevel.wait_readable(fd)
        hub.drain()


def _hub() -> Hub:
    try:
        return _hubs.get()
    except LookupError:
        hub = Hub()
        trio.lowlevel.spawn_system_task(_drain, hub, name="libctx")  # which a run that ends refuses
        _hubs.set(hub)
        return hub


async def done(ctx: Context) -> None:
    hub = _hub()
    event = trio.Event()
    entry = hub.add(ctx, event.set)
    try:
        await event.wait()
    finally:
        hub.discard(entry)


def _current_task() -> trio.lowlevel.Task | None:
    try:
        return trio.lowlevel.current_task()
    except RuntimeError:
        return None


class Guard:
    """A cancel scope that is canceled when the context ends."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._scope = trio.CancelScope()
        self._entry: Entry | None = None
        self._task = trio.lowlevel.current_task()

    async def enter(self) -> None:
        self._hub = _hub()
        if self._ctx.err() is None:
            self._entry = self._hub.add(self._ctx, self._scope.cancel)
        else:
            self._scope.cancel()
        self._scope.__enter__()  # last: what went before may fail

    def leave(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._entry is not None:
            self._hub.discard(self._entry)
        if _current_task() is not self._task:  # which trio would refuse, in place of the body's own error
            return False
        self._scope.__exit__(kind, value, traceback)
        return self._scope.cancelled_caught
