# SPDX-License-Identifier: MIT
"""An interpreter that goes away while contexts live: no crash, no hang, nothing said."""

import errno

import pytest
from conftest import python

LIVE = """
import libctx
key = libctx.Key[object]("x")
ctx, cancel = libctx.with_timeout(libctx.with_value(libctx.background(), key, object()), 3600)
ctx.after(print, "never")
ctx.done_fd()
child = libctx.with_cancel(ctx)
"""

FIRING = """
import libctx, random
kept = []
for _ in range(3000):
    ctx, cancel = libctx.with_timeout(libctx.background(), random.random() * 0.02)
    ctx.after(kept.append, ctx)   # runs on a thread of the library, before, during or after the exit
    kept.append(ctx)
"""

CANCELED_LATE = """
import atexit, libctx
ctx, cancel = libctx.with_cancel(libctx.background())
ctx.after(print, "not any more")

class Late:
    # Freed with its module, when the interpreter is being taken down: no callback comes in any more.

    def __init__(self):
        self.ctx, self.cancel = libctx.with_cancel(libctx.background())
        self.ctx.after(print, "too late")

    def __del__(self):
        self.cancel("late")

atexit.register(cancel, "in atexit")
ctx.after(print, "in atexit")
late = Late()
"""

WAITING = """
import libctx, threading
ctx, cancel = libctx.with_cancel(libctx.background())
threading.Thread(target=ctx.wait, daemon=True).start()
"""

IN_A_CALLBACK = """
import libctx, threading
entered = threading.Event()
def callback():
    entered.set()
    threading.Event().wait()   # for ever: the exit does not wait for it
ctx = libctx.with_timeout(libctx.background(), 0.001).ctx
ctx.after(callback, defer=True)   # not here, should the deadline have passed
entered.wait()
"""

IN_ASYNCIO = """
import asyncio, libctx
async def main():
    task = asyncio.create_task(libctx.with_timeout(libctx.background(), 3600).ctx.wait_done())
    await asyncio.sleep(0)
    return task
kept = asyncio.run(main())
"""

IN_A_GROUP = """
import libctx, threading
def work():
    threading.main_thread().join()   # the main thread has nothing more to do
    print("to its end")
libctx.Group().spawn(work)
"""

SYS_EXIT = """
import libctx, sys
with libctx.with_timeout(libctx.background(), 3600) as ctx:
    ctx.after(print, "canceled")
    sys.exit(0)
"""


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (LIVE, ""),
        (CANCELED_LATE, "not any more\nin atexit\n"),
        (WAITING, ""),
        (IN_A_CALLBACK, ""),
        (IN_ASYNCIO, ""),
        (IN_A_GROUP, "to its end\n"),
        (SYS_EXIT, "canceled\n"),
    ],
    ids=["live", "canceled late", "waiting", "in a callback", "in asyncio", "in a group", "sys.exit"],
)
def test_exit(program: str, says: str) -> None:
    result = python(program)
    assert (result.returncode, result.stdout, result.stderr) == (0, says, "")


def test_exit_while_deadlines_fire() -> None:
    for _ in range(15):
        result = python(FIRING)
        assert (result.returncode, result.stderr) == (0, "")


SHUT_DOWN = """
import atexit, libctx, threading
atexit.register(lambda: print("ended", ctx.err(), sorted(ran)))
atexit.register(lambda: returned.set())
atexit.register(libctx.shutdown, 60)         # runs first
entered, returned, ran = threading.Event(), threading.Event(), []
def late():
    entered.set()
    ctx.wait()                               # at the exit it is still under way
    if not returned.wait(0.2):               # and is waited for
        ran.append("late")
ctx, cancel = libctx.with_timeout(libctx.background(), 3600)
libctx.with_timeout(libctx.background(), 0.001).ctx.after(late, defer=True)
assert entered.wait(60)
ctx.after(ran.append, "at the end")
ctx.after(ran.append, "deferred", defer=True)
"""


def test_an_orderly_end() -> None:
    """Contexts end, their callbacks run, and those that are under way are waited for."""
    result = python(SHUT_DOWN)
    says = "ended context canceled ['at the end', 'deferred', 'late']\n"
    assert (result.returncode, result.stdout, result.stderr) == (0, says, "")


SHUT_DOWN_IN_PARTS = """
import libctx, threading
entered, leave = threading.Event(), threading.Event()
ctx, cancel = libctx.with_cancel(libctx.background())
def callback():
    try:
        libctx.shutdown()
    except OSError as error:
        print("inside:", error.errno)
    entered.set()
    leave.wait()
ctx.after(callback, defer=True)
cancel()
entered.wait()
print(libctx.shutdown(0.05), libctx.shutdown(0))
leave.set()
print(libctx.shutdown(), libctx.shutdown(timeout=1))
born = libctx.with_cancel(libctx.background())
print(repr(born.ctx.err()), born.cancel())
born.ctx.after(print, "at once")
"""


def test_an_end_that_takes_its_time() -> None:
    result = python(SHUT_DOWN_IN_PARTS)
    says = f"inside: {errno.EDEADLK}\nFalse False\nTrue True\nCanceled('context canceled') False\nat once\n"
    assert (result.returncode, result.stdout, result.stderr) == (0, says, "")


SHUT_DOWN_INTERRUPTED = """
import libctx, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
entered, leave = threading.Event(), threading.Event()
ctx, cancel = libctx.with_cancel(libctx.background())
def callback():
    entered.set()
    leave.wait()
ctx.after(callback, defer=True)
cancel()
entered.wait()
threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
try:
    libctx.shutdown()
except KeyboardInterrupt:
    print("interrupted")
leave.set()
"""


def test_ctrl_c_ends_the_wait_for_the_end() -> None:
    result = python(SHUT_DOWN_INTERRUPTED)
    assert (result.returncode, result.stdout, result.stderr) == (0, "interrupted\n", "")


SHUT_DOWN_BY_EXIT = """
import libctx, sys
ctx, cancel = libctx.with_cancel(libctx.background())
ctx.after(sys.exit, 7)
ctx.after(print, "all of them")
libctx.shutdown()
"""


def test_a_callback_s_exit_leaves_the_shutdown_that_ran_all() -> None:
    result = python(SHUT_DOWN_BY_EXIT)
    assert (result.returncode, result.stdout, result.stderr) == (7, "all of them\n", "")
