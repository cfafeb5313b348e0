# SPDX-License-Identifier: MIT
"""A hub: all the contexts that one event loop waits for, on the one descriptor of a queue.

Everything here runs on the thread of that loop. A context that is done posts to the queue from whichever
thread ends it; the loop sees the descriptor readable and drains.
"""

from collections.abc import Callable
from typing import NamedTuple

from ._core import Context, Queue, Watch


class Entry(NamedTuple):
    token: bytes
    watch: Watch


class Hub:
    def __init__(self) -> None:
        self._queue = Queue()
        self._calls: dict[bytes, Callable[[], object]] = {}
        self._last = 0

    def fileno(self) -> int:
        return self._queue.fileno()

    def add(self, ctx: Context, call: Callable[[], object]) -> Entry:
        """Runs call() on the loop once the context is done. It must not raise."""
        self._last += 1
        token = self._last.to_bytes(8)
        self._calls[token] = call
        try:
            return Entry(token, self._queue.add(ctx, token))
        except BaseException:
            del self._calls[token]
            raise

    def discard(self, entry: Entry) -> None:
        """Takes an entry back; does nothing if its call has run."""
        if self._calls.pop(entry.token, None) is not None:
            entry.watch.stop()

    def drain(self) -> None:
        for token in self._queue:
            call = self._calls.pop(token, None)
            if call is not None:
                call()
