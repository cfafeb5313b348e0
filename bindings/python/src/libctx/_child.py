# SPDX-License-Identifier: MIT
"""A child process that a context ends: its group gets a signal, and SIGKILL after a grace.

1. Callbacks of the context send both. So a child ends whether or not somebody waits for it, or holds it.
2. A group is sent signals only until its leader is reaped, which the lock sees to: till then nobody else gets the number.
"""

import os
import select
import signal
import threading
import time
from contextlib import suppress
from datetime import timedelta
from errno import ECHILD

from ._core import Context, Watch, with_grace
from ._export import Export

Seconds = float | timedelta | None


class Child:
    def __init__(self, pid: int, ctx: Context, export: Export, grace: Seconds, number: int | None) -> None:
        self.returncode: int | None = None
        self.ended = False  # by the context, and not by itself
        self._pid = pid
        self._export = export  # until it is reaped
        self._number = number
        self._parent = os.getpid()
        self._lock = threading.RLock()  # a signal's handler may cancel on the thread that has it
        self._holders = 0  # of the descriptor
        self._watches: list[Watch] = []
        self._pidfd = os.pidfd_open(pid)
        try:
            self._watches.append(ctx.after(self._ask))
            if grace is not None:
                self._watches.append(with_grace(ctx, grace).ctx.after(self.kill))
        except BaseException:
            self._forget()
            raise

    def is_foreign(self) -> bool:
        """Whether this process was forked since. It may neither wait for the child nor end it."""
        return os.getpid() != self._parent

    def _check(self) -> None:
        if self.is_foreign():
            raise ChildProcessError(ECHILD, "the process was started before this one was forked")

    def _ask(self) -> None:
        with self._lock:
            if not self.has_exited():
                self.ended = True
                if self._number is not None:
                    self._send(self._number)
                    self._send(signal.SIGCONT)  # else what is stopped would not learn of it

    def kill(self) -> None:
        """What the context has ended, or has still to end."""
        with self._lock:
            self.ended = self.ended or not self.has_exited()
            self.kill_rest()

    def kill_rest(self) -> None:
        """What is left of a group that the context has ended."""
        with self._lock:
            if self.ended and self.returncode is None:
                self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        """To the group; to the child alone if it has left that. SIGKILL reaches it in any case."""
        try:
            os.killpg(self._pid, number)
            alone = number == signal.SIGKILL
        except OSError:
            alone = True
        if alone:
            with suppress(OSError):  # it is another user's
                self.send(number)

    def send(self, number: int) -> None:
        """To the child alone."""
        self._check()
        with self._lock, suppress(ProcessLookupError):
            if self.returncode is None:
                signal.pidfd_send_signal(self._pidfd, number)

    def has_exited(self) -> bool:
        return self.wait(0)

    def wait(self, seconds: float | None) -> bool:
        """Whether it exits within that time. It is not reaped."""
        fd = self.hold()
        try:
            return fd < 0 or poll(fd, seconds)
        finally:
            self.release()

    def hold(self) -> int:
        """A descriptor that is readable once it has exited, and stays open until release(); -1 if it is reaped."""
        self._check()
        with self._lock:
            self._holders += 1
            return self._pidfd

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            if self.returncode is not None:
                self._close()

    def reap(self) -> int | None:
        """Its return code if it has exited, and then it is reaped."""
        self._check()
        with self._lock:
            if self.returncode is None and self.has_exited():
                self.kill_rest()
                try:
                    self.returncode = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
                except ChildProcessError:
                    self.returncode = 0  # somebody else has reaped it; so says subprocess, too
                self._forget()
            return self.returncode

    def _forget(self) -> None:
        for watch in self._watches:
            watch.stop()
        self._watches.clear()
        self._export.stop()
        self._close()

    def _close(self) -> None:
        if self._holders == 0 and self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


def poll(fd: int, seconds: float | None) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(None if seconds is None else min(max(seconds, 0), 1e6) * 1000))


def left(end: float | None) -> float | None:
    """Until a time of time.monotonic()."""
    return None if end is None else max(end - time.monotonic(), 0)
