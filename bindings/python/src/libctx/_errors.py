# SPDX-License-Identifier: MIT
"""The errors of a context, and how reasons go into the tree and come out of it.

An exception is stored, and handed out, as a copy without its traceback, and so are the exceptions that it was
raised from. A traceback holds frames, and the frames of a caller that cancels hold the context: through Python
the tree would keep itself alive, and the garbage collector cannot see that cycle.
"""

import asyncio
import builtins
import sys
from collections.abc import Iterator
from errno import ECANCELED, ETIMEDOUT
from enum import IntEnum
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from . import _core
from ._core import Context, Group


class Error(Exception):
    """A context is done. `__cause__` says why, if a reason was given."""

    text = "context done"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(self.text if message is None else message)


class Canceled(Error):
    """The context was canceled."""

    text = "context canceled"


class DeadlineExceeded(Error, TimeoutError):
    """The context's deadline passed."""

    text = "context deadline exceeded"


class Origin(IntEnum):
    """Who ended a context. Other numbers are possible: later versions may add some, and callers may state any."""

    CANCELED = 1
    DEADLINE = 2
    SIGNAL = 3
    DESCRIPTOR = 4
    SHUTDOWN = 5
    PEER = 6
    PARENT_PROCESS = 7
    OVERLOAD = 8


def origin_of(number: int) -> Origin | int:
    """The result of Context.origin() for the number of a cause."""
    try:
        return Origin(number)
    except ValueError:
        return number


class Place(NamedTuple):
    """Where a cause was made."""

    file: str
    line: int = 0
    function: str | None = None


def here() -> Place:
    """The place of the call, for a Cause, or for the attribute `place` of another exception that is a cause."""
    frame = sys._getframe(1)
    return Place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)


def _number(part: str, number: int, least: int, most: int) -> int:
    """A number for C."""
    if not isinstance(number, int):
        raise TypeError(f"the {part} of a cause is a number, not {number!r}")
    if not least <= number <= most:
        raise ValueError(f"the {part} of a cause is from {least} to {most}, not {number}")
    return number


class Cause(Exception):
    """A reason that was given as a text, or by another language: a message and a code.

    It may state who ended the context (a number from 1 to 255), and where it was made.
    """

    # What a subclass has whose constructor does not call this one.
    message: str = ""
    code: int = -ECANCELED
    origin: Origin | int | None = None
    place: Place | None = None
    # Who claims this cause, if it came from another process: "" if nobody is named. Nothing proves it.
    peer: str | None = None
    _claim: str | None = None  # that text

    def __init__(
        self, message: str, code: int = -ECANCELED, *, origin: int | None = None, place: Place | None = None
    ) -> None:
        super().__init__(message, code)
        if not isinstance(message, str):
            raise TypeError(f"the message of a cause is a text, not {message!r}")
        if not isinstance(place, Place | None):
            raise TypeError(f"the place of a cause is a libctx.Place, not {place!r}")
        self.message = message
        self.code = _number("code", code, -(1 << 31), (1 << 31) - 1)
        self.origin = None if origin is None else origin_of(_number("origin", origin, 1, 255))
        self.place = place

    def __str__(self) -> str:
        return self.message


def decode_cause(text: str) -> Cause:
    """The cause that another process has written by encode_cause(), in any language; its `peer` is who says so.

    ValueError for a text that is malformed.
    """
    code, message, origin, peer, claim = _core.decode_cause(text)
    cause = Cause(message, code, origin=origin)
    cause.peer = peer
    cause._claim = claim
    return cause


def _row(exception: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that it was raised from, any number of them; the chain may be a cycle."""
    seen = set()
    while exception is not None and id(exception) not in seen:
        yield exception
        seen.add(id(exception))
        exception = exception.__cause__


def snapshot(exception: BaseException) -> BaseException:
    """A copy of an exception and of those that it was raised from, each with its __cause__ and no more."""
    copies = [_copy(one) for one in _row(exception)]
    for above, below in pairwise(copies):
        above.__cause__ = below
    return copies[0]


def _copy(exception: BaseException) -> BaseException:
    """A copy without traceback, cause and context, or a Cause with its text if it has no copy.

    It is made as pickle makes it, but by the constructor of its nearest built-in class: a user's class may turn
    its arguments into other args.
    """
    kind = type(exception)
    base: Any = next(base for base in kind.__mro__ if getattr(builtins, base.__name__, None) is base)
    try:
        _, args, *state = base.__reduce__(exception)
        args = [_bare(arg) for arg in args]
        copy: BaseException = kind.__new__(kind, *args)
        base.__init__(copy, *args)
        for attributes in state:
            base.__setstate__(copy, {name: _attribute(name, value) for name, value in attributes.items()})
        for name, value in _in_slots(exception).items():
            base.__setattr__(copy, name, _bare(value))
    except Exception:
        return Cause(_words(exception))
    return copy


def _attribute(name: str, value: Any) -> Any:
    """Its value in a copy, which has notes of its own: add_note() adds to a list."""
    return value[:] if name == "__notes__" and type(value) is list else _bare(value)


def _in_slots(exception: BaseException) -> dict[str, Any]:
    """The attributes that are not in its __dict__: those of __slots__, as classes of attrs have them."""
    state: Any = object.__getstate__(exception)
    return state[1] if isinstance(state, tuple) else {}


def _bare(part: Any) -> Any:
    """A part of an exception. Exceptions in there, such as those of a group, have tracebacks, too."""
    if isinstance(part, BaseException):
        return snapshot(part)
    if type(part) in (list, tuple) and any(isinstance(one, BaseException) for one in part):
        return type(part)(map(_bare, part))
    return part


def _words(exception: BaseException) -> str:
    """Its text for other languages, which do not know Python's names."""
    try:
        if isinstance(exception, asyncio.CancelledError):
            return str(exception) or "task canceled"
        if isinstance(exception, getattr(sys.modules.get("trio"), "Cancelled", ())):
            return getattr(exception, "reason", None) or "task canceled"
        return str(exception) or type(exception).__name__
    except Exception:
        return type(exception).__name__


# Code, message, exception, origin or 0, file, line and function of the place, and the text of what a peer claims.
Packed: TypeAlias = tuple[int, bytes, BaseException | None, int, bytes | None, int, bytes | None, str | None]


def pack(
    reason: BaseException | str, deadline_exceeded: bool
) -> Packed | None:
    """A reason as the tree holds it: code, message, for Python the exception itself, origin and place.

    The error of another context tells nothing new to a context that ends by the same error. What it was raised
    from may; without that there is no reason.
    """
    code = -ETIMEDOUT if deadline_exceeded else -ECANCELED
    if isinstance(reason, str):
        return code, _text(reason), None, 0, None, 0, None, None
    if not isinstance(reason, BaseException):
        raise TypeError(f"a cause is an exception or a text, not {reason!r}")
    end = DeadlineExceeded if deadline_exceeded else Canceled
    for one in _row(reason):
        if type(one) is not end or one.args != (end.text,) or one.__dict__:
            origin, claim = (one.origin or 0, one._claim) if isinstance(one, Cause) else (0, None)
            return _code(one, code), _text(_message(one)), snapshot(one), origin, *_place(one), claim
    return None


def _place(exception: BaseException) -> tuple[bytes | None, int, bytes | None]:
    """The parts of a place, if it has one."""
    place = getattr(exception, "__dict__", {}).get("place")
    if not isinstance(place, Place):
        return None, 0, None
    return _text(place.file), place.line, None if place.function is None else _text(place.function)


def _message(exception: BaseException) -> str:
    """Its text for other languages; after that of a context's error comes the text of its reason."""
    texts = []
    for one in _row(exception):
        texts.append(_words(one))
        if not isinstance(one, Error):
            break
    return ": ".join(texts)


def _code(exception: BaseException, otherwise: int) -> int:
    """Its errno, as other languages of the process read it, or otherwise that of the end."""
    if isinstance(exception, Cause):
        return exception.code
    try:
        number = getattr(exception, "errno", None)
    except Exception:
        number = None
    if type(number) is int and abs(number) < 1 << 31:
        return -number
    if isinstance(exception, TimeoutError):
        return -ETIMEDOUT
    return -ECANCELED if isinstance(exception, Canceled | asyncio.CancelledError) else otherwise


def _text(message: str) -> bytes:
    return message.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace")


def reason_of(ctx: Context | Group) -> BaseException | None:
    """The reason that somebody gave; None while live, and for the plain end of a context."""
    parts = ctx._cause_parts()
    if parts is None:
        return None
    code, message, exception, origin, file, line, function, claim = parts
    if exception is not None:
        return snapshot(exception)
    if claim is not None:
        return decode_cause(claim)
    return Cause(message, code, origin=origin, place=None if file is None else Place(file, line, function))


def error_of(ctx: Context) -> Error | None:
    """The result of Context.err() for a context that is done."""
    error = DeadlineExceeded() if ctx._errno() == -ETIMEDOUT else Canceled()
    reason = reason_of(ctx)
    if reason is not None:  # setting None would hide where the body of a scope was
        error.__cause__ = reason
    return error


def cause_of(ctx: Context) -> BaseException | None:
    """The result of Context.cause()."""
    reason = reason_of(ctx)
    return ctx.err() if reason is None else reason
