# SPDX-License-Identifier: MIT
"""Any order of operations, on a virtual and on a manual loop, against a reference that is as plain as possible.

After every step everything that can be seen is compared. The examples are the same in every run. For others, and as
many as you like: CTX_EXAMPLES=10000 run_tests.sh <build folder> <prefix> test_properties. These are made small
where they fail.
"""

import errno
import faulthandler
import math
import os
import re
import select
import sys
import weakref
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import libctx
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from libctx import _core
from reasons import ERRORS, REASONS, code_of, expected, origin_of, plain, seen, told
from reference import ARMED, CANCELED, EXCEEDED, FOREVER, IDLE, Ambiguous, Context, Group, Queue, Reason, Reference

EXAMPLES = int(os.environ.get("CTX_EXAMPLES", "0"))
HOUR = 3600 * 10**9
MOST_MS = 2**31 - 1
NAMES = ["a", "b", "ä longer name"]


class Value:
    """Something that can be seen to go."""


class Callback:
    """Writes what it sees, and does one thing."""

    def __init__(self, machine: "Machine", number: int, action: Callable[[], object]) -> None:
        self.machine, self.number, self.action = machine, number, action

    def __call__(self) -> None:
        real, model = self.machine, self.machine.model
        done = frozenset(i for i, ctx in real.contexts.items() if ctx.is_done)
        model.log.append((self.number, real.now(), done, self.action()))


def is_readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return poll.poll(0) != []


def raised(call: Callable[..., object], *arguments: object) -> BaseException | None:
    """Without its traceback, which would hold contexts."""
    try:
        call(*arguments)
    except BaseException as error:
        return error.with_traceback(None)
    return None


picks = st.integers(0, 255)
reasons = st.sampled_from(REASONS)


class Machine(RuleBasedStateMachine):
    virtual: bool

    def __init__(self) -> None:
        super().__init__()
        self.model = Reference(None if self.virtual else self.now)
        self.before = 0
        self.loop: Any = libctx.VirtualLoop() if self.virtual else libctx.ManualLoop()
        self.contexts = {0: self.loop.background()}
        self.cancelers: dict[int, libctx.Canceler] = {}
        self.cancel_fds: dict[int, int] = {}
        self.watches: dict[int, libctx.Watch] = {}
        self.queues = [(Queue(), _core.Queue()) for _ in range(2)]
        self.groups: list[tuple[Group, libctx.Group]] = []
        self.values: dict[int, weakref.ref[Value]] = {}
        self.callbacks: dict[int, weakref.ref[Callback]] = {}
        self.keys: list[libctx.Key[Value]] = [libctx.Key("a"), libctx.Key("a")]
        self.pipes: dict[int, tuple[int, int]] = {}
        self.fds: dict[int, int] = {}  # of contexts, to be looked at
        self.over = False  # nothing can be said of what comes next

    def now(self) -> int:
        return round(float(self.loop.now()) * 1e9)

    def tick(self) -> None:
        """An operation begins."""
        self.before = self.model.now

    def pick(self, number: int) -> Context:
        numbers = sorted(self.contexts, reverse=True)
        return self.model.contexts[numbers[number % len(numbers)]]

    def made(self, model: Context, ctx: libctx.Context, cancel: libctx.Canceler | None = None) -> None:
        self.contexts[model.number] = ctx
        assert (cancel is not None) == model.canceler
        if cancel is not None:
            self.cancelers[model.number] = cancel
        if model.kind == "grace" and model.deadline != FOREVER and not self.virtual:
            told = ctx.deadline()
            assert told is not None
            assert -1e-5 <= model.deadline / 1e9 - told <= (self.model.now - self.before) / 1e9 + 1e-5
            model.deadline = round(told * 1e9)
            model.timer = model.deadline if model.timer != FOREVER else FOREVER

    def timed(self, above: Context, length: int, when: int, reason: Any, derived: libctx.Derived) -> Context:
        """The reference makes what was made with a timeout. On a clock of real time nobody knows from when that was
        counted; and if the parent's deadline is so near, not whose came first: it is as it was told.
        """
        passed = when <= self.model.now if self.virtual else length <= 0
        if not self.virtual:
            told, latest = derived.ctx.deadline(), min(when, above.node.deadline)
            at = FOREVER if told is None else round(told * 1e9)
            earliest = min(self.before + length, above.node.deadline)
            assert earliest - 10_000 <= at <= latest + 10_000
            when = at if at < above.node.deadline else max(when, above.node.deadline)
        model = self.model.with_deadline(above, when, passed, None if reason is None else Reason(reason, True))
        self.made(model, *derived)
        return model

    def does(self, operation: Callable[[], Any]) -> Any:
        try:
            return operation()
        except Ambiguous:
            self.over = True
            return None

    # ------------------------------------------------------------ making contexts

    @rule(parent=picks)
    def with_cancel(self, parent: int) -> None:
        above = self.pick(parent)
        self.made(self.model.with_cancel(above), *libctx.with_cancel(self.contexts[above.number]))

    def time(self, number: int) -> tuple[int, Any]:
        """A length in nanoseconds, and as Python has it."""
        if number % 16 == 0:
            return FOREVER, None
        if number % 16 == 1:
            return (0, 0) if number & 16 else (-(10**9), -1.0)
        if not self.virtual:
            return number * HOUR, timedelta(hours=number)
        if number % 8 == 2:  # rounded up
            return math.ceil(number / 7 * 1e9), number / 7
        if number & 16:
            return number * 125_000_000, number / 8
        return number * 10**7 + 1000, timedelta(milliseconds=number * 10, microseconds=1)

    @rule(parent=picks, length=picks, reason=reasons)
    def with_timeout(self, parent: int, length: int, reason: Callable[[], BaseException | str | None]) -> None:
        self.tick()
        above, (ns, seconds), cause = self.pick(parent), self.time(length), reason()
        derived = libctx.with_timeout(self.contexts[above.number], seconds, cause=cause)
        self.timed(above, ns, min(self.model.now + ns, FOREVER), cause, derived)

    @rule(parent=picks, length=picks, reason=reasons)
    def with_deadline(self, parent: int, length: int, reason: Callable[[], BaseException | str | None]) -> None:
        self.tick()
        above, (ns, _), cause = self.pick(parent), self.time(length), reason()
        when = None if ns == FOREVER else (self.before + ns) / 1e9
        derived = libctx.with_deadline(self.contexts[above.number], when, cause=cause)
        self.timed(above, ns, FOREVER if when is None else math.ceil(when * 1e9), cause, derived)

    @rule(parent=picks, length=picks, reason=reasons)
    def with_idle(self, parent: int, length: int, reason: Callable[[], BaseException | str | None]) -> None:
        self.tick()
        above, (ns, seconds), cause = self.pick(parent), self.time(length), reason()
        derived = libctx.with_idle(self.contexts[above.number], seconds, cause=cause)
        self.made(self.model.with_idle(above, ns, None if cause is None else Reason(cause, True)), *derived)

    @rule(parent=picks, length=picks)
    def with_grace(self, parent: int, length: int) -> None:
        self.tick()
        above, (ns, seconds) = self.pick(parent), self.time(length)
        derived = libctx.with_grace(self.contexts[above.number], seconds)
        self.made(self.model.with_grace(above, ns), *derived)

    @rule(parents=st.lists(picks, min_size=1, max_size=4))
    def merge(self, parents: list[int]) -> None:
        above = [self.pick(parent) for parent in parents]
        self.made(self.model.merge(above), *libctx.merge(*(self.contexts[parent.number] for parent in above)))

    @rule(parent=picks, number=picks)
    def with_value(self, parent: int, number: int) -> None:
        above, value, key = self.pick(parent), Value(), self.keys[number % 2]
        ctx = libctx.with_value(self.contexts[above.number], key, value)
        model = self.model.carrier("value", above, number % 2, weakref.ref(value))
        self.values[model.number] = weakref.ref(value)
        self.made(model, ctx)

    @rule(parent=picks, number=picks)
    def without_value(self, parent: int, number: int) -> None:
        above = self.pick(parent)
        ctx = libctx.without_value(self.contexts[above.number], self.keys[number % 2])
        self.made(self.model.carrier("value", above, number % 2, None, hides=True), ctx)

    @rule(parent=picks, name=st.sampled_from(NAMES), text=st.sampled_from([None, "", "a text", "ö"]))
    def with_string(self, parent: int, name: str, text: str | None) -> None:
        above = self.pick(parent)
        ctx = libctx.with_string(self.contexts[above.number], name, text)
        self.made(self.model.carrier("string", above, name, text, hides=text is None), ctx)

    @rule(parent=picks, name=st.sampled_from(NAMES))
    def with_name(self, parent: int, name: str) -> None:
        above = self.pick(parent)
        self.made(self.model.carrier("name", above, name, None), libctx.with_name(self.contexts[above.number], name))

    @rule(parent=picks)
    def without_cancel(self, parent: int) -> None:
        above = self.pick(parent)
        self.made(self.model.without_cancel(above), libctx.without_cancel(self.contexts[above.number]))

    @rule(parent=picks)
    def with_fd(self, parent: int) -> None:
        above, pipe = self.pick(parent), os.pipe()
        model = self.model.with_fd(above)
        self.pipes[model.number] = pipe
        self.made(model, *libctx.with_fd(self.contexts[above.number], pipe[0], select.POLLIN))

    @precondition(lambda self: self.pipes)
    @rule(number=picks)
    def write(self, number: int) -> None:
        i = list(self.pipes)[number % len(self.pipes)]
        os.write(self.pipes[i][1], b"x")
        self.model.contexts[i].ready = True
        self.model.contexts[i].reason = Reason(select.POLLIN)

    # ------------------------------------------------------------ ends

    @precondition(lambda self: self.cancelers)
    @rule(number=picks, reason=reasons, exceeded=st.booleans(), defer=st.booleans())
    def cancel(
        self, number: int, reason: Callable[[], BaseException | str | None], exceeded: bool, defer: bool
    ) -> None:
        i = sorted(self.cancelers, reverse=True)[number % len(self.cancelers)]
        self.tick()
        cause = reason()
        won = self.cancelers[i](cause, deadline_exceeded=exceeded, defer=defer)
        err = EXCEEDED if exceeded else CANCELED
        assert won is self.does(lambda: self.model.cancel(self.model.contexts[i], err, told(cause, exceeded), defer)) or self.over

    @precondition(lambda self: self.cancelers)
    @rule(number=picks, reason=reasons)
    def leave(self, number: int, reason: Callable[[], BaseException | str | None]) -> None:
        """The end of a with statement."""
        i = sorted(self.cancelers, reverse=True)[number % len(self.cancelers)]
        self.tick()
        cause = reason()
        error = cause if isinstance(cause, BaseException) else None

        def body() -> None:
            with self.cancelers[i]:
                if error is not None:
                    raise error

        assert raised(body) is error
        self.does(lambda: self.model.cancel(self.model.contexts[i], CANCELED, told(error, False)))

    @precondition(lambda self: self.cancelers)
    @rule(number=picks)
    def cancel_by_descriptor(self, number: int) -> None:
        i = sorted(self.cancelers, reverse=True)[number % len(self.cancelers)]
        fd = self.cancelers[i].cancel_fd()
        os.eventfd_write(fd, 1)
        os.close(fd)
        if self.model.contexts[i].node.err is None:
            self.model.contexts[i].written = True

    @precondition(lambda self: not self.virtual)
    @rule(parent=picks, reason=reasons, defer=st.booleans())
    def come_due(self, parent: int, reason: Callable[[], BaseException | str | None], defer: bool) -> None:
        """A deadline of real time passes, and a waiter notices."""
        self.tick()
        above, cause = self.pick(parent), reason()
        derived = libctx.with_timeout(self.contexts[above.number], 0.001, cause=cause)
        model = self.timed(above, 1_000_000, self.model.now + 1_000_000, cause, derived)
        if model.err is None:
            self.arm(model, derived.ctx, defer, lambda: None, None)
            assert derived.ctx.wait()
            self.does(self.model.fire_due)

    # ------------------------------------------------------------ callbacks

    @rule(number=picks, defer=st.booleans(), what=st.sampled_from(["nothing", "cancel", "stop"]), other=picks)
    def after(self, number: int, defer: bool, what: str, other: int) -> None:
        model = self.pick(number)
        action: Callable[[], object] = lambda: None  # noqa: E731
        compare: Callable[[object], None] | None = None
        if what == "cancel" and self.cancelers:
            i = sorted(self.cancelers, reverse=True)[other % len(self.cancelers)]

            def cancel_other() -> object:
                return self.cancelers[i]("of a callback") if i in self.cancelers else None

            def has_canceled(result: object) -> None:
                if result is not None:
                    assert result is self.model.cancel(self.model.contexts[i], CANCELED, Reason("of a callback"))

            action, compare = cancel_other, has_canceled
        elif what == "stop" and self.watches:
            j = sorted(self.watches, reverse=True)[other % len(self.watches)]

            def stop_other() -> object:
                return self.watches[j].stop(wait=bool(other & 1)) if j in self.watches else None

            def has_stopped(result: object) -> None:
                if result is not None:
                    assert result is self.model.stop(self.model.watches[j])

            action, compare = stop_other, has_stopped
        self.tick()
        self.arm(model, self.contexts[model.number], defer, action, compare)

    def arm(
        self,
        model: Context,
        ctx: libctx.Context,
        defer: bool,
        action: Callable[[], object],
        compare: Callable[[object], None] | None,
    ) -> None:
        i = len(self.model.watches)
        callback = Callback(self, i, action)
        self.callbacks[i] = weakref.ref(callback)
        self.watches[i] = ctx.after(callback, defer=defer)
        del callback
        self.does(lambda: self.model.after(model, defer, compare))

    @precondition(lambda self: self.watches)
    @rule(number=picks, wait=st.booleans())
    def stop(self, number: int, wait: bool) -> None:
        i = sorted(self.watches, reverse=True)[number % len(self.watches)]
        assert self.watches[i].stop(wait=wait) is self.model.stop(self.model.watches[i])

    # ------------------------------------------------------------ queues

    @rule(number=picks, contexts=st.lists(picks, min_size=1, max_size=4))
    def add(self, number: int, contexts: list[int]) -> None:
        model, queue = self.queues[number % len(self.queues)]
        for ctx in contexts:
            watched = self.pick(ctx)
            watch = self.model.add(model, watched)
            self.watches[watch.number] = queue.add(self.contexts[watched.number], watch.number.to_bytes(8, "little"))

    @rule(number=picks, most=st.integers(1, 5))
    def drain(self, number: int, most: int) -> None:
        model, queue = self.queues[number % len(self.queues)]
        for _ in range(most):
            token = next(queue, None)
            if token is None:
                assert not model.events
                return
            self.model.drained(model, int.from_bytes(token, "little"))

    @rule(number=picks)
    def drop_queue(self, number: int) -> None:
        i = number % len(self.queues)
        self.model.free_queue(self.queues[i][0])
        self.queues[i] = Queue(), _core.Queue()

    # ------------------------------------------------------------ groups

    @precondition(lambda self: len(self.groups) < 4)
    @rule(parent=picks)
    def group(self, parent: int) -> None:
        above = self.pick(parent)
        self.keep_group(self.model.group(above), libctx.Group(self.contexts[above.number]))

    @precondition(lambda self: 0 < len(self.groups) < 4)
    @rule(number=picks)
    def nested(self, number: int) -> None:
        model, outer = self.groups[number % len(self.groups)]
        if model.ctx.err is None:
            self.keep_group(self.model.nested(model), libctx.Group(outer))
        else:
            assert type(raised(libctx.Group, outer)) is ERRORS[model.ctx.err]

    def keep_group(self, model: Group, group: libctx.Group) -> None:
        self.groups.append((model, group))
        self.made(model.ctx, group.ctx, group.cancel)
        self.begin(len(self.groups) - 1)

    @precondition(lambda self: self.groups)
    @rule(number=picks)
    def begin(self, number: int) -> None:
        """A piece of work, in the newest group or in an older one."""
        model, group = self.groups[number % len(self.groups)]
        assert group.begin() is (model.ctx.err is None)
        if model.ctx.err is None:
            model.work += 1
            model.pieces += 1

    @precondition(lambda self: self.groups)
    @rule(number=picks, reason=st.sampled_from(REASONS[:-1]))
    def end(self, number: int, reason: Callable[[], BaseException | str | None]) -> None:
        model, group = self.groups[number % len(self.groups)]
        self.tick()
        cause = reason()
        if model.work == 0:
            assert type(raised(group.end, cause)) is RuntimeError
        elif model.pieces > 0:
            group.end(cause)
            self.does(lambda: self.model.end_work(model, told(cause, False)))

    @precondition(lambda self: self.groups)
    @rule(number=picks)
    def group_over(self, number: int) -> None:
        model, group = self.groups[number % len(self.groups)]
        self.tick()
        ctx = group.over()
        over = self.does(lambda: self.model.over(model))
        if not self.over:
            self.made(over, ctx)

    @precondition(lambda self: self.groups)
    @rule(number=picks)
    def drop_group(self, number: int) -> None:
        i = number % len(self.groups)
        if self.groups[i][0].pieces > 0:
            return
        self.tick()
        model, group = self.groups.pop(i)
        self.contexts.pop(model.ctx.number, None)
        self.cancelers.pop(model.ctx.number, None)
        del group
        self.does(lambda: self.model.drop_group(model))

    # ------------------------------------------------------------ handles

    def is_of_group(self, number: int) -> bool:
        return any(model.ctx.number == number for model, _ in self.groups)

    @rule(number=picks)
    def drop_context(self, number: int) -> None:
        model = self.pick(number)
        if model.number > 0 and not self.is_of_group(model.number):
            del self.contexts[model.number]
            model.handle = False

    @precondition(lambda self: self.cancelers)
    @rule(number=picks)
    def drop_canceler(self, number: int) -> None:
        i = sorted(self.cancelers, reverse=True)[number % len(self.cancelers)]
        if not self.is_of_group(i):
            del self.cancelers[i]
            self.model.contexts[i].canceler = False

    @precondition(lambda self: self.watches)
    @rule(number=picks)
    def drop_watch(self, number: int) -> None:
        del self.watches[sorted(self.watches, reverse=True)[number % len(self.watches)]]

    @rule(number=picks, capsule=st.booleans())
    def hand_over(self, number: int, capsule: bool) -> None:
        """To another language, and back."""
        i = self.pick(number).number
        ctx = self.contexts[i]
        again = libctx.Context.from_handle(ctx.capsule() if capsule else ctx.handle)
        assert again == ctx and hash(again) == hash(ctx) and again is not ctx
        self.contexts[i] = again
        if i in self.cancelers:
            cancel = self.cancelers[i]
            self.cancelers[i] = libctx.Canceler.from_handle(cancel.capsule() if capsule else cancel.handle)

    # ------------------------------------------------------------ time and waits

    @precondition(lambda self: self.virtual)
    @rule(number=picks)
    def advance(self, number: int) -> None:
        following = self.model.next()
        ns = number * 62_500_000
        if number & 1 and following not in (FOREVER, self.model.now):  # to what comes next, or a tick before it
            ns = following - self.model.now - (1000 if number & 2 else 0)
        ns = max(0, ns // 1000 * 1000)
        fired = self.loop.advance(timedelta(microseconds=ns // 1000))
        assert fired == self.does(lambda: self.model.advance(ns)) or self.over

    @precondition(lambda self: not self.virtual)
    @rule()
    def dispatch(self) -> None:
        self.tick()
        fired = self.loop.dispatch()
        assert fired == self.does(self.model.dispatch) or self.over

    @rule(number=picks)
    def touch(self, number: int) -> None:
        self.tick()
        model = self.pick(number)
        assert self.contexts[model.number].touch() is self.model.touch(model)

    @rule(numbers=st.lists(picks, min_size=1, max_size=4))
    def wait(self, numbers: list[int]) -> None:
        models = [self.pick(number) for number in numbers]
        first = self.contexts[models[0].number]
        assert first.wait(0) is (models[0].node.err is not None)
        found = libctx.wait_any(*(self.contexts[model.number] for model in models), timeout=0)
        done = [model for model in models if model.node.err]
        assert found == (self.contexts[done[0].number] if done else None)

    @rule(number=picks)
    def done_fd(self, number: int) -> None:
        model = self.pick(number)
        ctx = self.contexts[model.number]
        if not model.cancelable:
            refused = raised(ctx.done_fd_dup)
            assert isinstance(refused, OSError) and refused.errno == errno.ENOTSUP
        elif model.number not in self.fds:
            self.fds[model.number] = ctx.done_fd_dup()
            assert ctx.fileno() == ctx.done_fd()

    @precondition(lambda self: not self.model.closed)
    @rule(number=picks)
    def close(self, number: int) -> None:
        if number % 8 == 0:
            self.tick()
            self.loop.close()
            self.does(self.model.close)

    # ------------------------------------------------------------ what is compared

    @invariant()
    def is_as_the_reference_says(self) -> None:
        if self.over:
            self.start_again()
        assert not self.model.log, "callbacks ran that should not"
        self.model.collect()
        for i, ctx in self.contexts.items():
            self.compare(self.model.contexts[i], ctx)
        self.compare_loop()
        for i, fd in self.fds.items():
            if self.model.contexts[i].kept:
                assert is_readable(fd) is (self.model.contexts[i].node.err is not None)
        for model, queue in self.queues:
            assert is_readable(queue.fileno()) is bool(model.events)
        for group_model, group in self.groups:
            self.compare_group(group_model, group)
        for i, value in self.values.items():
            assert (value() is not None) is self.model.contexts[i].kept, f"the value of {i}"
        for i, callback in self.callbacks.items():
            watch = self.model.watches[i]
            held = watch.state == ARMED or (watch.state == IDLE and i in self.watches)
            assert (callback() is not None) is held, f"callback {i}"

    def compare(self, model: Context, ctx: libctx.Context) -> None:
        node = model.node
        err, cause = ctx.err(), ctx.cause()
        assert ctx.is_done is (node.err is not None)
        assert ctx.cancelable is model.cancelable
        if node.err is None:
            assert (err, cause, ctx.origin()) == (None, None, None)
            ctx.check()
        else:
            assert node.cause
            assert type(err) is ERRORS[node.err]
            self.compare_cause(node.cause, ctx, err, cause)
        self.compare_time(node, ctx)
        for number, key in enumerate(self.keys):
            found: Any = self.model.found(model, "value", number)
            assert ctx.value(key) is (None if found is None else found())
        default = Value()
        for name in NAMES:
            text = self.model.found(model, "string", name)
            assert ctx.string(name, default) == (default if text is None else text)
        assert list(ctx.strings().items()) == self.model.strings(model)
        assert re.findall(r"\.WithName\((.*?)\)", repr(ctx)) == self.model.names(model)
        for i, candidate in self.contexts.items():
            ended = self.model.ended_by(model, self.model.contexts[i])
            assert ended is None or ctx.ended_by(candidate) is ended

    @staticmethod
    def compare_cause(
        reason: Reason, ctx: libctx.Context, err: BaseException | None, cause: BaseException | None
    ) -> None:
        if isinstance(reason.given, int):  # the events of a descriptor
            assert isinstance(cause, libctx.Cause) and cause.code == reason.given
            assert ctx.origin() is libctx.Origin.DESCRIPTOR
            return
        assert ctx.origin() == origin_of(reason)
        assert err
        if plain(reason, type(err)):
            assert seen(cause) == seen(err) and err.__cause__ is None
            return
        assert seen(cause) == expected(reason) == seen(err.__cause__)
        parts = ctx._cause_parts()
        assert parts is not None and parts[0] == code_of(reason)
        assert (parts[4], parts[5], parts[6]) == (getattr(reason.given, "place", None) or (None, 0, None))
        checked = raised(ctx.check)
        assert type(checked) is type(err) and seen(checked.__cause__) == seen(cause)

    def compare_time(self, node: Context, ctx: libctx.Context) -> None:
        now, left = self.loop.now(), ctx.remaining()
        if node.deadline == FOREVER:
            assert ctx.deadline() is left is ctx.remaining_ms() is None
            return
        told, ms = ctx.deadline(), ctx.remaining_ms()
        assert told is not None and left is not None and ms is not None
        if self.virtual:
            ns = node.deadline - self.model.now
            assert (told, left) == (node.deadline / 1e9, ns / 1e9)
            assert ms == min(max(0, -(-ns // 10**6)), MOST_MS)
            assert ctx.now() == now == self.model.now / 1e9
        else:
            assert abs(told - node.deadline / 1e9) < 1e-5
            later = self.loop.now()
            assert told - later - 1e-5 <= left <= told - now + 1e-5
            least, most = ((told - later - 1e-5) * 1000, (told - now + 1e-5) * 1000 + 1)
            assert min(max(0, least), MOST_MS) <= ms <= max(0, most)

    def compare_loop(self) -> None:
        told, following = self.loop.next(), self.model.next()
        if following == FOREVER:
            assert told is None
        elif self.virtual:
            assert told == following / 1e9
        else:
            assert told is not None and told <= following / 1e9 + 1e-5
            if following <= self.model.now:
                assert is_readable(self.loop.fileno())

    @staticmethod
    def compare_group(model: Group, group: libctx.Group) -> None:
        assert is_readable(group.fileno()) is (model.work == 0)
        assert group.ctx.err() is None or model.ctx.err
        if model.work > 0:
            assert group.wait(0) is False
        elif model.cause is None:
            assert group.wait(0) is True
        else:
            assert seen(raised(group.wait, 0)) == expected(model.cause)

    # ------------------------------------------------------------ the end

    def start_again(self) -> None:
        """Nothing can be said any more of what there is."""
        self.teardown()
        self.__init__()  # type: ignore[misc]

    def teardown(self) -> None:
        """All is given back, and so all is freed."""
        for fd in self.fds.values():
            os.close(fd)
        self.contexts.clear()
        self.cancelers.clear()
        self.watches.clear()
        self.queues.clear()
        while self.groups:
            model, group = self.groups.pop()
            for _ in range(model.pieces):
                group.end()
            del group
        self.loop.close()
        self.loop.advance(0) if self.virtual else self.loop.dispatch()  # what is deferred
        del self.loop
        for pipe in self.pipes.values():
            os.close(pipe[0])
            os.close(pipe[1])
        if sys.exc_info()[0]:
            return  # its traceback holds some of it
        left = [i for i, value in self.values.items() if value() is not None]
        assert not left, f"the values of {left} are not freed"
        left = [i for i, callback in self.callbacks.items() if callback() is not None]
        assert not left, f"the callbacks {left} are not freed"


class VirtualMachine(Machine):
    virtual = True


class ManualMachine(Machine):
    virtual = False


def run(machine: type[Machine]) -> None:
    if EXAMPLES:
        faulthandler.cancel_dump_traceback_later()  # pytest's own watchdog
    given = settings(
        max_examples=EXAMPLES or 120,
        stateful_step_count=40,
        deadline=None,
        derandomize=EXAMPLES == 0,
        database=None,
        phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=given)


def test_a_virtual_loop_is_as_the_reference_says() -> None:
    run(VirtualMachine)


def test_a_manual_loop_is_as_the_reference_says() -> None:
    run(ManualMachine)
