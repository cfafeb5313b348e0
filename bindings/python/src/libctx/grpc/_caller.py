# SPDX-License-Identifier: MIT
"""What the calls of a client share: what goes out with them, and when the engine ends them by itself."""

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from .._core import Context, encode_cause, inject
from .._errors import DeadlineExceeded, reason_of
from .._propagation import CAUSE
from ._calls import NUMBER, Metadata, due, format_of

AT_ONCE = 64  # companions of a channel
COMPANION_TIMEOUT = 0.1  # seconds; so long a cancel is held at most: it must not overtake its companion
TICK = 0.001  # seconds; the engine may be so much early, and the context is to be the first to end, since it knows why


class Outgoing(NamedTuple):
    """A call before it begins."""

    timeout: float | None  # for the engine
    metadata: tuple[tuple[str, str | bytes], ...]
    number: str  # "": no reason is told
    seconds: float | None  # that the context has left


class Caller:
    def __init__(self, strings: Iterable[str], name: str | None) -> None:
        self._format = format_of(strings)
        self._name = name
        encode_cause("", name)  # a name that is none is refused here

    def outgoing(self, ctx: Context, timeout: float | None, metadata: Metadata | None, tells: bool) -> Outgoing:
        """Raises the error of a context that is done."""
        headers = inject(ctx, **self._format.untimed)
        if self._format.plain:
            self._format.inject_strings(ctx, headers)
        given = () if metadata is None else tuple(metadata)
        for name, _ in given:
            headers.pop(name.lower(), None)  # what the caller itself has set stays
        number = ""
        if tells and ctx.cancelable:
            headers[NUMBER] = number = os.urandom(16).hex()
        seconds = ctx.remaining()
        if seconds is not None and (timeout is None or seconds < timeout):
            timeout = seconds + TICK
        return Outgoing(timeout, (*given, *headers.items()), number, seconds)

    def companion(self, ctx: Context, number: str) -> tuple[tuple[str, str], ...] | None:
        """What is told of a call whose context has ended; None for an end without a reason."""
        reason = reason_of(ctx) if number else None
        return None if reason is None else ((NUMBER, number), (CAUSE, encode_cause(reason, self._name)))


def engine_ends(ctx: Context) -> bool:
    """Whether a context has ended by the deadline that the engine has, too, or by a later one."""
    return due(ctx) and isinstance(ctx.err(), DeadlineExceeded)


def delegated(owner: object, name: str) -> Any:
    """For __getattr__ of what wraps something of gRPC; nothing private."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(owner, name)
