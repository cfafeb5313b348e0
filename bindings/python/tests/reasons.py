# SPDX-License-Identifier: MIT
"""Reasons that ends are given, and what must be seen of them afterwards."""

import errno
from collections.abc import Callable

import libctx
from reference import CANCELED, EXCEEDED, Reason

ERRORS: dict[str | None, type[BaseException]] = {CANCELED: libctx.Canceled, EXCEEDED: libctx.DeadlineExceeded}


def place() -> libctx.Place:
    return libctx.Place("file", 3, "function")


REASONS: list[Callable[[], BaseException | str | None]] = [
    lambda: None,
    lambda: "a text",
    lambda: ValueError("an exception", 7),
    lambda: OSError(errno.EPIPE, "the client went away"),
    lambda: libctx.Cause("a cause", 5),
    lambda: libctx.Cause("of a peer", -errno.EIO, origin=libctx.Origin.PEER, place=place()),
    lambda: libctx.Cause("timed out", -errno.ETIMEDOUT),
    libctx.Canceled,  # says no more than a cancel does
]


def code_of(reason: Reason) -> int:
    given = reason.given
    if given == "loop closed":
        return -errno.ECANCELED
    if isinstance(given, libctx.Cause):
        return int(given.code)
    if isinstance(given, OSError) and given.errno is not None:
        return -given.errno
    if isinstance(given, libctx.Canceled):
        return -errno.ECANCELED
    return -errno.ETIMEDOUT if reason.exceeded else -errno.ECANCELED


def origin_of(reason: Reason) -> object:
    given = reason.given
    if given == "loop closed":
        return libctx.Origin.SHUTDOWN
    if isinstance(given, libctx.Cause) and given.origin is not None:
        return given.origin
    exceeded = reason.exceeded or code_of(reason) == -errno.ETIMEDOUT
    return libctx.Origin.DEADLINE if exceeded else libctx.Origin.CANCELED


def expected(reason: Reason) -> tuple[object, ...]:
    """The kind of a cause, its args, and what else is to be seen of it."""
    given = reason.given
    if isinstance(given, str):
        return libctx.Cause, (given, code_of(reason)), origin_of(reason), None
    return type(given), getattr(given, "args", None), getattr(given, "origin", None), getattr(given, "place", None)


def seen(cause: BaseException | None) -> tuple[object, ...]:
    return type(cause), getattr(cause, "args", None), getattr(cause, "origin", None), getattr(cause, "place", None)


def told(cause: BaseException | str | None, exceeded: bool) -> Reason | None:
    return None if cause is None else Reason(cause, exceeded)


def plain(reason: Reason, err: type[BaseException]) -> bool:
    """Whether a cause says no more than the error."""
    return reason.given is None or (type(reason.given) is err and err is libctx.Canceled)
