# SPDX-License-Identifier: MIT
"""What an ASGI server has for an application, read ahead, so that a client's going is seen at once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import Context as Variables
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]

AHEAD = 1 << 16  # bytes; a server stops reading at some such limit, too


def _size(message: Message) -> int:
    return len(message.get("body") or message.get("bytes") or message.get("text") or b"")


class Inbox:
    """Reads on as long as less than AHEAD waits for the application, and hands it all out in its order.

    A server answers the first receive() by `100 Continue` if the client waits for that. So whoever makes the inbox of
    such a request calls start() only when the application asks.
    """

    def __init__(self, receive: Receive, gone: Callable[[], object], variables: Variables) -> None:
        self._receive = receive
        self._gone = gone
        self._variables = variables  # of the server, which may keep those that its receive() runs in
        self._loop = asyncio.get_running_loop()
        self._messages: deque[Message] = deque()
        self._waiting = 0
        self._last: Message | None = None
        self._failure: Exception | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._soon: asyncio.Handle | None = None
        self._task: asyncio.Task[None] | None = None

    def start_soon(self) -> None:
        """Once the application waits for the first time: one that answers at once needs no reader."""
        self._soon = self._loop.call_soon(self.start)

    def start(self) -> None:
        if self._task is None:
            self._task = self._loop.create_task(self._read(), context=self._variables)

    def close(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
        if self._task is not None:
            self._task.cancel()
        self._gone = bool  # no circle of references is left

    async def _read(self) -> None:
        try:
            while self._last is None:
                message = await self._receive()
                if message["type"].endswith(".disconnect"):
                    self._last = message
                    self._gone()
                else:
                    self._messages.append(message)
                    self._waiting += _size(message)
                self._news.set()
                while self._waiting >= AHEAD:
                    self._room.clear()
                    await self._room.wait()
        except Exception as error:
            self._failure = error
            self._news.set()

    async def receive(self) -> Message:
        """For the application, from any of its tasks. After the disconnect it gets that again, as from a server."""
        self.start()
        while not self._messages:
            if self._failure is not None:
                raise self._failure
            if self._last is not None:
                return self._last
            self._news.clear()
            await self._news.wait()
        message = self._messages.popleft()
        self._waiting -= _size(message)
        self._room.set()
        return message
