# SPDX-License-Identifier: MIT
"""One tree of cancellation, deadlines and request values for a whole process.

    async with libctx.timeout(2) as ctx:  # in asyncio and trio; elsewhere `with`
        await work(ctx)                   # is canceled once the two seconds are over

The same context goes to C, C++ and Rust code of the process, by ctx.handle or ctx.capsule(), and ends
there, too. `await ctx` waits for its end, and ctx.check() raises once it has come.
"""

import atexit as _atexit
import contextvars as _contextvars
import inspect as _inspect
import os as _os

from . import _core, _errors, _scope
from ._core import (
    Canceler,
    Context,
    Derived,
    Key,
    Loop,
    ManualLoop,
    ThreadLoop,
    VirtualLoop,
    Watch,
    background,
    encode_cause,
    extract,
    import_context,
    inject,
    library_path,
    merge,
    shutdown,
    todo,
    version,
    wait_any,
    with_baggage,
    with_cancel,
    with_deadline,
    with_fd,
    with_grace,
    with_idle,
    with_signal,
    with_name,
    with_string,
    with_timeout,
    with_value,
    without_cancel,
    without_value,
)
from ._current import current, use, wrap
from ._errors import Canceled, Cause, DeadlineExceeded, Error, Origin, Place, decode_cause, here
from ._export import Export
from ._group import Group
from ._scope import deadline, idle, scope, timeout
from ._virtual import VirtualEventLoop

__all__ = [
    "Canceled",
    "Canceler",
    "Cause",
    "Context",
    "DeadlineExceeded",
    "Derived",
    "Error",
    "Export",
    "Group",
    "Key",
    "Loop",
    "ManualLoop",
    "Origin",
    "Place",
    "ThreadLoop",
    "VirtualEventLoop",
    "VirtualLoop",
    "Watch",
    "background",
    "current",
    "deadline",
    "decode_cause",
    "encode_cause",
    "extract",
    "here",
    "idle",
    "import_context",
    "inject",
    "library_path",
    "merge",
    "scope",
    "shutdown",
    "timeout",
    "todo",
    "use",
    "version",
    "wait_any",
    "with_baggage",
    "with_cancel",
    "with_deadline",
    "with_fd",
    "with_grace",
    "with_idle",
    "with_signal",
    "with_name",
    "with_string",
    "with_timeout",
    "with_value",
    "without_cancel",
    "without_value",
    "wrap",
]

_core.setup(
    err=_errors.error_of,
    cause=_errors.cause_of,
    origin=_errors.origin_of,
    done=_scope.done,
    pack=_errors.pack,
    variables=_contextvars.copy_context,
    is_async=_inspect.iscoroutinefunction,
)
_atexit.register(_core.close)
_os.register_at_fork(
    before=_core.before_fork, after_in_parent=_core.after_fork, after_in_child=_core.in_child
)
