// SPDX-License-Identifier: MIT
//! Closures that C calls: where and when they run, and what becomes of a panic.

use super::next;
use libctx::{Cause, Context, Key, Loop, set_panic_reporter};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[test]
fn a_callback_runs_once_on_the_thread_that_cancels() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (tell, told) = channel();
    ctx.after_func(move |ctx| tell.send((thread::current().id(), ctx.is_done())).unwrap()).unwrap();
    assert!(told.try_recv().is_err());
    canceler.cancel();
    canceler.cancel();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [(thread::current().id(), true)]);
}

#[test]
fn a_callback_of_a_done_context_runs_at_once() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    canceler.cancel();
    let (tell, told) = channel();
    let watch = ctx.after_func(move |_| tell.send(()).unwrap()).unwrap();
    assert!(told.try_recv().is_ok());
    assert!(!watch.stop());
}

#[test]
fn a_deferred_callback_runs_on_the_librarys_thread() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (tell, told) = channel();
    let lock = Arc::new(Mutex::new(()));
    let taken = lock.clone();
    ctx.after_func_deferred(move |_| {
        let _guard = taken.lock().unwrap(); // which the canceling thread holds
        let thread = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
        tell.send(thread).unwrap();
    })
    .unwrap();
    let guard = lock.lock().unwrap();
    canceler.cancel();
    drop(guard);
    assert_eq!(next(&told).trim(), "ctx-calls");
}

#[test]
fn after_a_deadline_a_callback_runs_on_the_librarys_thread_for_callbacks() {
    let here = thread::current().id();
    let mut time = Duration::from_millis(1);
    loop {
        let (soon, _canceler) = Context::background().with_timeout(time).unwrap();
        let (tell, told) = channel();
        soon.after_func(move |_| {
            let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
            tell.send((thread::current().id(), name)).unwrap();
        })
        .unwrap();
        let (id, name) = next(&told);
        if id != here {
            assert_eq!(name.trim(), "ctx-calls");
            return;
        }
        time *= 2; // it was over before the callback was armed, which then ran at once
    }
}

#[test]
fn background_alone_is_not_cancelable() {
    let (ctx, _canceler) = Context::background().with_timeout(Duration::from_secs(3600)).unwrap();
    assert!(ctx.is_cancelable() && !Context::background().is_cancelable());
}

#[test]
fn callbacks_may_use_the_library() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (other, other_canceler) = Context::background().with_cancel().unwrap();
    let (tell, told) = channel();
    ctx.after_func(move |ctx| {
        other_canceler.cancel_with(&ctx.cause().unwrap());
        let (below, _canceler) = ctx.with_cancel().unwrap();
        ctx.after_func(move |_| tell.send(below.is_done()).unwrap()).unwrap();
    })
    .unwrap();
    canceler.cancel_because("passed on");
    assert!(next(&told));
    assert_eq!(other.cause().unwrap().message(), "passed on");
}

#[test]
fn stop_wait_waits_for_a_callback_that_runs() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (begun, begins) = channel();
    let (go_on, goes_on) = channel::<()>();
    let ended = Arc::new(Mutex::new(false));
    let ends = ended.clone();
    let watch = ctx
        .after_func(move |_| {
            begun.send(()).unwrap();
            next(&goes_on);
            *ends.lock().unwrap() = true;
        })
        .unwrap();
    let canceling = thread::spawn(move || canceler.cancel());
    next(&begins);
    assert!(!watch.stop()); // too late, and does not wait
    assert!(!*ended.lock().unwrap());
    go_on.send(()).unwrap();
    assert!(!watch.stop_wait());
    assert!(*ended.lock().unwrap());
    assert_eq!(Arc::strong_count(&ended), 1); // the closure is gone
    assert!(canceling.join().unwrap());
}

#[test]
fn a_callback_of_a_virtual_deadline_runs_in_advance() {
    let clock = Loop::virtual_time().unwrap();
    let root = clock.background().unwrap();
    let (tell, told) = channel();
    for seconds in [3, 1, 2] {
        let (ctx, _) = root.with_timeout(Duration::from_secs(seconds)).unwrap();
        let tell: Sender<_> = tell.clone();
        ctx.after_func(move |ctx| tell.send(ctx.now().as_secs()).unwrap()).unwrap();
    }
    assert_eq!(clock.advance(Duration::from_secs(10)).unwrap(), 3);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
}

/// One test for all of it, since the reporter is the process's.
#[test]
fn panics_are_caught_and_reported_wherever_they_come_from() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("bomb in a destructor");
        }
    }
    static BOMB: Key<Bomb> = Key::new(c"bomb");
    let (tell, told) = channel();
    set_panic_reporter(move |panic| {
        if panic.message().starts_with("bomb") || panic.payload().is::<u32>() {
            tell.send(format!("{}: {}", panic.place(), panic.message())).unwrap();
        }
        if panic.message() == "bomb twice" {
            panic!("in the reporter itself");
        }
    });
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    ctx.after_func(|_| panic!("bomb")).unwrap();
    ctx.after_func(|ctx| panic!("bomb {}", ctx.is_done())).unwrap();
    ctx.after_func(|_| std::panic::panic_any(7_u32)).unwrap();
    ctx.after_func(|_| std::panic::panic_any(Bomb)).unwrap(); // the payload explodes when it is dropped
    ctx.after_func(|_| panic!("bomb twice")).unwrap();
    let (ran, runs) = channel();
    ctx.after_func(move |_| ran.send(()).unwrap()).unwrap();
    assert!(canceler.cancel());
    assert!(runs.try_recv().is_ok(), "later callbacks run all the same");
    assert!(ctx.is_done());
    drop(Context::background().with_value(&BOMB, Bomb).unwrap());
    drop(Cause::with_data(0, "", &BOMB, Bomb).unwrap());

    let place = "a callback of after_func";
    let expected = [
        format!("{place}: bomb"),
        format!("{place}: bomb true"),
        format!("{place}: no message"),
        format!("{place}: bomb twice"),
        "a destructor: bomb in a destructor".to_string(),
        "a destructor: bomb in a destructor".to_string(),
    ];
    assert_eq!(told.try_iter().collect::<Vec<_>>(), expected);

    // A reporter runs with no lock held: it may set the next one.
    let (tell, told) = channel();
    set_panic_reporter(move |_| {
        let tell = tell.clone();
        set_panic_reporter(move |panic| {
            let _ = tell.send(panic.message().to_string());
        });
    });
    for _ in 0..2 {
        drop(Context::background().with_value(&BOMB, Bomb).unwrap());
    }
    assert!(told.try_iter().any(|message| message == "bomb in a destructor"));

    // A reporter goes with no lock held: what it holds may panic, and that is reported to the new one.
    let held = Context::background().with_value(&BOMB, Bomb).unwrap();
    set_panic_reporter(move |_| drop(held.clone()));
    let (tell, told) = channel();
    set_panic_reporter(move |panic| {
        eprintln!("{}: {}", panic.place(), panic.message());
        let _ = tell.send(panic.message().to_string()); // after this test nobody listens
    });
    assert!(told.try_iter().any(|message| message == "bomb in a destructor"));
}
