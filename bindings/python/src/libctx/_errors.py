# SPDX-License-Identifier: MIT
"""The errors of a context, and how reasons go into the tree and come out of it.

An exception is stored, and handed out, as a copy without its traceback. A traceback holds frames, and the
frames of who cancels hold the context: the tree would keep itself alive by way of Python, where the
garbage collector cannot see it.
"""

from errno import ECANCELED, ETIMEDOUT

from ._core import Context


class Error(Exception):
    """A context is done. `__cause__` says why, where a reason was given."""

    text = "context done"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(self.text if message is None else message)


class Canceled(Error):
    """The context was cancelled."""

    text = "context canceled"


class DeadlineExceeded(Error, TimeoutError):
    """The context's deadline passed."""

    text = "context deadline exceeded"


class Cause(Exception):
    """A reason that was given as a text, or by another language: a message and a code."""

    def __init__(self, message: str, code: int = -ECANCELED) -> None:
        super().__init__(message, code)
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return self.message


_TEXTS = {(-ECANCELED, Canceled.text): Canceled, (-ETIMEDOUT, DeadlineExceeded.text): DeadlineExceeded}


def snapshot(exception: BaseException) -> BaseException:
    """A copy of an exception without traceback and context, or a Cause with its text if it has no copy."""
    kind = type(exception)
    try:
        copy = kind.__new__(kind, *exception.args)
        copy.args = exception.args
        copy.__dict__.update(exception.__dict__)
    except Exception:
        return Cause(_words(exception))
    return copy


def _words(exception: BaseException) -> str:
    try:
        return str(exception) or type(exception).__name__
    except Exception:
        return type(exception).__name__


def pack(reason: BaseException | str) -> tuple[int, bytes, BaseException | None]:
    """A reason as the tree holds it: code, message, and for Python the exception itself."""
    if isinstance(reason, str):
        return -ECANCELED, _text(reason), None
    if not isinstance(reason, BaseException):
        raise TypeError(f"a cause is an exception or a text, not {reason!r}")
    message = _text(_words(reason))
    if type(reason) is Cause:
        return reason.code, message, None
    number = getattr(reason, "errno", None)
    return (-number if type(number) is int else -ECANCELED), message, snapshot(reason)


def _text(message: str) -> bytes:
    return message.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace")


def _reason(ctx: Context) -> BaseException | None:
    """The reason that somebody gave; None while live, and for the plain end of a context."""
    parts = ctx._cause_parts()
    if parts is None:
        return None
    code, message, exception = parts
    if exception is not None:
        return snapshot(exception)
    return None if (code, message) in _TEXTS else Cause(message, code)


def error_of(ctx: Context) -> Error | None:
    """What Context.err() answers for a context that is done."""
    error = DeadlineExceeded() if ctx._errno() == -ETIMEDOUT else Canceled()
    error.__cause__ = _reason(ctx)
    return error


def cause_of(ctx: Context) -> BaseException | None:
    """What Context.cause() answers."""
    return _reason(ctx) or ctx.err()
