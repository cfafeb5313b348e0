# SPDX-License-Identifier: MIT
"""Child processes in asyncio, on any loop that has add_reader(): no thread, no signal handler."""

import asyncio
from types import TracebackType
from typing import IO, Any

from ._child import poll
from ._pipes import read_now
from ._popen import Popen

LIMIT = 1 << 16


class _Output(asyncio.ReadTransport):
    """Reads a pipe into a stream, until somebody says that this is all."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pipe: IO[bytes], limit: int) -> None:
        super().__init__()
        self._loop = loop
        self._pipe = pipe
        self.stream = asyncio.StreamReader(limit, loop)
        self.stream.set_transport(self)
        self.resume_reading()

    def resume_reading(self) -> None:
        if not self._pipe.closed:
            self._loop.add_reader(self._pipe.fileno(), self._read)

    def pause_reading(self) -> None:
        self._loop.remove_reader(self._pipe.fileno())

    def _read(self) -> None:
        part = read_now(self._pipe.fileno())
        if part:
            self.stream.feed_data(part)
        else:
            self.close()

    def finish(self) -> None:
        """With what is there now."""
        if not self._pipe.closed and poll(self._pipe.fileno(), 0):
            self._read()
        self.close()

    def is_closing(self) -> bool:
        return self._pipe.closed

    def close(self) -> None:
        if not self._pipe.closed:
            self.pause_reading()
            self._pipe.close()
            self.stream.feed_eof()


class Process:
    """A child process in asyncio that a context ends: an asyncio.subprocess.Process, with what Popen says.

    An end of the task that awaits wait() or communicate(), or of the body of an `async with`, ends the child, too, and
    waits for that; a second one kills it. Streams end at the latest `wait_delay` after the child.
    """

    def __init__(self, popen: Popen[bytes], loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self._popen = popen
        self._loop = loop
        self._outputs = [None if pipe is None else _Output(loop, pipe, limit) for pipe in (popen.stdout, popen.stderr)]
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout, self.stderr = (None if output is None else output.stream for output in self._outputs)
        self.pid = popen.pid
        self._exit: asyncio.Future[None] = loop.create_future()
        self._talk: list[asyncio.Task[bytes | None]] | None = None
        self._fd = popen._started.hold()
        loop.add_reader(self._fd, self._exited)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.pid}>"

    async def _connect(self) -> None:
        if self._popen.stdin is not None:
            stream = asyncio.StreamReader(loop=self._loop)  # which nobody reads: it is where a StreamWriter looks for errors
            transport, protocol = await self._loop.connect_write_pipe(
                lambda: asyncio.StreamReaderProtocol(stream, loop=self._loop), self._popen.stdin
            )
            self.stdin = asyncio.StreamWriter(transport, protocol, None, self._loop)

    def _exited(self) -> None:
        self._popen._started.kill_rest()  # who may have the pipes
        self._release()
        if not self._exit.done():
            self._exit.set_result(None)
        self._loop.call_later(self._popen._wait_delay, self._finish)

    def _release(self) -> None:
        self._loop.remove_reader(self._fd)
        self._popen._started.release()

    def _finish(self) -> None:
        """Nothing more is read or written."""
        if self.stdin is not None:
            transport = self.stdin.transport
            if not transport.is_closing() or transport.get_write_buffer_size() > 0:
                transport.abort()
        for output in self._outputs:
            if output is not None:
                output.finish()

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._popen.poll()

    async def wait(self) -> int:
        """Its return code. An Ended is raised if the context has ended the child."""
        await self._until(self._exit)
        return self._popen.wait(0)

    async def communicate(self, input: bytes | None = None) -> tuple[bytes | None, bytes | None]:
        """As that of asyncio. An Ended has what the child has written; after a cancel, a further call raises it."""
        if self._talk is None:
            parts = (self._feed(input), _read(self.stdout), _read(self.stderr))
            self._talk = [self._loop.create_task(part) for part in parts]
        elif input:
            raise ValueError("Cannot send input after starting communication")
        await self._until(self._exit, *self._talk)
        _, stdout, stderr = (part.result() for part in self._talk)
        self._popen._answer(stdout, stderr)
        return stdout, stderr

    async def _feed(self, input: bytes | None) -> None:
        if self.stdin is not None:
            try:
                self.stdin.write(input or b"")
                await self.stdin.drain()
            except (BrokenPipeError, ConnectionResetError):
                pass  # it does not want to read all
            self.stdin.close()

    async def _until(self, *what: "asyncio.Future[Any]") -> None:
        try:
            await asyncio.wait(what)
        except asyncio.CancelledError as error:
            await self._end(error)
            raise

    async def _end(self, error: BaseException) -> None:
        self._popen._cancel(error)
        while not self._exit.done():
            try:
                await asyncio.wait([self._exit])
            except asyncio.CancelledError:
                self._popen._started.kill()
        self._finish()
        if self._talk is not None:
            await asyncio.wait(self._talk)
        self._popen.poll()

    def send_signal(self, signal: int) -> None:
        """To the child alone, not to its group."""
        self._popen.send_signal(signal)

    def terminate(self) -> None:
        """Sends SIGTERM to the child alone."""
        self._popen.terminate()

    def kill(self) -> None:
        """Sends SIGKILL to the child alone."""
        self._popen.kill()

    async def __aenter__(self) -> "Process":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._finish()
        if value is not None:
            await self._end(value)
        elif self._popen.returncode is None:  # else whoever has waited knows
            await self.wait()


async def _read(stream: asyncio.StreamReader | None) -> bytes | None:
    return None if stream is None else await stream.read()


async def create_subprocess_exec(program: Any, *args: Any, limit: int = LIMIT, **options: Any) -> Process:
    """As that of asyncio, of a child that a context ends: see Popen, whose arguments it takes, too."""
    return await _create([program, *args], limit, options)


async def create_subprocess_shell(cmd: str | bytes, *, limit: int = LIMIT, **options: Any) -> Process:
    """As that of asyncio, of a child that a context ends: see Popen, whose arguments it takes, too."""
    return await _create(cmd, limit, options | {"shell": True})


async def _create(args: Any, limit: int, options: dict[str, Any]) -> Process:
    if any(options.get(name) for name in ("text", "universal_newlines", "encoding", "errors")):
        raise ValueError("the streams of asyncio have bytes: text is for Popen")
    loop = asyncio.get_running_loop()
    process = Process(Popen(args, **options | {"bufsize": 0}), loop, limit)
    try:
        await process._connect()
    except BaseException as error:
        await process._end(error)
        raise
    return process
