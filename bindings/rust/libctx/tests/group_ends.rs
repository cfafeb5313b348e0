// SPDX-License-Identifier: MIT
//! In whichever way a piece of work ends, it ends once; what a group answers then, and what it holds.

use libctx::{Cause, Context, Ended, ErrorKind, Group, Key, Loop, Piece, Task};
use std::collections::HashSet;
use std::error::Error;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::task::{Context as Cx, Poll, Wake, Waker};
use std::time::Duration;
use std::{fmt, io, thread};

const WATCHDOG: Duration = Duration::from_secs(60);
type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn new() -> Group {
    Group::new(&Context::background()).unwrap()
}

fn is_over(group: &Group) -> bool {
    group.wait_timeout(Duration::ZERO).unwrap()
}

fn failure(group: &Group) -> String {
    let failure = group.wait_timeout(WATCHDOG).unwrap_err();
    assert!(failure.is_canceled());
    let cause = group.cause().unwrap();
    assert_eq!(failure.ended().unwrap().cause(), &cause);
    assert_eq!(group.context().cause().as_ref(), Some(&cause));
    cause.message().into_owned()
}

/// Each group has one more piece of work: a way that ended two would end the group.
#[test]
fn each_way_to_end_ends_one_piece() {
    fn poll(task: Task<impl Future<Output = Outcome>>) -> Poll<()> {
        pin!(task).poll(&mut Cx::from_waker(Waker::noop()))
    }
    type Way = (&'static str, Option<&'static str>, fn(&Group));
    let ways: [Way; 9] = [
        ("a drop", None, |group| drop(group.begin().unwrap())),
        ("a run", None, |group| group.begin().unwrap().run(|_| Ok(()))),
        ("an error", Some("no"), |group| group.begin().unwrap().run(|_| Err("no".into()))),
        ("a failure", Some("no"), |group| {
            group.begin().unwrap().fail(&Cause::new(1, "no").unwrap());
        }),
        ("a task", None, |group| assert!(poll(group.task(ready(Ok(()))).unwrap()).is_ready())),
        ("a task's error", Some("no"), |group| {
            assert!(poll(group.task(ready(Err("no".into()))).unwrap()).is_ready());
        }),
        ("a task that is dropped", None, |group| {
            assert!(poll(group.task(pending()).unwrap()).is_pending());
        }),
        ("a task that was not polled", None, |group| drop(group.task(pending()).unwrap())),
        ("a nested group", None, |group| drop(group.nested().unwrap())),
    ];
    for (way, message, end) in ways {
        let group = new();
        let left = group.begin().unwrap();
        end(&group);
        assert!(group.wait_timeout(Duration::ZERO).is_ok_and(|over| !over), "{way}");
        assert_eq!(group.cause().map(|cause| cause.message().into_owned()).as_deref(), message);
        assert_eq!(group.context().is_done(), message.is_some(), "{way}");
        drop(left);
        assert_eq!(group.wait_timeout(Duration::ZERO).is_err(), message.is_some(), "{way}");
        assert_eq!(group.wait().is_err(), message.is_some(), "{way}");
    }
}

#[test]
fn a_panic_through_a_piece_is_its_failure_and_goes_on() {
    let panics: [fn(Piece); 2] = [
        |_piece| resume_unwind(Box::new("the payload")),
        |piece| piece.run(|_| resume_unwind(Box::new("the payload"))),
    ];
    for body in panics {
        let group = new();
        let (piece, left) = (group.begin().unwrap(), group.begin().unwrap());
        let caught = catch_unwind(AssertUnwindSafe(|| body(piece))).unwrap_err();
        assert_eq!(caught.downcast_ref(), Some(&"the payload"));
        assert!(!is_over(&group));
        drop(left);
        assert_eq!(failure(&group), "the work panicked");
    }
}

#[test]
fn a_panic_of_a_task_is_its_failure_and_goes_on() {
    let group = new();
    let left = group.begin().unwrap();
    let task = group.task(poll_fn(|_| resume_unwind(Box::new("the payload")))).unwrap();
    let mut task: Pin<Box<dyn Future<Output = ()>>> = Box::pin(task);
    let mut cx = Cx::from_waker(Waker::noop());
    let caught = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut cx))).unwrap_err();
    assert_eq!(caught.downcast_ref(), Some(&"the payload"));
    assert_eq!(group.cause().unwrap().message(), "the work panicked", "before the task is dropped");
    drop(task);
    assert!(!is_over(&group), "it has ended once");
    drop(left);
    assert_eq!(failure(&group), "the work panicked");
}

#[test]
fn a_task_is_polled_with_the_waker_that_it_was_given_and_keeps_its_future() {
    #[derive(Default)]
    struct Counts(AtomicUsize);
    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let (group, counts) = (new(), Arc::<Counts>::default());
    let (waker, held) = (Waker::from(counts.clone()), Arc::new(()));
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let holds = held.clone();
    let mut task = Box::pin(
        group
            .task(async move {
                let _holds = holds;
                ctx.done().await?;
                Ok(())
            })
            .unwrap(),
    );
    let mut cx = Cx::from_waker(&waker);
    assert!(task.as_mut().poll(&mut cx).is_pending());
    assert!(!is_over(&group) && Arc::strong_count(&held) == 2);
    assert_eq!(counts.0.load(SeqCst), 0);
    canceler.cancel();
    assert_eq!(counts.0.load(SeqCst), 1);
    assert!(task.as_mut().poll(&mut cx).is_ready());
    assert!(is_over(&group) && Arc::strong_count(&held) == 1);
}

#[test]
fn work_is_refused_with_the_end_of_the_group_and_its_cause() {
    let group = new();
    group.canceler().cancel_because("no more");
    let refused = [
        group.begin().err(),
        group.nested().err(),
        group.spawn(|_| panic!("it must not run")).err(),
        group.task(pending()).err(),
    ];
    for error in refused.map(Option::unwrap) {
        assert_eq!(error.kind(), ErrorKind::Canceled);
        assert_eq!(error.ended().unwrap().cause().message(), "no more");
    }
    assert!(is_over(&group));
    let late = Cause::new(1, "too late").unwrap();
    let (late, _canceler) =
        Context::background().with_timeout_cause(Duration::ZERO, &late).unwrap();
    let error = Group::new(&late).unwrap().nested().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(error.ended().unwrap().cause().message(), "too late");
}

#[test]
fn the_first_failure_counts_whatever_canceled_before() {
    let group = new();
    let (first, second) = (group.begin().unwrap(), group.begin().unwrap());
    first.fail(&Cause::new(1, "first").unwrap());
    second.fail(&Cause::new(2, "second").unwrap());
    assert_eq!(failure(&group), "first");

    let group = new();
    let piece = group.begin().unwrap();
    group.canceler().cancel_because("from outside");
    piece.run(|ctx| Ok(ctx.check()?));
    assert_eq!(group.context().cause().unwrap().message(), "from outside");
    let failed = group.wait().unwrap_err();
    let cause = failed.ended().unwrap().cause().clone();
    assert_eq!(group.cause(), Some(cause));
}

/// An error of a program's own, as thiserror would make it.
#[derive(Debug)]
struct Stopped(Ended);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the copy stopped")
    }
}

impl Error for Stopped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// So whoever waits for a group can tell a timeout from a cancel.
#[test]
fn work_that_passes_a_deadline_on_fails_with_one() {
    let spent = Cause::new(1, "the budget is spent").unwrap();
    let (late, _canceler) =
        Context::background().with_timeout_cause(Duration::ZERO, &spent).unwrap();
    type Work = fn(&Context) -> Outcome;
    let forms: [Work; 4] = [
        |late| Ok(late.check()?),
        |late| Ok(late.check().map_err(libctx::Error::from)?),
        |late| Ok(late.check().map_err(io::Error::from)?),
        |late| Ok(late.check().map_err(Stopped)?),
    ];
    for work in forms {
        let group = new();
        group.begin().unwrap().run(|_| work(&late));
        let ways =
            [group.wait(), group.wait_timeout(WATCHDOG).map(drop), smol::block_on(group.done())];
        for error in ways.map(Result::unwrap_err) {
            assert!(error.is_deadline_exceeded());
            assert_eq!(error.ended().map(Ended::cause), group.cause().as_ref());
            let shown = format!("{error:#}");
            let (first, last) = ("context deadline exceeded: ", "the budget is spent");
            assert!(shown.starts_with(first) && shown.ends_with(last), "{shown}");
            let stopped = error.ended().unwrap().cause().get_ref().unwrap().is::<Stopped>();
            assert_eq!(shown.matches("deadline").count(), if stopped { 2 } else { 1 });
        }
        assert!(group.context().ended().unwrap().is_canceled());
    }
}

#[test]
fn a_group_ends_with_its_parent_and_not_the_other_way_round() {
    let (parent, canceler) = Context::background().with_cancel().unwrap();
    let group = Group::new(&parent).unwrap();
    let inner = group.nested().unwrap();
    inner.begin().unwrap().fail(&Cause::new(1, "inside").unwrap());
    assert!(inner.context().is_done() && !group.context().is_done());
    drop(inner);
    assert!(group.context().is_done() && !parent.is_done());
    let other = Group::new(&parent).unwrap();
    assert!(canceler.cancel_because("all"));
    assert_eq!(other.context().cause().unwrap().message(), "all");
    assert!(!other.canceler().cancel());
}

#[test]
fn a_wait_ends_when_nothing_is_left_and_in_each_form() {
    let group = new();
    assert!(is_over(&group) && group.over().unwrap().is_done());
    let piece = group.begin().unwrap();
    let over = group.over().unwrap();
    assert!(!over.is_done() && !is_over(&group));
    let (ready, begun) = channel();
    thread::scope(|scope| {
        for time in [None, Some(Duration::MAX), Some(WATCHDOG)] {
            let (group, ready) = (&group, ready.clone());
            scope.spawn(move || {
                ready.send(()).unwrap();
                match time {
                    None => group.wait().unwrap(),
                    Some(time) => assert!(group.wait_timeout(time).unwrap()),
                }
            });
        }
        let (done, ready) = (group.done(), ready.clone());
        scope.spawn(move || {
            ready.send(()).unwrap();
            smol::block_on(done).unwrap();
        });
        for _ in 0..4 {
            begun.recv_timeout(WATCHDOG).unwrap();
        }
        drop(piece);
    });
    assert!(over.ended().unwrap().is_canceled() && !over.ended().unwrap().cause().is_given());
    let piece = group.begin().unwrap();
    assert!(over.is_done() && !group.over().unwrap().is_done(), "one for each time");
    drop(piece);
}

#[test]
fn done_waits_and_returns_the_failure() {
    let group = new();
    let piece = group.begin().unwrap();
    let mut done = Box::pin(group.done());
    let mut cx = Cx::from_waker(Waker::noop());
    assert!(done.as_mut().poll(&mut cx).is_pending());
    piece.fail(&Cause::from_error(io::Error::from_raw_os_error(28)).unwrap());
    let Poll::Ready(Err(error)) = done.as_mut().poll(&mut cx) else { panic!("it has failed") };
    assert_eq!(error.ended().unwrap().cause().code(), -28);
    let closed = Loop::virtual_time().unwrap();
    let group = Group::new(&closed.background().unwrap()).unwrap();
    assert!(smol::block_on(group.done()).is_ok());
}

/// The parent's value goes with the last handle of the group and the last piece of work.
#[test]
fn nothing_of_a_group_stays_behind() {
    static HELD: Key<Arc<()>> = Key::new(c"held");
    let held = Arc::new(());
    let parent = Context::background().with_value(&HELD, held.clone()).unwrap();
    let group = Group::new(&parent).unwrap();
    drop(parent);
    let (clone, inner) = (group.clone(), group.nested().unwrap());
    let piece = inner.begin().unwrap();
    drop((piece.context(), inner.context(), inner.canceler(), inner.canceler().clone()));
    drop((group.over().unwrap(), group.fd().unwrap(), group.fd().unwrap().clone()));
    drop((group.cause(), inner.done(), group.task(pending()).unwrap()));
    group.spawn(|_| Ok(())).unwrap();
    drop((group, clone, inner));
    assert_eq!(Arc::strong_count(&held), 2, "the work holds it");
    piece.fail(&Cause::new(1, "no").unwrap());
    let begin = std::time::Instant::now();
    while Arc::strong_count(&held) > 1 {
        assert!(begin.elapsed() < WATCHDOG, "the thread's piece has ended");
        thread::yield_now();
    }
}

#[test]
fn groups_are_equal_if_they_are_the_same() {
    let (one, other) = (new(), new());
    let set: HashSet<_> = [one.clone(), one.clone(), other.clone()].into();
    assert!(set.len() == 2 && set.contains(&one) && set.contains(&other));
    assert_eq!(one.fd().unwrap().owner(), &one);
    assert_eq!(one.context(), one.context());
    assert_eq!(one.canceler(), one.canceler());
    assert_ne!(one.canceler(), other.canceler());
    assert_eq!(one.begin().unwrap().context(), one.context());
}
