# SPDX-License-Identifier: MIT
"""What all sides of a call share: the names that travel, and what an error of a call means. See docs/calls.md."""

import re
from collections.abc import Iterable
from typing import Any, TypeAlias

import grpc

from .._core import Context
from .._errors import Cause, DeadlineExceeded
from .._propagation import CAUSE, Format, at_deadline, cause_in

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]

TELL = "/libctx.Causes/Tell"
NUMBER = "ctx-call"

ENDING = 0.05  # seconds, at most, that a thread may take to end what is due

# A call that ends so may have been broken off; by any other status somebody answers.
BROKEN = frozenset((grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE))


def format_of(strings: Iterable[str]) -> Format:
    """The metadata that carries a context. ValueError for a name that cannot be one of a text."""
    form = Format(None, strings)
    for name in form.names:
        if not re.fullmatch("[a-z0-9_.-]+", name) or name.startswith("grpc-") or name.endswith("-bin") or name in (NUMBER, CAUSE):
            raise ValueError(f"metadata with a text of the program cannot have the name {name!r}")
    return form


def due(ctx: Context) -> bool:
    """Whether its deadline has passed."""
    left = ctx.remaining()
    return left is not None and left <= 0


def error_of(ctx: Context, seconds: float | None, error: BaseException) -> BaseException:
    """What a client is told in place of an error of its call: the end of its own context comes first.

    The seconds are those that the context had left when the call began.
    """
    if due(ctx):
        ctx.wait(ENDING)  # the engine may be the first to see the deadline: the tree is just seeing it, and knows the cause
    if (ended := ctx.err()) is not None:
        return ended
    if isinstance(error, grpc.RpcError) and error.code() in BROKEN and at_deadline(ctx, seconds):
        late = DeadlineExceeded()
        late.__cause__ = error
        return late
    return error


def cause_of(metadata: Metadata | None) -> Cause | None:
    trailer: dict[str, Any] = dict(metadata or ())
    return cause_in(trailer)


def cause(call: Any) -> Cause | None:
    """Why a server that has the interceptor gave such an answer, as it says itself; None if it does not say.

    It takes an error of gRPC, also one of grpc.aio, or a call that is over. For a call of grpc.aio see libctx.grpc.aio.cause.
    """
    return cause_of(call.trailing_metadata())
