// SPDX-License-Identifier: MIT
//! How contexts are made, and what they are then.

use super::*;

impl Reference {
    pub(super) fn add(&mut self, kind: Kind, parent: Option<usize>) -> usize {
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

    pub(super) fn is_done(&self, ctx: usize) -> bool {
        self.ended(ctx).is_some()
    }

    pub(crate) fn deadline_of(&self, ctx: usize) -> i64 {
        self.contexts[self.node(ctx)].deadline
    }

    /// A context that ends with its parent, and is done if that is.
    pub(super) fn below(&mut self, kind: Kind, parent: usize) -> usize {
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

    /// A timeout of that length, which passes then.
    pub(crate) fn with_timeout(
        &mut self,
        parent: usize,
        length: i64,
        when: i64,
        reason: Option<Reason>,
    ) -> usize {
        if self.deadline_of(parent) <= when {
            return self.with_cancel(parent); // the parent's counts
        }
        let made = self.below(Kind::Deadline, parent);
        self.contexts[made].deadline = when;
        self.contexts[made].reason.clone_from(&reason);
        if !self.is_done(made) {
            if length <= 0 {
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

    pub(super) fn begin_grace(&mut self, grace: usize) {
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
}
