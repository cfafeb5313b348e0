# SPDX-License-Identifier: MIT
"""The trace of the current context, in the records of the standard library's logging.

    handler.addFilter(libctx.logging.Filter())
    handler.setFormatter(logging.Formatter("%(trace_id)s %(message)s"))
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ._current import current

__all__ = ["Filter"]


class Filter(logging.Filter):
    """Sets trace_id and span_id of each record, those of the traceparent of current(), and lets all records pass.

    Each of `strings` names a string of the context that becomes an attribute, too: request-id is request_id there.
    What the context does not have is "-". A handler's filter sees the records of all loggers, a logger's only its own.
    """

    def __init__(self, strings: Iterable[str] = ()) -> None:
        super().__init__()
        if isinstance(strings, str):
            raise TypeError(f"strings are several names, not {strings!r}")
        self._strings = [(name, name.replace("-", "_")) for name in strings]

    def filter(self, record: logging.LogRecord) -> bool:
        ctx = current()
        parts = ctx.string("traceparent", "").split("-")
        record.trace_id, record.span_id = parts[1:3] if len(parts) >= 4 else ("-", "-")
        for name, attribute in self._strings:
            setattr(record, attribute, ctx.string(name, "-"))
        return True
