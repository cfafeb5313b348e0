// SPDX-License-Identifier: MIT
//! Wakers whose own code does something as they are cloned or called: the library holds no lock then.

use crate::{WATCHDOG, counting, woken};
use libctx::{Context, Done};
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{self, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;

/// A waker that runs a closure each time it is cloned, and does nothing else.
fn clones(run: impl Fn() + Send + Sync + 'static) -> Waker {
    type Run = Box<dyn Fn() + Send + Sync>;
    const TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, wake);
    fn raw(run: Arc<Run>) -> RawWaker {
        RawWaker::new(Arc::into_raw(run).cast(), &TABLE)
    }
    unsafe fn clone(data: *const ()) -> RawWaker {
        // SAFETY: the data is an Arc's, of which a reference is added.
        let run = unsafe {
            Arc::increment_strong_count(data.cast::<Run>());
            Arc::from_raw(data.cast::<Run>())
        };
        run();
        raw(run)
    }
    unsafe fn wake(data: *const ()) {
        // SAFETY: the data is an Arc's, whose reference this gives back.
        drop(unsafe { Arc::from_raw(data.cast::<Run>()) });
    }
    unsafe fn wake_by_ref(_: *const ()) {}
    // SAFETY: the functions keep the contract of a waker.
    unsafe { Waker::from_raw(raw(Arc::new(Box::new(run)))) }
}

fn poll(done: &mut Done, waker: &Waker) -> bool {
    Pin::new(done).poll(&mut task::Context::from_waker(waker)).is_ready()
}

/// Runs a body on another thread, and fails if it does not end.
fn ends(body: impl FnOnce() + Send + 'static) {
    let (tell, told) = channel();
    let thread = thread::spawn(move || {
        body();
        tell.send(()).unwrap();
    });
    let ended = told.recv_timeout(WATCHDOG);
    assert!(ended != Err(std::sync::mpsc::RecvTimeoutError::Timeout), "it hangs");
    thread.join().unwrap();
}

#[test]
fn a_waker_may_end_the_context_as_it_is_cloned() {
    ends(|| {
        for polls_before in [0, 1, 2] {
            let (ctx, canceler) = Context::background().with_cancel().unwrap();
            let mut done = ctx.done();
            for _ in 0..polls_before {
                assert!(!poll(&mut done, Waker::noop()));
            }
            let waker = clones(move || {
                canceler.cancel_because("cloned");
            });
            assert!(poll(&mut done, &waker));
            assert_eq!(ctx.cause().unwrap().message(), "cloned");
        }
    });
}

/// An executor's waker may wait for a poll that is under way, and that poll for no waker.
#[test]
fn a_poll_does_not_wait_for_a_waker_that_runs() {
    struct Waits(Sender<()>, Mutex<Receiver<()>>, Sender<bool>);
    impl Wake for Waits {
        fn wake(self: Arc<Self>) {
            self.0.send(()).unwrap();
            let polled = self.1.lock().unwrap().recv_timeout(WATCHDOG).is_ok();
            self.2.send(polled).unwrap();
        }
    }
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let ((begin, begun), (go_on, goes_on), (tell, told)) = (channel(), channel(), channel());
    let mut done = ctx.done();
    let waits = Arc::new(Waits(begin, Mutex::new(goes_on), tell));
    assert!(!poll(&mut done, &Waker::from(waits)));
    let (begun, canceling) = (Mutex::new(begun), Mutex::new(Some(canceler)));
    // Between the first look of this poll and its last, another thread ends the context, and is inside the waker.
    let waker = clones(move || {
        if let Some(canceler) = canceling.lock().unwrap().take() {
            thread::spawn(move || canceler.cancel());
            begun.lock().unwrap().recv_timeout(WATCHDOG).unwrap();
        }
    });
    assert!(poll(&mut done, &waker));
    go_on.send(()).unwrap();
    assert!(told.recv_timeout(2 * WATCHDOG).unwrap());
}

/// Whom a context wakes sees it done.
#[test]
fn a_waker_may_poll_the_future_that_it_wakes() {
    struct Polls(Mutex<Option<Done>>, Sender<bool>);
    impl Wake for Polls {
        fn wake(self: Arc<Self>) {
            let mut done = self.0.lock().unwrap().take().unwrap();
            self.1.send(poll(&mut done, Waker::noop())).unwrap();
        }
    }
    ends(|| {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        let (tell, told) = channel();
        let polls = Arc::new(Polls(Mutex::new(None), tell));
        let mut done = ctx.done();
        assert!(!poll(&mut done, &Waker::from(polls.clone())));
        *polls.0.lock().unwrap() = Some(done);
        assert!(canceler.cancel());
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [true]);
    });
}

#[test]
fn each_future_of_a_context_wakes_its_own_task_once() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let counts: Vec<_> = (0..3).map(|_| counting().0).collect();
    let mut all: Vec<_> = counts.iter().map(|_| ctx.done()).collect();
    for (done, counts) in all.iter_mut().zip(&counts) {
        let waker = Waker::from(counts.clone());
        for _ in 0..5 {
            assert!(!poll(done, &waker));
        }
        drop(waker);
        assert_eq!(Arc::strong_count(counts), 2, "one waker is held, however often it is polled");
    }
    drop(all.pop());
    canceler.cancel();
    let woken: Vec<_> = counts.iter().map(|counts| woken(counts)).collect();
    assert_eq!(woken, [1, 1, 0]);
    assert!(counts.iter().all(|counts| Arc::strong_count(counts) == 1));
}

#[test]
fn a_waker_is_woken_before_the_callbacks_of_its_end() {
    struct Sends(Sender<&'static str>);
    impl Wake for Sends {
        fn wake(self: Arc<Self>) {
            self.0.send("woken").unwrap();
        }
    }
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (tell, told) = channel();
    let called = tell.clone();
    ctx.after_func(move |_| called.send("called").unwrap()).unwrap();
    let mut done = ctx.done();
    assert!(!poll(&mut done, &Waker::from(Arc::new(Sends(tell)))));
    canceler.cancel();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["woken", "called"]);
}
