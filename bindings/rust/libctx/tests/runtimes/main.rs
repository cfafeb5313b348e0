// SPDX-License-Identifier: MIT
//! The end of a context as a future: on wakers made by hand, on tokio and on smol.

mod on_smol;
mod on_tokio;
mod run;
mod wakers;
mod wakers_that_act;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Wake, Waker};
use std::time::Duration;

/// Longer than any test takes: what waits so long has failed.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);

/// An hour: a deadline that does not come.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A waker that counts how often it is woken.
#[derive(Default)]
pub(crate) struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

pub(crate) fn counting() -> (Arc<Counts>, Waker) {
    let counts = Arc::new(Counts::default());
    (counts.clone(), Waker::from(counts))
}

pub(crate) fn woken(counts: &Counts) -> usize {
    counts.0.load(SeqCst)
}
