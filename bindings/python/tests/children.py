# SPDX-License-Identifier: MIT
"""What the tests of child processes share."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libctx
from conftest import until
from libctx.process import PIPE, Popen

HOUR = 3600.0


def state(pid: int) -> str | None:
    """Such as S for one that sleeps and Z for one that waits to be reaped; None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def kill_sleeping(pid: int) -> None:
    """Ends a process that sleeps, which one that was killed before does not."""
    until(lambda: state(pid) in ("S", "Z", None))
    assert state(pid) == "S", "it lives on"
    os.kill(pid, signal.SIGKILL)


@contextmanager
def ready(script: str, ctx: libctx.Context, **options: Any) -> Iterator[Popen[bytes]]:
    """A shell with pipes, which has written the line `ready`. Nothing here ends by time unless a test says so."""
    limits: dict[str, Any] = {"grace": HOUR, "wait_delay": HOUR}
    child = Popen[bytes](["sh", "-c", script], stdin=PIPE, stdout=PIPE, stderr=PIPE, ctx=ctx, **limits | options)
    assert child.stdout is not None and child.stdin is not None and child.stderr is not None
    try:
        assert child.stdout.readline() == b"ready\n"
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child._started.wait(None)
            child.poll()
        for pipe in (child.stdin, child.stdout, child.stderr):
            pipe.close()
