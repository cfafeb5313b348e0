# SPDX-License-Identifier: MIT
"""What the adapters of HTTP share: which headers carry a context, and who was first at a deadline."""

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from ._core import Canceler, Context, background, extract, inject, with_string
from ._errors import Cause, DeadlineExceeded, decode_cause

TIMEOUT = "x-request-timeout-ms"
STRINGS = ("traceparent", "tracestate", "baggage")
CAUSE = "ctx-cause"  # of an answer: why there is no better one


class Format:
    """The headers that carry a context: its timeout, and strings of it."""

    def __init__(self, timeout_header: str | None, strings: Iterable[str]) -> None:
        if isinstance(strings, str):
            raise TypeError(f"strings are several names, not {strings!r}")
        names = tuple(dict.fromkeys(name.lower() for name in strings))
        header = None if timeout_header is None else timeout_header.lower()
        self.untimed: dict[str, Any] = {"trace": "traceparent" in names, "baggage": "baggage" in names}
        self.timed = self.untimed | ({"grpc_timeout": True} if header == "grpc-timeout" else {"timeout_ms": header})
        self.plain = tuple(name for name in names if name not in STRINGS)  # as they are
        self.names = frozenset((*names, *(() if header is None else (header,))))
        extract(background(), {}, **self.timed)  # a name that is none is refused here

    def inject(self, ctx: Context, headers: MutableMapping[str, str]) -> None:
        """What the caller itself has set stays."""
        for name, text in inject(ctx, **self.timed).items():
            headers.setdefault(name, text)
        self.inject_strings(ctx, headers)

    def inject_strings(self, ctx: Context, headers: MutableMapping[str, str]) -> None:
        """Those that inject() does not know."""
        for name in self.plain:
            text = ctx.string(name, "\n")
            if text.isascii() and text.isprintable():
                headers.setdefault(name, text)

    def extract(
        self, parent: Context, headers: Mapping[str, str], limits: dict[str, Any] | None
    ) -> tuple[Context, Canceler]:
        """The limits are those of libctx.extract(); None for no timeout at all. ValueError for what is malformed."""
        ctx, cancel = extract(parent, headers, **(self.untimed if limits is None else self.timed | limits))
        return self.with_strings(ctx, headers), cancel

    def with_strings(self, ctx: Context, headers: Mapping[str, str]) -> Context:
        """Those that extract() does not know; what they replace is the server's own."""
        for name in self.plain:
            if name in headers or ctx.string(name) is not None:
                ctx = with_string(ctx, name, headers.get(name))
        return ctx


def at_deadline(ctx: Context, seconds: float | None) -> bool:
    """Whether a hang-up comes so near to the deadline that it is the deadline, on another clock: 5 ms, or 1 % of the
    timeout.
    """
    left = ctx.remaining()
    return left is not None and seconds is not None and left <= max(0.005, seconds / 100)


def check_deadline(ctx: Context, seconds: float | None, error: Exception) -> None:
    """For a client whose connection broke by such an error: its own deadline comes first."""
    if at_deadline(ctx, seconds):
        raise DeadlineExceeded from error


def cause_in(headers: Mapping[str, str]) -> Cause | None:
    """Why a server gave such an answer, as it says itself."""
    try:
        return decode_cause(headers.get(CAUSE, ""))
    except ValueError:
        return None
