// SPDX-License-Identifier: MIT
//! What comes due as time goes by.

use super::*;

impl Reference {
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

    pub(super) fn turn(&mut self) -> usize {
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
    pub(super) fn fire_together(&mut self, due: &[usize], err: Err) -> usize {
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

    pub(super) fn descendants(&self, top: usize) -> BTreeSet<usize> {
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
}
