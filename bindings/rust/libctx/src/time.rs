// SPDX-License-Identifier: MIT
//! Between Rust's durations and instants and the nanoseconds of C.
//!
//! On Linux an `Instant` is a reading of CLOCK_MONOTONIC, but does not show its number. One pair of readings, taken
//! once, ties the two: the number is read after the instant, so that it makes no deadline early. Most loops have
//! that clock, and there an instant that goes to C and back is the same to the nanosecond.

use crate::Context;
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

/// A clock of contexts, by how far it is ahead of the monotonic one now: not at all, by the time in which the
/// system was suspended, or, for a virtual loop, by whatever it is.
#[derive(Clone, Copy)]
pub(crate) struct Clock(i64);

impl Clock {
    pub(crate) fn of(ctx: &Context) -> Clock {
        let before = monotonic();
        // SAFETY: `ctx` holds a reference.
        let now = unsafe { sys::ctx_now(ctx.as_raw()) };
        // The monotonic clock itself reads between the two. Of what another may be ahead this is the most, so that
        // no deadline is early.
        let same = (before..=monotonic()).contains(&now);
        Clock(if same { 0 } else { now.saturating_sub(before) })
    }

    pub(crate) fn reading(self, instant: Instant) -> i64 {
        let (base, number) = *base();
        let number = number.saturating_add(self.0);
        match instant.checked_duration_since(base) {
            Some(later) => number.saturating_add(nanoseconds(later)),
            None => number.saturating_sub(nanoseconds(base - instant)),
        }
    }

    pub(crate) fn instant(self, time: i64) -> Instant {
        let (base, number) = *base();
        let shifted = match time.checked_sub(number.saturating_add(self.0)) {
            Some(later @ 0..) => base.checked_add(duration(later)),
            earlier => base.checked_sub(duration(earlier.map_or(i64::MAX, i64::saturating_neg))),
        };
        shifted.unwrap_or(base) // further away than an Instant can be: the clock would have to be negative
    }
}

fn monotonic() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is written to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    nanoseconds(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

fn base() -> &'static (Instant, i64) {
    static BASE: OnceLock<(Instant, i64)> = OnceLock::new();
    BASE.get_or_init(|| {
        let read = |_| (monotonic(), Instant::now(), monotonic());
        // Of several pairs, takes the one with the least time between its readings.
        let closest = (0..8).map(read).min_by_key(|(before, _, after)| after - before);
        let (_, instant, after) = closest.expect("eight of them");
        (instant, after)
    })
}
