# SPDX-License-Identifier: MIT
"""What contexts, callbacks, queues and groups of one loop must look like, worked out apart from the library.

It is as plain as possible: one thread, everything is numbered and kept, every end walks over all contexts, and what
is still in memory is found by following who keeps whom. Times are nanoseconds. docs/rules.md has the rules.

Each operation is first done by the binding, whose callbacks write what they see into `log`. Then the reference does
it, and takes from there which callback ran next: it must be one of those that may.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

FOREVER = (1 << 63) - 1
CANCELED, EXCEEDED = "Canceled", "DeadlineExceeded"
IDLE, ARMED, OVER = "idle", "armed", "over"  # of watches: IDLE on a context that never ends


class Ambiguous(Exception):
    """Two things are due at one moment, and what comes of it depends on which is first: no rule says that."""


@dataclass
class Reason:
    """A cause: what was given, to a deadline or not; `given` is None for the plain causes of the library."""

    given: object
    exceeded: bool = False


@dataclass(eq=False)
class Context:
    number: int
    kind: str
    parent: "Context | None" = None
    ends_with: list["Context"] = field(default_factory=list)
    carries: object = None  # of a value, a text or a name: under which key or name
    content: object = None
    hides: bool = False
    carrier: bool = False  # it stands for its node, which ends
    length: int = 0  # of a grace or an idle context
    touched: int = 0
    deadline: int = FOREVER
    timer: int = FOREVER
    ready: bool = False  # its descriptor is
    written: bool = False  # to its cancel descriptor
    reason: Reason | None = None  # of its deadline or its descriptor
    err: str | None = None
    cause: Reason | None = None
    end: int = 0  # the same for all that ended together
    through: list["Context"] = field(default_factory=list)
    with_loop: bool = False
    handle: bool = True  # somebody has it, or its canceler
    canceler: bool = False
    kept: bool = True

    @property
    def node(self) -> "Context":
        """Whose end is its end."""
        ctx = self
        while ctx.carrier:
            assert ctx.parent is not None
            ctx = ctx.parent
        return ctx

    @property
    def cancelable(self) -> bool:
        return self.node.kind not in ("root", "detached")

    def due_at(self) -> int:
        if self.kind != "idle" or self.length == FOREVER:
            return self.timer
        return min(self.touched + self.length, FOREVER)


@dataclass(eq=False)
class Watch:
    number: int
    ctx: Context
    state: str
    deferred: bool = False
    queue: "Queue | None" = None
    action: Callable[[object], None] | None = None  # of the callback; compares its result


@dataclass(eq=False)
class Queue:
    events: list[tuple[int, Watch]] = field(default_factory=list)  # those of one moment in any order
    alive: bool = True


@dataclass(eq=False)
class Group:
    ctx: Context
    outer: "Group | None" = None
    work: int = 0
    pieces: int = 0  # of the work, what is no group
    cause: Reason | None = None
    overs: list[Context] = field(default_factory=list)
    handle: bool = True
    alive: bool = True


# A callback that ran: its number, the clock, which contexts were done, and what its action returned.
Called: TypeAlias = tuple[int, int, frozenset[int], object]
Batch: TypeAlias = list[Watch]


class Reference:
    def __init__(self, clock: Callable[[], int] | None) -> None:
        self.clock = clock  # of real time
        self.virtual_now = 0
        self.closed = False
        self.contexts: list[Context] = []
        self.watches: list[Watch] = []
        self.groups: list[Group] = []
        self.log: deque[Called] = deque()
        self._backlog: list[Batch] = []
        self._left: list[Batch] | None = None  # by the callback that runs
        self._ends = 0
        self._moment: int | None = None
        self._moments = 0
        self.root = self._add("root")

    @property
    def now(self) -> int:
        """Of a clock of real time it is read after the binding has read it: so a deadline here is late, not early."""
        return self.clock() if self.clock else self.virtual_now

    # ------------------------------------------------------------ making contexts

    def _add(self, kind: str, parent: Context | None = None, deadline: int = FOREVER) -> Context:
        ctx = Context(len(self.contexts), kind, parent, deadline=deadline)
        self.contexts.append(ctx)
        return ctx

    def _below(self, kind: str, parent: Context) -> Context:
        """A context that ends with its parent, and is done if that is."""
        ctx, above = self._add(kind, parent, parent.node.deadline), parent.node
        ctx.canceler = True
        if not above.cancelable:
            if self.closed:
                ctx.err, ctx.cause, ctx.with_loop = CANCELED, Reason("loop closed"), True
            return ctx
        ctx.ends_with = [above]
        if above.err:
            ctx.err, ctx.cause, ctx.through = above.err, above.cause, [above]
        return ctx

    def with_cancel(self, parent: Context) -> Context:
        return self._below("cancel", parent)

    def with_deadline(self, parent: Context, when: int, passed: bool, reason: Reason | None) -> Context:
        if parent.node.deadline <= when:  # the parent's counts
            return self._below("cancel", parent)
        ctx = self._below("deadline", parent)
        ctx.deadline, ctx.reason = when, reason
        if ctx.err is None and passed:
            self._end(ctx, EXCEEDED, reason)
        elif ctx.err is None:
            ctx.timer = when
        return ctx

    def with_idle(self, parent: Context, length: int, reason: Reason | None) -> Context:
        ctx = self._below("idle", parent)
        ctx.length, ctx.touched, ctx.reason = length, self.now, reason
        if ctx.err is None and length <= 0:
            self._end(ctx, EXCEEDED, reason)
        return ctx

    def with_grace(self, parent: Context, length: int) -> Context:
        if length <= 0:
            return self._below("cancel", parent)
        above = parent.node
        ctx = self._below("grace", self.root)
        ctx.parent, ctx.length, ctx.deadline = parent, length, FOREVER
        if above.deadline != FOREVER:
            ctx.deadline = min((max(above.deadline, self.now) if above.err else above.deadline) + length, FOREVER)
        if above.err:
            self._begin(ctx)
        return ctx

    def _begin(self, grace: Context) -> None:
        if grace.err is None:
            grace.timer = min(self.now + grace.length, grace.deadline, FOREVER)

    def merge(self, parents: list[Context]) -> Context:
        ctx = self._below("merge", self.root)
        ctx.parent = parents[0]
        nodes = [parent.node for parent in parents if parent.cancelable]
        ctx.deadline = min([FOREVER, *(node.deadline for node in nodes)])
        for node in nodes:
            if ctx.err:
                break
            ctx.ends_with.append(node)
            if node.err:
                ctx.err, ctx.cause, ctx.through = node.err, node.cause, [node]
        return ctx

    def carrier(self, kind: str, parent: Context, carries: object, content: object, hides: bool = False) -> Context:
        ctx = self._add(kind, parent)
        ctx.carrier, ctx.carries, ctx.content, ctx.hides = True, carries, content, hides
        return ctx

    def without_cancel(self, parent: Context) -> Context:
        return self._add("detached", parent)

    def with_fd(self, parent: Context) -> Context:
        return self._below("fd", parent)

    # ------------------------------------------------------------ asking

    def found(self, ctx: Context, kind: str, carries: object) -> object:
        """The nearest value or text; None if there is none."""
        for above in self.chain(ctx):
            if above.kind == kind and above.carries == carries:
                return None if above.hides else above.content
        return None

    def strings(self, ctx: Context) -> list[tuple[object, object]]:
        """The nearest first, each name once."""
        nearest: dict[object, Context] = {}
        for above in self.chain(ctx):
            if above.kind == "string":
                nearest.setdefault(above.carries, above)
        return [(name, above.content) for name, above in nearest.items() if not above.hides]

    def names(self, ctx: Context) -> list[object]:
        return [above.carries for above in self.chain(ctx) if above.kind == "name"][::-1]

    @staticmethod
    def chain(ctx: Context) -> list[Context]:
        above: list[Context] = []
        at: Context | None = ctx
        while at is not None:
            above.append(at)
            at = at.parent
        return above

    @staticmethod
    def ended_by(ctx: Context, candidate: Context) -> bool | None:
        """None: no rule says."""
        node, wanted = ctx.node, candidate.node
        if node.err is None:
            return False
        if not node.through:
            return not node.with_loop and node is wanted
        while node.through:
            if len(node.through) > 1:
                return None
            node = node.through[0]
            if node is wanted:
                return True
        return False

    def next(self) -> int:
        self.collect()
        works = any(w.state == ARMED for batch in self._backlog for w in batch)
        if works or any(self._is_live(c) and (c.ready or c.written) for c in self.contexts):
            return self.now
        timer = min(c.due_at() for c in self._all_live()) if self._all_live() else FOREVER
        return timer if timer == FOREVER else max(timer, self.now)

    def collect(self) -> None:
        """Marks what nothing keeps any more: its timers are gone."""
        kept: set[int] = set()
        reached = [c for c in self.contexts if c is self.root or c.handle or c.canceler]
        reached += [w.ctx for w in self.watches if w.state == ARMED]
        for group in self.groups:
            reached += [group.ctx, *group.overs] if group.alive else []
        while reached:
            ctx = reached.pop()
            if ctx.number not in kept:
                kept.add(ctx.number)
                reached += ctx.ends_with if ctx.parent is None else [ctx.parent, *ctx.ends_with]
        for ctx in self.contexts:
            ctx.kept = ctx.number in kept

    def _is_live(self, ctx: Context) -> bool:
        return ctx.kept and ctx.err is None and ctx.cancelable and not ctx.carrier

    def _all_live(self) -> list[Context]:
        return [c for c in self.contexts if self._is_live(c)]

    # ------------------------------------------------------------ ends

    def cancel(self, ctx: Context, err: str = CANCELED, cause: Reason | None = None, deferred: bool = False) -> bool:
        if ctx.node.err:
            return False
        batch = self._end(ctx.node, err, cause)
        if deferred:
            self._leave_to_loop(batch)
        else:
            self._run_here(batch)
        return True

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self.collect()
        self._ends += 1
        for ctx in self._all_live():
            if not ctx.ends_with and self._is_live(ctx):
                ctx.with_loop = True
                self._mark(ctx, CANCELED, Reason("loop closed"))
        batch = self._tell()
        for ctx in self.contexts:
            if ctx.end == self._ends and ctx.kind == "merge":  # by its loop, or through a parent
                ctx.through += [self.root, self.root]
        self._run_here(batch)

    def _end(self, top: Context, err: str, cause: Reason | None) -> Batch:
        self.collect()
        self._ends += 1
        self._mark(top, err, cause or Reason(None, err == EXCEEDED))
        return self._tell()

    def _mark(self, top: Context, err: str, cause: Reason) -> None:
        for ctx in self.contexts[top.number :]:  # a child has a higher number than its parents
            if ctx is not top:
                if not self._is_live(ctx):
                    continue
                ctx.through = [above for above in ctx.ends_with if above.end == self._ends]
                if not ctx.through:
                    continue
            ctx.err, ctx.cause, ctx.end = err, cause, self._ends

    def _tell(self) -> Batch:
        for ctx in self.contexts:
            if ctx.end == self._ends and ctx.kind == "merge" and ctx.through:
                ctx.through = [above for above in ctx.ends_with if above.end == self._ends]
            if ctx.kind == "grace" and self._is_live(ctx) and ctx.parent and ctx.parent.node.end == self._ends:
                self._begin(ctx)
        self._moments += 1
        batch = [w for w in self.watches if w.state == ARMED and w.ctx.node.end == self._ends]
        for watch in batch:
            if watch.queue:
                watch.queue.events.append((self._moment or self._moments, watch))
        return [w for w in batch if not w.queue]

    # ------------------------------------------------------------ callbacks

    def _run_here(self, batch: Batch) -> None:
        if self.clock is None:  # it leaves nothing overdue
            self.fire_due()
        self._backlog.append([w for w in batch if w.deferred])
        calls = [w for w in batch if not w.deferred]
        if self._left is None:
            self._run([calls])
        else:  # inside a callback: as soon as that has returned
            self._left.append(calls)

    def _leave_to_loop(self, batch: Batch) -> None:
        self._backlog.append(batch)

    def _run(self, batches: list[Batch]) -> None:
        waits = deque(batches)
        while waits:
            armed = [w for w in waits[0] if w.state == ARMED]
            if not armed:
                waits.popleft()
                continue
            assert self.log, f"callback {armed[0].number} was not run"
            number, now, done, result = self.log.popleft()
            watch = self.watches[number]
            assert watch in armed, f"callback {number} ran before its time"
            early = [w.number for w in armed if self._must_precede(w, watch)]
            assert not early, f"callback {number} ran before {early}"
            if self.clock is None:
                assert now == self.now, "the clock in a callback"
            assert done == self.done(), "what was done in a callback"
            watch.state, self._left = OVER, []
            if watch.action:
                watch.action(result)
            waits.extendleft(reversed(self._left))
            self._left = None

    def done(self) -> frozenset[int]:
        return frozenset(c.number for c in self.contexts if c.handle and c.node.err)

    @classmethod
    def _must_precede(cls, first: Watch, second: Watch) -> bool:
        """Those of parents come before those of what ended with them, those of one context in their order."""
        if first.ctx.node.end != second.ctx.node.end:
            return False
        return first.number < second.number if first.ctx is second.ctx else cls._is_above(first.ctx, second.ctx)

    @classmethod
    def _is_above(cls, above: Context, ctx: Context) -> bool:
        if ctx.kind in ("root", "detached", "grace") or ctx.parent is None:
            return False
        parents = ctx.ends_with if ctx.kind == "merge" else [ctx.parent]
        ended = [p for p in parents if p.cancelable and p.node.end == ctx.node.end]
        return any(parent is above or cls._is_above(above, parent) for parent in ended)

    def after(self, ctx: Context, deferred: bool, action: Callable[[object], None] | None) -> Watch:
        watch = Watch(len(self.watches), ctx, ARMED if ctx.cancelable else IDLE, deferred, action=action)
        self.watches.append(watch)
        if ctx.node.err:
            if deferred:
                self._leave_to_loop([watch])
            else:
                self._run([[watch]])
        return watch

    def stop(self, watch: Watch) -> bool:
        if watch.state == OVER:
            return False
        watch.state = OVER
        if watch.queue:
            watch.queue.events = [event for event in watch.queue.events if event[1] is not watch]
        return True

    # ------------------------------------------------------------ queues

    def add(self, queue: Queue, ctx: Context) -> Watch:
        watch = Watch(len(self.watches), ctx, ARMED if ctx.cancelable else IDLE, queue=queue)
        self.watches.append(watch)
        if ctx.node.err:
            self._moments += 1
            queue.events.append((self._moments, watch))
        return watch

    def drained(self, queue: Queue, number: int) -> Watch:
        """What was drained may be any event of the first moment."""
        assert queue.events, "an event, where none waits"
        first = [event for event in queue.events if event[0] == queue.events[0][0]]
        event = next((event for event in first if event[1].number == number), None)
        assert event, f"the event of {number}, before its time"
        queue.events.remove(event)
        event[1].state = OVER
        return event[1]

    def free_queue(self, queue: Queue) -> None:
        queue.alive = False
        for watch in self.watches:
            if watch.queue is queue:
                watch.state = OVER

    # ------------------------------------------------------------ time

    def dispatch(self) -> int:
        fired = self._turn()
        batches, self._backlog = self._backlog, []
        self._run(batches)
        return fired

    def advance(self, ns: int) -> int:
        target = self.now + ns
        fired = self._turn()
        while True:
            while self._backlog:
                batches, self._backlog = self._backlog, []
                self._run(batches)
            self.collect()
            following = max(self.now, min([FOREVER, *(c.due_at() for c in self._all_live())]))
            if following > target:
                if self.now == target:
                    return fired
                following = target
            self.virtual_now = following
            fired += self._turn()

    def _turn(self) -> int:
        self.collect()
        ready = [c for c in self._all_live() if c.ready or c.written]
        return self._fire_together(ready, CANCELED) + self.fire_due()

    def fire_due(self) -> int:
        fired = 0
        while True:
            self.collect()
            times = [c.due_at() for c in self._all_live()]
            first = min(times, default=FOREVER)
            if first == FOREVER or first > self.now:
                return fired
            fired += self._fire_together([c for c in self._all_live() if c.due_at() == first], EXCEEDED)

    def _fire_together(self, due: list[Context], err: str) -> int:
        """What ends in one moment, in any order; how many ended by themselves."""
        for i, one in enumerate(due):
            if one.ready and one.written:
                raise Ambiguous
            for other in due[i + 1 :]:
                if self._descendants(one) & self._descendants(other):
                    raise Ambiguous
        self._moments += 1
        self._moment = self._moments
        together: Batch = []
        for ctx in due:
            if ctx.kind == "grace" and err == EXCEEDED:
                assert ctx.parent and ctx.parent.node.err
                above = ctx.parent.node
                batch = self._end(ctx, above.err or "", above.cause)
                ctx.through = [above]
            else:
                batch = self._end(ctx, err, None if ctx.written else ctx.reason)
            together += batch
        self._moment = None
        self._leave_to_loop(together)
        return len(due)

    def _descendants(self, top: Context) -> set[int]:
        below = {top.number}
        for ctx in self.contexts[top.number :]:
            # The grace of a context begins with its end, and its values are its own.
            above = [*ctx.ends_with, ctx.parent] if ctx.kind == "grace" else ctx.ends_with
            if any(one is not None and one.node.number in below for one in above):
                below.add(ctx.number)
        return below

    def touch(self, ctx: Context) -> bool:
        if ctx.node.err:
            return False
        node = ctx.node
        while node.cancelable:
            if node.kind == "idle":
                node.touched = self.now
            assert node.parent
            node = node.parent.node
        return True

    # ------------------------------------------------------------ groups

    def group(self, parent: Context) -> Group:
        group = Group(self.with_cancel(parent))
        self.groups.append(group)
        return group

    def nested(self, outer: Group) -> Group:
        group = self.group(outer.ctx)
        group.outer = outer
        outer.work += 1
        return group

    def end_work(self, group: Group, cause: Reason | None) -> None:
        group.pieces -= 1
        self._fail(group, cause)
        self._take_out(group)

    def drop_group(self, group: Group) -> None:
        group.handle = group.ctx.handle = group.ctx.canceler = False
        self._free_if_over(group)

    def over(self, group: Group) -> Context:
        over = self.with_cancel(self.root)
        over.canceler = False
        if group.work > 0:
            group.overs.append(over)
        else:
            self.cancel(over)
        return over

    def _fail(self, group: Group, cause: Reason | None) -> None:
        if cause and not group.cause:
            group.cause = cause
            self.cancel(group.ctx, CANCELED, cause)

    def _take_out(self, group: Group) -> None:
        group.work -= 1
        if group.work > 0:
            return
        overs, group.overs = group.overs, []
        for over in overs:
            self.cancel(over)
        self._free_if_over(group)

    def _free_if_over(self, group: Group) -> None:
        if not group.alive or group.handle or group.work > 0:
            return
        if group.outer:
            self._fail(group.outer, group.cause)
        group.alive = False
        if group.outer:
            self._take_out(group.outer)
