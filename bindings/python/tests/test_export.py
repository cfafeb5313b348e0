# SPDX-License-Identifier: MIT
"""Contexts that go to other processes by LIBCTX. What the library itself does is tested in C."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable

import libctx
import pytest
from conftest import WATCHDOG, descriptors, python, until, with_few_descriptors
from libctx import Export, background, import_context, with_cancel, with_string, with_timeout
from test_fork import in_child


def test_there_and_back() -> None:
    ctx, cancel = with_timeout(with_string(background(), "name", "text"), 3600)
    with Export(ctx) as export:
        imported = import_context(background(), export.text).ctx
        assert (imported.string("name"), imported.deadline(), imported.err()) == ("text", ctx.deadline(), None)
        cancel(OSError(errno.ENOSPC, "the disk is full"))
        assert imported.wait(WATCHDOG) and isinstance(imported.err(), libctx.Canceled)
        cause = imported.cause()
        assert isinstance(cause, libctx.Cause) and (cause.code, str(cause)) == (-errno.ENOSPC, "[Errno 28] the disk is full")


def by_stop(export: Export) -> None:
    assert export.stop() and not export.stop()


def by_with(export: Export) -> None:
    with export as entered:
        assert entered is export


@pytest.mark.parametrize("end", [by_stop, by_with, Export.__del__])
def test_a_stop_ends_what_was_imported(end: Callable[[Export], None]) -> None:
    with_timeout(background(), 0.001).ctx.wait()  # the library's threads have started
    before = descriptors()
    ctx = with_cancel(background()).ctx
    export = Export(ctx)
    imported = import_context(background(), export.text).ctx
    end(export)
    assert imported.wait(WATCHDOG) and str(imported.cause()) == "export stopped"
    assert imported.origin() == libctx.Origin.PARENT_PROCESS and ctx.err() is None
    del imported
    until(lambda: descriptors() == before)  # the loop's thread closes them


def test_an_export_goes_with_its_object() -> None:
    export = Export(background())
    imported = import_context(background(), export.text).ctx
    assert not imported.wait(0)
    del export
    assert imported.wait(WATCHDOG)


CHILD = """
import libctx
with libctx.import_context(libctx.background()) as ctx:
    print(ctx.string("name"), flush=True)
    ctx.wait()
    print(repr(ctx.err()), ctx.cause(), ctx.origin())
"""


@pytest.mark.parametrize("between", [[], ["sh", "-c", '"$@"; exit 0', "sh"]], ids=["at once", "below a shell"])
def test_a_child_imports_by_its_environment_alone(between: list[str]) -> None:
    ctx, cancel = with_cancel(with_string(background(), "name", "text"))
    with Export(ctx) as export:
        command = [*between, sys.executable, "-c", CHILD]
        environment = os.environ | {"LIBCTX": export.text}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None and child.stdout.readline() == "text\n"
            cancel("why")
            assert child.communicate(timeout=WATCHDOG)[0] == "Canceled('context canceled') why 1\n"


DIES = """
import libctx, os, subprocess, sys
export = libctx.Export(libctx.background())
subprocess.Popen([sys.executable, "-c", sys.argv[1]], env=os.environ | {"LIBCTX": export.text})
sys.stdin.read()
os._exit(0)
"""


def test_the_death_of_the_parent_ends_it() -> None:
    with subprocess.Popen([sys.executable, "-c", DIES, CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "None\n"
        said = parent.communicate(timeout=WATCHDOG)[0]
        assert said == f"Canceled('context canceled') parent process gone {libctx.Origin.PARENT_PROCESS}\n"


def test_without_an_export_it_is_a_context_to_cancel() -> None:
    assert "LIBCTX" not in os.environ
    parent = with_string(background(), "name", "text")
    ctx, cancel = import_context(parent)
    assert ctx.string("name") == "text" and ctx.err() is None and cancel() and ctx.err() is not None


def test_texts_that_are_none() -> None:
    for text in ("", "no", "1:" * 1000, "\ud800"):
        with pytest.raises(ValueError):
            import_context(background(), text)
    with pytest.raises(ValueError, match="null"):
        import_context(background(), "a\0b")
    result = python("import libctx, os; os.environ['LIBCTX'] = 'no'\nlibctx.import_context(libctx.background())")
    assert "ValueError: LIBCTX has a text that is no export of libctx" in result.stderr
    with Export(background()) as export:
        later = export.text.replace("1:", "77:", 1)
    with pytest.raises(OSError) as caught:
        import_context(background(), later)
    assert caught.value.errno == errno.EPROTONOSUPPORT


def test_arguments() -> None:
    for refused in (
        lambda: Export(None),  # type: ignore[arg-type]
        lambda: import_context(None),  # type: ignore[arg-type]
        lambda: import_context(background(), 5),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            refused()
    with pytest.raises(ValueError, match="megabyte"):
        Export(with_string(background(), "name", "x" * (1 << 20)))


def test_a_context_that_is_done_is_exported_as_that() -> None:
    ctx, cancel = with_cancel(background())
    cancel("why")
    with Export(ctx) as export:
        assert str(import_context(background(), export.text).ctx.cause()) == "why"


def with_export(ctx: libctx.Context) -> None:
    with Export(ctx):
        pass


def test_too_few_descriptors() -> None:
    """Whichever of them is missing, nothing is left behind."""
    before = descriptors()
    assert with_few_descriptors(lambda: with_export(background())) == 3
    assert descriptors() == before


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_in_the_child_of_a_fork_it_is_the_parents() -> None:
    export = Export(background())
    imported = import_context(background(), export.text).ctx

    def stop() -> None:
        with pytest.raises(ChildProcessError):
            export.stop()

    def leave() -> None:
        with export:
            pass

    in_child(stop)
    in_child(leave)
    assert imported.err() is None and export.stop()
