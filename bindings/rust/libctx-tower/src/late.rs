// SPDX-License-Identifier: MIT
//! A call that breaks near its deadline, on another clock than that of the peer, ended by the deadline.

use libctx::{Context, Ended};
use std::time::Duration;

const NEAR: Duration = Duration::from_millis(5);

/// The deadline of a call, and how long it was when the call began.
#[derive(Debug)]
pub(crate) struct Limit(Option<Duration>);

impl Limit {
    pub(crate) fn of(ctx: &Context) -> Limit {
        Limit(ctx.remaining())
    }

    /// Whether a call that breaks now broke by its deadline: within 5 ms of it, or within 1 % of its timeout.
    pub(crate) fn is_near(&self, ctx: &Context) -> bool {
        let near = self.0.map(|whole| NEAR.max(whole / 100));
        matches!((near, ctx.remaining()), (Some(near), Some(left)) if left <= near)
    }
}

/// The end by a deadline that nobody has given a reason for; `None` only without memory.
pub(crate) fn deadline_exceeded() -> Option<Ended> {
    Context::background().with_timeout(Duration::ZERO).ok()?.0.ended()
}
