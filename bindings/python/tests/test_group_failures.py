# SPDX-License-Identifier: MIT
"""Group: what interrupts its wait, work that cannot begin, and failures that come together."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import libctx
import pytest
from conftest import WATCHDOG, Told
from libctx import Cause, Group, _core, background, current, with_timeout


class Core:
    """The C side of a group, of which a test takes some calls."""

    def __init__(self, group: Group, **calls: Callable[..., Any]) -> None:
        self.group = group._group
        self.calls = calls
        group._group = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return self.calls.get(name) or getattr(self.group, name)


def test_what_interrupts_the_wait_cancels_the_work_and_waits_for_it() -> None:
    error = KeyboardInterrupt()
    waits: list[object] = []
    again = threading.Event()
    stopped: list[type[BaseException | None]] = []

    def work() -> None:
        assert current().wait(WATCHDOG)
        assert again.wait(WATCHDOG)
        stopped.append(type(current().cause()))

    def wait(timeout: object) -> bool:
        waits.append(timeout)
        if len(waits) == 1:
            raise error
        again.set()
        return core.group.wait(WATCHDOG)

    group = Group()
    core = Core(group, wait=wait)
    with pytest.raises(KeyboardInterrupt) as caught:
        with group:
            group.spawn(work)
    assert stopped == [KeyboardInterrupt]
    assert caught.value is error and waits == [None, None] and current() == background()


def test_what_interrupts_the_second_wait_leaves_it() -> None:
    first, second = KeyboardInterrupt(1), KeyboardInterrupt(2)
    errors: list[BaseException] = [first, second]
    leave = threading.Event()

    def wait(timeout: object) -> bool:
        raise errors.pop(0)

    group = Group()
    Core(group, wait=wait)
    with pytest.raises(KeyboardInterrupt) as caught:
        with group:
            future = group.spawn(leave.wait)
    assert caught.value is second and errors == [] and not future.done()
    assert repr(group.ctx.cause()) == repr(first)
    leave.set()
    assert future.result(WATCHDOG) is True


def test_work_goes_on_until_it_has_ended_by_itself() -> None:
    """The end of a body that nothing has failed in cancels only when no work is left."""
    waiting = threading.Event()
    found: list[bool] = []

    def work() -> None:
        assert waiting.wait(WATCHDOG)
        found.append(current().is_done)

    def wait(timeout: object) -> bool:
        waiting.set()
        return core.group.wait(timeout)  # type: ignore[arg-type]

    group = Group()
    core = Core(group, wait=wait)
    with group as entered:
        assert entered is group
        group.spawn(work)
    assert found == [False] and group.ctx.is_done


def test_a_thread_that_cannot_start_is_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    group = Group()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start"):
            group.spawn(print)
    assert group.wait(0) is True and not group.ctx.is_done
    assert group.spawn(int, "11", base=2).result(WATCHDOG) == 3


def test_work_that_was_canceled_before_its_thread_began_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[threading.Thread] = []
    ran: list[int] = []
    group = Group()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda thread: started.append(thread))  # noqa: PLW0108 - a method
        future = group.spawn(ran.append, 1)
    assert group.wait(0) is False
    assert future.cancel() and group.wait(0) is True
    started[0].start()
    started[0].join(WATCHDOG)
    assert ran == [] and future.cancelled() and not group.ctx.is_done


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_every_exception_is_a_failure(kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind(3)

    group = Group()
    future = group.spawn(fail)
    with pytest.raises(kind) as caught:
        group.wait(WATCHDOG)
    assert caught.value is future.exception() and isinstance(group.ctx.cause(), kind)


def test_the_failure_that_is_raised_is_the_one_in_the_tree() -> None:
    """Also if the thread that failed first comes second there."""
    begun, entered, ended = threading.Event(), threading.Event(), threading.Event()

    def end(reason: BaseException | None) -> None:
        if isinstance(reason, ValueError):
            entered.set()
            assert ended.wait(WATCHDOG)
        core.group.end(reason)
        ended.set()

    def first() -> None:
        assert begun.wait(WATCHDOG)
        raise ValueError("first")

    def second() -> None:
        assert entered.wait(WATCHDOG)
        raise LookupError("second")

    group = Group()
    core = Core(group, end=end)
    group.spawn(first)
    group.spawn(second)
    begun.set()
    with pytest.raises(ValueError, match="first"):
        group.wait(WATCHDOG)
    assert isinstance(group.ctx.cause(), ValueError)


def test_which_failure_was_first_is_noted_under_a_lock() -> None:
    """Two threads may fail at once, and one of them must not take the place of the other."""
    locked: list[bool] = []

    class Watched(Group):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "_failure" and value is not None:
                locked.append(self._lock.locked())
            super().__setattr__(name, value)

    def fail() -> None:
        raise LookupError

    group = Watched()
    group.spawn(fail)
    with pytest.raises(LookupError):
        group.wait(WATCHDOG)
    assert locked == [True]


def test_a_cancel_by_hand_is_no_failure() -> None:
    group = Group()
    future = group.spawn(group.ctx.wait, WATCHDOG)
    assert group.cancel("enough") is True
    assert future.result(WATCHDOG) is True and str(group.ctx.cause()) == "enough"
    assert group.wait(WATCHDOG) is True


def test_a_group_whose_time_is_over_begins_nothing() -> None:
    group = Group(with_timeout(background(), 0).ctx)
    assert group.begin() is False
    with pytest.raises(TimeoutError):
        group.spawn(print)
    with ThreadPoolExecutor(1) as pool, pytest.raises(TimeoutError):
        group.submit(pool, print)
    with pytest.raises(TimeoutError):
        Group(group)
    assert group.wait(0) is True


def test_a_failure_of_the_body_ends_the_work_and_is_raised() -> None:
    """The body's own exception goes its way, whatever the work does of it."""

    def work() -> None:
        assert current().wait(WATCHDOG)
        current().check()

    with pytest.raises(LookupError, match="the body's own") as caught:
        with Group() as group:
            group.spawn(work)
            raise LookupError("the body's own")
    assert isinstance(group.ctx.cause(), LookupError) and caught.value.__context__ is None


def test_a_body_that_ends_by_an_error_of_its_own_raises_that() -> None:
    """Only the error of a context may have come of the failure."""
    for error in (TimeoutError("own"), OSError("own"), KeyboardInterrupt("own")):
        with pytest.raises(type(error), match="own") as caught:
            with Group() as group:
                assert group.begin()
                group.end("broken")
                raise error
        assert caught.value is error
    for kind in (libctx.Canceled, libctx.DeadlineExceeded, libctx.Error):
        with pytest.raises(Cause, match="broken"):
            with Group() as group:
                assert group.begin()
                group.end("broken")
                raise kind


def test_a_body_whose_exception_makes_no_cause_ends_its_work(told: Told) -> None:
    failure = Cause("a code that C cannot hold")
    failure.code = 1 << 40
    with pytest.raises(Cause) as caught:
        with Group() as group:
            group.spawn(group.ctx.wait, WATCHDOG)
            raise failure
    assert caught.value is failure and told == [OverflowError] and isinstance(group.ctx.err(), libctx.Canceled)


def test_a_failure_that_makes_no_cause_ends_the_work_all_the_same(told: Told) -> None:
    failure = Cause("a code that C cannot hold")
    failure.code = 1 << 40
    group = Group()
    assert group.begin()
    group.end(failure)
    assert told == [OverflowError] and isinstance(group.ctx.err(), libctx.Canceled)
    assert group.begin() is False and group.wait(0) is True


def test_a_callback_s_exit_leaves_the_end_of_work_that_ran_it() -> None:
    group = _core.Group(background())
    group.ctx().after(sys.exit, 7)
    assert group.begin()
    with pytest.raises(SystemExit) as caught:
        group.end("broken")
    assert caught.value.code == 7 and group.wait(0) is True


def test_a_failure_is_raised_when_nothing_is_left() -> None:
    group = Group()
    assert group.begin() and group.begin()
    group.end(LookupError("broken"))
    assert group.wait(0) is False and group.wait(0.001) is False
    group.end()
    for _ in range(2):
        with pytest.raises(LookupError):
            group.wait(0)
