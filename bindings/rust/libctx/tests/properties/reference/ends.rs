// SPDX-License-Identifier: MIT
//! Ends, what they tell whom, and the callbacks that run then.

use super::*;

impl Reference {
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

    pub(super) fn end(&mut self, top: usize, err: Err, reason: Option<Reason>) -> Batch {
        self.collect();
        self.ends += 1;
        self.mark(top, err, reason.unwrap_or(Reason::Plain));
        self.tell()
    }

    pub(super) fn ended_now(&self, all: &[usize]) -> Vec<usize> {
        all.iter().copied().filter(|&above| self.contexts[above].end == self.ends).collect()
    }

    /// A child has a higher number than its parents.
    pub(super) fn mark(&mut self, top: usize, err: Err, reason: Reason) {
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

    pub(super) fn tell(&mut self) -> Batch {
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

    pub(super) fn run_here(&mut self, batch: Batch) {
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

    pub(super) fn run(&mut self, batches: Vec<Batch>) {
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

    pub(super) fn done(&self) -> BTreeSet<usize> {
        let all = 0..self.contexts.len();
        all.filter(|&i| self.contexts[i].handle && self.is_done(i)).collect()
    }

    /// Those of parents come before those of what ended with them, those of one context in their order.
    pub(super) fn must_precede(&self, first: usize, second: usize) -> bool {
        let (a, b) = (self.watches[first].ctx, self.watches[second].ctx);
        if self.contexts[self.node(a)].end != self.contexts[self.node(b)].end {
            return false;
        }
        if a == b { first < second } else { self.is_above(a, b) }
    }

    pub(super) fn is_above(&self, above: usize, ctx: usize) -> bool {
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

    pub(super) fn watch(
        &mut self,
        ctx: usize,
        queue: Option<usize>,
        deferred: bool,
        action: Action,
    ) -> usize {
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
}
