// SPDX-License-Identifier: MIT
//! After a fork: what was made before can be read, and answers everything else with an error; what is
//! made after works at once.
#![allow(missing_docs)]

use libctx::{Context, Done, ErrorKind, Key, Queue};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::Duration;

static COUNTED: Key<Counted> = Key::new(c"counted");
static DROPS: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs `body` in a forked child, and fails if it panics there, or does not end.
fn in_child(body: impl FnOnce()) {
    // SAFETY: the child goes on with this thread alone; it takes no lock that another thread of a test
    // may hold but the allocator's, which glibc keeps usable, and leaves by _exit.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: without a handler, the alarm ends a child that hangs.
            unsafe { libc::alarm(60) };
            let ended = catch_unwind(AssertUnwindSafe(body));
            // SAFETY: nothing of the parent's runs in the child.
            unsafe { libc::_exit(if ended.is_ok() { 0 } else { 1 }) }
        }
        child => {
            assert!(child > 0);
            let mut status = 0;
            // SAFETY: the child is ours, and `status` is written to.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0, "the child's status");
        }
    }
}

#[test]
fn contexts_from_before_can_be_read_and_no_more() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let ctx = ctx.with_string("trace-id", "8f2c").unwrap();
    let (dead, end) = Context::background().with_cancel().unwrap();
    end.cancel_because("before the fork");
    let queue = Queue::new().unwrap();
    let watch = ctx.after_func(|_| ()).unwrap();
    in_child(|| {
        assert_eq!(ctx.string("trace-id").as_deref(), Some("8f2c"));
        assert!(!ctx.is_done());
        assert_eq!(dead.ended().unwrap().cause().message(), "before the fork");
        let forked = |error: Option<libctx::Error>| error.unwrap().kind() == ErrorKind::Forked;
        assert!(forked(ctx.with_cancel().err()));
        assert!(forked(ctx.done_fd().err()));
        assert!(forked(ctx.after_func(|_| ()).err()));
        assert!(forked(queue.add(&Context::background(), 1).err()));
        assert!(forked(ctx.wait().err()));
        assert!(forked(ctx.wait_timeout(Duration::ZERO).err()));
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut done = pin!(ctx.done());
        let polled = done.as_mut().poll(&mut Task::from_waker(&waker));
        let Poll::Ready(ended) = polled else { panic!("it waits") };
        assert!(forked(ended.err()));
        assert_eq!(Arc::strong_count(&wakes), 2, "what was refused is given back");
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
        assert!(!canceler.cancel());
        assert!(!watch.stop() && !watch.stop_wait());
        assert!(!ctx.is_done());
        drop((ctx.clone(), canceler.clone()));
    });
    assert!(!ctx.is_done());
    assert!(canceler.cancel());
}

#[test]
fn what_was_polled_before_stays_pending() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let mut done = Some(ctx.done());
    let mut task = Task::from_waker(Waker::noop());
    let mut poll =
        |done: &mut Done| Pin::new(done).poll(&mut task).map(|end| end.unwrap().is_canceled());
    assert_eq!(poll(done.as_mut().unwrap()), Poll::Pending);
    in_child(|| {
        assert!(!canceler.cancel());
        assert_eq!(poll(done.as_mut().unwrap()), Poll::Pending);
        drop(done.take());
    });
    canceler.cancel();
    assert_eq!(poll(done.as_mut().unwrap()), Poll::Ready(true));
}

#[test]
fn new_contexts_work_in_the_child_at_once() {
    let (_armed, _canceler) =
        Context::background().with_timeout(Duration::from_secs(3600)).unwrap();
    in_child(|| {
        let (ctx, _canceler) =
            Context::background().with_timeout(Duration::from_millis(1)).unwrap();
        assert!(ctx.wait().unwrap().is_deadline_exceeded());
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        let counts = seen.clone();
        ctx.after_func(move |_| counts.store(1, Ordering::SeqCst)).unwrap();
        assert!(canceler.cancel());
        assert_eq!(seen.load(Ordering::SeqCst), 1);
    });
}

/// Alone in counting drops: what was refused is dropped by Rust, what belongs to the parent is not.
#[test]
fn drops_of_the_parents_values_do_not_run_in_the_child() {
    let ctx = Context::background().with_value(&COUNTED, Counted).unwrap();
    let mut ctx = Some(ctx);
    in_child(|| {
        assert!(ctx.as_ref().unwrap().with_value(&COUNTED, Counted).is_err());
        assert_eq!(DROPS.load(Ordering::SeqCst), 1, "the value that was refused");
        let counted = Counted;
        assert!(ctx.as_ref().unwrap().after_func(move |_| drop(counted)).is_err());
        assert_eq!(DROPS.load(Ordering::SeqCst), 2, "the callback that was refused");
        drop(ctx.take());
        assert_eq!(DROPS.load(Ordering::SeqCst), 2, "the parent's value");
    });
    assert_eq!(DROPS.load(Ordering::SeqCst), 0);
    drop(ctx);
    assert_eq!(DROPS.load(Ordering::SeqCst), 1);
}
