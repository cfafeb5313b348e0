# SPDX-License-Identifier: MIT
"""Child processes in asyncio that a context ends. What is the same for all is in test_process.py."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import libctx
import pytest
from children import HOUR, kill_sleeping, state
from conftest import WATCHDOG, Run
from libctx import background, import_context, with_cancel
from libctx.process import PIPE, Ended, Process, create_subprocess_exec, create_subprocess_shell
from serving import while_not, with_watchdog


@asynccontextmanager
async def ready(script: str, **options: Any) -> AsyncIterator[Process]:
    """As that of children.py."""
    limits: dict[str, Any] = {"grace": HOUR, "wait_delay": HOUR, "stdin": PIPE, "stdout": PIPE, "stderr": PIPE}
    child = await create_subprocess_shell(script, **limits | options)
    try:
        assert child.stdout is not None and await with_watchdog(child.stdout.readline()) == b"ready\n"
        yield child
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
        child._finish()
        await while_not(child._exit.done)
        child._popen.poll()


def test_it_is_as_that_of_asyncio(run: Run) -> None:
    async def main() -> None:
        child = await create_subprocess_exec("sh", "-c", "cat; echo no >&2; exit 3", stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert child.returncode is None and repr(child) == f"<Process {child.pid}>"
        assert await with_watchdog(child.communicate(b"x" * 1000000)) == (b"x" * 1000000, b"no\n")
        assert child.returncode == 3 == await child.wait() and state(child.pid) is None
        assert await child.communicate() == (b"x" * 1000000, b"no\n")
        with pytest.raises(ValueError):
            await child.communicate(b"more")
        child.terminate()
        child = await create_subprocess_exec("true")
        assert (child.stdin, child.stdout, child.stderr) == (None, None, None)
        assert await child.communicate() == (None, None) and await child.wait() == 0
        child = await create_subprocess_exec("sh", "-c", "exec <&-; echo begun; sleep 0", stdin=PIPE, stdout=PIPE)
        assert await with_watchdog(child.communicate(b"x" * 1000000)) == (b"begun\n", None)

    run(main())


def test_streams(run: Run) -> None:
    async def main() -> None:
        async with ready("echo ready; cat; head -c 1000000 /dev/zero; exit 4") as child:
            assert child.stdin is not None and child.stdout is not None
            for line in (b"one\n", b"two\n"):
                child.stdin.write(line)
                await child.stdin.drain()
                assert await with_watchdog(child.stdout.readline()) == line
            child.stdin.close()
            await child.stdin.wait_closed()
            await while_not(lambda: child.stdout and len(child.stdout._buffer) > 1 << 17)  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
            assert len(child.stdout._buffer) < 1 << 18, "nobody reads"  # type: ignore[attr-defined]
            assert len(await with_watchdog(child.stdout.read())) == 1000000
            assert await with_watchdog(child.wait()) == 4

    run(main())


def test_what_was_written_when_nobody_read(run: Run) -> None:
    async def main() -> None:
        script = "printf xyz; head -n 1; head -c 60000 /dev/zero"
        child = await create_subprocess_shell(script, stdin=PIPE, stdout=PIPE, limit=1, wait_delay=0)
        assert child.stdin is not None and child.stdout is not None
        await while_not(lambda: child.stdout and len(child.stdout._buffer) == 3)  # type: ignore[attr-defined]
        child.stdin.write(b"\n")
        assert await with_watchdog(child.wait()) == 0
        assert len(await with_watchdog(child.stdout.read())) == 60004

    run(main())


def test_the_end_of_the_context_is_a_request_to_end_and_output_is_kept(run: Run) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        async with ready("trap 'echo asked; exit 7' TERM; echo ready; echo $LIBCTX; sleep 3600 & wait", ctx=ctx) as child:
            assert child.stdout is not None
            imported = import_context(background(), (await child.stdout.readline()).decode().strip()).ctx
            waits = [asyncio.ensure_future(child.wait()) for _ in range(3)]
            asyncio.get_running_loop().call_soon(cancel, "why")
            for wait in (child.communicate(), child.wait(), child.communicate(), *waits):
                with pytest.raises(Ended) as caught:
                    await with_watchdog(wait)
                assert isinstance(caught.value, libctx.Canceled) and str(caught.value.__cause__) == "why"
                assert caught.value.returncode == 7 and caught.value.stdout in (b"asked\n", None)
            assert state(child.pid) is None and imported.wait(WATCHDOG) and str(imported.cause()) == "why"

    run(main())


def test_in_a_scope(run: Run) -> None:
    """The scope cancels the task, which waits for the child's end, and raises the error. The output is there."""

    async def main() -> None:
        parent, cancel = with_cancel(background())
        with pytest.raises(libctx.Canceled) as caught:
            async with libctx.scope(parent):
                child = await create_subprocess_exec("sh", "-c", "echo some; exec sleep 3600", stdout=PIPE, grace=HOUR)
                asyncio.get_running_loop().call_later(0.01, cancel, "why")
                try:
                    await with_watchdog(child.communicate())
                finally:
                    assert child.returncode == -signal.SIGTERM
        assert str(caught.value.__cause__) == "why" and not isinstance(caught.value, Ended)
        with pytest.raises(Ended) as ended:
            await child.communicate()
        assert ended.value.stdout in (b"some\n", b"")

    run(main())


@pytest.mark.parametrize("how", ["wait", "communicate", "async with"])
def test_a_cancel_of_the_task_ends_the_child(how: str, run: Run) -> None:
    async def main() -> None:
        async with ready("trap 'exit 7' TERM; echo ready; sleep 3600 & wait") as child:

            async def body() -> None:
                async with child:
                    await asyncio.sleep(3600)

            waits = {"wait": child.wait, "communicate": child.communicate, "async with": body}
            task = asyncio.create_task(waits[how]())  # type: ignore[operator]
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await with_watchdog(task)
            assert child.returncode == 7 and state(child.pid) is None
            with pytest.raises(Ended) as caught:
                await child.wait()
            assert isinstance(caught.value.__cause__, asyncio.CancelledError)

    run(main())


def test_a_second_cancel_kills(run: Run) -> None:
    """The loop goes on meanwhile."""

    async def main() -> None:
        async with ready("trap 'echo asked' TERM; echo ready; while :; do read a; done", grace=None) as child:
            assert child.stdout is not None
            task = asyncio.create_task(child.wait())
            await asyncio.sleep(0)
            task.cancel()
            assert await with_watchdog(child.stdout.readline()) == b"asked\n" and not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await with_watchdog(task)
            assert child.returncode == -signal.SIGKILL

    run(main())


@pytest.mark.parametrize("delay", [0, 0.001])
def test_a_grandchild_that_holds_the_pipes_hangs_nobody(delay: float, run: Run) -> None:
    async def main() -> None:
        script = "head -c 60000 /dev/zero >&2; sleep 3600 & echo $!"
        child = await create_subprocess_shell(script, stdin=PIPE, stdout=PIPE, stderr=PIPE, wait_delay=delay)
        stdout, stderr = await with_watchdog(child.communicate(b"x" * 1000000))
        assert len(stderr) == 60000
        kill_sleeping(int(stdout))
        child = await create_subprocess_shell("sleep 3600 & echo $!", stdout=PIPE, wait_delay=delay)
        assert child.stdout is not None
        lines = [line async for line in child.stdout]
        assert await with_watchdog(child.wait()) == 0
        kill_sleeping(int(lines[0]))

    run(main())


def test_what_a_grandchild_writes_within_the_delay_is_read(run: Run) -> None:
    async def main() -> None:
        async with ready(f"(read a; echo $a) </dev/fd/{reading} & echo ready", pass_fds=(reading,)) as child:
            await while_not(child._exit.done)
            os.write(writing, b"late\n")
            assert await with_watchdog(child.communicate()) == (b"late\n", b"")

    reading, writing = os.pipe()
    run(main())
    os.close(reading)
    os.close(writing)


def test_the_body_of_an_async_with(run: Run) -> None:
    async def main() -> None:
        async with await create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE) as child:
            pass
        assert child.returncode == 0
        with pytest.raises(KeyError):
            async with await create_subprocess_exec("sleep", "3600", grace=HOUR) as child:
                raise KeyError
        assert child.returncode == -signal.SIGTERM

    run(main())


def test_what_cannot_start(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await create_subprocess_exec("/no/such/program")
        with pytest.raises(ValueError, match="bytes"):
            await create_subprocess_exec("true", text=True)
        ctx, cancel = with_cancel(background())
        cancel("why")
        with pytest.raises(libctx.Canceled):
            await create_subprocess_exec("/no/such/program", ctx=ctx)

    run(main())


def test_a_cancel_while_it_starts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Process] = []
    connect = Process._connect

    async def slow(process: Process) -> None:
        started.append(process)
        await asyncio.sleep(3600)
        await connect(process)

    monkeypatch.setattr(Process, "_connect", slow)

    async def main() -> None:
        task = asyncio.create_task(create_subprocess_exec("sleep", "3600", grace=HOUR))
        await while_not(lambda: started)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await with_watchdog(task)
        assert started[0].returncode == -signal.SIGTERM

    run(main())


def test_many_at_once(run: Run) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        children = [await create_subprocess_exec("sleep", "3600", ctx=ctx, grace=HOUR) for _ in range(30)]
        waits = [asyncio.create_task(child.wait()) for child in children]
        asyncio.get_running_loop().call_soon(cancel)
        results = await with_watchdog(asyncio.gather(*waits, return_exceptions=True))
        assert {type(result) for result in results} == {libctx.process.Canceled}

    run(main())
