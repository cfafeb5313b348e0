// SPDX-License-Identifier: MIT
//! `run`: a future beside the end of its context.

use crate::{counting, woken};
use libctx::Context;
use std::future::{Future, pending, poll_fn, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Waker};

#[test]
fn run_gives_the_futures_result_or_the_contexts_error() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (counts, waker) = counting();
    let cx = &mut task::Context::from_waker(&waker);
    assert_eq!(pin!(ctx.run(async { 5 })).poll(cx).map(Result::unwrap), Poll::Ready(5));

    let dropped = Arc::new(());
    let inside = dropped.clone();
    let polls = &AtomicUsize::new(0);
    let mut running = Box::pin(ctx.run(poll_fn(move |_| {
        let _ = &inside;
        polls.fetch_add(1, SeqCst);
        Poll::<()>::Pending
    })));
    assert!(running.as_mut().poll(cx).is_pending());
    canceler.cancel();
    assert_eq!(woken(&counts), 1);
    let Poll::Ready(Err(error)) = running.as_mut().poll(cx) else { panic!("not ended") };
    assert!(error.is_canceled());
    assert_eq!(polls.load(SeqCst), 1, "not polled again after the end");
    assert_eq!(Arc::strong_count(&dropped), 1, "dropped with the end, not with what ran it");
}

#[test]
fn a_context_that_ends_with_the_future_wins() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let cx = &mut task::Context::from_waker(Waker::noop());
    let ready = poll_fn(|_| {
        canceler.cancel();
        Poll::Ready(1)
    });
    assert_eq!(pin!(ctx.run(ready)).poll(cx).map(Result::unwrap), Poll::Ready(1), "it was first");
    let Poll::Ready(ended) = pin!(ctx.run(async { 2 })).poll(cx) else { panic!("not ready") };
    assert!(ended.unwrap_err().is_canceled());
}

#[test]
fn run_has_room_for_one_future() {
    let ctx = Context::background();
    let large = ready([0_u8; 10_000]);
    let size = size_of_val(&large);
    let nested = ctx.run(ctx.run(ctx.run(large)));
    assert!(size_of_val(&nested) < size + size / 10, "{} of {size}", size_of_val(&nested));
}

#[test]
fn run_that_is_dropped_half_way_drops_its_future_and_wakes_nobody() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (held, (counts, waker)) = (Arc::new(()), counting());
    let holds = held.clone();
    let mut running = Box::pin(ctx.run(async move {
        let _holds = holds;
        pending::<()>().await;
    }));
    assert!(running.as_mut().poll(&mut task::Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert_eq!((Arc::strong_count(&held), Arc::strong_count(&counts)), (2, 2));
    drop(running);
    assert_eq!((Arc::strong_count(&held), Arc::strong_count(&counts)), (1, 1));
    canceler.cancel();
    assert_eq!(woken(&counts), 0);
}

#[test]
fn run_polls_nothing_on_a_context_that_is_done() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    canceler.cancel_because("before");
    let ran = ctx.run(poll_fn(|_| -> Poll<()> { panic!("it is polled") }));
    let mut cx = task::Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = pin!(ran).poll(&mut cx) else { panic!("it goes on") };
    assert_eq!(error.ended().unwrap().cause().message(), "before");
}

#[test]
fn run_passes_each_wake_of_its_future_on() {
    let (ctx, _canceler) = Context::background().with_cancel().unwrap();
    let ((counts, waker), kept) = (counting(), Arc::new(Mutex::new(None::<Waker>)));
    let (keeps, mut polls) = (kept.clone(), 0);
    let mut running = Box::pin(ctx.run(poll_fn(move |cx| {
        *keeps.lock().unwrap() = Some(cx.waker().clone());
        polls += 1;
        if polls < 3 { Poll::Pending } else { Poll::Ready(polls) }
    })));
    let mut cx = task::Context::from_waker(&waker);
    for wakes in 1..3 {
        assert!(running.as_mut().poll(&mut cx).is_pending());
        kept.lock().unwrap().take().unwrap().wake();
        assert_eq!(woken(&counts), wakes);
    }
    assert_eq!(running.as_mut().poll(&mut cx).map(Result::unwrap), Poll::Ready(3));
}
