// SPDX-License-Identifier: MIT
//! What Rust hands over is dropped once: when it was used, when it was not, and when it was refused.

use super::{Drops, next};
use libctx::{Cause, Context, Key, Loop};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

static VALUE: Key<super::Counted> = Key::new(c"value");
static TOUCHY: Key<PanicsInDrop> = Key::new(c"touchy");

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("a destructor that fails");
    }
}

#[test]
fn a_value_is_dropped_with_the_last_context_that_sees_it() {
    let drops = Drops::default();
    let ctx = Context::background().with_value(&VALUE, drops.counted()).unwrap();
    let (child, canceler) = ctx.with_cancel().unwrap();
    canceler.cancel(); // values outlive cancel
    drop((ctx, canceler));
    assert_eq!(drops.count(), 0);
    drop(child);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_value_is_dropped_on_the_thread_that_lets_go_last() {
    let (tell, told) = channel();
    struct Tells(std::sync::mpsc::Sender<thread::ThreadId>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }
    static TELLS: Key<std::sync::Mutex<Tells>> = Key::new(c"tells");
    let ctx = Context::background().with_value(&TELLS, Tells(tell).into()).unwrap();
    let other = thread::spawn(move || drop(ctx));
    let id = other.thread().id();
    other.join().unwrap();
    assert_eq!(next(&told), id);
}

#[test]
fn a_causes_data_is_dropped_with_the_last_reference() {
    let drops = Drops::default();
    let cause = Cause::with_data(1, "with data", &VALUE, drops.counted()).unwrap();
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    canceler.cancel_with(&cause);
    let same = cause.clone();
    drop(cause);
    drop((ctx, canceler));
    assert_eq!(drops.count(), 0);
    drop(same);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_callback_is_dropped_after_it_ran() {
    let drops = Drops::default();
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let counted = drops.counted();
    let _watch = ctx.after_func(move |_| drop(counted)).unwrap();
    canceler.cancel();
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_callback_that_was_stopped_is_dropped_by_the_stop() {
    let drops = Drops::default();
    let (ctx, _canceler) = Context::background().with_cancel().unwrap();
    let counted = drops.counted();
    let watch = ctx.after_func(move |_| drop(counted)).unwrap();
    assert!(watch.stop());
    assert_eq!(drops.count(), 1);
    assert!(!watch.stop());
}

#[test]
fn a_stop_that_waits_prevents_and_drops_as_any_other() {
    let drops = Drops::default();
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let counted = drops.counted();
    let watch = ctx.after_func(move |_| drop(counted)).unwrap();
    assert!(watch.stop_wait());
    assert_eq!(drops.count(), 1);
    assert!(!watch.stop_wait() && !watch.stop());
    canceler.cancel();
    assert!(!watch.stop_wait());
}

#[test]
fn a_callback_is_dropped_with_a_watch_that_can_never_fire() {
    let drops = Drops::default();
    let counted = drops.counted();
    let watch = Context::background().after_func(move |_| drop(counted)).unwrap();
    drop(watch);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_callback_of_a_loop_that_goes_runs_and_is_dropped() {
    let drops = Drops::default();
    let gone = Loop::virtual_time().unwrap();
    let root = gone.background().unwrap();
    let (ctx, _canceler) = root.with_timeout(Duration::from_secs(1)).unwrap();
    let counted = drops.counted();
    ctx.after_func(move |_| drop(counted)).unwrap();
    drop(gone); // closes: the callback runs here
    assert_eq!(drops.count(), 1);
    assert!(ctx.is_done());
}

#[test]
fn a_panic_in_a_destructor_stays_there() {
    drop(Context::background().with_value(&TOUCHY, PanicsInDrop).unwrap());
    drop(Cause::with_data(1, "touchy", &TOUCHY, PanicsInDrop).unwrap());
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let touchy = PanicsInDrop;
    let watch = ctx.after_func(move |_| drop(touchy)).unwrap();
    assert!(watch.stop());
    assert!(canceler.cancel());
}
