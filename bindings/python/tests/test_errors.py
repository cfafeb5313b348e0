# SPDX-License-Identifier: MIT
"""What goes wrong reads as Python users expect."""

import ctypes
import errno
import math
import shutil
import time
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import libctx
import pytest
from conftest import WATCHDOG
from libctx import Canceled, Context, DeadlineExceeded, background, current, with_cancel, with_timeout


def test_live_is_none() -> None:
    ctx = with_cancel(background()).ctx
    assert ctx.err() is None and ctx.cause() is None
    ctx.check()


def test_canceled() -> None:
    ctx, cancel = with_cancel(background())
    assert cancel() is True
    assert cancel() is False
    error = ctx.err()
    assert type(error) is Canceled and str(error) == "context canceled" and error.__cause__ is None
    with pytest.raises(Canceled):
        ctx.check()


def test_deadline_exceeded_is_a_timeout_error() -> None:
    ctx = with_timeout(background(), 0).ctx
    error = ctx.err()
    assert type(error) is DeadlineExceeded and str(error) == "context deadline exceeded"
    with pytest.raises(TimeoutError):
        ctx.check()
    with pytest.raises(libctx.Error):
        ctx.check()


def test_only_a_context_is_a_parent() -> None:
    derived = with_cancel(background())
    for wrong in (None, 1, derived, derived.cancel):
        with pytest.raises(TypeError, match="Context"):
            with_cancel(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="Context"):
            libctx.merge(background(), wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        libctx.merge()
    with pytest.raises(TypeError):
        Context()


def test_a_parent_has_no_keyword() -> None:
    with pytest.raises(TypeError):
        with_cancel(parent=background())  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        with_timeout(parent=background(), seconds=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        libctx.with_deadline(parent=background(), when=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        libctx.with_grace(parent=background(), seconds=1)  # type: ignore[call-arg]
    assert with_timeout(background(), seconds=0).ctx.err() is not None


def test_times() -> None:
    with pytest.raises(ValueError):
        with_timeout(background(), math.nan)
    with pytest.raises(TypeError):
        with_timeout(background(), "soon")  # type: ignore[arg-type]
    for never in (None, math.inf, 1e300):
        assert with_timeout(background(), never).ctx.deadline() is None
    for past in (0, -1, -math.inf):
        assert with_timeout(background(), past).ctx.err() is not None
    assert background().remaining() is None


def test_a_time_may_be_a_timedelta(clock: libctx.VirtualLoop) -> None:
    for delta in (timedelta(hours=1), timedelta(microseconds=1), timedelta(days=40_000, microseconds=7)):
        ctx = with_timeout(current(), delta, cause="why").ctx
        assert ctx.deadline() == delta.total_seconds() and not ctx.is_done
        assert libctx.with_grace(ctx, delta).ctx.deadline() == 2 * delta.total_seconds()
    for past in (timedelta(), timedelta(microseconds=-1), timedelta(hours=-1), timedelta.min):
        assert with_timeout(current(), past).ctx.is_done
    assert with_timeout(current(), timedelta.max).ctx.deadline() is None
    most = timedelta(seconds=(1 << 63) // 10**9)  # the whole seconds that nanoseconds in 63 bits can hold
    for second in (-1, 0, 1):
        for us in (0, 854_775, 854_776, 999_999):
            long = most + timedelta(seconds=second, microseconds=us)
            deadline = with_timeout(current(), long).ctx.deadline()
            assert deadline is None or deadline == long.total_seconds()
            assert with_timeout(current(), -long).ctx.is_done
    with pytest.raises(TypeError, match="clock"):
        libctx.with_deadline(current(), timedelta(hours=1))  # type: ignore[arg-type]


def test_what_is_no_time() -> None:
    for derive in (with_timeout, libctx.with_grace, libctx.with_deadline):
        wrong: Any
        for wrong in ("1", b"1", True, False, [], datetime.now()):
            with pytest.raises(TypeError, match="seconds") as caught:
                derive(background(), wrong)
            assert repr(wrong) in str(caught.value)
        with pytest.raises(OverflowError):
            derive(background(), 10**400)
    assert with_timeout(background(), Decimal("0")).ctx.is_done  # type: ignore[arg-type]


def test_what_a_context_tells_of_itself(clock: libctx.VirtualLoop) -> None:
    ctx, cancel = with_timeout(current(), 1.0001)
    assert ctx.is_done is False and ctx.cancelable and not current().cancelable
    assert ctx.now() == 0 and ctx.remaining() == 1.0001 and ctx.remaining_ms() == 1001
    assert current().remaining_ms() is None
    clock.advance(2)
    assert ctx.is_done is True and ctx.now() == 2 and ctx.remaining() == 1.0001 - 2 and ctx.remaining_ms() == 0
    assert abs(background().now() - time.monotonic()) < WATCHDOG


def test_a_time_is_never_early() -> None:
    for when in (0.3000000001, 0.3000000009):
        deadline = libctx.with_deadline(background(), when).ctx.deadline()
        assert deadline is not None and deadline >= when


def test_text_with_a_nul_is_refused() -> None:
    with pytest.raises(ValueError):
        libctx.with_string(background(), "a\0b", "x")
    with pytest.raises(ValueError):
        libctx.with_string(background(), "a", "x\0y")


def test_what_is_never_done_has_no_descriptor() -> None:
    with pytest.raises(OSError, match="never be done") as caught:
        background().done_fd()
    assert caught.value.errno == errno.ENOTSUP


def test_a_null_handle() -> None:
    for kind in (Context, libctx.Canceler):
        with pytest.raises(ValueError):
            kind.from_handle(0)
        with pytest.raises(TypeError):
            kind.from_handle("0x10")  # type: ignore[arg-type]


def test_a_handle_of_the_wrong_kind() -> None:
    ctx, cancel = with_cancel(background())
    with pytest.raises(ValueError):
        Context.from_handle(cancel.handle)
    with pytest.raises(ValueError):
        libctx.Canceler.from_handle(ctx.handle)
    with pytest.raises(ValueError):
        Context.from_handle(cancel.capsule())  # a capsule knows its type
    assert ctx.err() is None


def test_a_handle_of_another_copy_of_the_library(tmp_path: Path) -> None:
    copy = tmp_path / "libother.so"
    shutil.copy(libctx.library_path(), copy)
    other = ctypes.CDLL(str(copy))
    other.ctx_background.restype = ctypes.c_void_p
    ctx, cancel = ctypes.c_void_p(), ctypes.c_void_p()
    arguments = ctypes.c_void_p(other.ctx_background()), ctypes.byref(ctx), ctypes.byref(cancel)
    assert other.ctx_with_cancel(*arguments) == 0
    assert ctx.value and cancel.value
    for kind, handle in ((Context, ctx.value), (libctx.Canceler, cancel.value)):
        with pytest.raises(OSError, match="another copy of libctx") as caught:
            kind.from_handle(handle)
        assert caught.value.errno == errno.EREMOTE
    other.ctx_canceler_unref(cancel)
    other.ctx_unref(ctx)


def test_a_name_is_in_the_repr() -> None:
    ctx = libctx.with_name(background(), "fetch user")
    assert repr(with_cancel(ctx).ctx) == "<libctx.Context context.Background.WithName(fetch user).WithCancel>"
    with pytest.raises(ValueError):
        libctx.with_name(background(), "a\0b")


def test_merge_and_grace_and_detached() -> None:
    first, second = with_cancel(background()), with_cancel(background())
    both = libctx.merge(first.ctx, second.ctx).ctx
    grace = libctx.with_grace(both, 3600).ctx
    alone = libctx.without_cancel(both)
    second.cancel("second")
    assert str(both.cause()) == "second"
    assert both.ended_by(second.ctx) and not both.ended_by(first.ctx) and not both.ended_by(both)
    with pytest.raises(TypeError):
        both.ended_by(None)  # type: ignore[arg-type]
    assert grace.err() is None and alone.err() is None


def test_deadlines_are_on_the_clock_of_time_monotonic() -> None:
    when = time.monotonic() + 3600
    ctx = libctx.with_deadline(background(), when).ctx
    deadline, remaining = ctx.deadline(), ctx.remaining()
    assert deadline is not None and abs(deadline - when) < 1e-6
    assert remaining is not None and 3600 - 120 < remaining <= 3600
    with_wait = with_timeout(background(), 0.02).ctx
    assert with_wait.wait() is True
    assert (end := with_wait.deadline()) is not None and time.monotonic() >= end
    assert (left := with_wait.remaining()) is not None and left <= 0
