# SPDX-License-Identifier: MIT
"""An event loop of asyncio whose time is that of a VirtualLoop."""

import asyncio
import selectors
from asyncio import Future
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from ._core import VirtualLoop

_T = TypeVar("_T")


class _Selector(selectors.DefaultSelector):
    """Where an event loop would sleep, it moves the clock to what comes next."""

    def __init__(self, clock: VirtualLoop) -> None:
        super().__init__()
        self._clock = clock
        self.threads = 0  # at work for the event loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        when = self._clock.next()
        waits = [] if timeout is None else [timeout]
        if when is not None:
            waits.append(max(when - self._clock.now(), 0))
        if self.threads > 0 or not waits:
            return super().select(None)
        step = min(waits)
        if self._clock.advance(step) == 0 and step == 0:  # what comes is closer than a float can tell
            self._clock.advance(1e-9)
        return super().select(0)


class VirtualEventLoop(asyncio.SelectorEventLoop):
    """An event loop of asyncio for tests, whose time is that of a VirtualLoop: sleeps and timeouts take no time.

        asyncio.Runner(loop_factory=lambda: libctx.VirtualEventLoop(clock))

    When all tasks wait, the clock moves to the next sleep or deadline. While threads work for the event loop, as by
    asyncio.to_thread(), it stands. What other processes do is not waited for.
    """

    def __init__(self, clock: VirtualLoop) -> None:
        self._clock = clock
        self._selecting = _Selector(clock)
        super().__init__(self._selecting)
        if not isinstance(clock, VirtualLoop):
            self.close()
            raise TypeError(f"expected a libctx.VirtualLoop, not {type(clock)!r}")
        # How near the time of a sleep counts as come. In the floats of more than 48 days asyncio's nanosecond is lost,
        # and what is due at this very time would wait for ever.
        setattr(self, "_clock_resolution", 1e-6)  # noqa: B010 - no type has it

    def time(self) -> float:
        """The time of the clock."""
        return self._clock.now()

    def run_in_executor(  # type: ignore[override]  # stubtest knows no TypeVarTuple
        self, executor: Executor | None, func: Callable[..., _T], *args: Any
    ) -> Future[_T]:
        """As that of other event loops."""
        future = super().run_in_executor(executor, func, *args)
        self._selecting.threads += 1
        future.add_done_callback(self._thread_is_done)
        return future

    def _thread_is_done(self, future: Future[_T]) -> None:
        self._selecting.threads -= 1
