// SPDX-License-Identifier: MIT
//! What contexts, callbacks, queues and groups of one loop must look like, worked out apart from the library.
//!
//! It is as plain as possible: one thread, everything is numbered and kept, every end walks over all contexts, and
//! what is still in memory is found by following who keeps whom. Times are nanoseconds. docs/rules.md has the rules.
//!
//! Each operation is first done by the binding, whose callbacks write what they see into a log. Then the reference
//! does it, and takes from the log which callback ran next: it must be one of those that may.

use libctx::{Cause, Loop};
use std::collections::{BTreeSet, VecDeque};

pub(crate) const FOREVER: i64 = i64::MAX;
pub(crate) const ROOT: usize = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Root,
    Cancel,
    Deadline,
    Idle,
    Grace,
    Merge,
    Fd,
    Value,
    Text,
    Name,
    Detached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Err {
    Canceled,
    DeadlineExceeded,
}

/// A cause of the library's own, or one that was given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reason {
    Plain,
    LoopClosed,
    Descriptor,
    Message(String),
    Given(Cause),
}

#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) kind: Kind,
    pub(crate) parent: Option<usize>,
    pub(crate) ends_with: Vec<usize>,
    /// Of a value, a text or a name: which key or name, and which content; `None` hides.
    pub(crate) carries: usize,
    pub(crate) content: Option<usize>,
    length: i64,
    touched: i64,
    pub(crate) deadline: i64,
    timer: i64,
    pub(crate) ready: bool,
    pub(crate) written: bool,
    reason: Option<Reason>,
    pub(crate) ended: Option<(Err, Reason)>,
    end: usize,
    through: Vec<usize>,
    with_loop: bool,
    pub(crate) handle: bool,
    pub(crate) canceler: bool,
    pub(crate) kept: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// On a context that never ends.
    Idle,
    Armed,
    Over,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Nothing,
    Cancel(usize),
    Stop(usize),
}

#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) ctx: usize,
    pub(crate) state: State,
    deferred: bool,
    queue: Option<usize>,
    action: Action,
}

/// Its events by moment; those of one moment come in any order.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) events: Vec<(usize, usize)>,
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) ctx: usize,
    outer: Option<usize>,
    pub(crate) work: usize,
    pub(crate) cause: Option<Reason>,
    overs: Vec<usize>,
    handle: bool,
    alive: bool,
}

/// A callback that ran, and what it saw: which contexts were done, the clock, and what its action returned.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) watch: usize,
    pub(crate) now: i64,
    pub(crate) done: BTreeSet<usize>,
    pub(crate) result: Option<bool>,
}

type Batch = Vec<usize>;

pub(crate) struct Reference {
    /// Of real time, or `None` for a virtual loop.
    clock: Option<Loop>,
    virtual_now: i64,
    pub(crate) closed: bool,
    pub(crate) contexts: Vec<Context>,
    pub(crate) watches: Vec<Watch>,
    pub(crate) queues: Vec<Queue>,
    pub(crate) groups: Vec<Group>,
    pub(crate) log: VecDeque<Called>,
    /// Two things were due at one moment, and what comes of it depends on which is first: no rule says that.
    pub(crate) ambiguous: bool,
    backlog: Vec<Batch>,
    /// By the callback that runs.
    left: Option<Vec<Batch>>,
    ends: usize,
    moments: usize,
    moment: Option<usize>,
}

impl Reference {
    pub(crate) fn new(clock: Option<Loop>) -> Reference {
        let mut made = Reference {
            clock,
            virtual_now: 0,
            closed: false,
            contexts: Vec::new(),
            watches: Vec::new(),
            queues: Vec::new(),
            groups: Vec::new(),
            log: VecDeque::new(),
            ambiguous: false,
            backlog: Vec::new(),
            left: None,
            ends: 0,
            moments: 0,
            moment: None,
        };
        made.add(Kind::Root, None);
        made
    }

    /// Of a clock of real time it is read after the binding has read it: so a deadline here is late, not early.
    pub(crate) fn now(&self) -> i64 {
        self.clock.as_ref().map_or(self.virtual_now, |host| host.now().as_nanos() as i64)
    }

    // ---------------------------------------------------------------- making contexts

    fn add(&mut self, kind: Kind, parent: Option<usize>) -> usize {
        self.contexts.push(Context {
            kind,
            parent,
            ends_with: Vec::new(),
            carries: 0,
            content: None,
            length: 0,
            touched: 0,
            deadline: FOREVER,
            timer: FOREVER,
            ready: false,
            written: false,
            reason: None,
            ended: None,
            end: 0,
            through: Vec::new(),
            with_loop: false,
            handle: true,
            canceler: false,
            kept: true,
        });
        self.contexts.len() - 1
    }

    /// Whose end is its end.
    pub(crate) fn node(&self, ctx: usize) -> usize {
        match self.contexts[ctx].kind {
            Kind::Value | Kind::Text | Kind::Name => self.node(self.contexts[ctx].parent.unwrap()),
            _ => ctx,
        }
    }

    pub(crate) fn is_cancelable(&self, ctx: usize) -> bool {
        !matches!(self.contexts[self.node(ctx)].kind, Kind::Root | Kind::Detached)
    }

    pub(crate) fn ended(&self, ctx: usize) -> Option<&(Err, Reason)> {
        self.contexts[self.node(ctx)].ended.as_ref()
    }

    fn is_done(&self, ctx: usize) -> bool {
        self.ended(ctx).is_some()
    }

    fn deadline_of(&self, ctx: usize) -> i64 {
        self.contexts[self.node(ctx)].deadline
    }

    /// A context that ends with its parent, and is done if that is.
    fn below(&mut self, kind: Kind, parent: usize) -> usize {
        let (above, ended) = (self.node(parent), self.ended(parent).cloned());
        let (deadline, cancelable) = (self.deadline_of(parent), self.is_cancelable(parent));
        let made = self.add(kind, Some(parent));
        let ctx = &mut self.contexts[made];
        ctx.canceler = true;
        ctx.deadline = deadline;
        if cancelable {
            ctx.ends_with.push(above);
            if ended.is_some() {
                (ctx.ended, ctx.through) = (ended, vec![above]);
            }
        } else if self.closed {
            (ctx.ended, ctx.with_loop) = (Some((Err::Canceled, Reason::LoopClosed)), true);
        }
        made
    }

    pub(crate) fn with_cancel(&mut self, parent: usize) -> usize {
        self.below(Kind::Cancel, parent)
    }

    pub(crate) fn with_timeout(
        &mut self,
        parent: usize,
        length: i64,
        reason: Option<Reason>,
    ) -> usize {
        let now = self.now();
        self.until(parent, now.saturating_add(length), now, reason)
    }

    fn until(&mut self, parent: usize, when: i64, now: i64, reason: Option<Reason>) -> usize {
        if self.deadline_of(parent) <= when {
            return self.with_cancel(parent); // the parent's counts
        }
        let made = self.below(Kind::Deadline, parent);
        self.contexts[made].deadline = when;
        self.contexts[made].reason.clone_from(&reason);
        if !self.is_done(made) {
            if when <= now {
                self.end(made, Err::DeadlineExceeded, reason);
            } else {
                self.contexts[made].timer = when;
            }
        }
        made
    }

    pub(crate) fn with_idle(
        &mut self,
        parent: usize,
        length: i64,
        reason: Option<Reason>,
    ) -> usize {
        let made = self.below(Kind::Idle, parent);
        let now = self.now();
        let ctx = &mut self.contexts[made];
        (ctx.length, ctx.touched) = (length, now);
        ctx.reason.clone_from(&reason);
        if length <= 0 && !self.is_done(made) {
            self.end(made, Err::DeadlineExceeded, reason);
        }
        made
    }

    pub(crate) fn with_grace(&mut self, parent: usize, length: i64) -> usize {
        if length <= 0 {
            return self.with_cancel(parent);
        }
        let (until, done) = (self.deadline_of(parent), self.is_done(parent));
        let made = self.below(Kind::Grace, ROOT);
        let from = if done { until.max(self.now()) } else { until };
        let ctx = &mut self.contexts[made];
        (ctx.parent, ctx.length) = (Some(parent), length);
        ctx.deadline = if until == FOREVER { FOREVER } else { from.saturating_add(length) };
        if done {
            self.begin_grace(made);
        }
        made
    }

    fn begin_grace(&mut self, grace: usize) {
        let (now, ctx) = (self.now(), &mut self.contexts[grace]);
        if ctx.ended.is_none() {
            ctx.timer = now.saturating_add(ctx.length).min(ctx.deadline);
        }
    }

    pub(crate) fn merge(&mut self, parents: &[usize]) -> usize {
        let made = self.below(Kind::Merge, ROOT);
        self.contexts[made].parent = Some(parents[0]);
        let nodes: Vec<_> =
            parents.iter().filter(|&&p| self.is_cancelable(p)).map(|&p| self.node(p)).collect();
        let earliest = nodes.iter().map(|&n| self.contexts[n].deadline).min();
        self.contexts[made].deadline = earliest.unwrap_or(FOREVER);
        for node in nodes {
            if self.is_done(made) {
                break;
            }
            let ended = self.contexts[node].ended.clone();
            let ctx = &mut self.contexts[made];
            ctx.ends_with.push(node);
            if ended.is_some() {
                (ctx.ended, ctx.through) = (ended, vec![node]);
            }
        }
        made
    }

    pub(crate) fn with_fd(&mut self, parent: usize) -> usize {
        let made = self.below(Kind::Fd, parent);
        self.contexts[made].reason = Some(Reason::Descriptor);
        made
    }

    pub(crate) fn without_cancel(&mut self, parent: usize) -> usize {
        self.add(Kind::Detached, Some(parent))
    }

    pub(crate) fn carrier(
        &mut self,
        kind: Kind,
        parent: usize,
        carries: usize,
        content: Option<usize>,
    ) -> usize {
        let made = self.add(kind, Some(parent));
        (self.contexts[made].carries, self.contexts[made].content) = (carries, content);
        made
    }

    /// A deadline on a clock of real time, which has moved meanwhile.
    pub(crate) fn adopt_deadline(&mut self, ctx: usize, deadline: i64) {
        let ctx = &mut self.contexts[ctx];
        ctx.deadline = deadline;
        if ctx.timer != FOREVER && deadline != FOREVER {
            ctx.timer = deadline;
        }
    }

    // ---------------------------------------------------------------- asking

    fn chain(&self, ctx: usize) -> Vec<&Context> {
        let mut above = Vec::new();
        let mut at = Some(ctx);
        while let Some(i) = at {
            above.push(&self.contexts[i]);
            at = self.contexts[i].parent;
        }
        above
    }

    /// The nearest value or text.
    pub(crate) fn found(&self, ctx: usize, kind: Kind, carries: usize) -> Option<usize> {
        let chain = self.chain(ctx);
        chain.iter().find(|above| above.kind == kind && above.carries == carries)?.content
    }

    /// Names and texts, the nearest first, each name once.
    pub(crate) fn strings(&self, ctx: usize) -> Vec<(usize, usize)> {
        let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
        for above in self.chain(ctx) {
            if above.kind == Kind::Text && seen.insert(above.carries) {
                all.extend(above.content.map(|content| (above.carries, content)));
            }
        }
        all
    }

    pub(crate) fn names(&self, ctx: usize) -> Vec<usize> {
        let chain = self.chain(ctx);
        chain.iter().rev().filter(|c| c.kind == Kind::Name).map(|c| c.carries).collect()
    }

    /// `None`: no rule says.
    pub(crate) fn ended_by(&self, ctx: usize, candidate: usize) -> Option<bool> {
        let (mut node, wanted) = (self.node(ctx), self.node(candidate));
        let at = &self.contexts[node];
        if at.ended.is_none() || at.through.is_empty() {
            return Some(at.ended.is_some() && !at.with_loop && node == wanted);
        }
        while !self.contexts[node].through.is_empty() {
            let [through] = self.contexts[node].through[..] else { return None };
            node = through;
            if node == wanted {
                return Some(true);
            }
        }
        Some(false)
    }

    pub(crate) fn next(&mut self) -> i64 {
        self.collect();
        let armed = |&w: &usize| self.watches[w].state == State::Armed;
        let live = self.all_live();
        if self.backlog.iter().flatten().any(armed) || live.iter().any(|&c| self.is_ready(c)) {
            return self.now();
        }
        match live.iter().map(|&c| self.due_at(c)).min() {
            None | Some(FOREVER) => FOREVER,
            Some(time) => time.max(self.now()),
        }
    }

    /// Marks what nothing keeps any more: its timers are gone.
    pub(crate) fn collect(&mut self) {
        let mut kept = vec![false; self.contexts.len()];
        let mut reached = vec![ROOT];
        reached.extend(
            (0..kept.len()).filter(|&i| self.contexts[i].handle || self.contexts[i].canceler),
        );
        reached.extend(self.watches.iter().filter(|w| w.state == State::Armed).map(|w| w.ctx));
        for group in self.groups.iter().filter(|group| group.alive) {
            reached.push(group.ctx);
            reached.extend(&group.overs);
        }
        while let Some(i) = reached.pop() {
            if !std::mem::replace(&mut kept[i], true) {
                reached.extend(self.contexts[i].parent);
                reached.extend(&self.contexts[i].ends_with);
            }
        }
        for (ctx, kept) in self.contexts.iter_mut().zip(kept) {
            ctx.kept = kept;
        }
    }

    fn is_live(&self, ctx: usize) -> bool {
        let node = self.node(ctx) == ctx;
        node && self.contexts[ctx].kept && !self.is_done(ctx) && self.is_cancelable(ctx)
    }

    fn all_live(&self) -> Vec<usize> {
        (0..self.contexts.len()).filter(|&ctx| self.is_live(ctx)).collect()
    }

    fn is_ready(&self, ctx: usize) -> bool {
        self.contexts[ctx].ready || self.contexts[ctx].written
    }

    fn due_at(&self, ctx: usize) -> i64 {
        let ctx = &self.contexts[ctx];
        if ctx.kind == Kind::Idle { ctx.touched.saturating_add(ctx.length) } else { ctx.timer }
    }

    // ---------------------------------------------------------------- ends

    pub(crate) fn cancel(&mut self, ctx: usize, err: Err, reason: Option<Reason>) -> bool {
        if self.is_done(ctx) {
            return false;
        }
        let batch = self.end(self.node(ctx), err, reason);
        self.run_here(batch);
        true
    }

    pub(crate) fn cancel_deferred(&mut self, ctx: usize, reason: Option<Reason>) -> bool {
        if self.is_done(ctx) {
            return false;
        }
        let batch = self.end(self.node(ctx), Err::Canceled, reason);
        self.backlog.push(batch);
        true
    }

    pub(crate) fn close(&mut self) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.collect();
        self.ends += 1;
        for ctx in self.all_live() {
            if self.contexts[ctx].ends_with.is_empty() && self.is_live(ctx) {
                self.contexts[ctx].with_loop = true;
                self.mark(ctx, Err::Canceled, Reason::LoopClosed);
            }
        }
        let batch = self.tell();
        for ctx in &mut self.contexts {
            if ctx.end == self.ends && ctx.kind == Kind::Merge {
                ctx.through.extend([ROOT, ROOT]); // by its loop, or through a parent
            }
        }
        self.run_here(batch);
    }

    fn end(&mut self, top: usize, err: Err, reason: Option<Reason>) -> Batch {
        self.collect();
        self.ends += 1;
        self.mark(top, err, reason.unwrap_or(Reason::Plain));
        self.tell()
    }

    fn ended_now(&self, all: &[usize]) -> Vec<usize> {
        all.iter().copied().filter(|&above| self.contexts[above].end == self.ends).collect()
    }

    /// A child has a higher number than its parents.
    fn mark(&mut self, top: usize, err: Err, reason: Reason) {
        for i in top..self.contexts.len() {
            if i != top {
                if !self.is_live(i) {
                    continue;
                }
                self.contexts[i].through = self.ended_now(&self.contexts[i].ends_with);
                if self.contexts[i].through.is_empty() {
                    continue;
                }
            }
            self.contexts[i].ended = Some((err, reason.clone()));
            self.contexts[i].end = self.ends;
        }
    }

    fn tell(&mut self) -> Batch {
        for i in 0..self.contexts.len() {
            let ctx = &self.contexts[i];
            if ctx.end == self.ends && ctx.kind == Kind::Merge && !ctx.through.is_empty() {
                self.contexts[i].through = self.ended_now(&ctx.ends_with);
            } else if ctx.kind == Kind::Grace && self.is_live(i) {
                let above = self.node(ctx.parent.unwrap());
                if self.contexts[above].end == self.ends {
                    self.begin_grace(i);
                }
            }
        }
        self.moments += 1;
        let moment = self.moment.unwrap_or(self.moments);
        let mut batch = Batch::new();
        for (i, watch) in self.watches.iter().enumerate() {
            let end = self.contexts[self.node(watch.ctx)].end;
            match watch.queue {
                _ if watch.state != State::Armed || end != self.ends => {}
                Some(queue) => self.queues[queue].events.push((moment, i)),
                None => batch.push(i),
            }
        }
        batch
    }

    // ---------------------------------------------------------------- callbacks

    fn run_here(&mut self, batch: Batch) {
        if self.clock.is_none() {
            self.fire_due(); // it leaves nothing overdue
        }
        let (deferred, calls) = batch.into_iter().partition(|&w| self.watches[w].deferred);
        self.backlog.push(deferred);
        match &mut self.left {
            None => self.run(vec![calls]),
            Some(left) => left.push(calls), // inside a callback: as soon as that has returned
        }
    }

    fn run(&mut self, batches: Vec<Batch>) {
        let mut waits = VecDeque::from(batches);
        while let Some(batch) = waits.front().filter(|_| !self.ambiguous) {
            let armed: Vec<_> =
                batch.iter().copied().filter(|&w| self.watches[w].state == State::Armed).collect();
            if armed.is_empty() {
                waits.pop_front();
                continue;
            }
            let called = self.log.pop_front();
            let called = called.unwrap_or_else(|| panic!("one of {armed:?} was not run"));
            assert!(armed.contains(&called.watch), "{called:?} before its time: {armed:?}");
            for &other in &armed {
                assert!(!self.must_precede(other, called.watch), "{called:?} before {other}");
            }
            if self.clock.is_none() {
                assert_eq!(called.now, self.now(), "the clock in a callback");
            }
            assert_eq!(called.done, self.done(), "what was done in a callback");
            self.watches[called.watch].state = State::Over;
            self.left = Some(Vec::new());
            let expected = match self.watches[called.watch].action {
                _ if called.result.is_none() => None,
                Action::Nothing => None,
                Action::Cancel(ctx) => Some(self.cancel(ctx, Err::Canceled, None)),
                Action::Stop(watch) => Some(self.stop(watch)),
            };
            assert_eq!(called.result, expected, "the result in a callback");
            for batch in self.left.take().unwrap().into_iter().rev() {
                waits.push_front(batch);
            }
        }
    }

    fn done(&self) -> BTreeSet<usize> {
        let all = 0..self.contexts.len();
        all.filter(|&i| self.contexts[i].handle && self.is_done(i)).collect()
    }

    /// Those of parents come before those of what ended with them, those of one context in their order.
    fn must_precede(&self, first: usize, second: usize) -> bool {
        let (a, b) = (self.watches[first].ctx, self.watches[second].ctx);
        if self.contexts[self.node(a)].end != self.contexts[self.node(b)].end {
            return false;
        }
        if a == b { first < second } else { self.is_above(a, b) }
    }

    fn is_above(&self, above: usize, ctx: usize) -> bool {
        let at = &self.contexts[ctx];
        let parents = match at.kind {
            Kind::Root | Kind::Detached | Kind::Grace => return false,
            Kind::Merge => at.ends_with.clone(),
            _ => vec![at.parent.unwrap()],
        };
        let end = self.contexts[self.node(ctx)].end;
        parents.into_iter().any(|parent| {
            self.is_cancelable(parent)
                && self.contexts[self.node(parent)].end == end
                && (parent == above || self.is_above(above, parent))
        })
    }

    pub(crate) fn after(&mut self, ctx: usize, deferred: bool, action: Action) {
        let watch = self.watch(ctx, None, deferred, action);
        if self.is_done(ctx) {
            if deferred {
                self.backlog.push(vec![watch]);
            } else {
                self.run(vec![vec![watch]]);
            }
        }
    }

    fn watch(&mut self, ctx: usize, queue: Option<usize>, deferred: bool, action: Action) -> usize {
        let state = if self.is_cancelable(ctx) { State::Armed } else { State::Idle };
        self.watches.push(Watch { ctx, state, deferred, queue, action });
        self.watches.len() - 1
    }

    pub(crate) fn stop(&mut self, watch: usize) -> bool {
        let stopped = self.watches[watch].state != State::Over;
        self.watches[watch].state = State::Over;
        if let Some(queue) = self.watches[watch].queue {
            self.queues[queue].events.retain(|event| event.1 != watch);
        }
        stopped
    }

    // ---------------------------------------------------------------- queues

    pub(crate) fn add_to(&mut self, queue: usize, ctx: usize) -> usize {
        let watch = self.watch(ctx, Some(queue), false, Action::Nothing);
        if self.is_done(ctx) {
            self.moments += 1;
            self.queues[queue].events.push((self.moments, watch));
        }
        watch
    }

    /// What was drained may be any event of the first moment.
    pub(crate) fn drained(&mut self, queue: usize, watch: usize) {
        let events = &mut self.queues[queue].events;
        let first = events.first().expect("an event, where none waits").0;
        let found = events.iter().position(|&event| event == (first, watch));
        events.remove(found.expect("an event before its time"));
        self.watches[watch].state = State::Over;
    }

    pub(crate) fn free_queue(&mut self, queue: usize) {
        self.queues[queue].events.clear();
        for watch in self.watches.iter_mut().filter(|watch| watch.queue == Some(queue)) {
            watch.state = State::Over;
        }
    }

    // ---------------------------------------------------------------- time

    pub(crate) fn dispatch(&mut self) -> usize {
        let fired = self.turn();
        let batches = std::mem::take(&mut self.backlog);
        self.run(batches);
        fired
    }

    pub(crate) fn advance(&mut self, time: i64) -> usize {
        let target = self.now() + time;
        let mut fired = self.turn();
        while !self.ambiguous {
            while !self.backlog.is_empty() {
                let batches = std::mem::take(&mut self.backlog);
                self.run(batches);
            }
            self.collect();
            let next = self.all_live().iter().map(|&c| self.due_at(c)).min().unwrap_or(FOREVER);
            let next = next.max(self.now());
            if next > target && self.now() == target {
                break;
            }
            self.virtual_now = next.min(target);
            fired += self.turn();
        }
        fired
    }

    fn turn(&mut self) -> usize {
        self.collect();
        let ready: Vec<_> = self.all_live().into_iter().filter(|&c| self.is_ready(c)).collect();
        self.fire_together(&ready, Err::Canceled) + self.fire_due()
    }

    pub(crate) fn fire_due(&mut self) -> usize {
        let mut fired = 0;
        loop {
            self.collect();
            let live = self.all_live();
            let first = live.iter().map(|&c| self.due_at(c)).min().unwrap_or(FOREVER);
            if first == FOREVER || first > self.now() || self.ambiguous {
                return fired;
            }
            let due: Vec<_> = live.into_iter().filter(|&c| self.due_at(c) == first).collect();
            fired += self.fire_together(&due, Err::DeadlineExceeded);
        }
    }

    /// What ends in one moment, in any order; how many ended by themselves.
    fn fire_together(&mut self, due: &[usize], err: Err) -> usize {
        for (i, &one) in due.iter().enumerate() {
            self.ambiguous |= self.contexts[one].ready && self.contexts[one].written;
            for &other in &due[i + 1..] {
                self.ambiguous |= !self.descendants(one).is_disjoint(&self.descendants(other));
            }
        }
        if self.ambiguous {
            return 0;
        }
        self.moments += 1;
        self.moment = Some(self.moments);
        let mut together = Batch::new();
        for &i in due {
            let ctx = &self.contexts[i];
            if ctx.kind == Kind::Grace && err == Err::DeadlineExceeded {
                let above = self.node(ctx.parent.unwrap());
                let (err, reason) = self.contexts[above].ended.clone().unwrap();
                together.extend(self.end(i, err, Some(reason)));
                self.contexts[i].through = vec![above];
            } else {
                let reason = if ctx.written { None } else { ctx.reason.clone() };
                together.extend(self.end(i, err, reason));
            }
        }
        self.moment = None;
        self.backlog.push(together);
        due.len()
    }

    fn descendants(&self, top: usize) -> BTreeSet<usize> {
        let mut all = BTreeSet::from([top]);
        for i in top + 1..self.contexts.len() {
            let ctx = &self.contexts[i];
            let graced = ctx.kind == Kind::Grace && all.contains(&self.node(ctx.parent.unwrap()));
            if graced || ctx.ends_with.iter().any(|above| all.contains(above)) {
                all.insert(i);
            }
        }
        all
    }

    pub(crate) fn touch(&mut self, ctx: usize) -> bool {
        if self.is_done(ctx) {
            return false;
        }
        let mut node = self.node(ctx);
        while self.is_cancelable(node) {
            self.contexts[node].touched = self.now();
            node = self.node(self.contexts[node].parent.unwrap());
        }
        true
    }

    // ---------------------------------------------------------------- groups

    pub(crate) fn group(&mut self, parent: usize) -> usize {
        let ctx = self.with_cancel(parent);
        let (outer, cause, overs) = (None, None, Vec::new());
        self.groups.push(Group { ctx, outer, work: 0, cause, overs, handle: true, alive: true });
        self.groups.len() - 1
    }

    pub(crate) fn nested(&mut self, outer: usize) -> usize {
        let made = self.group(self.groups[outer].ctx);
        self.groups[made].outer = Some(outer);
        self.groups[outer].work += 1;
        made
    }

    pub(crate) fn end_work(&mut self, group: usize, cause: Option<Reason>) {
        self.fail(group, cause);
        self.take_out(group);
    }

    pub(crate) fn drop_group(&mut self, group: usize) {
        self.groups[group].handle = false;
        self.free_if_over(group);
    }

    pub(crate) fn over(&mut self, group: usize) -> usize {
        let over = self.with_cancel(ROOT);
        self.contexts[over].canceler = false;
        if self.groups[group].work > 0 {
            self.groups[group].overs.push(over);
        } else {
            self.cancel(over, Err::Canceled, None);
        }
        over
    }

    fn fail(&mut self, group: usize, cause: Option<Reason>) {
        if cause.is_some() && self.groups[group].cause.is_none() {
            self.groups[group].cause.clone_from(&cause);
            self.cancel(self.groups[group].ctx, Err::Canceled, cause);
        }
    }

    fn take_out(&mut self, group: usize) {
        self.groups[group].work -= 1;
        if self.groups[group].work == 0 {
            for over in std::mem::take(&mut self.groups[group].overs) {
                self.cancel(over, Err::Canceled, None);
            }
            self.free_if_over(group);
        }
    }

    fn free_if_over(&mut self, group: usize) {
        let it = &self.groups[group];
        if !it.alive || it.handle || it.work > 0 {
            return;
        }
        let (outer, cause) = (it.outer, it.cause.clone());
        if let Some(outer) = outer {
            self.fail(outer, cause);
        }
        self.groups[group].alive = false;
        if let Some(outer) = outer {
            self.take_out(outer);
        }
    }
}
