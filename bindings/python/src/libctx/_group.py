# SPDX-License-Identifier: MIT
"""libctx.Group: work on threads that is waited for together, and that ends together when a part of it fails."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import timedelta
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from . import _core
from ._core import Canceler, Context
from ._current import Entered, current, enter, leave, use, wrap
from ._errors import Error, reason_of

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _run(future: Future[_R], call: Callable[[], _R]) -> None:
    """The body of a thread."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
        del future  # the traceback holds this frame
    else:
        future.set_result(result)


class Group:
    """Work on threads that is waited for together, and that ends together when a part of it fails.

        with libctx.Group() as group:
            group.spawn(download, url)
            group.spawn(index, folder)

    The work, and the body, run with group.ctx as current(). The first exception cancels that context, so that the
    rest stops if it looks: ctx.check(), waits, code of other languages. The body's end waits for all work, and
    raises that exception. If the body itself raises, that cancels the context, too. Ctrl-C in the wait cancels it,
    and goes on waiting; a second one leaves.

    The parent is a context, current() unless it is named, or a group, which counts this one as a piece of its work
    until the work is over and this object is gone.
    """

    def __init__(self, parent: "Context | Group | None" = None) -> None:
        self._group: _core.Group
        if isinstance(parent, Group):
            try:
                self._group = _core.Group(parent._group)
            except OSError:
                parent.ctx.check()  # it says why nothing begins there
                raise
        else:
            ctx = current() if parent is None else parent
            if not isinstance(ctx, Context):
                raise TypeError(f"expected a libctx.Context or a libctx.Group, not {type(ctx)!r}")
            self._group = _core.Group(ctx)
        self.ctx: Context = self._group.ctx()
        self.cancel: Canceler = self._group.cancel()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._entered: Entered | None = None
        self._process = os.getpid()

    def spawn(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        """Runs fn(*args, **kwargs) on a thread of its own. If the group's context is done, this raises its error."""
        call = self._start(fn)
        future: Future[_R] = Future()
        try:
            threading.Thread(target=_run, args=(future, lambda: call(*args, **kwargs))).start()
        except BaseException:
            self._group.end(None)
            raise
        future.add_done_callback(self._over)
        return future

    def submit(self, executor: Executor, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        """The same on an executor that has threads."""
        call = self._start(fn)
        try:
            future = executor.submit(call, *args, **kwargs)
        except BaseException:
            self._group.end(None)
            raise
        future.add_done_callback(self._over)
        return future

    def _start(self, fn: Callable[_P, _R]) -> Callable[_P, _R]:
        with use(self.ctx):
            call = wrap(fn)
        if not self._group.begin():
            self.ctx.check()
        return call

    def _over(self, future: Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None:
            with self._lock:  # the first one here is the first in the tree, too
                if self._failure is None:
                    self._failure = error
                else:
                    error = None
        self._group.end(error)

    def begin(self) -> bool:
        """Counts a piece of work that is started by other means; False, and nothing, if the context is done."""
        return self._group.begin()

    def end(self, cause: BaseException | str | None = None) -> None:
        """Ends such a piece, on any thread; with a cause it has failed."""
        self._group.end(cause)

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        """Blocks until no work is left, without the GIL; then raises the first failure.

        True: nothing is left; False: that many seconds passed first.
        """
        if not self._group.wait(timeout):
            return False
        self._raise()
        return True

    def _raise(self) -> None:
        error = reason_of(self._group) if self._failure is None else self._failure
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback holds this frame

    def __enter__(self) -> "Group":
        if self._entered is not None:
            raise RuntimeError("a libctx.Group() is entered once")
        self._entered = enter(self.ctx)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._entered is not None
        leave(self._entered)
        if self._process != os.getpid():
            return  # a child that was forked in the body has no work of it
        if value is not None:
            self.cancel.__exit__(kind, value, traceback)
        try:
            self._group.wait(None)
        except BaseException as error:
            self.cancel(error)
            self._group.wait(None)
            raise
        self.cancel()
        if value is None or isinstance(value, Error):  # the body was ended by the failure
            self._raise()

    def fileno(self) -> int:
        """Readable exactly while no work is left, for select and event loops; borrowed."""
        return self._group.fileno()

    def over(self) -> Context:
        """A context that ends as soon as no work is left, or at once if none is: `await group.over()`."""
        return self._group.over()

    @property
    def handle(self) -> int:
        """The ctx_group_t* as an integer, for ctypes and the like. Borrowed: valid while this object is held."""
        return self._group.handle()
