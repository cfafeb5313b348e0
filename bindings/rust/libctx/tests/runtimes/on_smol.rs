// SPDX-License-Identifier: MIT
//! The same on smol.

use crate::{HOUR, WATCHDOG};
use libctx::Context;
use smol::future::FutureExt;
use smol::{Async, Executor, Timer};
use std::future::{self, Future};
use std::time::Duration;

/// Runs a future, and fails if it does not end.
fn run<T>(body: impl Future<Output = T>) -> T {
    smol::block_on(body.or(async {
        Timer::after(WATCHDOG).await;
        panic!("it does not end")
    }))
}

#[test]
fn a_cancel_from_another_thread_wakes_a_task() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let thread = std::thread::spawn(move || canceler.cancel_because("from outside"));
    assert_eq!(run(ctx.done()).unwrap().cause().message(), "from outside");
    assert!(thread.join().unwrap());
}

#[test]
fn a_deadline_ends_what_runs() {
    let (ctx, _canceler) = Context::background().with_timeout(Duration::from_millis(5)).unwrap();
    assert!(run(ctx.run(future::pending::<()>())).unwrap_err().is_deadline_exceeded());
    assert!(run(Context::background().run(async { 3 })).is_ok_and(|three| three == 3));
}

#[test]
fn one_cancel_wakes_a_thousand_tasks() {
    let executor = Executor::new();
    run(executor.run(async {
        let (parent, canceler) = Context::background().with_cancel().unwrap();
        let tasks: Vec<_> = (0..1000)
            .map(|_| {
                let (ctx, _) = parent.with_timeout(HOUR).unwrap();
                executor.spawn(async move { ctx.done().await.unwrap().is_canceled() })
            })
            .collect();
        smol::future::yield_now().await;
        canceler.cancel();
        for task in tasks {
            assert!(task.await);
        }
    }));
}

#[test]
fn a_task_that_is_dropped_cancels_its_context() {
    let executor = Executor::new();
    run(executor.run(async {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        let guard = canceler.guard();
        let task = executor.spawn(async move {
            let _guard = guard;
            future::pending::<()>().await
        });
        smol::future::yield_now().await;
        assert!(!ctx.is_done());
        drop(task);
        assert!(ctx.done().await.unwrap().is_canceled());
    }));
}

#[test]
fn the_descriptor_is_polled_by_the_runtime() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let fd = Async::new(ctx.done_fd().unwrap()).unwrap();
    std::thread::spawn(move || canceler.cancel());
    run(fd.readable()).unwrap();
    assert!(fd.get_ref().owner().is_done());
}
