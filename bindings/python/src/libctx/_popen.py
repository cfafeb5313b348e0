# SPDX-License-Identifier: MIT
"""libctx.process.Popen, and the errors of a child that a context has ended."""

import os
import signal as signals
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, AnyStr
from warnings import warn

from . import _errors
from ._child import Child, Seconds
from ._core import Context, with_cancel
from ._current import current
from ._errors import Error
from ._export import Export
from ._pipes import Pipes

GRACE = 5.0
WAIT_DELAY = 1.0


class Ended(Error):
    """A context has ended a child: always a Canceled or a DeadlineExceeded, with what the child has written.

    Its attributes are those of subprocess.CalledProcessError: cmd, returncode, stdout (or output) and stderr.
    """

    cmd: Any = None
    returncode: int | None = None
    stdout: Any = None
    stderr: Any = None

    @property
    def output(self) -> Any:
        """The same as stdout."""
        return self.stdout


class Canceled(Ended, _errors.Canceled):
    """The context was canceled, and that has ended the child."""


class DeadlineExceeded(Ended, _errors.DeadlineExceeded):
    """The context's deadline passed, and that has ended the child."""


_left: set[Child] = set()  # by their Popen, without a wait


class Popen(subprocess.Popen[AnyStr]):
    """A child process that a context ends, current() unless it is named.

        with libctx.process.Popen(["make"], stdout=PIPE, text=True, ctx=ctx) as child: ...

    It leads a process group of its own, and finds the context by LIBCTX. When the context ends, the group gets `signal`
    (None: nothing, for children that use libctx), and SIGCONT for what is stopped. Once the child has exited, or after
    `grace` seconds (None: never), what is left of the group gets SIGKILL; and whoever waits gets an Ended, the error of the
    context. What has left the group lives on, and so does what a child that exits by itself has started. A context that is
    done raises its error, and starts nothing.

    Others may hold the pipes open when the child has exited, such as a daemon that it has started. communicate() goes on
    reading for `wait_delay` seconds, and what the child itself has written is read in any case.

    An exception that leaves the body of a `with` ends the child, too, and the end of the body waits for it. A child that
    nobody waits for ends with its context all the same. The process must not ignore SIGCHLD, nor wait for just any child.
    """

    _child: Child | None = None
    _pipes: Pipes | None = None

    def __init__(
        self,
        args: Any,
        *,
        ctx: Context | None = None,
        grace: Seconds = GRACE,
        wait_delay: float = WAIT_DELAY,
        signal: int | None = signals.SIGTERM,
        **options: Any,
    ) -> None:
        parent = current() if ctx is None else ctx
        if not isinstance(parent, Context):
            raise TypeError(f"expected a libctx.Context, not {type(parent)!r}")
        parent.check()
        for child in list(_left):
            if child.is_foreign() or child.reap() is not None:
                _left.discard(child)
        self._wait_delay = wait_delay
        self._ctx, self._cancel = with_cancel(parent)
        export = Export(self._ctx)
        try:
            _prepare(options, export.text, signal)
            super().__init__(args, **options)
            self._child = Child(self.pid, self._ctx, export, grace, signal)
        except BaseException:
            export.stop()
            self._give_up()
            raise

    def _give_up(self) -> None:
        """Of what has started, and cannot be ended later."""
        if getattr(self, "pid", None) is not None and self.returncode is None:
            with suppress(OSError):
                os.kill(self.pid, signals.SIGKILL)
                os.waitpid(self.pid, 0)
            for pipe in (self.stdin, self.stdout, self.stderr):
                if pipe is not None:
                    pipe.close()

    @property
    def _started(self) -> Child:
        assert self._child is not None
        return self._child

    def poll(self) -> int | None:
        """As that of subprocess."""
        self.returncode = self._started.reap()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """As that of subprocess. An Ended is raised if the context has ended the child, also by further calls."""
        if not self._started.wait(timeout):
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self._answer(None, None)

    def _answer(self, stdout: Any, stderr: Any) -> int:
        """Of one that has exited."""
        returncode = self.poll()
        assert returncode is not None
        error = self._ctx.err() if self._started.ended else None
        if error is None:
            return returncode
        kind = DeadlineExceeded if isinstance(error, TimeoutError) else Canceled
        ended: Ended = kind()
        ended.cmd, ended.returncode, ended.stdout, ended.stderr = self.args, returncode, stdout, stderr
        raise ended from error.__cause__

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """As that of subprocess. An Ended has what the child has written.

        After reads of your own in text mode, what those have taken ahead is not in it: read on there, or in bytes.
        """
        child, end = self._started, None if timeout is None else time.monotonic() + timeout
        if self._pipes is None:
            self._pipes = Pipes(self.stdin, self.stdout, self.stderr)
            self._pipes.give(input)
        elif input:
            raise ValueError("Cannot send input after starting communication")
        if not self._pipes.until_exit(child, end):
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout, *self._pipes.raw())
        child.kill_rest()  # who may have the pipes
        delay = time.monotonic() + self._wait_delay
        self._pipes.drain(delay if end is None else min(delay, end))
        stdout, stderr = self._pipes.result(cut=child.ended)
        self._answer(stdout, stderr)
        return stdout, stderr

    def send_signal(self, sig: int) -> None:
        """To the child alone, not to its group."""
        if self.poll() is None:
            self._started.send(sig)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for pipe in (self.stdout, self.stderr, self.stdin):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        if self._started.is_foreign() or self.returncode is not None:
            return  # whoever has waited knows
        if value is not None:
            self._cancel.__exit__(kind, value, traceback)
        try:
            self._started.wait(None)
        except BaseException as error:  # such as a second Ctrl-C
            self._cancel(error)
            self._started.kill()
            self._started.wait(None)
            self.poll()
            raise
        if value is None:
            self.wait()
        else:
            self.poll()

    def __del__(self, _maxsize: int = 0, _warn: Callable[..., None] = warn) -> None:
        child = self._child
        if child is not None and child.returncode is None and not child.is_foreign():
            _warn(f"subprocess {self.pid} is still running", ResourceWarning, source=self)
            _left.add(child)


def _prepare(options: dict[str, Any], text: str, number: int | None) -> None:
    """The options of subprocess for a child that finds a context, and that a signal to its group ends."""
    environment = options.get("env")
    options["env"] = {**(os.environ if environment is None else environment), "LIBCTX": text}
    if options.get("process_group") is None and not options.get("start_new_session"):
        options["process_group"] = 0
    if options.get("close_fds", True) and any(options.get(name) is not None for name in ("user", "group", "extra_groups")):
        # It may not open what this process has open: see ctx/process.h.
        options["pass_fds"] = (*options.get("pass_fds", ()), *map(int, text.split(":")[2:4]))
    if number is not None and _refuses(number):
        options["preexec_fn"] = _accepting(number, options.get("preexec_fn"))


def _refuses(number: int) -> bool:
    return number in signals.pthread_sigmask(signals.SIG_BLOCK, ()) or signals.getsignal(number) == signals.SIG_IGN


def _accepting(number: int, then: Callable[[], object] | None) -> Callable[[], object]:
    """A child inherits what this thread blocks, as for with_signal(), and what the process ignores. Only a function that
    runs in the child can undo that.
    """

    def accept() -> None:
        signals.signal(number, signals.SIG_DFL)
        signals.pthread_sigmask(signals.SIG_UNBLOCK, (number,))
        if then is not None:
            then()

    return accept
