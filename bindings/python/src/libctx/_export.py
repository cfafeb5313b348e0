# SPDX-License-Identifier: MIT
"""A context that goes to the processes below this one."""

from contextlib import suppress
from types import TracebackType

from ._core import Context, Watch, export_context


class Export:
    """An export of a context: until it is stopped, processes below this one may import the context.

        with libctx.Export(ctx) as export:
            subprocess.run(command, env=os.environ | {"LIBCTX": export.text})

    The child calls import_context(). It needs no descriptor of this process, and what lies between the two need not
    know of it. One export is for any number of processes; libctx.process makes one for each child by itself. It takes
    three descriptors. ValueError for more than 1,024 strings, or a megabyte of them.
    """

    _watch: Watch | None = None

    def __init__(self, ctx: Context) -> None:
        self._text, self._watch = export_context(ctx)

    @property
    def text(self) -> str:
        """The value of the environment variable LIBCTX of a child."""
        return self._text

    def stop(self) -> bool:
        """Ends it, and what was imported, which is then Canceled. True for the one call that did so.

        The end of a `with` does that, too, and so does the end of this object.
        """
        watch, self._watch = self._watch, None
        return watch is not None and watch.stop()

    def __enter__(self) -> "Export":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__del__()

    def __del__(self) -> None:
        with suppress(ChildProcessError):  # in the child of a fork it is the parent's
            self.stop()
