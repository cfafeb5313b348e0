# SPDX-License-Identifier: MIT
"""The current context, which follows contextvars: tasks and asyncio.to_thread inherit it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ._core import Context, background

variable: ContextVar[Context] = ContextVar("libctx.current", default=background())


def current() -> Context:
    """The context that this piece of work belongs to; background() if none was set."""
    return variable.get()


@contextmanager
def use(ctx: Context) -> Iterator[Context]:
    """Makes a context the current one for the body."""
    if not isinstance(ctx, Context):
        raise TypeError(f"expected a libctx.Context, not {type(ctx)!r}")
    token = variable.set(ctx)
    try:
        yield ctx
    finally:
        variable.reset(token)


# A context of before the fork can only be read in the child; what is derived there starts afresh.
os.register_at_fork(after_in_child=lambda: variable.set(background()) and None)
