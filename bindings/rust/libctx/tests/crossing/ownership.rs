// SPDX-License-Identifier: MIT
//! Handles: who holds what, across from_raw and into_raw, and what a bad handle is.

use super::Drops;
use libctx::{CancelGuard, Canceler, Cause, Context, ErrorKind, Key, Loop, Queue, sys};
use std::collections::HashSet;
use std::ptr;

static HELD: Key<super::Counted> = Key::new(c"held");

#[test]
fn a_clone_is_the_same_context_and_keeps_it() {
    let drops = Drops::default();
    let ctx = Context::background().with_value(&HELD, drops.counted()).unwrap();
    let again = ctx.clone();
    assert_eq!(again, ctx);
    drop(ctx);
    assert_eq!(drops.count(), 0);
    drop(again);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_child_keeps_what_it_can_see_of_its_parent() {
    let drops = Drops::default();
    let parent = Context::background().with_value(&HELD, drops.counted()).unwrap();
    let (child, canceler) = parent.with_cancel().unwrap();
    drop(parent);
    drop(canceler);
    assert!(child.value(&HELD).is_some());
    assert_eq!(drops.count(), 0);
    drop(child);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_canceler_keeps_its_context() {
    let drops = Drops::default();
    let parent = Context::background().with_value(&HELD, drops.counted()).unwrap();
    let (child, canceler) = parent.with_cancel().unwrap();
    drop((parent, child));
    assert_eq!(drops.count(), 0);
    let same = canceler.clone();
    drop(canceler);
    assert_eq!(drops.count(), 0);
    assert!(same.cancel());
    drop(same);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_child_that_is_let_go_is_freed_though_nobody_canceled_it() {
    let drops = Drops::default();
    let (parent, _canceler) = Context::background().with_cancel().unwrap();
    drop(parent.with_value(&HELD, drops.counted()).unwrap().with_cancel().unwrap());
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_queue_holds_a_context_until_its_event_is_drained() {
    let drops = Drops::default();
    let (parent, canceler) = Context::background().with_cancel().unwrap();
    let queue = Queue::new().unwrap();
    queue.add(&parent.with_value(&HELD, drops.counted()).unwrap(), 1).unwrap();
    canceler.cancel();
    assert_eq!(drops.count(), 0);
    assert_eq!(queue.drain(&mut [libctx::Event::default(); 2]).unwrap().len(), 1);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_queue_that_goes_lets_go_of_its_contexts() {
    let drops = Drops::default();
    let (parent, _canceler) = Context::background().with_cancel().unwrap();
    let queue = Queue::new().unwrap();
    queue.add(&parent.with_value(&HELD, drops.counted()).unwrap(), 1).unwrap();
    let same = queue.clone();
    drop(queue);
    assert_eq!(drops.count(), 0);
    drop(same);
    assert_eq!(drops.count(), 1);
}

#[test]
fn raw_handles_take_their_reference_along() {
    let drops = Drops::default();
    let parent = Context::background().with_value(&HELD, drops.counted()).unwrap();
    let (ctx, canceler) = parent.with_cancel().unwrap();
    drop(parent);
    let (ctx, canceler) = (ctx.into_raw(), canceler.into_raw());
    assert_eq!(drops.count(), 0);
    // SAFETY: both handles own a reference, and are not used again.
    let (ctx, canceler) = unsafe { (Context::from_raw(ctx), Canceler::from_raw(canceler)) };
    let (ctx, canceler) = (ctx.unwrap(), canceler.unwrap());
    // SAFETY: the handles stay those of `ctx` and `canceler`, which live on.
    let more = unsafe {
        (Context::clone_from_raw(ctx.as_raw()), Canceler::clone_from_raw(canceler.as_raw()))
    };
    assert!(more.1.unwrap().cancel());
    assert!(more.0.unwrap().is_done());
    drop(ctx);
    assert_eq!(drops.count(), 0);
    drop(canceler);
    assert_eq!(drops.count(), 1);

    let cause = Cause::with_data(1, "with data", &HELD, drops.counted()).unwrap().into_raw();
    // SAFETY: the handle owns a reference, and is not used again but for what it still owns.
    let (again, cause) = unsafe { (Cause::clone_from_raw(cause), Cause::from_raw(cause)) };
    assert_eq!(cause.unwrap().message(), "with data");
    assert_eq!(drops.count(), 1);
    drop(again);
    assert_eq!(drops.count(), 2);
}

#[test]
fn what_c_made_is_used_as_what_rust_made() {
    let (mut ctx, mut canceler) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the root is valid, and the results are written to the two variables.
    let made = unsafe { sys::ctx_with_cancel(sys::ctx_background(), &mut ctx, &mut canceler) };
    assert_eq!(made, 0);
    // SAFETY: both are ours.
    let (ctx, canceler) = unsafe { (Context::from_raw(ctx), Canceler::from_raw(canceler)) };
    assert!(canceler.unwrap().cancel());
    assert!(ctx.unwrap().is_done());
}

#[test]
fn bad_handles_are_errors_and_nothing_is_taken() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    // SAFETY: NULL, or valid handles of the other kind, of which the functions take nothing.
    unsafe {
        let kind = |result: libctx::Result<Context>| result.unwrap_err().kind();
        assert_eq!(kind(Context::from_raw(ptr::null_mut())), ErrorKind::InvalidInput);
        assert_eq!(kind(Context::clone_from_raw(ptr::null_mut())), ErrorKind::InvalidInput);
        assert_eq!(kind(Context::from_raw(canceler.as_raw().cast())), ErrorKind::InvalidInput);
        let kind = |result: libctx::Result<Canceler>| result.unwrap_err().kind();
        assert_eq!(kind(Canceler::from_raw(ptr::null_mut())), ErrorKind::InvalidInput);
        assert_eq!(kind(Canceler::from_raw(ctx.as_raw().cast())), ErrorKind::InvalidInput);
        let kind = |result: libctx::Result<Cause>| result.unwrap_err().kind();
        assert_eq!(kind(Cause::from_raw(ptr::null())), ErrorKind::InvalidInput);
        assert_eq!(kind(Cause::from_raw(ctx.as_raw().cast())), ErrorKind::InvalidInput);
    }
    assert!(canceler.cancel());
    assert!(ctx.is_done());
}

#[test]
fn a_guard_cancels_when_it_is_dropped_unless_disarmed() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let guard = canceler.guard();
    let canceler = guard.disarm();
    assert!(!ctx.is_done());
    let guard = canceler.guard();
    ctx.after_func(|_| panic!("while a panic goes on")).unwrap();
    let body = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _guard = guard;
        std::panic::resume_unwind(Box::new("out of the scope"));
    }));
    assert!(body.is_err());
    assert!(ctx.is_done());
}

#[test]
#[ignore = "leaks, to show that valgrind would see a leak"]
fn a_leak() {
    let _ = Cause::new(0, "let go of, but not given back").unwrap().into_raw();
}

/// Sets and maps of handles: the same handle is found again, and no other.
#[test]
fn handles_are_equal_if_they_are_of_the_same_object() {
    fn check<T: Clone + Eq + std::hash::Hash>(one: T, other: T) {
        assert!(one == one.clone() && one != other);
        let set: HashSet<T> = [one.clone(), one.clone(), other].into();
        assert!(set.len() == 2 && set.contains(&one));
    }
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (other, its_canceler) = Context::background().with_cancel().unwrap();
    canceler.cancel_because("why");
    its_canceler.cancel_because("why");
    check(ctx.ended().unwrap(), other.ended().unwrap());
    check(ctx.cause().unwrap(), other.cause().unwrap());
    check(canceler, its_canceler);
    check(ctx.clone(), other);
    check(Context::background(), Context::todo());
    check(Queue::new().unwrap(), Queue::new().unwrap());
    check(Loop::manual().unwrap(), Loop::manual().unwrap());
    let below = ctx.with_string("a", "b").unwrap();
    assert!(below != ctx, "another context, though it ends with that one");
    assert_eq!(below.ended(), ctx.ended());
}

#[test]
fn a_guard_cancels_when_it_is_dropped_and_says_why() {
    let guarded = |guard: fn(Canceler) -> CancelGuard| {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        let guard = guard(canceler);
        assert!(!ctx.is_done());
        drop(guard);
        ctx.ended().unwrap()
    };
    assert!(!guarded(Canceler::guard).cause().is_given());
    let because = guarded(|canceler| canceler.guard_because("the request is over"));
    assert_eq!(because.cause().message(), "the request is over");
    let cause = |canceler: Canceler| canceler.guard_with(&Cause::new(7, "of a caller").unwrap());
    assert_eq!(guarded(cause).cause().code(), 7);

    // What was canceled before keeps its cause; what is disarmed lives on.
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let guard = canceler.guard_because("too late");
    guard.cancel_because("first");
    drop(guard);
    assert_eq!(ctx.cause().unwrap().message(), "first");
    let drops = Drops::default();
    let root = Context::background().with_value(&HELD, drops.counted()).unwrap();
    let (ctx, canceler) = root.with_cancel().unwrap();
    let canceler = canceler.guard_because("never").disarm();
    assert!(!ctx.is_done());
    assert!(canceler.cancel());
    drop((root, ctx, canceler));
    assert_eq!(drops.count(), 1, "the guard keeps nothing");
}
