// SPDX-License-Identifier: MIT
//! The end of a context as a future: on wakers made by hand, on tokio and on smol.

mod on_smol;
mod on_tokio;
mod wakers;
mod wakers_of_a_kind;

use std::time::Duration;

/// Longer than any test takes: what waits so long has failed.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);

/// An hour: a deadline that does not come.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
