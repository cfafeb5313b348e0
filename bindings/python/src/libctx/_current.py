# SPDX-License-Identifier: MIT
"""The current context, which follows contextvars: tasks and asyncio.to_thread inherit it.

A body may be left where its variable cannot be reset: another task, or the event loop, closes a generator that
yields inside `with use(ctx)`. Code whose innermost body that still is then skips it, so that no code goes on with
the context of a body that has ended.
"""

import functools
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token, copy_context
from typing import ParamSpec, TypeAlias, TypeVar

from ._core import Context, background


class Body:
    """The body of a use() or scope(), and the body around it, which is forgotten when this one is left in order."""

    __slots__ = ("around", "ctx")

    def __init__(self, ctx: Context | None, around: "Body | None") -> None:
        self.ctx = ctx  # None: left elsewhere
        self.around = around


Entered: TypeAlias = tuple[Body, Token[Body]]


def _fresh() -> ContextVar[Body]:
    return ContextVar("libctx.current", default=Body(background(), None))  # noqa: B039 - the outermost body is never left


_variable = _fresh()


def _innermost() -> tuple[Body, Context]:
    body = _variable.get()
    while (ctx := body.ctx) is None:
        assert body.around is not None
        body = body.around
    return body, ctx


def current() -> Context:
    """The context that this piece of work belongs to; background() if none was set."""
    ctx = _variable.get().ctx
    return _innermost()[1] if ctx is None else ctx


def enter(ctx: Context) -> Entered:
    body = Body(ctx, _innermost()[0])
    return body, _variable.set(body)


def leave(entered: Entered) -> None:
    body, token = entered
    try:
        token.var.reset(token)
        body.around = None
    except ValueError:  # it was entered in other context variables than these
        body.ctx = None


@contextmanager
def use(ctx: Context) -> Iterator[Context]:
    """Makes a context the current one for the body."""
    if not isinstance(ctx, Context):
        raise TypeError(f"expected a libctx.Context, not {type(ctx)!r}")
    entered = enter(ctx)
    try:
        yield ctx
    finally:
        leave(entered)


_P = ParamSpec("_P")
_R = TypeVar("_R")


def wrap(fn: Callable[_P, _R], /) -> Callable[_P, _R]:
    """fn, to be called on another thread, with the current() of here: for executors and threading.Thread.

    Each call has a copy of all context variables of here, as with asyncio.to_thread().
    """
    if not callable(fn):
        raise TypeError(f"expected a function, not {fn!r}")
    if inspect.iscoroutinefunction(fn):
        raise TypeError(f"expected a function that is not async, not {fn!r}: tasks inherit current() themselves")
    variables = copy_context()

    @functools.wraps(fn)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return variables.copy().run(fn, *args, **kwargs)

    return call


def _in_child() -> None:
    """The child can only read contexts from before the fork; its own begin below background().

    It needs a new variable: leaving a body from before the fork would restore the old variable's values.
    """
    global _variable
    _variable = _fresh()


os.register_at_fork(after_in_child=_in_child)
