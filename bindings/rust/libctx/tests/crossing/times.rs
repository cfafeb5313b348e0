// SPDX-License-Identifier: MIT
//! Durations and instants at their borders, to the nanosecond, on a clock that stands still.

use libctx::{Context, Loop};
use std::time::{Duration, Instant};

const NANOSECOND: Duration = Duration::from_nanos(1);
const MOST: Duration = Duration::from_nanos(i64::MAX as u64);

fn root() -> (Loop, Context) {
    let clock = Loop::virtual_time().unwrap();
    let root = clock.background().unwrap();
    (clock, root)
}

#[test]
fn the_longest_time_that_c_can_say_is_for_ever() {
    let (_clock, root) = root();
    for (time, deadline) in [
        (NANOSECOND, Some(NANOSECOND)),
        (Duration::new(2, 3), Some(Duration::from_nanos(2_000_000_003))),
        (MOST - NANOSECOND, Some(MOST - NANOSECOND)),
        (MOST, None),
        (MOST + NANOSECOND, None),
        (2 * MOST + 2 * NANOSECOND, None), // of which the low 64 bits are zero
        (Duration::MAX, None),
    ] {
        let made = [
            root.with_timeout(time).unwrap().0,
            root.with_timeout_cause(time, &libctx::Cause::new(1, "late").unwrap()).unwrap().0,
        ];
        for ctx in made {
            assert_eq!(ctx.deadline_on_clock(), deadline, "{time:?}");
            assert_eq!(ctx.remaining(), deadline, "{time:?}");
            assert!(!ctx.is_done());
        }
    }
}

#[test]
fn no_limit_is_too_long_for_a_grace_or_an_idle_context() {
    let (clock, root) = root();
    let (parent, canceler) = root.with_cancel().unwrap();
    for time in [MOST, MOST + NANOSECOND, 2 * MOST + 2 * NANOSECOND, Duration::MAX] {
        let (grace, _canceler) = parent.with_grace(time).unwrap();
        let (idle, _own) = root.with_idle(time).unwrap();
        canceler.cancel();
        clock.advance(Duration::from_secs(1 << 30)).unwrap();
        assert!(!grace.is_done() && !idle.is_done(), "{time:?}");
    }
}

#[test]
fn a_touch_is_told_whether_it_counts_and_moves_the_end() {
    let (clock, root) = root();
    let second = Duration::from_secs(1);
    let (idle, _canceler) = root.with_idle(4 * second).unwrap();
    let (below, _its_canceler) = idle.with_cancel().unwrap();
    for ctx in [&idle, &below, &idle] {
        clock.advance(3 * second).unwrap();
        assert!(ctx.touch());
    }
    assert!(!idle.is_done());
    clock.advance(5 * second).unwrap();
    assert!(idle.ended().unwrap().is_deadline_exceeded());
    assert!(!idle.touch() && !below.touch());
}

#[test]
fn a_clock_moves_by_the_nanosecond_and_no_further_than_it_can() {
    let (clock, root) = root();
    let (ctx, _canceler) = root.with_timeout(Duration::new(1, 1)).unwrap();
    assert_eq!(clock.advance(Duration::from_secs(1)).unwrap(), 0);
    assert_eq!((ctx.remaining(), ctx.remaining_ms()), (Some(NANOSECOND), 1));
    assert_eq!(clock.advance(NANOSECOND).unwrap(), 1);
    assert_eq!((ctx.remaining(), ctx.remaining_ms()), (Some(Duration::ZERO), 0));
    assert_eq!((clock.now(), root.now()), (Duration::new(1, 1), Duration::new(1, 1)));
    clock.advance(Duration::MAX).unwrap();
    assert_eq!(clock.now(), MOST);
    assert_eq!((ctx.remaining(), ctx.remaining_ms()), (Some(Duration::ZERO), 0));
}

#[test]
fn the_earliest_deadline_is_the_next_work_and_none_is_none() {
    let (clock, root) = root();
    assert_eq!(clock.next(), None);
    let (_late, _canceler) = root.with_timeout(2 * NANOSECOND).unwrap();
    let (_early, _its_canceler) = root.with_timeout(NANOSECOND).unwrap();
    assert_eq!(clock.next(), Some(NANOSECOND));
    assert_eq!(Loop::threaded().unwrap().next(), None, "its own threads know");
}

#[test]
fn a_wait_for_a_long_time_is_a_wait() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    std::thread::scope(|scope| {
        for time in [MOST, MOST + NANOSECOND, 2 * MOST + 2 * NANOSECOND, Duration::MAX] {
            let ctx = &ctx;
            scope.spawn(move || assert!(ctx.wait_timeout(time).unwrap().is_some(), "{time:?}"));
            scope.spawn(move || assert_eq!(Context::wait_any([ctx], Some(time)).unwrap(), Some(0)));
            scope.spawn(move || assert!(ctx.poll(&mut [], Some(time)).unwrap_err().is_canceled()));
        }
        canceler.cancel();
    });
}

/// As C has it, the limit has passed only if the context is live.
#[test]
fn a_wait_without_time_looks_once() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (other, _its_canceler) = Context::background().with_cancel().unwrap();
    assert!(ctx.wait_timeout(Duration::ZERO).unwrap().is_none());
    assert_eq!(Context::wait_any([&other, &ctx], Some(Duration::ZERO)).unwrap(), None);
    canceler.cancel();
    assert!(ctx.wait_timeout(Duration::ZERO).unwrap().is_some());
    for (all, index) in [([&other, &ctx], 1), ([&ctx, &other], 0), ([&ctx, &ctx], 0)] {
        assert_eq!(Context::wait_any(all, Some(Duration::ZERO)).unwrap(), Some(index));
    }
}

/// Before and after the moment at which this process first read its clocks.
#[test]
fn an_instant_goes_there_and_back_to_the_nanosecond() {
    for far in [0, 1, 999, 1_000_000_001, 3_600_000_000_007] {
        let now = Instant::now();
        let far = Duration::from_nanos(far);
        for instant in [now + far, now - far] {
            let (ctx, _canceler) = Context::background().with_deadline(instant).unwrap();
            assert_eq!(ctx.deadline(), Some(instant));
            assert!(ctx.is_done() || instant > now, "{instant:?}");
        }
    }
}

/// What was read of the system's clock before the instant is no later than the instant on that clock.
#[test]
fn an_instant_is_not_turned_into_an_earlier_reading() {
    let root = Context::background();
    for _ in 0..100 {
        let (before, instant) = (root.now(), Instant::now());
        let hour = Duration::from_secs(3600);
        let (ctx, _canceler) = root.with_deadline(instant + hour).unwrap();
        assert!(ctx.deadline_on_clock().unwrap() >= before + hour);
    }
}

/// On a clock that began a while ago, and on one that has only begun.
#[test]
fn an_instant_that_has_passed_has_passed_on_every_clock() {
    let (clock, root) = root();
    for _ in 0..2 {
        for ago in [Duration::ZERO, NANOSECOND, Duration::from_secs(60)] {
            let instant = Instant::now() - ago;
            let (ctx, _canceler) = root.with_deadline(instant).unwrap();
            // A clock that stands still is behind the system's as soon as that has gone on.
            clock.advance(Duration::from_secs(1)).unwrap();
            assert!(ctx.ended().unwrap().is_deadline_exceeded(), "{ago:?}");
        }
        clock.advance(Duration::from_secs(3600)).unwrap();
    }
}
