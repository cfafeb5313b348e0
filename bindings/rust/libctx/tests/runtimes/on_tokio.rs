// SPDX-License-Identifier: MIT
//! Contexts on tokio: by wakers on both of its schedulers, and by descriptor.

use crate::{HOUR, WATCHDOG};
use libctx::{Cause, Context};
use std::future;
use std::time::Duration;
use tokio::io::{Interest, unix::AsyncFd};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    ]
}

#[test]
fn a_cancel_from_another_thread_wakes_a_task() {
    for runtime in runtimes() {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        let thread = std::thread::spawn(move || canceler.cancel_because("from outside"));
        let ended = runtime.block_on(async { timeout(WATCHDOG, ctx.done()).await.unwrap() });
        assert_eq!(ended.unwrap().cause().message(), "from outside");
        assert!(thread.join().unwrap());
    }
}

#[test]
fn a_deadline_ends_what_runs() {
    for runtime in runtimes() {
        let late = Cause::new(1, "too slow").unwrap();
        let short = Duration::from_millis(5);
        let (ctx, _canceler) = Context::background().with_timeout_cause(short, &late).unwrap();
        let work = ctx.run(future::pending::<()>());
        let ended = runtime.block_on(async { timeout(WATCHDOG, work).await.unwrap() });
        let error = ended.unwrap_err();
        assert!(error.is_deadline_exceeded());
        assert_eq!(error.ended().unwrap().cause().message(), "too slow");
    }
}

#[test]
fn one_cancel_wakes_a_thousand_tasks() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (parent, canceler) = Context::background().with_cancel().unwrap();
            let tasks: Vec<_> = (0..1000)
                .map(|_| {
                    let (ctx, _) = parent.with_timeout(HOUR).unwrap();
                    tokio::spawn(async move { ctx.done().await.unwrap().is_canceled() })
                })
                .collect();
            tokio::task::yield_now().await;
            canceler.cancel();
            for task in tasks {
                assert!(timeout(WATCHDOG, task).await.unwrap().unwrap());
            }
        });
    }
}

#[test]
fn a_task_that_is_aborted_cancels_its_context() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (ctx, canceler) = Context::background().with_cancel().unwrap();
            let (begun, begins) = tokio::sync::oneshot::channel();
            let guard = canceler.guard();
            let task = tokio::spawn(async move {
                let _guard = guard;
                begun.send(()).unwrap();
                future::pending::<()>().await
            });
            begins.await.unwrap();
            assert!(!ctx.is_done());
            task.abort();
            assert!(timeout(WATCHDOG, ctx.done()).await.unwrap().unwrap().is_canceled());
        });
    }
}

#[test]
fn a_task_that_is_aborted_before_it_has_begun_cancels_its_context() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (ctx, canceler) = Context::background().with_cancel().unwrap();
            let guard = canceler.guard();
            let task = tokio::spawn(async move {
                let _guard = guard;
                future::pending::<()>().await
            });
            task.abort();
            assert!(timeout(WATCHDOG, ctx.done()).await.unwrap().unwrap().is_canceled());
        });
    }
}

#[test]
fn select_takes_whichever_comes_first() {
    let [runtime, _] = runtimes();
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (send, mut receive) = tokio::sync::mpsc::channel(1);
    runtime.block_on(async {
        send.send(7).await.unwrap();
        assert_eq!(ctx.run(receive.recv()).await.unwrap(), Some(7));
        let mut work = std::pin::pin!(ctx.run(receive.recv()));
        assert!(timeout(Duration::ZERO, &mut work).await.is_err());
        canceler.cancel();
        assert!(timeout(WATCHDOG, work).await.unwrap().unwrap_err().is_canceled());
    });
}

#[test]
fn the_descriptor_is_polled_by_the_runtime() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (ctx, canceler) = Context::background().with_cancel().unwrap();
            let done = ctx.done_fd().unwrap();
            // SAFETY: it gives the same descriptor always, which is open for as long as it is there.
            let fd = unsafe { AsyncFd::register_with_interest(done, Interest::READABLE) }.unwrap();
            assert!(timeout(Duration::from_millis(1), fd.readable()).await.is_err());
            std::thread::spawn(move || canceler.cancel());
            timeout(WATCHDOG, fd.readable()).await.unwrap().unwrap().retain_ready();
            assert!(fd.get_ref().owner().is_done());
        });
    }
}
