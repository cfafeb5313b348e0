// SPDX-License-Identifier: MIT
//! A signal ends a context, and one that is handled ends no wait. The first must be blocked in every thread,
//! so these tests have their process to themselves, and no test harness, which has threads of its own.
#![allow(missing_docs)]

use libctx::{Context, ErrorKind, Event, Group, Queue, Signal};
use std::ffi::c_int;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Every wait ends by its condition; this one ends a test that would hang.
const WATCHDOG: Duration = Duration::from_secs(60);

fn main() {
    a_signal_ends_a_context(); // first: no other thread of ours is there yet
    a_handled_signal_ends_no_wait();
    after_a_signal_a_wait_has_what_is_left_of_its_limit();
}

/// Has `handle` run for the timer's signal.
fn on_alarm(handle: extern "C" fn(c_int)) {
    // SAFETY: an action that is all zero but for its handler, which touches atomics alone, and may sleep.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as usize;
        assert_eq!(libc::sigaction(libc::SIGALRM, &action, ptr::null_mut()), 0);
    }
}

/// Sets the timer, for the first signal and for those after it; 0 for none.
fn alarm(first_usec: i64, every_usec: i64) {
    let time = |tv_usec| libc::timeval { tv_sec: 0, tv_usec };
    let timer = libc::itimerval { it_interval: time(every_usec), it_value: time(first_usec) };
    // SAFETY: the timer is read.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()) }, 0);
}

/// Waits under a handler that runs once a millisecond: each lasts as long as it was told to, and no longer. The kernel's
/// timer sends the signals: a thread would send too few on a busy machine.
fn a_handled_signal_ends_no_wait() {
    static HANDLED: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn handle(_: c_int) {
        if HANDLED.fetch_add(1, SeqCst) > 2 * WATCHDOG.as_millis() as usize {
            // SAFETY: for any thread at any time.
            unsafe { libc::abort() }; // a wait does not end
        }
    }
    on_alarm(handle);
    let (ctx, _canceler) = Context::background().with_cancel().unwrap();
    let limit = Duration::from_millis(50);
    let lasts = |wait: &dyn Fn()| {
        let (begin, handled) = (Instant::now(), HANDLED.load(SeqCst));
        alarm(1000, 1000);
        wait();
        alarm(0, 0);
        assert!(begin.elapsed() >= limit);
        assert!(HANDLED.load(SeqCst) > handled, "no signal has come");
    };
    lasts(&|| assert!(ctx.wait_timeout(limit).unwrap().is_none()));
    lasts(&|| assert_eq!(Context::wait_any([&ctx], Some(limit)).unwrap(), None));
    lasts(&|| assert_eq!(ctx.poll(&mut [], Some(limit)).unwrap(), 0));
    let queue = Queue::new().unwrap();
    lasts(&|| assert!(queue.wait(&mut [Event::default()], Some(limit)).unwrap().is_empty()));
    let group = Group::new(&ctx).unwrap();
    let piece = group.begin().unwrap();
    lasts(&|| assert!(!group.wait_timeout(limit).unwrap()));
    drop(piece);
    lasts(&|| assert!(ctx.with_timeout(limit).unwrap().0.wait().unwrap().is_deadline_exceeded()));
    println!("test signal::a_handled_signal_ends_no_wait ... ok");
}

/// The handler takes half of the limit. A wait that had the whole limit again after it could not end before one and a
/// half of it. On a slow machine a right wait can be as late, so there are several attempts.
fn after_a_signal_a_wait_has_what_is_left_of_its_limit() {
    const LIMIT: Duration = Duration::from_millis(200);
    static HANDLED: AtomicI64 = AtomicI64::new(0);
    fn now() -> i64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the time is written; a signal handler may call it, too.
        assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) }, 0);
        time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
    extern "C" fn handle(_: c_int) {
        let half = libc::timespec { tv_sec: 0, tv_nsec: LIMIT.as_nanos() as i64 / 2 };
        // SAFETY: the time is read.
        unsafe { libc::nanosleep(&half, ptr::null_mut()) };
        HANDLED.store(now(), SeqCst);
    }
    on_alarm(handle);
    let (ctx, _canceler) = Context::background().with_cancel().unwrap();
    let (queue, group) = (Queue::new().unwrap(), Group::new(&ctx).unwrap());
    let piece = group.begin().unwrap();
    let limit = LIMIT.as_nanos() as i64;
    let waits: [&dyn Fn(); 5] = [
        &|| assert!(ctx.wait_timeout(LIMIT).unwrap().is_none()),
        &|| assert_eq!(Context::wait_any([&ctx], Some(LIMIT)).unwrap(), None),
        &|| assert_eq!(ctx.poll(&mut [], Some(LIMIT)).unwrap(), 0),
        &|| assert!(queue.wait(&mut [Event::default()], Some(LIMIT)).unwrap().is_empty()),
        &|| assert!(!group.wait_timeout(LIMIT).unwrap()),
    ];
    for (which, wait) in waits.iter().enumerate() {
        let attempt = || {
            let begin = now();
            alarm(10_000, 0);
            wait();
            let (end, handled) = (now(), HANDLED.load(SeqCst));
            assert!(end >= begin + limit, "it is too short");
            begin + limit / 2 < handled && handled < begin + limit && end < begin + limit / 2 * 3
        };
        assert!((0..20).any(|_| attempt()), "wait {which} has its whole limit again");
    }
    drop(piece);
    println!("test signal::after_a_signal_a_wait_has_what_is_left_of_its_limit ... ok");
}

fn a_signal_ends_a_context() {
    let root = Context::background();
    let signals = [Signal::USR1, Signal::from_raw(libc::SIGRTMIN() + 3), Signal::USR1];
    Signal::block(&signals[..1]).unwrap();
    let unblocked = root.with_signal(&signals).unwrap_err();
    assert_eq!(unblocked.kind(), ErrorKind::InvalidInput);
    assert_eq!(
        unblocked.to_string(),
        "SIGRTMIN+3 is not blocked, as it must be in every thread (Signal::block)"
    );
    assert_eq!(io::Error::from(unblocked.clone()).to_string(), unblocked.to_string());
    // What is no signal, or none that can be blocked, is said as any bad argument.
    let invalid = Signal::block(&[Signal::from_raw(0)]).unwrap_err();
    assert_eq!(invalid.code(), -libc::EINVAL);
    for signal in [libc::SIGKILL, libc::SIGSTOP, 0, -1, libc::SIGRTMAX() + 1, i32::MIN, i32::MAX] {
        let error = root.with_signal(&[Signal::from_raw(signal)]).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidInput, -libc::EINVAL));
        assert_eq!(error.to_string(), invalid.to_string(), "{signal}");
    }

    Signal::block(&signals).unwrap();
    let (ctx, _canceler) = root.with_signal(&signals).unwrap();
    assert!(!ctx.is_done());
    // SAFETY: a signal to this very process.
    assert_eq!(unsafe { libc::kill(libc::getpid(), Signal::USR1.as_raw()) }, 0);
    let ended = ctx.wait_timeout(WATCHDOG).unwrap().expect("the signal ends it");
    assert!(ended.is_canceled());
    assert_eq!(ended.cause().signal(), Some(Signal::USR1));
    assert_eq!(ended.cause().events(), None);
    println!("test signal::a_signal_ends_a_context ... ok ({ended:#})");
}
