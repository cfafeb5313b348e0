// SPDX-License-Identifier: MIT
//! After a fork: what was made before can be read, and answers everything else with an error; what is
//! made after works at once.
#![allow(missing_docs)]

use libctx::{
    Cause, CommandExport, Context, Done, ErrorKind, Event, Events, Formats, Group, Key, Loop,
    Queue, Signal,
};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::process::Command;
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

fn is_forked<T>(result: libctx::Result<T>) -> bool {
    result.is_err_and(|error| {
        assert_eq!(error.code(), -libc::ECHILD);
        assert_eq!(error.to_string(), "the context was made before a fork");
        error.kind() == ErrorKind::Forked
    })
}

#[test]
fn nothing_is_derived_from_a_context_from_before() {
    let (ctx, _canceler) = Context::background().with_cancel().unwrap();
    let cause = Cause::new(1, "late").unwrap();
    let (dead, end) = Context::background().with_cancel().unwrap();
    end.cancel();
    in_child(|| {
        let (time, root) = (Duration::from_secs(1), Context::background());
        let end = std::time::Instant::now() + time;
        let (pipe, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(is_forked(ctx.with_cancel()));
        assert!(is_forked(ctx.with_timeout(time)));
        assert!(is_forked(ctx.with_timeout_cause(time, &cause)));
        assert!(is_forked(ctx.with_deadline(end)));
        assert!(is_forked(ctx.with_deadline_cause(end, &cause)));
        assert!(is_forked(ctx.with_idle(time)));
        assert!(is_forked(ctx.with_idle_cause(time, &cause)));
        assert!(is_forked(ctx.with_grace(time)));
        assert!(is_forked(ctx.without_cancel()));
        assert!(is_forked(Context::merge([&root, &ctx])));
        assert!(is_forked(ctx.with_fd(&pipe, Events::IN)));
        assert!(is_forked(ctx.with_signal(&[Signal::XFSZ])), "though that is not blocked");
        assert!(is_forked(ctx.with_string("name", "text")));
        assert!(is_forked(ctx.without_string("name")));
        assert!(is_forked(ctx.without_value(&COUNTED)));
        assert!(is_forked(ctx.with_name("name")));
        assert!(is_forked(ctx.with_baggage("name", "text")));
        assert!(is_forked(ctx.without_baggage("name")));
        assert!(is_forked(ctx.extract(&Formats::new(), |_: &str| None::<&str>)));
        assert!(is_forked(ctx.export()) && is_forked(ctx.import()));
        assert!(is_forked(ctx.done_fd_dup()));
        assert!(is_forked(ctx.after_func_deferred(|_| ())));
        assert!(is_forked(ctx.after_func_blocking(|_| ())));
        assert!(is_forked(Context::wait_any([&root, &ctx], Some(Duration::ZERO))));
        for ctx in [&ctx, &dead] {
            assert!(is_forked(ctx.poll(&mut [], Some(Duration::ZERO))));
        }
        assert!(is_forked(Group::new(&ctx)));
        let polled = pin!(ctx.run(async { panic!("it is polled") }));
        match polled.poll(&mut Task::from_waker(Waker::noop())) {
            Poll::Ready(ended) => assert!(is_forked::<()>(ended)),
            Poll::Pending => panic!("it waits"),
        }
        #[cfg(feature = "tokio-util")]
        {
            let token = tokio_util::sync::CancellationToken::new();
            assert!(is_forked(ctx.to_token()) && is_forked(ctx.with_token(&token)));
            assert!(!token.is_cancelled());
        }
        assert!(!ctx.touch());
        assert_eq!(ctx.describe(), "context.Background.WithCancel");
    });
}

#[test]
fn no_cancel_of_any_kind_ends_a_context_from_before() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (late, _canceler) = Context::background().with_timeout(Duration::ZERO).unwrap();
    let ended = late.ended().unwrap();
    in_child(|| {
        assert!(!canceler.cancel());
        assert!(!canceler.cancel_because("why"));
        assert!(!canceler.cancel_with(ended.cause()));
        assert!(!canceler.cancel_as(&ended));
        assert!(is_forked(canceler.cancel_deferred(None)));
        assert!(is_forked(canceler.cancel_deferred(Some(ended.cause()))));
        assert!(is_forked(canceler.cancel_fd()));
        drop(canceler.clone().guard());
        drop(canceler.clone().guard_because("why"));
        assert!(!ctx.is_done() && ctx.cause().is_none());
    });
    assert!(!ctx.is_done());
}

#[test]
fn loops_queues_and_groups_from_before_do_nothing() {
    let (host, clock) = (Loop::manual().unwrap(), Loop::virtual_time().unwrap());
    let threaded = Loop::threaded().unwrap();
    let (due, _canceler) =
        clock.background().unwrap().with_timeout(Duration::from_secs(1)).unwrap();
    let queue = Queue::new().unwrap();
    let (ended, canceler) = Context::background().with_cancel().unwrap();
    canceler.cancel();
    queue.add(&ended, 1).unwrap();
    let group = Group::new(&Context::background()).unwrap();
    let mut piece = Some(group.begin().unwrap());
    in_child(|| {
        for own in [&host, &clock, &threaded] {
            assert!(is_forked(own.close()));
            assert!(is_forked(own.background()));
            assert!(is_forked(own.dispatch()) && is_forked(own.fd()));
            assert!(is_forked(own.advance(Duration::from_secs(1))));
            assert!(is_forked(own.set_default()));
            assert_eq!(own.next(), None);
        }
        assert!(!due.is_done());
        let (mut room, now) = ([Event::default(); 2], Some(Duration::ZERO));
        assert!(is_forked(queue.drain(&mut room)));
        assert!(is_forked(queue.drain_contexts(2)));
        assert!(is_forked(queue.wait(&mut room, now)));
        assert!(is_forked(queue.fd()));
        assert!(is_forked(group.begin()) && is_forked(group.nested()));
        assert!(is_forked(group.spawn(|_| panic!("it must not run"))));
        assert!(is_forked(group.task(std::future::pending())));
        assert!(is_forked(group.wait()) && is_forked(group.wait_timeout(Duration::ZERO)));
        assert!(is_forked(group.over()) && is_forked(group.fd()));
        drop(piece.take()); // which is the parent's, and so ends nothing
        assert_eq!(group.cause(), None);
    });
    assert!(!group.wait_timeout(Duration::ZERO).unwrap());
    piece.take().unwrap().fail(&Cause::new(1, "in the parent").unwrap());
    assert_eq!(group.wait().unwrap_err().ended().unwrap().cause().message(), "in the parent");
    assert_eq!(queue.drain_contexts(2).unwrap().len(), 1);
}

/// In whichever way a piece of work from before fails in the child, nothing comes of it, there or in the parent.
#[test]
fn work_from_before_ends_in_the_child_without_a_failure() {
    let group = Group::new(&Context::background()).unwrap();
    let mut pieces: Vec<_> = (0..3).map(|_| group.begin().unwrap()).collect();
    in_child(|| {
        pieces.pop().unwrap().run(|_| Err("failed".into()));
        pieces.pop().unwrap().fail(&Cause::new(1, "failed").unwrap());
        let piece = pieces.pop().unwrap();
        let run = catch_unwind(AssertUnwindSafe(|| {
            piece.run(|_| std::panic::resume_unwind(Box::new("failed")));
        }));
        assert!(run.is_err());
        assert!(!group.context().is_done() && group.cause().is_none());
    });
    assert!(!group.context().is_done());
    drop(pieces);
    group.wait().unwrap();
}

/// Of a process that this one has started, a forked child neither waits nor disposes.
#[test]
fn a_child_process_stays_the_parents() {
    for ctx in [Context::background(), Context::background().with_cancel().unwrap().0] {
        let mut command = Command::new("sleep");
        let mut child = Some(command.arg("3600").export(&ctx).unwrap().spawn().unwrap());
        in_child(|| {
            assert!(is_forked(child.as_mut().unwrap().wait()));
            drop(child.take());
        });
        let mut child = child.unwrap();
        // SAFETY: a call without pointers. Of two signals, SIGKILL would have been the first.
        assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) }, 0);
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM), "it lived on");
    }
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
