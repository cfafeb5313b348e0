# SPDX-License-Identifier: MIT
"""Child processes that a context ends: Popen and run()."""

import os
import select
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import libctx
import pytest
from children import HOUR, kill_sleeping, ready, state
from conftest import WATCHDOG, AnyRun, in_thread, python, until
from libctx import background, import_context, process, with_cancel, with_timeout
from libctx.process import PIPE, Ended, Popen, run


def sh(script: str, **options: Any) -> "subprocess.CompletedProcess[Any]":
    return run(["sh", "-c", script], **options)


def test_a_child_finds_the_context_and_says_how_it_ended() -> None:
    done = sh("echo $LIBCTX; cat; echo no >&2; exit 3", input=b"line", capture_output=True)
    text, line = done.stdout.split(b"\n")
    assert (done.args[0], done.returncode, line, done.stderr) == ("sh", 3, b"line", b"no\n")
    assert text.startswith(b"1:")
    assert sh("exit 0").returncode == 0 and sh("kill -9 $$").returncode == -9


def test_text_and_environment() -> None:
    done = run("cat; echo $NAME; echo $HOME", shell=True, input="é\n", text=True, encoding="utf-8", env={"NAME": "text"}, stdout=PIPE)
    assert (done.stdout, done.stderr) == ("é\ntext\n\n", None)
    done = run(["cat"], input="a\r\nb", universal_newlines=True, stdout=PIPE, stderr=process.STDOUT)
    assert done.stdout == "a\nb"


def test_the_context_is_the_current_one_or_the_named_one() -> None:
    ctx, cancel = with_cancel(background())
    cancel("why")
    with pytest.raises(libctx.Canceled) as caught:
        sh("exit 0", ctx=ctx)
    assert str(caught.value.__cause__) == "why" and not isinstance(caught.value, Ended)
    with libctx.use(ctx), pytest.raises(libctx.Canceled):
        run(["/no/such/program"])  # nothing is started
    with libctx.use(ctx):
        assert sh("exit 0", ctx=background()).returncode == 0


def test_the_context_is_imported_there() -> None:
    ctx, cancel = with_timeout(libctx.with_string(background(), "name", "text"), HOUR)
    with ready("echo ready; echo $LIBCTX; cat", ctx) as child:
        assert child.stdout is not None and child.stdin is not None
        imported = import_context(background(), child.stdout.readline().decode().strip()).ctx
        assert imported.string("name") == "text" and imported.deadline() == ctx.deadline()
        child.stdin.close()
        assert child.wait() == 0
        assert imported.wait(WATCHDOG) and str(imported.cause()) == "export stopped"
        assert ctx.err() is None


def test_the_end_of_the_context_is_a_request_to_end_and_output_is_kept() -> None:
    ctx, cancel = with_cancel(background())
    script = "trap 'echo asked; echo no >&2; exit 7' TERM; echo ready; sleep 3600 & wait"
    with ready(script, ctx) as child:  # only the exit of both the child and its child closes the pipes
        cancel("why")
        for wait in (child.communicate, child.wait, child.communicate):
            with pytest.raises(Ended) as caught:
                wait()
            error = caught.value
            assert isinstance(error, libctx.Canceled) and str(error.__cause__) == "why" and str(error) == "context canceled"
            assert (error.cmd, error.returncode) == (child.args, 7) and child.returncode == 7
            assert (error.stdout, error.output, error.stderr) == ((b"asked\n",) * 2 + (b"no\n",) if wait != child.wait else (None,) * 3)
        assert state(child.pid) is None, "it is reaped"


def test_a_deadline_is_told_as_one() -> None:
    with pytest.raises(TimeoutError) as caught:
        with libctx.timeout(0.01, cause="late"):
            sh("printf 'caf\\303'; exec sleep 3600", stdout=PIPE, text=True, encoding="utf-8", grace=HOUR)
    error = caught.value
    assert isinstance(error, process.DeadlineExceeded) and str(error.__cause__) == "late"
    assert error.stdout in ("caf\N{REPLACEMENT CHARACTER}", "") and error.returncode == -signal.SIGTERM


def test_it_ends_also_if_nobody_waits() -> None:
    """Somebody reads what it writes, or does something else."""
    ctx, cancel = with_cancel(background())
    with ready("trap 'echo asked; exit 0' TERM; echo ready; while :; do read a; done", ctx) as child:
        cancel()
        assert child.stdout is not None and child.stdout.read() == b"asked\n"
        until(lambda: state(child.pid) == "Z")


def test_after_the_grace_it_is_killed(clock: libctx.VirtualLoop) -> None:
    """The child says that it was asked and that it has gone on since. Only then does the grace pass, on a clock that stands."""
    ctx, cancel = with_cancel(clock.background())
    script = "trap 'echo asked' TERM; (trap '' TERM; exec sleep 3600) & echo ready; while :; do read a && echo $a; done"
    with ready(script, ctx, grace=HOUR) as child:
        assert child.stdin is not None and child.stdout is not None
        cancel()
        assert child.stdout.readline() == b"asked\n"
        child.stdin.write(b"on\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"on\n"
        clock.advance(HOUR - 1)
        assert child.poll() is None
        clock.advance(1)
        with pytest.raises(Ended) as caught:
            child.wait(WATCHDOG)
        assert caught.value.returncode == -signal.SIGKILL
        assert child.stdout.read() == b"", "nor is its child left"


def test_a_grace_of_nothing_and_one_without_end(clock: libctx.VirtualLoop) -> None:
    for grace in (0, None):
        ctx, cancel = with_cancel(clock.background())
        with ready("trap '' TERM; echo ready; while :; do read a && exit 5; done", ctx, grace=grace) as child:
            cancel()
            clock.advance(1e9)
            if grace is None:
                assert child.poll() is None and child.stdin is not None
                child.stdin.write(b"end\n")
                child.stdin.flush()
            with pytest.raises(Ended) as caught:
                child.wait(WATCHDOG)
            assert caught.value.returncode == (5 if grace is None else -signal.SIGKILL)


def test_another_signal() -> None:
    ctx, cancel = with_cancel(background())
    with ready("trap 'exit 8' USR1; trap 'exit 9' TERM; echo ready; sleep 3600 & wait", ctx, signal=signal.SIGUSR1) as child:
        cancel()
        with pytest.raises(Ended) as caught:
            child.wait(WATCHDOG)
        assert caught.value.returncode == 8


def test_a_stopped_child_ends_too() -> None:
    ctx, cancel = with_cancel(background())
    with ready("echo ready; kill -STOP $$; sleep 3600", ctx) as child:
        until(lambda: state(child.pid) == "T")
        cancel()
        with pytest.raises(Ended):
            child.wait(WATCHDOG)


NOT_ACCEPTED = """
import libctx, os, signal, sys
from libctx.process import PIPE, Popen
if sys.argv[1] == "block":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
ctx, cancel = libctx.with_cancel(libctx.background())
child = Popen(["cat"], stdin=PIPE, stdout=PIPE, text=True, ctx=ctx, grace=3600, preexec_fn=lambda: os.write(1, b"first\\n"))
print(child.stdout.readline(), end="")
for line in open(f"/proc/{child.pid}/status"):
    if line.startswith(("SigBlk", "SigIgn")):
        print(int(line.split()[1], 16) >> signal.SIGTERM - 1 & 1)
cancel()
try:
    child.wait()
except libctx.Canceled:
    print(child.returncode)
"""


@pytest.mark.parametrize("how", ["block", "ignore"])
def test_a_signal_that_is_not_accepted_here_is_there(how: str) -> None:
    result = python(NOT_ACCEPTED, how)
    assert (result.returncode, result.stdout, result.stderr) == (0, "first\n0\n0\n-15\n", "")


def test_a_child_that_has_exited_was_not_ended() -> None:
    ctx, cancel = with_cancel(background())
    with Popen[bytes](["sh", "-c", "exit 7"], ctx=ctx) as child:
        until(lambda: state(child.pid) == "Z")
        cancel()
        assert child.wait() == 7 and child.communicate() == (None, None)


def test_much_goes_both_ways() -> None:
    script = "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2; cat; echo end >&2"
    done = sh(script, input=b"x" * 1000000, capture_output=True)
    assert (len(done.stdout), len(done.stderr)) == (4000000, 2000004)
    assert sh("exit 0", input=b"x" * 1000000).returncode == 0  # it does not want to read it


@pytest.mark.parametrize("delay", [0, 0.001])
@pytest.mark.parametrize("holds", ["sleep 3600", "trap '' PIPE; exec yes >&2"], ids=["quiet", "writes"])
def test_a_grandchild_that_holds_the_pipes_hangs_nobody(holds: str, delay: float) -> None:
    """What the child has written is there, though somebody else has the pipes, and even writes."""
    done = sh(f"head -c 60000 /dev/zero >&2; ({holds}) & echo $!", capture_output=True, wait_delay=delay)
    assert done.returncode == 0 and len(done.stderr) >= 60000
    if "sleep" in holds:
        kill_sleeping(int(done.stdout))  # the other ends by itself: nobody reads any more


def test_what_a_grandchild_writes_within_the_delay_is_read() -> None:
    """One that writes when the child has exited already."""
    script = "(read a b c d e f </proc/$$/stat; while [ $c != Z ]; do read a b c d </proc/$$/stat; done; echo late) & echo soon"
    assert sh(script, stdout=PIPE, wait_delay=HOUR).stdout == b"soon\nlate\n"


def test_what_has_left_the_group_hangs_nobody_either() -> None:
    ctx, cancel = with_cancel(background())
    with ready("echo ready; setsid sleep 3600 & echo $! >&2; wait", ctx, wait_delay=0.001) as child:
        assert child.stderr is not None
        pid = int(child.stderr.readline())
        until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
        cancel()
        with pytest.raises(Ended):
            child.communicate()
        kill_sleeping(pid)


def test_a_leader_of_a_session_is_one_of_a_group() -> None:
    for options in ({}, {"start_new_session": True}, {"process_group": 0}, {"process_group": None}):
        with ready("echo ready; cat", background(), **options) as child:
            assert os.getpgid(child.pid) == child.pid
            assert os.getsid(child.pid) == (child.pid if "start_new_session" in options else os.getsid(0))


def test_a_child_of_another_group_is_ended_alone() -> None:
    ctx, cancel = with_cancel(background())
    with ready("sleep 3600 & echo ready; echo $!; cat", ctx, process_group=os.getpgrp()) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        cancel()
        with pytest.raises(Ended):
            child.wait(WATCHDOG)
        kill_sleeping(pid)


def test_waiting_for_a_while() -> None:
    with ready("echo ready; read a; echo more; read a; echo $a; exit 4", background()) as child:
        assert child.stdin is not None
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            child.wait(0.001)
        assert caught.value.cmd == child.args and child.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            child.communicate(b"a line\n" * 2, timeout=0)
        with pytest.raises(ValueError):
            child.communicate(b"more")
        assert child.communicate(timeout=WATCHDOG) == (b"more\na line\n", b"")
        assert child.wait(0) == 4 == child.poll()


def test_what_a_reader_has_left_in_its_buffer() -> None:
    with ready("printf 'ready\\none\\ntwo\\n'; read a; echo three", background()) as child:
        assert child.stdout is not None and child.stdout.readline() == b"one\n"
        assert child.communicate(b"\n")[0] == b"two\nthree\n"


def test_a_timeout_ends_the_child() -> None:
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        sh("trap 'echo asked >&2; exit 0' TERM; echo $$; sleep 3600 & wait", capture_output=True, timeout=0.2, grace=HOUR)
    if caught.value.stdout is not None:  # it may not have begun
        assert state(int(caught.value.stdout)) is None


@pytest.mark.parametrize("error", [KeyError("why"), KeyboardInterrupt()])
def test_what_leaves_the_body_ends_the_child(error: BaseException) -> None:
    ctx = with_cancel(background()).ctx
    with suppress(type(error)), ready("trap '' TERM; echo ready; echo $LIBCTX; exec sleep 3600", ctx, grace=0.01) as child:
        assert child.stdout is not None
        imported = import_context(background(), child.stdout.readline().decode().strip()).ctx
        with child:
            raise error
    assert child.returncode == -signal.SIGKILL and imported.wait(WATCHDOG)
    assert str(imported.cause()) == (str(error) or "KeyboardInterrupt") and ctx.err() is None


def test_the_end_of_the_body_waits() -> None:
    with Popen[bytes](["cat"], stdin=PIPE, stdout=PIPE) as child:
        pass
    assert child.returncode == 0
    ctx, cancel = with_cancel(background())
    with pytest.raises(Ended), Popen[bytes](["sleep", "3600"], ctx=ctx):
        cancel()


INTERRUPTED = """
import libctx, os, signal, sys, threading
from libctx.process import PIPE, Popen
child = Popen(["sh", "-c", "trap 'echo asked' TERM; echo ready; while :; do read a; done"], stdout=PIPE, text=True, grace=None)
assert child.stdout.readline() == "ready\\n"
output = os.dup(child.stdout.fileno())

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    assert os.read(output, 9) == b"asked\\n"
    os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with child:
        threading.Thread(target=interrupt).start()
        child.wait()
except KeyboardInterrupt:
    print(child.returncode)
"""


def test_ctrl_c_asks_and_a_second_one_kills() -> None:
    """The child is in a group of its own, which the terminal does not reach."""
    result = python(INTERRUPTED)
    assert (result.returncode, result.stdout, result.stderr) == (0, "-9\n", "")


def test_one_that_nobody_has_any_more() -> None:
    """The context ends it, and the next Popen reaps it."""
    ctx, cancel = with_cancel(background())
    child = Popen[bytes](["sh", "-c", "echo $LIBCTX; exec sleep 3600"], stdout=PIPE, ctx=ctx, grace=HOUR)
    assert child.stdout is not None
    with child.stdout as output:
        imported = import_context(background(), output.readline().decode().strip()).ctx
    pid = child.pid
    with pytest.warns(ResourceWarning, match="still running"):
        del child
    assert state(pid) in ("R", "S") and imported.err() is None
    cancel("why")
    until(lambda: state(pid) == "Z")
    assert sh("exit 0").returncode == 0
    assert state(pid) is None and str(imported.cause()) == "why"


def test_signals_of_the_caller_go_to_the_child_alone() -> None:
    with ready("sleep 3600 & echo ready; echo $!; wait", background()) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        child.terminate()
        assert child.wait(WATCHDOG) == -signal.SIGTERM
        child.kill()  # does nothing any more
        kill_sleeping(pid)


def test_whoever_waits_has_the_descriptor_until_then() -> None:
    """Another thread may reap the child meanwhile."""
    with ready("echo ready; cat", background()) as child:
        assert child.stdin is not None
        fd = child._started.hold()
        child.stdin.close()
        assert child.wait() == 0 and select.select([fd], [], [], 0)[0] == [fd]
        child._started.release()
        with pytest.raises(OSError):
            os.fstat(fd)


def test_in_a_thread_of_an_event_loop(anyrun: AnyRun) -> None:
    async def main() -> None:
        with pytest.raises(libctx.DeadlineExceeded):
            async with libctx.timeout(0.01):
                await anyio.to_thread.run_sync(run, ["sleep", "3600"])

    anyrun(main)
    until(lambda: not any(file.read_text() for file in Path("/proc/self/task").glob("*/children")))


def test_threads_that_wait_together() -> None:
    ctx, cancel = with_cancel(background())
    ended: list[Ended] = []

    def wait() -> None:
        try:
            child.wait()
        except Ended as error:
            ended.append(error)

    with ready("echo ready; exec sleep 3600", ctx) as child:
        threads = [in_thread(wait) for _ in range(8)]
        cancel()
        for thread in threads:
            thread.join(WATCHDOG)
    assert len(ended) == 8 and {error.returncode for error in ended} == {-signal.SIGTERM}


def test_many_at_once() -> None:
    """Children that are started, ended and waited for while others are."""
    ctx, cancel = with_cancel(background())
    failures: list[BaseException] = []
    going = threading.Semaphore(0)

    def work() -> None:
        try:
            for _ in range(20):
                assert run(["true"], ctx=background(), stdout=PIPE).stdout == b""
            going.release()
            while True:
                run(["sleep", "3600"], ctx=ctx, grace=HOUR)
        except libctx.Canceled:
            pass
        except BaseException as error:
            failures.append(error)
            going.release()

    threads = [in_thread(work) for _ in range(4)]
    for _ in threads:
        assert going.acquire(timeout=WATCHDOG)
    cancel()
    for thread in threads:
        thread.join(WATCHDOG)
    assert not failures


def test_what_cannot_start() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        run(["/no/such/program"])
    assert caught.value.filename == "/no/such/program"
    with pytest.raises(PermissionError):
        run([__file__])
    with pytest.raises(ValueError, match="null"):
        run(["sh", "a\0b"])
    with pytest.raises(NotADirectoryError):
        run(["true"], cwd=__file__)
    with pytest.raises(TypeError, match="Context"):
        run(["true"], ctx=5)
    with pytest.raises(TypeError):
        run(["true"], no_such_option=5)


def test_arguments_of_run() -> None:
    with pytest.raises(ValueError):
        run(["true"], input=b"", stdin=PIPE)
    with pytest.raises(ValueError):
        run(["true"], capture_output=True, stdout=PIPE)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        sh("echo out; echo err >&2; exit 3", check=True, capture_output=True, text=True)
    error = caught.value
    assert (error.returncode, error.stdout, error.stderr, error.cmd[0]) == (3, "out\n", "err\n", "sh")
    assert run(["true"], check=True).returncode == 0


def test_which_descriptors_a_child_has() -> None:
    """Only a child of another user needs those of the export, which it can read alone."""
    listing = ["sh", "-c", "echo $LIBCTX; ls /proc/self/fd"]

    def beside(inherited: bool = False, **options: Any) -> set[str]:
        plain = subprocess.run(listing, capture_output=True, check=True, text=True, close_fds=not inherited).stdout.split()
        text, *found = run(listing, capture_output=True, text=True, close_fds=not inherited, **options).stdout.split()
        assert set(text.split(":")[2:4]).isdisjoint(plain)
        return set(text.split(":")[2:4]) & set(found)

    assert beside() == set() == beside(inherited=True)
    assert len(beside(group=os.getgid())) == 2 == len(beside(group=os.getgid(), pass_fds=(0,)))
