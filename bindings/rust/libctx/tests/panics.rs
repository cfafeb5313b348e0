// SPDX-License-Identifier: MIT
//! A panic in code that C calls stops there, and is told: by default on standard error, else to the reporter. A process
//! has one reporter, so the tests take turns.
#![allow(missing_docs)]

use libctx::{Context, Key, Loop, set_panic_reporter};
use std::panic::{panic_any, resume_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Task, Wake, Waker};
use std::time::Duration;
use std::{env, pin::pin, thread};

const WATCHDOG: Duration = Duration::from_secs(60);
const ALONE: &str = "LIBCTX_TEST_ALONE";

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where each panic from now on was, what it said, and on which thread it is told.
fn reports() -> Receiver<(String, String, thread::ThreadId)> {
    let (tell, told) = channel();
    set_panic_reporter(move |panic| {
        let (place, message) = (panic.place().to_string(), panic.message().to_string());
        let _ = tell.send((place, message, thread::current().id()));
    });
    told
}

struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        resume_unwind(Box::new(self.0));
    }
}

#[test]
fn without_a_reporter_a_panic_is_a_line_on_standard_error() {
    if env::var_os(ALONE).is_some() {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        ctx.after_func(|_| resume_unwind(Box::new("a mistake"))).unwrap();
        ctx.after_func(|_| resume_unwind(Box::new(7))).unwrap();
        assert!(canceler.cancel());
        return;
    }
    let name = "without_a_reporter_a_panic_is_a_line_on_standard_error";
    let this = env::current_exe().unwrap();
    let mut child = Command::new(this);
    let ended = child.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let lines = String::from_utf8(ended.stderr).unwrap();
    let lines: Vec<_> = lines.lines().filter(|line| line.starts_with("libctx")).collect();
    let place = "libctx: caught a panic in a callback of after_func";
    assert_eq!(lines, [format!("{place}: a mistake"), format!("{place}: no message")]);
}

#[test]
fn each_place_has_its_name_and_is_told_on_the_thread_of_the_panic() {
    let _turn = turn();
    let told = reports();
    let here = thread::current().id();
    let expect = |place: &str, message: &str| {
        let (at, said, thread) = told.recv_timeout(WATCHDOG).unwrap();
        assert_eq!((&*at, &*said), (place, message));
        thread
    };
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    ctx.after_func(|_| resume_unwind(Box::new(String::from("a text of its own")))).unwrap();
    canceler.cancel();
    assert_eq!(expect("a callback of after_func", "a text of its own"), here);
    let (ctx, _canceler) = Context::background().with_cancel().unwrap();
    let bomb = Bomb("a closure that goes");
    let watch = ctx.after_func(move |_| drop(bomb)).unwrap();
    assert!(watch.stop());
    assert_eq!(expect("the destructor of a callback", "a closure that goes"), here);
    static BOMB: Key<Bomb> = Key::new(c"bomb");
    drop(Context::background().with_value(&BOMB, Bomb("a value that goes")).unwrap());
    assert_eq!(expect("a destructor", "a value that goes"), here);
    struct Wakes;
    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new("a waker that fails"));
        }
    }
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (waker, mut done) = (Waker::from(Arc::new(Wakes)), pin!(ctx.done()));
    assert!(done.as_mut().poll(&mut Task::from_waker(&waker)).is_pending());
    canceler.cancel();
    assert_eq!(expect("a waker", "a waker that fails"), here);
    let failing = |_| resume_unwind(Box::new("an executor that fails"));
    let own = Loop::builder().executor(failing).threaded().unwrap();
    let (ctx, canceler) = own.background().unwrap().with_cancel().unwrap();
    ctx.after_func_deferred(|_| ()).unwrap();
    canceler.cancel();
    assert_ne!(expect("an executor", "an executor that fails"), here);
    assert!(told.try_recv().is_err(), "each is told once");
}

/// If that panics without end, the last payload is forgotten.
#[test]
fn a_payload_is_dropped_however_often_that_panics() {
    let _turn = turn();
    struct Again(Arc<AtomicUsize>, usize);
    impl Drop for Again {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
            if self.1 > 0 {
                resume_unwind(Box::new(Again(self.0.clone(), self.1 - 1)));
            }
        }
    }
    for (depth, most) in [(0, 1), (1, 2), (50, 51), (usize::MAX, 1000)] {
        let told = reports();
        let drops = Arc::<AtomicUsize>::default();
        let payload = Again(drops.clone(), depth);
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        ctx.after_func(move |_| resume_unwind(Box::new(payload))).unwrap();
        assert!(canceler.cancel());
        assert_eq!(told.try_iter().count(), 1);
        let drops = drops.load(SeqCst);
        assert!((1..=most).contains(&drops) && (depth > most || drops == most), "{drops}");
    }
}

#[test]
fn a_reporter_that_panics_stops_nothing_whatever_it_panics_with() {
    let _turn = turn();
    let told = Arc::<AtomicUsize>::default();
    let tell = told.clone();
    set_panic_reporter(move |_| {
        tell.fetch_add(1, SeqCst);
        panic_any(Bomb("of the reporter"));
    });
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let ran = Arc::<AtomicUsize>::default();
    for _ in 0..3 {
        let ran = ran.clone();
        let fails = move |_: &Context| {
            ran.fetch_add(1, SeqCst);
            resume_unwind(Box::new("of the callback"));
        };
        ctx.after_func(fails).unwrap();
    }
    assert!(canceler.cancel());
    assert_eq!((ran.load(SeqCst), told.load(SeqCst)), (3, 3));
    drop(reports());
}

#[test]
fn a_reporter_is_dropped_when_the_next_comes() {
    let _turn = turn();
    let held = Arc::new(());
    let holds = held.clone();
    set_panic_reporter(move |_| drop(holds.clone()));
    assert_eq!(Arc::strong_count(&held), 2);
    drop(reports());
    assert_eq!(Arc::strong_count(&held), 1);
}
