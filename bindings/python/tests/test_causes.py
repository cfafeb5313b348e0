# SPDX-License-Identifier: MIT
"""Why a context is done: exceptions and texts in, exceptions out."""

import asyncio
import ctypes
import errno

import libctx
import pytest
import trio
from conftest import cause_parts
from libctx import Canceled, Cause, DeadlineExceeded, Origin, Place, background, here, with_cancel, with_timeout


class ClientGone(Exception):
    """One whose constructor does not fit its args."""

    def __init__(self, name: str, *, code: int) -> None:
        super().__init__(f"{name} went away")
        self.code = code


def test_without_a_cause_it_is_the_error() -> None:
    ctx, cancel = with_cancel(background())
    cancel()
    assert type(ctx.cause()) is Canceled
    assert type(with_timeout(background(), 0).ctx.cause()) is DeadlineExceeded


def test_an_exception() -> None:
    ctx, cancel = with_cancel(background())
    child = with_cancel(ctx).ctx
    assert cancel(ClientGone("user-1", code=7))
    cause = child.cause()
    assert type(cause) is ClientGone and str(cause) == "user-1 went away" and cause.code == 7
    with pytest.raises(Canceled) as caught:
        child.check()
    assert type(caught.value.__cause__) is ClientGone


def test_an_exception_that_is_false() -> None:
    class Empty(Exception):
        def __len__(self) -> int:
            return 0

    ctx, cancel = with_cancel(background())
    cancel(Empty())
    error = ctx.err()
    assert type(ctx.cause()) is Empty and error is not None and type(error.__cause__) is Empty


def test_a_text() -> None:
    ctx, cancel = with_cancel(background())
    cancel("no longer wanted")
    cause = ctx.cause()
    assert type(cause) is Cause and str(cause) == "no longer wanted" and cause.code == -errno.ECANCELED


def test_a_text_for_a_deadline_has_the_code_of_a_deadline() -> None:
    for reason in ("the budget is spent", RuntimeError("the budget is spent")):
        ctx, _ = with_timeout(background(), 0, cause=reason)
        assert cause_parts(ctx) == (-errno.ETIMEDOUT, "the budget is spent")
    ctx, _ = with_timeout(background(), 0, cause=OSError(errno.ENOSPC, "no space"))
    assert cause_parts(ctx)[0] == -errno.ENOSPC


def test_who_ended_the_context() -> None:
    ctx, cancel = with_cancel(background())
    assert ctx.origin() is None
    cancel()
    assert ctx.origin() == Origin.CANCELED
    assert with_timeout(background(), 0).ctx.origin() == Origin.DEADLINE
    assert with_timeout(background(), 0, cause=ValueError("slow")).ctx.origin() == Origin.DEADLINE
    ctx, cancel = with_cancel(background())
    cancel(Cause("reset", -errno.ECONNRESET, origin=Origin.PEER))
    cause = with_cancel(ctx).ctx.cause()
    assert type(cause) is Cause and cause.origin == Origin.PEER == ctx.origin()
    assert type(cause.origin) is type(ctx.origin()) is Origin
    ctx, cancel = with_cancel(background())
    cancel(Cause("of a later version", origin=255))
    assert ctx.origin() == 255 and type(ctx.origin()) is int


def test_a_cause_of_a_program_s_own_class() -> None:
    """Other languages read its code and who ended the context all the same, also if it has a constructor of its own."""

    class Reset(Cause):
        pass

    class Quota(Cause):
        code = -errno.EDQUOT

        def __init__(self, user: str) -> None:
            Exception.__init__(self, user)

    for reason, told in (
        (Reset("reset", -errno.ECONNRESET, origin=Origin.PEER, place=here()), (-errno.ECONNRESET, "reset", Origin.PEER)),
        (Quota("ada"), (-errno.EDQUOT, "Quota", Origin.CANCELED)),
    ):
        ctx, cancel = with_cancel(background())
        cancel(reason)
        assert (*cause_parts(ctx), ctx.origin()) == told
        cause = ctx.cause()
        assert type(cause) is type(reason) and vars(cause) == vars(reason) and cause.args == reason.args


def test_what_a_cause_refuses() -> None:
    for origin in (0, 256):
        with pytest.raises(ValueError, match="1 to 255"):
            Cause("no such origin", origin=origin)
    with pytest.raises(ValueError, match="code"):
        Cause("no such code", 1 << 31)
    for wrong in ({"origin": "peer"}, {"code": "EPIPE"}, {"place": "file.py"}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            Cause("wrong", **wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="message"):
        Cause(5)  # type: ignore[arg-type]


def test_where_a_cause_was_made() -> None:
    place = here()
    assert place.file == __file__ and place.line > 0
    assert place.function == test_where_a_cause_was_made.__name__
    error = ConnectionError("gone")
    error.place = place  # type: ignore[attr-defined]
    for reason in (Cause("gone", place=place), error):
        ctx, cancel = with_cancel(background())
        cancel(reason)
        cause = ctx.cause()
        assert cause is not None and cause.place == place  # type: ignore[attr-defined]
        parts = ctx._cause_parts()
        assert parts is not None and parts[4:7] == tuple(place)
    ctx, cancel = with_cancel(background())
    cancel("no place")
    cause = ctx.cause()
    assert type(cause) is Cause and cause.place is None and cause.origin == Origin.CANCELED


def test_a_place_may_be_any_text() -> None:
    for place in (Place("a\0b\udc80", 1, "f\0"), Place("", 0, None)):
        ctx, cancel = with_cancel(background())
        cancel(Cause("why", place=place))
        assert ctx._cause_parts() is not None


def test_the_first_wins() -> None:
    ctx, cancel = with_cancel(background())
    assert cancel("first") and not cancel("second")
    assert str(ctx.cause()) == "first"


def test_the_error_of_another_context() -> None:
    """Its own reason goes with it, from one context to the next, and what says nothing new is left out."""
    first, second, third, fourth, fifth = (with_cancel(background()) for _ in range(5))
    first.cancel("disk full")
    second.cancel(first.ctx.err())
    third.cancel(second.ctx.err())
    assert str(third.ctx.cause()) == "disk full" and cause_parts(third.ctx) == (-errno.ECANCELED, "disk full")
    fourth.cancel(third.ctx.err(), deadline_exceeded=True)
    cause = fourth.ctx.cause()
    assert type(cause) is Canceled and str(cause.__cause__) == "disk full"
    assert cause_parts(fourth.ctx) == (-errno.ECANCELED, "context canceled: disk full")
    fifth.cancel(fourth.ctx.err())
    cause = fifth.ctx.cause()
    assert type(cause) is DeadlineExceeded and type(cause.__cause__) is Canceled
    assert cause_parts(fifth.ctx) == (-errno.ETIMEDOUT, "context deadline exceeded: context canceled: disk full")


def test_the_plain_error_of_another_context_is_no_cause() -> None:
    """Or who prints an error and its cause prints the same twice."""
    for error, exceeded in ((Canceled(), False), (DeadlineExceeded(), True)):
        ctx, cancel = with_cancel(background())
        cancel(error, deadline_exceeded=exceeded)
        found = ctx.err()
        assert type(found) is type(error) and found.__cause__ is None and ctx._cause_parts() is None
        assert type(ctx.cause()) is type(error)
    ctx = with_timeout(background(), 0, cause=DeadlineExceeded()).ctx
    found = ctx.err()
    assert type(found) is DeadlineExceeded and found.__cause__ is None


def test_an_error_that_says_more_than_its_kind_is_a_cause() -> None:
    class Own(Canceled):
        """One of a program's own."""

    noted = Canceled()
    noted.add_note("by the janitor")
    for error in (noted, Canceled("by the janitor"), Own(), DeadlineExceeded()):
        ctx, cancel = with_cancel(background())
        cancel(error)
        cause = ctx.cause()
        assert type(cause) is type(error) and cause.args == error.args and vars(cause) == vars(error)
        found = ctx.err()
        assert type(found) is Canceled and type(found.__cause__) is type(error)


def test_a_text_that_reads_as_the_error_is_a_cause_all_the_same() -> None:
    """Nobody compares texts to tell that a cause was given."""
    ctx, cancel = with_cancel(background())
    cancel("context canceled")
    error = ctx.err()
    assert error is not None and type(error.__cause__) is Cause and type(ctx.cause()) is Cause


def test_an_oserror_keeps_its_errno() -> None:
    ctx, cancel = with_cancel(background())
    cancel(BrokenPipeError(errno.EPIPE, "pipe"))
    cause = ctx.cause()
    assert type(cause) is BrokenPipeError and cause.errno == errno.EPIPE
    parts = ctx._cause_parts()
    assert parts is not None and parts[0] == -errno.EPIPE  # what another language reads


def test_a_timeout_reads_as_one_elsewhere() -> None:
    for error in (TimeoutError(), with_timeout(background(), 0).ctx.err(), TimeoutError("slow")):
        ctx, cancel = with_cancel(background())
        cancel(error)
        assert cause_parts(ctx)[0] == -errno.ETIMEDOUT


@pytest.mark.parametrize(
    ("library", "reason", "text"),
    [
        ("asyncio", None, "task canceled"),
        ("asyncio", "the server stops", "the server stops"),
        ("trio", None, "task canceled"),
        ("trio", "the server stops", "the server stops"),
    ],
)
def test_the_cancel_of_a_task_reads_as_one_elsewhere(library: str, reason: str | None, text: str) -> None:
    """No other language knows a CancelledError."""
    kept: list[libctx.Context] = []

    async def in_asyncio() -> None:
        task = asyncio.current_task()
        assert task is not None
        with with_cancel(background()) as ctx:
            kept.append(ctx)
            task.cancel(reason)
            await asyncio.sleep(0)

    async def in_trio() -> None:
        with trio.CancelScope() as around, with_cancel(background()) as ctx:
            kept.append(ctx)
            around.cancel(reason)
            await trio.lowlevel.checkpoint()

    if library == "trio":
        trio.run(in_trio)
        kind: type[BaseException] = trio.Cancelled
    else:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(in_asyncio())
        kind = asyncio.CancelledError
    assert cause_parts(kept[0]) == (-errno.ECANCELED, text)
    cause = kept[0].cause()
    assert type(cause) is kind and (reason or "") in str(cause)


def test_each_exception_has_its_code() -> None:
    """The errno if there is one, negative as in C; else what the kind says; else the end's own."""

    class Numbered(Exception):
        def __init__(self, errno: object) -> None:
            self.errno = errno

    canceled, exceeded = -errno.ECANCELED, -errno.ETIMEDOUT
    for error, codes in (
        (Numbered(5), (-5, -5)),
        (Numbered(0), (0, 0)),
        (Numbered((1 << 31) - 1), (1 - (1 << 31), 1 - (1 << 31))),
        (Numbered(1 << 31), (canceled, exceeded)),
        (Numbered(True), (canceled, exceeded)),
        (Numbered("5"), (canceled, exceeded)),
        (Numbered(None), (canceled, exceeded)),
        (OSError("no number"), (canceled, exceeded)),
        (TimeoutError(), (exceeded, exceeded)),
        (asyncio.CancelledError(), (canceled, canceled)),
        (Canceled("own"), (canceled, canceled)),
        (DeadlineExceeded("own"), (exceeded, exceeded)),
        (Cause("own", 7), (7, 7)),
    ):
        for deadline_exceeded, code in zip((False, True), codes):
            ctx, cancel = with_cancel(background())
            cancel(error, deadline_exceeded=deadline_exceeded)
            assert cause_parts(ctx)[0] == code, (error, deadline_exceeded)


def test_each_exception_has_its_text() -> None:
    class Silent(Exception):
        """Its text is empty: its kind says more."""

    for error, text in (
        (ValueError("a"), "a"),
        (Silent(), "Silent"),
        (KeyError("a"), "'a'"),
        (Canceled("a"), "a"),
        (Cause("", 5), "Cause"),
        (asyncio.CancelledError(), "task canceled"),
        (asyncio.CancelledError("a"), "a"),
    ):
        ctx, cancel = with_cancel(background())
        cancel(error)
        assert cause_parts(ctx)[1] == text


def test_an_errno_that_c_cannot_hold() -> None:
    class Huge(Exception):
        errno = 1 << 40

    class Broken(Exception):
        @property
        def errno(self) -> int:
            raise RuntimeError

        @property
        def place(self) -> Place:
            raise RuntimeError

    for kind in (Huge, Broken):
        with pytest.raises(kind), with_cancel(background()) as ctx:
            raise kind
        parts = ctx._cause_parts()
        assert parts is not None and parts[0] == -errno.ECANCELED and type(parts[2]) is kind


def test_the_exception_that_leaves_a_body_is_the_cause() -> None:
    with pytest.raises(LookupError), with_cancel(background()) as ctx:
        raise LookupError("not there")
    assert isinstance(ctx.cause(), LookupError) and isinstance(ctx.err(), Canceled)


def test_a_cause_of_a_deadline() -> None:
    ctx = with_timeout(background(), 0, cause="the query took too long").ctx
    assert isinstance(ctx.err(), DeadlineExceeded) and str(ctx.cause()) == "the query took too long"
    late = libctx.with_deadline(background(), None, cause=ValueError())
    late.cancel()
    assert type(late.ctx.cause()) is Canceled  # that deadline did not fire


def test_a_bridge_passes_a_deadline_on() -> None:
    ctx, cancel = with_cancel(background())
    cancel("theirs", deadline_exceeded=True)
    assert isinstance(ctx.err(), DeadlineExceeded) and str(ctx.cause()) == "theirs"


def test_text_that_c_cannot_hold() -> None:
    ctx, cancel = with_cancel(background())
    cancel("a\0b \udc80")
    assert str(ctx.cause()) == "a\N{REPLACEMENT CHARACTER}b ?"


def test_text_of_c_that_is_no_utf8() -> None:
    library = ctypes.CDLL(libctx.library_path())
    ctx, cancel = with_cancel(background())
    made = ctypes.c_void_p()
    assert library.ctx_cause_new(-errno.EIO, b"a\xff", ctypes.byref(made)) == 0
    assert library.ctx_cancel_with(ctypes.c_void_p(cancel.handle), -errno.ECANCELED, made) == 1
    library.ctx_cause_unref(made)
    assert str(ctx.cause()) == "a\N{REPLACEMENT CHARACTER}"


def test_a_cause_of_c_has_its_place_and_its_origin() -> None:
    library = ctypes.CDLL(libctx.library_path())
    for file, function, place in (
        (b"file.c", b"main", Place("file.c", 3, "main")),
        (b"file.c", None, Place("file.c", 3)),
        (b"\xff", b"\xff", Place("\N{REPLACEMENT CHARACTER}", 3, "\N{REPLACEMENT CHARACTER}")),
        (None, None, None),
    ):
        ctx, cancel = with_cancel(background())
        made = ctypes.c_void_p()
        assert library.ctx_cause_new_at(-5, b"why", 6, file, 3, function, None, None, None, ctypes.byref(made)) == 0
        assert library.ctx_cancel_with(ctypes.c_void_p(cancel.handle), -errno.ECANCELED, made) == 1
        library.ctx_cause_unref(made)
        cause = ctx.cause()
        assert type(cause) is Cause and (cause.message, cause.code, cause.origin, cause.place) == ("why", -5, Origin.PEER, place)
        assert ctx.origin() is Origin.PEER


def test_a_cause_that_c_refuses_ends_nothing() -> None:
    ctx, cancel = with_cancel(background())
    wrong = Cause("why")
    wrong.origin = 999
    with pytest.raises(ValueError):
        cancel(wrong)
    with pytest.raises(ValueError):
        with_timeout(ctx, 0, cause=wrong)
    assert ctx.err() is None


def test_no_cause_at_all() -> None:
    ctx, cancel = with_cancel(background())
    with pytest.raises(TypeError):
        cancel(5)  # type: ignore[arg-type]
    assert ctx.err() is None
