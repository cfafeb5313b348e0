# SPDX-License-Identifier: MIT
"""No call leaks memory, whether it succeeds or refuses: after a thousand of them as much is in use as before."""

# mypy: disable-error-code="func-returns-value"

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable
from types import MappingProxyType

import libctx
import pytest
from conftest import in_use
from libctx import Canceler, Context, Group, Key, VirtualLoop, _core, background, with_cancel, with_string, with_value

KEY = Key[object]("key")
LIVE, END = with_cancel(with_string(with_value(background(), KEY, "value"), "name", "text"))
DONE = libctx.with_timeout(background(), 0, cause=ValueError("late")).ctx
TOLD, TELL = with_cancel(background())
TELL(libctx.Cause("a peer", -5, origin=6, place=libctx.Place("file", 3, "function")))
READING, _ = os.pipe()
CLOCK = VirtualLoop()
HEADERS = {"ms": "1500", "traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "baggage": "user=ada"}
PROXY = MappingProxyType(HEADERS)
CARRYING = libctx.extract(libctx.with_timeout(background(), 1e9).ctx, HEADERS).ctx
CLAIM = libctx.encode_cause("why", "a peer")
EXPORT = libctx.Export(LIVE)
QUEUE = _core.Queue()
TOKEN = b"8 bytes."

# Objects that calls hand out: a reference too many to one of them is a leak, too.
COUNTED = (
    None, True, False, LIVE, END, DONE, TOLD, TELL, KEY, CLOCK, QUEUE, TOKEN, libctx.Context, libctx.Canceler,
    libctx.Derived, libctx.Watch, libctx.Key, libctx.VirtualLoop, libctx.ManualLoop, _core.Queue, _core.Group, ValueError, KeyError,
    print, id, exit, HEADERS, PROXY, CARRYING, CLAIM, *HEADERS.values(),
)  # fmt: skip


def leave(body: contextlib.AbstractContextManager[object], error: Exception | None = None) -> None:
    with body:
        if error is not None:
            raise error


CALLS: dict[str, Callable[[], object]] = {
    "background": lambda: (background(), libctx.todo()),
    "with_cancel": lambda: with_cancel(LIVE),
    "with_timeout": lambda: libctx.with_timeout(LIVE, 3600, cause="late"),
    "with_deadline": lambda: libctx.with_deadline(LIVE, 1e9, cause=ValueError("late")),
    "with_idle": lambda: libctx.with_idle(LIVE, 3600, cause="idle"),
    "with_grace": lambda: libctx.with_grace(LIVE, 3600),
    "merge": lambda: libctx.merge(LIVE, TOLD, background()),
    "without_cancel": lambda: libctx.without_cancel(LIVE),
    "with_fd": lambda: libctx.with_fd(LIVE, READING, select.POLLIN),
    "values": lambda: libctx.without_value(with_value(LIVE, KEY, [1]), KEY).value(KEY, "none"),
    "strings": lambda: (with_string(LIVE, "a", "b").strings(), LIVE.string("name"), LIVE.string("none", "default")),
    "baggage": lambda: (libctx.with_baggage(LIVE, "user", "x" * 300).baggage("user"), LIVE.baggage("none", "default")),
    "headers out": lambda: (libctx.inject(CARRYING, timeout_ms="ms", grpc_timeout=True), libctx.inject(CARRYING, {}, environment=True)),
    "headers in": lambda: libctx.extract(LIVE, HEADERS, timeout_ms="ms", maximum_timeout=5),
    "headers of no dictionary": lambda: libctx.extract(LIVE, PROXY, default_timeout=5),
    "require": lambda: (LIVE.require(5), CARRYING.require(1)),
    "causes as text": lambda: (libctx.decode_cause(CLAIM), libctx.encode_cause(ValueError("why"), "who")),
    "the cause of a peer": lambda: (one := with_cancel(LIVE)) and (one.cancel(libctx.decode_cause(CLAIM)), one.ctx.cause()),
    "with_name": lambda: repr(libctx.with_name(LIVE, "a name")),
    "key": lambda: (repr(Key("another")), Key("another").name),
    "err": lambda: (LIVE.err(), DONE.err(), TOLD.err()),
    "cause": lambda: (LIVE.cause(), DONE.cause(), TOLD.cause(), TOLD._cause_parts(), DONE._cause_parts()),
    "origin": lambda: (LIVE.origin(), DONE.origin(), TOLD.origin(), LIVE.ended_by(LIVE), DONE.ended_by(LIVE)),
    "times": lambda: (DONE.deadline(), DONE.remaining(), DONE.remaining_ms(), LIVE.now(), LIVE.remaining(), LIVE.touch()),
    "comparing": lambda: (LIVE == TOLD, LIVE != TOLD, LIVE == 1, hash(LIVE)),
    "handles": lambda: (Context.from_handle(LIVE.handle), Context.from_handle(LIVE.capsule())),
    "cancelers": lambda: (Canceler.from_handle(END.handle), Canceler.from_handle(END.capsule())),
    "descriptors": lambda: (os.close(LIVE.done_fd_dup()), os.close(END.cancel_fd()), LIVE.fileno()),
    "wait": lambda: (LIVE.wait(0), DONE.wait(), libctx.wait_any(LIVE, TOLD), libctx.wait_any(LIVE, LIVE, timeout=0)),
    "await": lambda: LIVE.__await__().close(),
    "cancel": lambda: with_cancel(LIVE).cancel(ValueError("why")),
    "cancel with a text": lambda: with_cancel(LIVE).cancel("why"),
    "cancel with nothing": lambda: (with_cancel(LIVE).cancel(), with_cancel(LIVE).cancel(libctx.Canceled())),
    "cancel on the loop": lambda: with_cancel(LIVE).cancel("why", defer=True),
    "cancel again": lambda: (TELL("again"), TELL(deadline_exceeded=True)),
    "leaving": lambda: with_cancel(LIVE).__exit__(KeyError, KeyError("why"), None),
    "after": lambda: (LIVE.after(print, 1).stop(), DONE.after(id, 1).stop(wait=True), background().after(print)),
    "after and cancel": lambda: (one := with_cancel(LIVE)) and one.ctx.after(id, one.ctx) and one.cancel(),
    "queue": lambda: (QUEUE.add(LIVE, TOKEN).stop(), QUEUE.add(DONE, TOKEN), next(QUEUE), list(_core.Queue())),
    "groups": lambda: (group := Group(LIVE)) and (group.begin(), group.wait(0), group.over(), group.end("broken")),
    "groups in groups": lambda: (outer := Group(LIVE)) and (Group(outer), outer.handle, outer.fileno()),
    "loops": lambda: (loop := VirtualLoop()) and (libctx.with_timeout(loop.background(), 1), loop.advance(2), loop.close()),
    "the loop": lambda: (CLOCK.now(), CLOCK.next(), CLOCK.background(), CLOCK.advance(0), CLOCK.__exit__(None, None, None)),
    "manual loops": lambda: (loop := libctx.ManualLoop()) and (loop.dispatch(), loop.next(), loop.fileno()),
    "exports": lambda: libctx.Export(LIVE).stop(),
    "imports": lambda: libctx.import_context(LIVE, EXPORT.text),
    "use": lambda: leave(libctx.use(LIVE)),
    "wrap": lambda: libctx.wrap(id)(1),
    "timeout": lambda: leave(libctx.timeout(1)),
    "version": lambda: (libctx.version(), libctx.library_path()),
}

REFUSED: dict[str, Callable[[], object]] = {
    "what is done": DONE.check,
    "a group that has failed": lambda: (group := Group()) and (group.begin(), group.end(KeyError()), group.wait()),
    "no parent": lambda: with_cancel(None),  # type: ignore[arg-type]
    "no parents": libctx.merge,
    "a parent that is none": lambda: libctx.merge(LIVE, None),  # type: ignore[arg-type]
    "a context to wait for that is none": lambda: libctx.wait_any(LIVE, None),  # type: ignore[arg-type]
    "no time": lambda: libctx.with_timeout(LIVE, "1"),  # type: ignore[arg-type]
    "no cause": lambda: libctx.with_timeout(LIVE, 1, cause=1),  # type: ignore[arg-type]
    "no cause to cancel": lambda: END(1),  # type: ignore[arg-type]
    "a limit below 0": lambda: LIVE.wait(-1),
    "no descriptor": lambda: libctx.with_fd(LIVE, 1 << 20, 1),
    "no export": lambda: libctx.Export(None),  # type: ignore[arg-type]
    "no text of an export": lambda: libctx.import_context(LIVE, "no"),
    "no signal": lambda: libctx.with_signal(LIVE, signal.SIGKILL),
    "a signal that is none": lambda: libctx.with_signal(LIVE, signal.SIGKILL, "1"),  # type: ignore[arg-type]
    "no function": lambda: LIVE.after(None),  # type: ignore[arg-type]
    "a callback that raises what ends the program": lambda: DONE.after(exit),
    "no descriptor of what never ends": lambda: background().done_fd(),
    "no handle": lambda: Context.from_handle(0),
    "a handle of another kind": lambda: Context.from_handle(END.handle),
    "a capsule of another kind": lambda: Canceler.from_handle(LIVE.capsule()),
    "no token": lambda: QUEUE.add(LIVE, b"short"),
    "no work": lambda: Group().end(),
    "a group of a group that has ended": lambda: (outer := Group()) and (outer.cancel(), Group(outer)),
    "a clock that goes back": lambda: CLOCK.advance(-1),
    "a name of a loop": lambda: libctx.ThreadLoop(name="much too long"),
    "a malformed timeout": lambda: libctx.extract(LIVE, {"ms": "soon"}, timeout_ms="ms"),
    "a header that is no text": lambda: libctx.extract(LIVE, {"baggage": 5}),  # type: ignore[dict-item]
    "a header that is no Unicode": lambda: libctx.extract(LIVE, {"baggage": "\ud800"}),
    "headers that are none": lambda: libctx.extract(LIVE, 5),  # type: ignore[arg-type]
    "headers that cannot be set": lambda: libctx.inject(CARRYING, PROXY),  # type: ignore[call-overload]
    "headers of what is done": lambda: libctx.inject(TOLD),
    "a limit of nothing": lambda: libctx.extract(LIVE, {}, maximum_timeout=0),
    "a name of a header": lambda: libctx.inject(LIVE, timeout_ms="no token"),
    "a name of a member": lambda: libctx.with_baggage(LIVE, "no token", "x"),
    "too little time": lambda: CARRYING.require(1e10),
    "a cause that is no text": lambda: libctx.decode_cause("no cause"),
    "no cause to encode": lambda: libctx.encode_cause(None),  # type: ignore[arg-type]
    "a text with a nul": lambda: with_string(LIVE, "a", "\0"),
    "an exception that leaves a body": lambda: leave(libctx.timeout(1), KeyError("why")),
    "an exception that leaves a loop": lambda: leave(VirtualLoop(), KeyError("why")),
}


def used() -> list[int]:
    return [*in_use(), *map(sys.getrefcount, COUNTED)]


def check(call: Callable[[], object]) -> None:
    """A leak comes again in each round; what a thread of the library holds for a while does not."""

    def run(n: int) -> None:
        for _ in range(n):
            with contextlib.suppress(Exception, SystemExit):
                call()

    run(200)  # what is cached is cached from here on
    for _ in range(5):
        before = used()
        run(1000)
        blocks, size, *references = (now - was for was, now in zip(before, used()))
        if size < 7000 and all(abs(n) < 100 for n in (blocks, *references)):  # a leak in each call is far more
            return
    pytest.fail(f"more in use: {blocks} blocks, {size} bytes, references {references}")


@pytest.mark.parametrize("name", CALLS)
def test_no_call_leaks(name: str) -> None:
    CALLS[name]()
    check(CALLS[name])


@pytest.mark.parametrize("name", REFUSED)
def test_no_refusal_leaks(name: str) -> None:
    with pytest.raises((Exception, SystemExit)):
        REFUSED[name]()
    check(REFUSED[name])
