// SPDX-License-Identifier: MIT
//! Groups and their work.

use super::*;

impl Reference {
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

    pub(super) fn fail(&mut self, group: usize, cause: Option<Reason>) {
        if cause.is_some() && self.groups[group].cause.is_none() {
            self.groups[group].cause.clone_from(&cause);
            self.cancel(self.groups[group].ctx, Err::Canceled, cause);
        }
    }

    pub(super) fn take_out(&mut self, group: usize) {
        self.groups[group].work -= 1;
        if self.groups[group].work == 0 {
            for over in std::mem::take(&mut self.groups[group].overs) {
                self.cancel(over, Err::Canceled, None);
            }
            self.free_if_over(group);
        }
    }

    pub(super) fn free_if_over(&mut self, group: usize) {
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
