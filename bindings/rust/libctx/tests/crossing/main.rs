// SPDX-License-Identifier: MIT
//! What crosses the boundary between Rust and C, a module each. The other bindings have tests of the same
//! names; what the core alone decides is tested there.

mod callbacks;
mod causes;
mod drop;
mod errors;
mod ownership;
mod shown;
mod signals;
mod text;
mod threads;
mod times;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Every wait ends by its condition; this one ends a test that would hang.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);

/// What was sent, once it is.
pub(crate) fn next<T>(from: &Receiver<T>) -> T {
    from.recv_timeout(WATCHDOG).expect("what was waited for")
}

/// Counts how often it, and each clone of it, was dropped.
#[derive(Clone, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// A value whose drop is counted.
    pub(crate) fn counted(&self) -> Counted {
        Counted(self.clone())
    }
}

pub(crate) struct Counted(Drops);

impl Drop for Counted {
    fn drop(&mut self) {
        (self.0).0.fetch_add(1, Ordering::SeqCst);
    }
}
