# SPDX-License-Identifier: MIT
"""The pipes to a child process, all at once: what Popen.communicate() does."""

import fcntl
import io
import os
import select
import selectors
import time
from typing import IO, Any

from ._child import Child, left


def read_now(fd: int) -> bytes:
    """What is in a pipe, and no more: others may write without end. b"" if nothing will come."""
    return os.read(fd, fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ))


class Pipes:
    def __init__(self, stdin: IO[Any] | None, stdout: IO[Any] | None, stderr: IO[Any] | None) -> None:
        self._stdin = stdin
        self._open: dict[IO[Any], list[bytes]] = {}
        self._outputs = [self._begin(pipe) for pipe in (stdout, stderr)]
        self._texts = [pipe if isinstance(pipe, io.TextIOWrapper) else None for pipe in (stdout, stderr)]
        self._input = memoryview(b"")

    def _begin(self, pipe: IO[Any] | None) -> list[bytes] | None:
        """With what a reader of the caller's own has left in its buffer."""
        if pipe is None:
            return None
        parts: list[bytes] = []
        if not pipe.closed:
            self._open[pipe] = parts
            if isinstance(pipe, io.BufferedReader):
                os.set_blocking(pipe.fileno(), False)
                parts.append(pipe.read1(len(pipe.peek())))
                os.set_blocking(pipe.fileno(), True)
        return parts

    def give(self, text: bytes | str | None) -> None:
        """What the child is to read."""
        if self._stdin is None or self._stdin.closed:
            return
        if isinstance(text, str):
            assert isinstance(self._stdin, io.TextIOWrapper)
            text = text.encode(self._stdin.encoding, self._stdin.errors or "strict")
        self._input = memoryview(text or b"").cast("B")
        try:
            self._stdin.flush()
        except BrokenPipeError:
            self._input = memoryview(b"")
        if not self._input:
            self._close_stdin()

    def _close_stdin(self) -> None:
        assert self._stdin is not None
        self._input = memoryview(b"")
        try:
            self._stdin.close()
        except BrokenPipeError:
            pass

    def until_exit(self, child: Child, end: float | None) -> bool:
        """Whether the child exits until then."""
        fd = child.hold()
        try:
            while fd >= 0 and not self._go_on(fd, end):
                if end is not None and time.monotonic() >= end:
                    return False
            return True
        finally:
            child.release()

    def drain(self, end: float) -> None:
        """What is there now, and until then what others write. Then the pipes are closed."""
        self._go_on(-1, 0)
        while self._open and time.monotonic() < end:
            self._go_on(-1, end)
        for pipe in self._open:
            pipe.close()
        self._open.clear()
        if self._stdin is not None:
            self._close_stdin()

    def _go_on(self, exited: int, end: float | None) -> bool:
        """Waits until something can go on, and does what can; whether the child has exited."""
        with selectors.PollSelector() as selector:
            for pipe in self._open:
                selector.register(pipe, selectors.EVENT_READ)
            if self._input and self._stdin is not None:
                selector.register(self._stdin, selectors.EVENT_WRITE)
            if exited >= 0:
                selector.register(exited, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(left(end))]
        for pipe in [pipe for pipe in self._open if pipe in ready]:
            part = read_now(pipe.fileno())
            self._open[pipe].append(part)
            if not part:
                del self._open[pipe]
                pipe.close()
        if self._stdin in ready:
            self._write()
        return exited in ready

    def _write(self) -> None:
        assert self._stdin is not None
        try:
            written = os.write(self._stdin.fileno(), self._input[: select.PIPE_BUF])
        except BrokenPipeError:
            self._close_stdin()
            return
        self._input = self._input[written:]
        if not self._input:
            self._close_stdin()

    def raw(self) -> list[bytes | None]:
        return [None if parts is None else b"".join(parts) for parts in self._outputs]

    def result(self, cut: bool) -> list[Any]:
        """As the child's files are: bytes or text, which may be cut anywhere if the child was ended."""
        texts: list[Any] = []
        for data, text in zip(self.raw(), self._texts):
            if data is None or text is None:
                texts.append(data)
                continue
            errors = "replace" if cut and text.errors == "strict" else text.errors
            texts.append(io.TextIOWrapper(io.BytesIO(data), text.encoding, errors).read())
        return texts
