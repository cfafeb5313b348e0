# SPDX-License-Identifier: MIT
"""The current context, which follows contextvars: tasks and asyncio.to_thread inherit it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token

from ._core import Context, background


def _fresh() -> ContextVar[Context]:
    return ContextVar("libctx.current", default=background())


_variable = _fresh()


def current() -> Context:
    """The context that this piece of work belongs to; background() if none was set."""
    return _variable.get()


def enter(ctx: Context) -> Token[Context]:
    return _variable.set(ctx)


def leave(token: Token[Context]) -> None:
    token.var.reset(token)


@contextmanager
def use(ctx: Context) -> Iterator[Context]:
    """Makes a context the current one for the body."""
    if not isinstance(ctx, Context):
        raise TypeError(f"expected a libctx.Context, not {type(ctx)!r}")
    token = enter(ctx)
    try:
        yield ctx
    finally:
        leave(token)


def _in_child() -> None:
    """A context of before the fork can only be read in the child; what is derived there starts afresh.

    By a variable of its own: to leave a body of before the fork would bring the old one's values back.
    """
    global _variable
    _variable = _fresh()


os.register_at_fork(after_in_child=_in_child)
