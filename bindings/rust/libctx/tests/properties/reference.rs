// SPDX-License-Identifier: MIT
//! What contexts, callbacks, queues and groups of one loop must look like, worked out apart from the library.
//!
//! It is as plain as possible: one thread, everything is numbered and kept, every end walks over all contexts, and
//! what is still in memory is found by following who keeps whom. Times are nanoseconds. docs/rules.md has the rules.
//!
//! Each operation is first done by the binding, whose callbacks write what they see into a log. Then the reference
//! does it, and takes from the log which callback ran next: it must be one of those that may.

mod ends;
mod groups;
mod making;
mod time;

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
}
