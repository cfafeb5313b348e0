# SPDX-License-Identifier: MIT
"""Child processes where descriptors are few, where a fork comes between, and what is left when they are gone."""

import asyncio
import errno
import gc
import os
import signal
from collections.abc import Callable, Iterator

import pytest
from children import HOUR, ready, state
from conftest import descriptors, with_few_descriptors
from libctx import background, with_cancel
from libctx.process import PIPE, Popen, create_subprocess_exec, run
from test_fork import in_child


async def in_asyncio() -> None:
    child = await create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    await child.communicate(b"x")


@pytest.fixture(params=["run", "asyncio"])
def call(request: pytest.FixtureRequest) -> Iterator[Callable[[], None]]:
    """Runs a child, with all three pipes."""
    if request.param == "run":
        yield lambda: None if run(["cat"], input=b"x", capture_output=True) else None
    else:
        with asyncio.Runner() as runner:
            yield lambda: runner.run(in_asyncio())


def no_child_is_left() -> bool:
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    return True


def test_nothing_is_left(call: Callable[[], None]) -> None:
    call()
    gc.collect()
    before = descriptors()
    for _ in range(20):
        call()
    assert descriptors() == before and no_child_is_left()


def test_too_few_descriptors(call: Callable[[], None]) -> None:
    """Whichever of them is missing, the error says so and nothing is left behind, no child either."""
    call()
    gc.collect()
    before = descriptors()
    assert with_few_descriptors(call) > 5
    gc.collect()
    assert descriptors() == before and no_child_is_left()


def test_one_that_could_not_be_ended_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError(errno.EMFILE, "no descriptor")

    gc.collect()
    before = descriptors()
    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(OSError, match="no descriptor"):
        run(["sleep", "3600"], capture_output=True)
    assert descriptors() == before and no_child_is_left()


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_in_the_child_of_a_fork_it_is_the_parents() -> None:
    ctx, cancel = with_cancel(background())
    with ready("echo ready; exec sleep 3600", ctx) as child:
        held: list[Popen[bytes]] = [child]

        def check() -> None:
            for refused in (child.wait, child.poll, child.communicate, child.kill):
                with pytest.raises(ChildProcessError, match="before this one was forked"):
                    refused()
            with child:
                pass
            assert run(["echo", "fresh"], stdout=PIPE).stdout == b"fresh\n"
            held.clear()

        in_child(check)
        assert state(child.pid) == "S"
        cancel()
        with pytest.raises(Exception, match="context canceled"):
            child.wait()
        assert child.returncode == -signal.SIGTERM


def test_forks_while_children_are_started() -> None:
    """A process that is forked keeps no pipe of theirs open once it runs another program."""
    with ready("echo ready; cat", background()) as child:
        assert child.stdin is not None
        with ready("echo ready; exec sleep 3600", background(), grace=HOUR):
            child.stdin.close()
            assert child.wait() == 0
