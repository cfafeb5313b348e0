// SPDX-License-Identifier: MIT
//! Between Rust's durations and instants and the nanoseconds of C.
//!
//! On Linux an `Instant` is a reading of CLOCK_MONOTONIC, the clock of libctx, but does not show its number.
//! One pair of readings, taken once, ties the two: the number is read after the instant, so that it makes no
//! deadline early. An instant that goes to C and back is the same to the nanosecond.

use libctx_sys as sys;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Nanoseconds of a duration; one that is too long becomes for ever.
#[inline]
pub(crate) fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(sys::CTX_FOREVER)
}

/// A duration from C; a negative one becomes zero.
pub(crate) fn duration(nanoseconds: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

/// The limit of a wait; `None` is for ever.
pub(crate) fn limit(time: Option<Duration>) -> i64 {
    time.map_or(sys::CTX_FOREVER, nanoseconds)
}

pub(crate) fn from_instant(instant: Instant) -> i64 {
    let (base, number) = *base();
    match instant.checked_duration_since(base) {
        Some(later) => number.saturating_add(nanoseconds(later)),
        None => number.saturating_sub(nanoseconds(base - instant)),
    }
}

pub(crate) fn to_instant(time: i64) -> Instant {
    let (base, number) = *base();
    let shifted = match time.checked_sub(number) {
        Some(later @ 0..) => base.checked_add(duration(later)),
        earlier => base.checked_sub(duration(earlier.map_or(i64::MAX, i64::saturating_neg))),
    };
    shifted.unwrap_or(base) // further away than an Instant can be: the clock would have to be negative
}

fn base() -> &'static (Instant, i64) {
    static BASE: OnceLock<(Instant, i64)> = OnceLock::new();
    BASE.get_or_init(|| {
        // SAFETY: the root is always valid.
        let now = || unsafe { sys::ctx_now(sys::ctx_background()) };
        let read = |_| (now(), Instant::now(), now());
        // Of several pairs, takes the one with the least time between its readings.
        let closest = (0..8).map(read).min_by_key(|(before, _, after)| after - before);
        let (_, instant, after) = closest.expect("eight of them");
        (instant, after)
    })
}
