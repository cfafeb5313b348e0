# SPDX-License-Identifier: MIT
"""What ends the program, such as Ctrl-C, in a callback: who it reaches, and who is told."""

import asyncio
import ctypes
import signal
import threading

import libctx
import pytest
from conftest import WATCHDOG, Told, throw
from libctx import background, with_cancel


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_leaves_cancel_when_all_callbacks_have_run(kind: type[BaseException], told: Told) -> None:
    ctx, cancel = with_cancel(background())
    child = with_cancel(ctx).ctx
    ran: list[int] = []
    error = kind(3)
    ctx.after(ran.append, 1)
    for raised in (error, ValueError(), SystemExit()):
        ctx.after(throw, raised)
    ctx.after(ran.append, 2)
    child.after(ran.append, 3)
    with pytest.raises(kind) as caught:
        cancel()
    assert caught.value is error and [entry.name for entry in caught.traceback][-1] == "throw"
    assert ran == [1, 2, 3] and told == [ValueError, SystemExit]
    assert cancel() is False  # it is done, and nothing is left over


def test_what_ends_the_program_leaves_a_with_statement(told: Told) -> None:
    body = KeyError("of the body")
    with pytest.raises(SystemExit) as caught, with_cancel(background()) as ctx:
        ctx.after(throw, SystemExit(3))
        raise body
    assert caught.value.__context__ is body and told == []


def test_what_ends_the_program_leaves_after_on_a_context_that_is_done(told: Told) -> None:
    ctx, cancel = with_cancel(background())
    cancel()
    for kind in (KeyboardInterrupt, SystemExit):
        with pytest.raises(kind):
            ctx.after(throw, kind())
    assert told == []


def test_what_ends_the_program_leaves_the_callback_that_canceled_too(told: Told) -> None:
    """Out of the callbacks of the inner cancel or those of the outer one: it leaves the outer one once."""
    ctx, cancel = with_cancel(background())
    inner = with_cancel(background())
    ran: list[int] = []
    inner.ctx.after(throw, KeyboardInterrupt())
    inner.ctx.after(ran.append, 1)
    ctx.after(inner.cancel)
    ctx.after(ran.append, 2)
    with pytest.raises(KeyboardInterrupt):
        cancel()
    assert sorted(ran) == [1, 2] and told == []


def test_a_callback_that_cancels_is_not_ended_by_what_another_one_raised(told: Told) -> None:
    ctx, cancel = with_cancel(background())
    ran: list[bool] = []
    ctx.after(throw, KeyboardInterrupt())
    ctx.after(lambda: ran.append(with_cancel(background()).cancel()))
    with pytest.raises(KeyboardInterrupt):
        cancel()
    assert ran == [True] and told == []


def test_a_base_exception_that_ends_no_program_is_reported(default_sigint: None, told: Told) -> None:
    """A CancelledError is a task's affair, and its callback was no task."""
    ctx, cancel = with_cancel(background())
    for error in (GeneratorExit(), asyncio.CancelledError(), BaseException()):
        ctx.after(throw, error)
    assert cancel() is True
    bytecodes()
    assert told == [GeneratorExit, asyncio.CancelledError, BaseException]


def test_of_two_the_first_leaves_and_the_second_is_reported(default_sigint: None, told: Told) -> None:
    """The first does not come again either."""
    ctx, cancel = with_cancel(background())
    first = KeyboardInterrupt(1)
    ctx.after(throw, first)
    ctx.after(throw, KeyboardInterrupt(2))
    with pytest.raises(KeyboardInterrupt) as caught:
        cancel()
    bytecodes()
    assert caught.value is first and told == [KeyboardInterrupt]


def test_other_languages_hear_of_no_exit_that_a_callback_raised(default_sigint: None, told: Told) -> None:
    """Only Ctrl-C comes again: a SystemExit is the callback's own, and was reported."""
    library = ctypes.CDLL(libctx.library_path())
    ctx, cancel = with_cancel(background())
    ctx.after(throw, SystemExit(3))
    assert library.ctx_cancel(ctypes.c_void_p(cancel.handle)) == 1
    bytecodes()
    assert told == [SystemExit]


def test_what_ends_the_program_stays_on_its_thread(told: Told) -> None:
    """A callback of the library's thread raises while this one is in a cancel: that is not this one's."""
    ctx, cancel = with_cancel(background())
    other, end_other = with_cancel(background())
    raised = threading.Event()
    other.after(throw, SystemExit(3), defer=True)
    other.after(raised.set, defer=True)

    def callback() -> None:
        end_other()
        assert raised.wait(WATCHDOG)

    ctx.after(callback)
    assert cancel() is True
    assert told == [SystemExit]


def test_what_ends_the_program_is_reported_on_the_thread_of_the_library(told: Told) -> None:
    ctx, cancel = with_cancel(background())
    done = threading.Event()
    ctx.after(throw, SystemExit(), defer=True)
    ctx.after(done.set, defer=True)
    assert cancel() is True and done.wait(WATCHDOG)
    assert told == [SystemExit]


def bytecodes() -> None:
    """Where a signal comes down."""
    for _ in range(100):
        pass


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)
    bytecodes()


def test_ctrl_c_in_a_callback_leaves_cancel(default_sigint: None, told: Told) -> None:
    ctx, cancel = with_cancel(background())
    ran: list[int] = []
    ctx.after(ctrl_c)
    ctx.after(ran.append, 1)
    with pytest.raises(KeyboardInterrupt):
        cancel()
    assert ran == [1] and told == []


def test_ctrl_c_in_a_callback_that_another_language_runs_comes_again(default_sigint: None, told: Told) -> None:
    """It is reported where it came down, and comes down once more when that language returns to Python."""
    library = ctypes.CDLL(libctx.library_path())
    ctx, cancel = with_cancel(background())
    ran: list[int] = []
    ctx.after(ctrl_c)
    ctx.after(ran.append, 1)
    with pytest.raises(KeyboardInterrupt):
        ran.append(library.ctx_cancel(ctypes.c_void_p(cancel.handle)))
        bytecodes()
    assert ran[0] == 1 and told == [KeyboardInterrupt]
