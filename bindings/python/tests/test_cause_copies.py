# SPDX-License-Identifier: MIT
"""What a cause keeps of the exception that it was made from."""

import errno
import sys
from typing import NamedTuple

import pytest
from conftest import cause_parts
from libctx import Canceled, Cause, background, with_cancel


class Awkward(Exception):
    def __new__(cls, *, only: str) -> "Awkward":
        return super().__new__(cls, only)

    def __init__(self, *, only: str) -> None:
        super().__init__(f"awkward {only}")


def test_an_exception_that_has_no_copy_keeps_its_text() -> None:
    ctx, cancel = with_cancel(background())
    cancel(Awkward(only="one"))
    assert type(ctx.cause()) is Cause and str(ctx.cause()) == "awkward one"


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def query() -> None:
    try:
        raise ConnectionResetError(errno.ECONNRESET, "peer")
    except OSError as error:
        raise RuntimeError("query failed") from error


def test_what_an_exception_was_raised_from() -> None:
    with pytest.raises(RuntimeError) as raised, with_cancel(background()) as ctx:
        query()
    assert raised.value.__cause__ is not None and raised.value.__cause__.__traceback__ is not None
    error = ctx.err()
    for cause in (ctx.cause(), error and error.__cause__):
        assert isinstance(cause, RuntimeError)
        below = cause.__cause__
        assert isinstance(below, ConnectionResetError) and below.errno == errno.ECONNRESET
        assert below is not raised.value.__cause__
        assert below.__traceback__ is None and below.__context__ is None and below.__cause__ is None


def test_a_cause_keeps_what_it_was_raised_from_too() -> None:
    with pytest.raises(Cause), with_cancel(background()) as ctx:
        raise Cause("disk full", -errno.ENOSPC) from OSError(errno.ENOSPC, "no space")
    cause = ctx.cause()
    assert type(cause) is Cause and cause.code == -errno.ENOSPC and isinstance(cause.__cause__, OSError)
    assert cause_parts(ctx) == (-errno.ENOSPC, "disk full")


def test_what_the_exceptions_of_a_group_were_raised_from() -> None:
    with pytest.raises(ExceptionGroup), with_cancel(background()) as ctx:
        try:
            query()
        except RuntimeError as error:
            raise ExceptionGroup("g", [error]) from None
    cause = ctx.cause()
    assert isinstance(cause, ExceptionGroup)
    assert isinstance(cause.exceptions[0].__cause__, ConnectionResetError)


def test_a_long_row_of_exceptions_and_one_that_leads_back() -> None:
    first = last = ValueError(0)
    for n in range(1, 20_000):
        last.__cause__ = ValueError(n)
        last = last.__cause__
    ctx, cancel = with_cancel(background())
    cancel(first)
    row: BaseException | None = ctx.cause()
    for n in range(20_000):
        assert type(row) is ValueError and row.args == (n,)
        row = row.__cause__
    assert row is None

    one, two = KeyError("one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    ctx, cancel = with_cancel(background())
    cancel(one)
    cause = ctx.cause()
    assert cause is not None and cause.__cause__ is not None
    assert (cause.args, cause.__cause__.args, cause.__cause__.__cause__) == (("one",), ("two",), None)


def test_a_built_in_exception_keeps_what_its_args_do_not_tell() -> None:
    ctx, cancel = with_cancel(background())
    cancel(FileNotFoundError(errno.ENOENT, "no such file", "/x"))
    cause = ctx.cause()
    assert type(cause) is FileNotFoundError and cause.filename == "/x" and str(cause).endswith("'/x'")
    with pytest.raises(SystemExit) as left, with_cancel(background()) as ctx:
        raise SystemExit(3)
    cause = ctx.cause()
    assert isinstance(cause, SystemExit) and cause.code == left.value.code == 3
    with pytest.raises(UnicodeDecodeError) as wrong, with_cancel(background()) as ctx:
        b"\xff".decode()
    assert str(ctx.cause()) == str(wrong.value) != ""
    with pytest.raises(ImportError), with_cancel(background()) as ctx:
        raise ImportError("not there", name="there")
    cause = ctx.cause()
    assert isinstance(cause, ImportError) and cause.name == "there" and str(cause) == "not there"


class Slotted(Exception):
    """As classes of attrs are by default, among them trio's Cancelled."""

    __slots__ = ("__number", "inner", "unset")
    __number: int
    inner: Exception

    def __init__(self, number: int, inner: Exception) -> None:
        super().__init__(number)
        object.__setattr__(self, "_Slotted__number", number)
        object.__setattr__(self, "inner", inner)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("frozen")

    def __str__(self) -> str:
        return f"number {self.__number}"


def test_an_exception_keeps_what_is_in_slots() -> None:
    try:
        raise ValueError("inner")
    except ValueError as error:
        slotted = Slotted(7, error)
    ctx, cancel = with_cancel(background())
    cancel(slotted)
    cause = ctx.cause()
    assert type(cause) is Slotted and str(cause) == "number 7" and not hasattr(cause, "unset")
    assert repr(cause.inner) == "ValueError('inner')" and cause.inner.__traceback__ is None


class Pair(NamedTuple):
    name: str
    error: Exception


def test_an_exception_with_a_named_tuple_of_exceptions_has_a_copy() -> None:
    """Of which no new one can be made from its parts."""
    pair = Pair("x", ValueError("inner"))
    ctx, cancel = with_cancel(background())
    cancel(LookupError(pair))
    cause = ctx.cause()
    assert type(cause) is LookupError and cause.args == (pair,)


def test_exceptions_in_lists_and_tuples_are_copies_too() -> None:
    inner = ValueError("inner")
    for parts in ([inner, 1], (inner, 1), (1, [inner])):
        ctx, cancel = with_cancel(background())
        cancel(LookupError(parts))
        cause = ctx.cause()
        assert type(cause) is LookupError and type(cause.args[0]) is type(parts) and len(cause.args[0]) == 2
    ctx, cancel = with_cancel(background())
    cancel(LookupError([1, "two"], (3,), {"four": 5}))
    assert str(ctx.cause()) == str(LookupError([1, "two"], (3,), {"four": 5}))


def test_a_group() -> None:
    with pytest.raises(ExceptionGroup), with_cancel(background()) as ctx:
        raise ExceptionGroup("both", [ValueError("one"), ExceptionGroup("inner", [KeyError("two")])])
    cause = ctx.cause()
    assert isinstance(cause, ExceptionGroup) and cause.message == "both"
    first, second = cause.exceptions
    assert isinstance(first, ValueError) and isinstance(second, ExceptionGroup)
    assert isinstance(second.exceptions[0], KeyError)


def test_an_exception_that_refers_to_itself() -> None:
    ctx, cancel = with_cancel(background())
    error = ValueError()
    error.args = (error,)
    assert cancel(error) and ctx.cause() is not None


def test_an_exception_that_has_no_text() -> None:
    ctx, cancel = with_cancel(background())
    cancel(Mute())
    assert type(ctx.cause()) is Mute
    parts = ctx._cause_parts()
    assert parts is not None and parts[1] == "Mute"


def test_copies_do_not_share_a_traceback() -> None:
    ctx, cancel = with_cancel(background())
    try:
        raise ValueError("x")
    except ValueError as error:
        cancel(error)
        assert error.__traceback__ is not None
    first, second = ctx.cause(), ctx.cause()
    assert first is not second and first is not None and first.__traceback__ is None


def test_copies_do_not_share_their_notes() -> None:
    """Neither with the exception that was given, nor with each other."""
    given = ValueError("x")
    given.add_note("one")
    ctx, cancel = with_cancel(background())
    cancel(given)
    given.add_note("by who canceled")
    first = ctx.cause()
    assert first is not None and first.__notes__ == ["one"]
    first.add_note("by who asked")
    second, error = ctx.cause(), ctx.err()
    assert second is not None and second.__notes__ == ["one"]
    assert error is not None and error.__cause__ is not None and error.__cause__.__notes__ == ["one"]
    assert given.__notes__ == ["one", "by who canceled"]


class Interrupted(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


def test_ctrl_c_while_a_cause_is_made_goes_its_way() -> None:
    ctx, cancel = with_cancel(background())
    with pytest.raises(KeyboardInterrupt):
        cancel(Interrupted())
    assert ctx.err() is None
    with pytest.raises(KeyboardInterrupt), cancel:
        raise Interrupted
    assert isinstance(ctx.err(), Canceled)


def test_a_body_whose_exception_makes_no_cause_ends_its_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """And goes its way: what failed is reported, and does not take its place."""
    told: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: told.append(args.exc_type))
    with pytest.raises(Cause) as caught, with_cancel(background()) as ctx:
        failure = Cause("a code that C cannot hold")
        failure.code = 1 << 40
        raise failure
    assert caught.value.__context__ is None
    assert isinstance(ctx.err(), Canceled) and isinstance(ctx.cause(), Canceled)
    assert told == [OverflowError]
