// SPDX-License-Identifier: MIT
//! Feature `tokio-util`: contexts and cancellation tokens, each tied to the other.
#![allow(missing_docs)]
#![cfg(feature = "tokio-util")]

use libctx::{Context, Key};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

static HELD: Key<Arc<()>> = Key::new(c"held");

#[test]
fn a_context_cancels_its_token() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let token = ctx.to_token().unwrap();
    let child = token.child_token();
    assert!(!token.is_cancelled());
    canceler.cancel();
    assert!(token.is_cancelled() && child.is_cancelled());
    assert!(ctx.to_token().unwrap().is_cancelled());
}

/// Somebody else's callback, first in line on the same context, blocks until the token is canceled.
#[test]
fn a_token_is_never_behind_somebody_elses_callback() {
    const WATCHDOG: Duration = Duration::from_secs(60);
    for by_deadline in [true, false] {
        let time = if by_deadline { Duration::from_millis(1) } else { 60 * WATCHDOG };
        let (ctx, canceler) = Context::background().with_timeout(time).unwrap();
        let ((wake, woken), (tell, told)) = (channel(), channel());
        let blocks = move |_: &_| tell.send(woken.recv_timeout(WATCHDOG)).unwrap();
        // After a deadline it runs on the library's thread; it must do so also if the millisecond is over now.
        if by_deadline {
            ctx.after_func_deferred(blocks).unwrap();
        } else {
            ctx.after_func(blocks).unwrap();
        }
        let token = ctx.to_token().unwrap();
        let waiter = token.child_token();
        let waiting = thread::spawn(move || {
            smol::block_on(waiter.cancelled());
            wake.send(()).unwrap();
        });
        if !by_deadline {
            canceler.cancel();
        }
        assert!(told.recv_timeout(2 * WATCHDOG).unwrap().is_ok());
        waiting.join().unwrap();
    }
}

#[test]
fn a_token_that_is_canceled_leaves_its_context() {
    let (ctx, _canceler) = Context::background().with_cancel().unwrap();
    let token = ctx.to_token().unwrap();
    token.cancel();
    assert!(!ctx.is_done());
}

#[test]
fn a_linked_token_holds_the_context_until_it_is_dropped() {
    let held = Arc::new(());
    let root = Context::background().with_value(&HELD, held.clone()).unwrap();
    let (ctx, canceler) = root.with_cancel().unwrap();
    let linked = ctx.to_token().unwrap();
    let token = linked.clone();
    drop((root, ctx, linked));
    canceler.cancel();
    assert!(!token.is_cancelled(), "the tie is gone");
    drop(canceler);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_detached_token_is_tied_until_the_context_ends() {
    let held = Arc::new(());
    let root = Context::background().with_value(&HELD, held.clone()).unwrap();
    let (ctx, canceler) = root.with_cancel().unwrap();
    let token = ctx.to_token().unwrap().detach();
    drop((root, ctx));
    canceler.cancel();
    assert!(token.is_cancelled());
    drop(canceler);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_token_cancels_a_context() {
    let token = CancellationToken::new();
    let (parent, canceler) = Context::background().with_cancel().unwrap();
    let ctx = parent.with_token(&token.child_token()).unwrap();
    let other = parent.with_token(&CancellationToken::new()).unwrap();
    assert!(!ctx.is_done());
    token.cancel();
    assert_eq!(ctx.cause().unwrap().message(), "token canceled");
    assert!(!parent.is_done() && !other.is_done());
    assert!(parent.with_token(&token).unwrap().is_done());
    canceler.cancel();
    assert!(other.is_done());
}

#[test]
fn a_context_of_a_token_leaves_nothing_behind() {
    let held = Arc::new(());
    let token = CancellationToken::new();
    let root = Context::background().with_value(&HELD, held.clone()).unwrap();
    let ctx = root.with_token(&token).unwrap();
    drop(root);
    let (child, canceler) = ctx.with_cancel().unwrap();
    drop(ctx);
    assert_eq!(Arc::strong_count(&held), 2);
    drop((child, canceler));
    assert_eq!(Arc::strong_count(&held), 1, "freed, though the token lives");
    token.cancel();
}

#[test]
fn a_callback_may_use_the_token_and_drop_the_context() {
    let token = CancellationToken::new();
    let ctx = Context::background().with_token(&token).unwrap();
    let (same, own) = (token.clone(), ctx.clone());
    let ended = Context::background().with_cancel().unwrap();
    let end = ended.1;
    ctx.after_func(move |_| {
        same.cancel();
        assert!(same.is_cancelled());
        drop((same, own));
        end.cancel();
    })
    .unwrap();
    drop(ctx);
    token.cancel();
    assert!(ended.0.is_done());
}

#[test]
fn there_and_back_again() {
    let (first, canceler) = Context::background().with_cancel().unwrap();
    let token = first.to_token().unwrap();
    let second = Context::background().with_token(&token).unwrap();
    let third = second.to_token().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    thread::spawn(move || canceler.cancel());
    let all = async { (third.cancelled().await, second.done().await) };
    let limited = async { tokio::time::timeout(Duration::from_secs(60), all).await };
    let (_, ended) = runtime.block_on(limited).unwrap();
    assert!(ended.unwrap().is_canceled());
}

#[test]
fn a_token_that_is_canceled_already_ends_its_context_at_once() {
    let token = CancellationToken::new();
    token.cancel();
    let held = Arc::new(());
    let root = Context::background().with_value(&HELD, held.clone()).unwrap();
    let ctx = root.with_token(&token).unwrap();
    assert_eq!(ctx.cause().unwrap().message(), "token canceled");
    assert!(ctx.value(&HELD).is_some());
    let (done, canceler) = root.with_cancel().unwrap();
    canceler.cancel_because("before");
    for token in [token, CancellationToken::new()] {
        assert_eq!(done.with_token(&token).unwrap().cause().unwrap().message(), "before");
    }
    drop((root, ctx, done, canceler));
    assert_eq!(Arc::strong_count(&held), 1);
}

/// The child holds its parent, and with that what waits for the token.
#[test]
fn a_context_of_a_token_ends_though_only_a_child_of_it_is_held() {
    let token = CancellationToken::new();
    let (child, _canceler) =
        Context::background().with_token(&token).unwrap().with_cancel().unwrap();
    let named = Context::background().with_token(&token).unwrap().with_name("a").unwrap();
    assert!(!child.is_done() && !named.is_done());
    token.cancel();
    assert!(child.is_done() && named.is_done());
}

#[test]
fn a_token_of_what_never_ends_is_never_canceled() {
    let token = Context::background().to_token().unwrap();
    let detached = Context::background().to_token().unwrap().detach();
    assert!(!token.is_cancelled() && !detached.is_cancelled());
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let child = ctx.to_token().unwrap().child_token();
    drop(ctx);
    canceler.cancel();
    assert!(!child.is_cancelled(), "the tie was dropped");
}

/// Dropping the tie is no cancel.
#[test]
fn a_tie_that_is_dropped_leaves_the_token_as_it_is() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let linked = ctx.to_token().unwrap();
    let token: CancellationToken = (*linked).clone();
    drop(linked);
    assert!(!token.is_cancelled());
    canceler.cancel();
    assert!(!token.is_cancelled());
}
