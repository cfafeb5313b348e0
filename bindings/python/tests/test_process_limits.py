# SPDX-License-Identifier: MIT
"""Child processes where descriptors are few, where a fork comes between, and what is left when they are gone."""

import asyncio
import errno
import gc
import os
import resource
import signal
from collections.abc import Callable

import pytest
from children import HOUR, ready, state
from conftest import descriptors
from libctx import background, with_cancel
from libctx.process import PIPE, Popen, create_subprocess_exec, run
from test_fork import in_child


def in_sync() -> None:
    run(["cat"], input=b"x", capture_output=True)


def in_asyncio() -> None:
    async def main() -> None:
        child = await create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE, stderr=PIPE)
        await child.communicate(b"x")

    asyncio.run(main())


@pytest.mark.parametrize("call", [in_sync, in_asyncio])
def test_nothing_is_left(call: Callable[[], None]) -> None:
    call()
    gc.collect()
    before = descriptors()
    for _ in range(20):
        call()
    assert descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("call", [in_sync, in_asyncio])
def test_too_few_descriptors(call: Callable[[], None]) -> None:
    """Whichever of them is missing, the error says so and nothing is left behind, no child either."""
    call()
    gc.collect()
    before, limits, refused = descriptors(), resource.getrlimit(resource.RLIMIT_NOFILE), 0
    try:
        for spare in range(40):
            resource.setrlimit(resource.RLIMIT_NOFILE, (before + spare, limits[1]))
            try:
                call()
                break
            except OSError as error:
                assert error.errno == errno.EMFILE
                refused += 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert 5 < refused < 39
    gc.collect()
    assert descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


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
