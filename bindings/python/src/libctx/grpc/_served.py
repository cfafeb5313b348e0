# SPDX-License-Identifier: MIT
"""A call that a server serves: its context, what ends that, and how the call is answered then."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import grpc

from .._core import Canceler, Context, background, encode_cause, extract
from .._errors import Cause, DeadlineExceeded, Error, Origin, decode_cause
from .._propagation import CAUSE, at_deadline
from ._calls import NUMBER, Metadata, format_of

Seconds: TypeAlias = float | timedelta | None
is_number = re.compile("[0-9a-fA-F]{32}").fullmatch
HANDLERS = 1024

Status: TypeAlias = tuple[grpc.StatusCode, str, tuple[str, str]]

FOREVER = 1e9  # seconds; gRPC has a large number for a call without a deadline


class Serving:
    """What the calls of a server share: its own context, its limits, and the numbers of those calls that have one."""

    def __init__(
        self,
        parent: Context | None,
        default_timeout: Seconds,
        maximum_timeout: Seconds,
        strings: Iterable[str],
        name: str | None,
    ) -> None:
        self.parent = background() if parent is None else parent
        if not isinstance(self.parent, Context):
            raise TypeError(f"expected a libctx.Context, not {type(parent)!r}")
        self.name = name
        encode_cause("", name)  # a name that is none is refused here, and so are times below
        self.format = format_of(strings)
        self.default_timeout = default_timeout
        self._extract = functools.partial(extract, maximum_timeout=maximum_timeout, **self.format.untimed)
        self.extract({}, default_timeout)
        self.numbered: dict[str, Canceler] = {}
        self._handlers: dict[str, tuple[Any, Any]] = {}

    def extract(self, headers: Mapping[str, str], timeout: Seconds) -> tuple[Context, Canceler]:
        ctx, cancel = self._extract(self.parent, headers, default_timeout=timeout)
        return self.format.with_strings(ctx, headers), cancel

    def handler(self, method: str, found: Any, make: Callable[[], Any]) -> Any:
        """What make() has made once of a handler that was found for a method."""
        known = self._handlers.get(method)
        if known is None or known[0] is not found:
            if len(self._handlers) >= HANDLERS:  # a server of any method may find a new one each time
                self._handlers.clear()
            known = self._handlers[method] = found, make()
        return known[1]

    def tell(self, metadata: Metadata) -> None:
        """The companion of a cancel: ends the call of that number as its client asks. Nobody learns whether there is one."""
        found = dict(metadata)
        number, text = found.get(NUMBER), found.get(CAUSE)
        if not isinstance(number, str) or not isinstance(text, str):
            return
        try:
            cause = decode_cause(text)
        except ValueError:
            return
        if (cancel := self.numbered.get(number.lower())) is not None:
            cancel(cause, defer=True)  # gRPC has a lock here, and one thread for all that comes


class Served:
    """One call, from before its handler begins until over()."""

    __slots__ = ("_number", "_seconds", "_serving", "cancel", "ctx")

    def __init__(self, serving: Serving, metadata: Metadata, seconds: float | None) -> None:
        wanted, headers, number = serving.format.names, dict[str, str](), ""
        for name, text in metadata:
            if name in wanted:
                if isinstance(text, str) and text.isascii() and text.isprintable():
                    headers[name] = f"{headers[name]},{text}" if name in headers else text
            elif name == NUMBER and isinstance(text, str) and is_number(text):
                number = text.lower()
        self._serving = serving
        self._number = number
        limited = seconds is not None and seconds < FOREVER
        self.ctx, self.cancel = serving.extract(headers, seconds if limited else serving.default_timeout)
        self._seconds = self.ctx.remaining()
        if number:
            serving.numbered[number] = self.cancel

    def gone(self) -> None:
        """Its client has canceled it, or is gone: gRPC says no more than that."""
        if self.ctx.is_done:
            return
        if at_deadline(self.ctx, self._seconds):
            self.cancel(deadline_exceeded=True)
        else:
            self.cancel(Cause("the call was canceled", origin=Origin.PEER))

    def over(self) -> None:
        """The handler has come to its end."""
        numbered = self._serving.numbered
        if self._number and numbered.get(self._number) is self.cancel:
            del numbered[self._number]
        self.cancel()

    def status(self, error: Error | None) -> Status:
        """The answer to a call whose context has ended, or else to one whose handler has raised such an error."""
        code = grpc.StatusCode.CANCELLED
        reason: BaseException | None
        if (ended := self.ctx.err()) is not None:
            error, reason = ended, self.ctx.cause()
            if self.ctx.ended_by(self._serving.parent):
                code = grpc.StatusCode.UNAVAILABLE
        else:
            assert error is not None
            reason = error.__cause__ or error
        if isinstance(error, DeadlineExceeded) and code is not grpc.StatusCode.UNAVAILABLE:
            code = grpc.StatusCode.DEADLINE_EXCEEDED
        return code, str(error), (CAUSE, encode_cause(reason or "", self._serving.name))
