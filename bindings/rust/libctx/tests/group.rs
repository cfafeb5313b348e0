// SPDX-License-Identifier: MIT
//! Groups: threads, scoped threads and futures; errors and panics; nested groups.

use libctx::{Cause, Context, Ended, ErrorKind, Events, Group, Loop, PollFd, Result};
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{self, Waker};
use std::time::Duration;
use std::{io, panic, thread};

const WATCHDOG: Duration = Duration::from_secs(60);

fn new() -> Group {
    Group::new(&Context::background()).unwrap()
}

fn message(failure: Result<()>) -> String {
    let failure = failure.unwrap_err();
    assert!(failure.is_canceled());
    failure.ended().unwrap().cause().message().into_owned()
}

fn readable(group: &Group) -> bool {
    let fd = group.fd().unwrap();
    let mut fds = [PollFd::new(&fd, Events::IN)];
    Context::background().poll(&mut fds, Some(Duration::ZERO)).unwrap() == 1
}

#[test]
fn threads_are_waited_for() {
    for _ in 0..100 {
        let (group, ended) = (new(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..8 {
            let ended = ended.clone();
            group
                .spawn(move |_| {
                    ended.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                })
                .unwrap();
        }
        group.wait().unwrap();
        assert_eq!(ended.load(Ordering::Relaxed), 8);
        assert!(!group.context().is_done());
    }
}

#[test]
fn the_first_error_stops_the_others_and_is_returned() {
    let group = new();
    for _ in 0..3 {
        group
            .spawn(|ctx| {
                ctx.wait()?;
                Err("later".into())
            })
            .unwrap();
    }
    assert!(!group.wait_timeout(Duration::from_millis(1)).unwrap());
    group.spawn(|_| Err(io::Error::from_raw_os_error(28).into())).unwrap();
    let failure = group.wait().unwrap_err();
    let cause = failure.ended().unwrap().cause();
    assert_eq!(cause.code(), -28);
    assert!(cause.get_ref().unwrap().is::<io::Error>());
    assert_eq!(group.cause().as_ref(), Some(cause));
    assert_eq!(group.context().cause().as_ref(), Some(cause));
    let refused = group.spawn(|_| panic!("on a done context")).unwrap_err();
    assert_eq!(refused.ended().unwrap().cause(), cause);
    assert!(group.begin().is_err() && group.nested().is_err());
    assert_eq!(group.wait_timeout(WATCHDOG).unwrap_err().kind(), ErrorKind::Canceled);
}

#[test]
fn an_end_from_outside_is_no_failure() {
    let group = new();
    group.spawn(|ctx| Ok(ctx.wait().map(|_| ())?)).unwrap();
    assert!(group.canceler().cancel());
    group.wait().unwrap();
    assert_eq!(group.cause(), None);

    let (late, _canceler) = Context::background().with_timeout(Duration::ZERO).unwrap();
    let group = Group::new(&late).unwrap();
    assert!(group.begin().unwrap_err().is_deadline_exceeded());
    group.wait().unwrap();
}

#[test]
fn a_panic_is_a_failure() {
    panic::set_hook(Box::new(|_| {}));
    let group = new();
    group.spawn(|_| panic!("a mistake")).unwrap();
    assert_eq!(message(group.wait()), "the work panicked");

    let group = new();
    let piece = group.begin().unwrap();
    let run = panic::catch_unwind(panic::AssertUnwindSafe(|| piece.run(|_| panic!("here"))));
    assert!(run.is_err());
    assert_eq!(message(group.wait()), "the work panicked");
    let _ = panic::take_hook();
}

#[test]
fn a_piece_may_go_to_any_thread() {
    let group = new();
    assert!(readable(&group));
    let (good, bad) = (group.begin().unwrap(), group.begin().unwrap());
    assert!(!readable(&group));
    assert_eq!(good.context(), group.context());
    thread::spawn(move || drop(good)).join().unwrap();
    thread::spawn(move || bad.fail(&Cause::new(7, "failed").unwrap())).join().unwrap();
    assert_eq!(message(group.wait()), "failed");
    assert!(readable(&group));
}

#[test]
fn scoped_threads_may_borrow() {
    let (group, numbers) = (new(), [1, 2, 3]);
    let sum = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in &numbers {
            let (piece, sum) = (group.begin().unwrap(), &sum);
            scope.spawn(move || {
                piece.run(|_| {
                    sum.fetch_add(*number, Ordering::Relaxed);
                    Ok(())
                })
            });
        }
        group.wait().unwrap();
        assert_eq!(sum.load(Ordering::Relaxed), 6);
    });
}

#[test]
fn nested_groups_are_work_of_the_outer_one() {
    let outer = new();
    let inner = outer.nested().unwrap();
    inner.spawn(|_| Err("inside".into())).unwrap();
    assert_eq!(message(inner.wait()), "inside");
    assert!(!outer.wait_timeout(Duration::ZERO).unwrap());
    assert!(!outer.context().is_done());
    drop(inner);
    assert_eq!(message(outer.wait()), "inside");
}

#[test]
fn clones_are_one_group_and_work_holds_it() {
    let group = new();
    let clone = group.clone();
    assert!(group == clone && group != new());
    let (piece, ctx) = (group.begin().unwrap(), group.context());
    let over = group.over().unwrap();
    drop((group, clone));
    assert!(!over.is_done());
    piece.fail(&Cause::new(1, "late").unwrap());
    assert!(over.is_done());
    assert_eq!(ctx.cause().unwrap().message(), "late");
}

async fn tasks(spawn: impl Fn(libctx::Task<TaskFuture>)) {
    let (group, ended) = (new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..8 {
        let (ctx, ended) = (group.context(), ended.clone());
        let future = Box::pin(async move {
            let run = ctx.run(pending::<()>()).await;
            ended.fetch_add(1, Ordering::Relaxed);
            Ok(run?)
        });
        spawn(group.task(future as TaskFuture).unwrap());
    }
    assert!(!readable(&group));
    spawn(group.task(Box::pin(async { Err("enough".into()) }) as TaskFuture).unwrap());
    let failure = group.done().await.unwrap_err();
    assert_eq!(Ended::find(&failure).unwrap().cause().message(), "enough");
    assert_eq!(ended.load(Ordering::Relaxed), 8);
}

type TaskFuture = std::pin::Pin<
    Box<
        dyn Future<Output = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>>
            + Send,
    >,
>;

#[test]
fn a_loop_that_is_closed_is_not_the_end_of_the_work() {
    let clock = Loop::virtual_time().unwrap();
    let group = Group::new(&clock.background().unwrap()).unwrap();
    let piece = group.begin().unwrap();
    clock.close().unwrap();
    let closed = smol::block_on(group.done()).unwrap_err();
    assert_eq!(closed.ended().unwrap().cause().message(), "loop closed");
    assert!(!group.wait_timeout(Duration::ZERO).unwrap());
    drop(piece);
    group.wait().unwrap();
}

#[test]
fn tasks_on_tokio() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(tasks(|task| drop(tokio::spawn(task))));
}

#[test]
fn tasks_on_smol() {
    smol::block_on(tasks(|task| smol::spawn(task).detach()));
}

#[test]
fn a_task_that_is_aborted_has_ended() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async {
        let group = new();
        let task = tokio::spawn(group.task(pending()).unwrap());
        assert!(!group.wait_timeout(Duration::ZERO).unwrap());
        task.abort();
        group.done().await.unwrap();
        assert_eq!(group.cause(), None);
    });
}

#[test]
fn a_task_that_is_ready_has_ended_though_somebody_keeps_it() {
    let (group, failing) = (new(), new());
    let mut work = pin!(group.task(async { Ok(()) }).unwrap());
    let mut failure = pin!(failing.task(async { Err("no".into()) }).unwrap());
    let mut cx = task::Context::from_waker(Waker::noop());
    assert!(!group.wait_timeout(Duration::ZERO).unwrap());
    assert!(work.as_mut().poll(&mut cx).is_ready() && failure.as_mut().poll(&mut cx).is_ready());
    assert!(group.wait_timeout(Duration::ZERO).unwrap());
    assert_eq!(message(failing.wait_timeout(Duration::ZERO).map(drop)), "no");
}

#[test]
fn a_task_that_panics_has_failed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async {
        let group = new();
        let task = tokio::spawn(group.task(async { panic!("a mistake") }).unwrap());
        assert_eq!(message(group.done().await), "the work panicked");
        assert!(task.await.unwrap_err().is_panic());
    });
}
