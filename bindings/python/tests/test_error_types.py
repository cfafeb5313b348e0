# SPDX-License-Identifier: MIT
"""The errors, Cause, Place and Origin as Python's own: kinds, texts, limits, copies and numbers."""

import copy
import errno
import os
import pickle
import re
from pathlib import Path

import libctx
import pytest
from conftest import cause_parts
from libctx import Canceled, Cause, DeadlineExceeded, Error, Origin, Place, background, here, with_cancel, with_timeout


def test_each_error_is_of_its_kinds_and_of_no_other() -> None:
    assert issubclass(Canceled, Error) and not issubclass(Canceled, TimeoutError)
    assert issubclass(DeadlineExceeded, Error) and issubclass(DeadlineExceeded, TimeoutError)
    assert not issubclass(DeadlineExceeded, Canceled) and not issubclass(Cause, Error)
    assert issubclass(Error, Exception) and not issubclass(Error, OSError)


def test_each_error_has_its_text() -> None:
    assert (str(Canceled()), str(DeadlineExceeded()), str(Error())) == (
        "context canceled", "context deadline exceeded", "context done")  # fmt: skip
    for kind in (Error, Canceled, DeadlineExceeded):
        assert str(kind("a text of its own")) == "a text of its own" and str(kind("")) == ""
    assert str(Cause("why", 5)) == "why" and repr(Cause("why", 5)) == "Cause('why', 5)"


def test_a_cause_takes_what_c_can_hold_and_no_more() -> None:
    for code in (-(1 << 31), -1, 0, (1 << 31) - 1):
        ctx, cancel = with_cancel(background())
        cancel(Cause("why", code))
        cause = ctx.cause()
        assert type(cause) is Cause and cause.code == code == cause_parts(ctx)[0]
    for code in (-(1 << 31) - 1, 1 << 31):
        with pytest.raises(ValueError, match=f"code of a cause is from {-(1 << 31)} to {(1 << 31) - 1}, not {code}"):
            Cause("why", code)
    for origin in (1, 2, 100, 255):
        ctx, cancel = with_cancel(background())
        cancel(Cause("why", origin=origin))
        assert ctx.origin() == origin
    for origin in (-1, 0, 256):
        with pytest.raises(ValueError, match=f"origin of a cause is from 1 to 255, not {origin}"):
            Cause("why", origin=origin)
    plain = Cause("why")
    assert (plain.message, plain.code, plain.origin, plain.place) == ("why", -errno.ECANCELED, None, None)


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("error", [Canceled(), DeadlineExceeded("own"), Cause("why", 5, origin=6, place=Place("f", 1, "g"))])
def test_errors_are_copied_and_pickled(make: object, error: Exception) -> None:
    """To another process, as concurrent.futures does."""
    other = make(error)  # type: ignore[operator]
    assert type(other) is type(error) and other.args == error.args and vars(other) == vars(error)
    assert str(other) == str(error)


def test_each_error_is_a_new_one() -> None:
    """Whoever raises it adds a traceback, and a note."""
    ctx, cancel = with_cancel(background())
    cancel(ValueError("why"))
    first, second = ctx.err(), ctx.err()
    assert first is not None and second is not None and first is not second
    assert first.__cause__ is not second.__cause__ and first.__traceback__ is None
    plain = with_timeout(background(), 0).ctx
    assert plain.err() is not plain.err() and plain.cause() is not plain.cause()


def test_here_is_the_place_of_its_call() -> None:
    class Caller:
        def method(self) -> Place:
            return here()

    place = Caller().method()
    assert place.function == "test_here_is_the_place_of_its_call.<locals>.Caller.method" and place.file == __file__
    assert place.line == Caller.method.__code__.co_firstlineno + 1
    assert tuple(Place("file")) == ("file", 0, None)


def test_origins_have_the_numbers_of_c() -> None:
    header = Path(os.environ["CTX_PREFIX"], "include/ctx")
    text = "".join(file.read_text() for file in header.rglob("*.h"))
    found = {name: int(number) for name, number in re.findall(r"#define CTX_ORIGIN_(\w+) (\d+)", text)}
    assert found and found == {origin.name: int(origin) for origin in Origin}


def test_a_number_that_is_no_origin_stays_a_number() -> None:
    assert libctx._errors.origin_of(3) is Origin.SIGNAL
    for number in (0, 9, 254):
        assert type(libctx._errors.origin_of(number)) is int
