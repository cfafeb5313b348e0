// SPDX-License-Identifier: MIT
//! `Done` under wakers that count, change, panic, and drop the future they wake.

use crate::{counting, woken};
use libctx::{Canceler, Context, Done, Ended, Key};
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{self, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

fn poll(done: &mut Done, waker: &Waker) -> Poll<libctx::Result<Ended>> {
    Pin::new(done).poll(&mut task::Context::from_waker(waker))
}

#[test]
fn it_is_pending_until_the_context_is_done_and_ready_for_ever_after() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (counts, waker) = counting();
    let mut done = ctx.done();
    assert!(poll(&mut done, &waker).is_pending());
    assert_eq!(woken(&counts), 0);
    canceler.cancel_because("enough");
    assert_eq!(woken(&counts), 1);
    for _ in 0..2 {
        let Poll::Ready(ended) = poll(&mut done, &waker) else { panic!("not ready") };
        assert_eq!(ended.unwrap().cause().message(), "enough");
    }
    assert_eq!(woken(&counts), 1);
}

#[test]
fn a_done_context_is_ready_at_once_and_wakes_nobody() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    canceler.cancel();
    let (counts, waker) = counting();
    assert!(poll(&mut ctx.done(), &waker).is_ready());
    assert_eq!((woken(&counts), Arc::strong_count(&counts)), (0, 2));
}

struct Sends(Sender<()>);

impl Wake for Sends {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

/// Somebody else's callback, first in line on the same context, blocks until the future is woken.
#[test]
fn it_is_never_behind_somebody_elses_callback() {
    for by_deadline in [true, false] {
        let time = if by_deadline { Duration::from_millis(1) } else { crate::HOUR };
        let (ctx, canceler) = Context::background().with_timeout(time).unwrap();
        let ((wake, woken), (tell, told)) = (channel(), channel());
        let blocks = move |_: &_| tell.send(woken.recv_timeout(crate::WATCHDOG)).unwrap();
        // After a deadline it runs on the library's thread; it must do so also if the millisecond is over now.
        if by_deadline {
            ctx.after_func_deferred(blocks).unwrap();
        } else {
            ctx.after_func(blocks).unwrap();
        }
        let waker = Waker::from(Arc::new(Sends(wake.clone())));
        let mut done = ctx.done();
        if poll(&mut done, &waker).is_ready() {
            wake.send(()).unwrap(); // the millisecond was over before
        }
        if !by_deadline {
            canceler.cancel();
        }
        assert!(told.recv_timeout(2 * crate::WATCHDOG).unwrap().is_ok());
        assert!(poll(&mut done, &waker).is_ready());
    }
}

#[test]
fn polled_with_another_waker_it_wakes_that_one() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let ((first, first_waker), (second, second_waker)) = (counting(), counting());
    let mut done = ctx.done();
    assert!(poll(&mut done, &first_waker).is_pending());
    assert!(poll(&mut done, &second_waker).is_pending());
    assert_eq!(Arc::strong_count(&first), 2, "the first waker has been let go");
    canceler.cancel();
    assert_eq!((woken(&first), woken(&second)), (0, 1));
}

#[test]
fn dropped_it_wakes_nobody_and_holds_nothing() {
    static HELD: Key<Arc<()>> = Key::new(c"held");
    let held = Arc::new(());
    let (parent, canceler) = Context::background().with_cancel().unwrap();
    let ctx = parent.with_value(&HELD, held.clone()).unwrap();
    let (counts, waker) = counting();
    let mut done = ctx.done();
    assert!(poll(&mut done, &waker).is_pending());
    drop(ctx);
    assert_eq!((Arc::strong_count(&counts), Arc::strong_count(&held)), (3, 2));
    drop(done);
    assert_eq!((Arc::strong_count(&counts), Arc::strong_count(&held)), (2, 1));
    canceler.cancel();
    assert_eq!(woken(&counts), 0);
}

#[test]
fn on_a_context_that_never_ends_it_waits_for_ever_and_keeps_no_thread() {
    let (counts, waker) = counting();
    let mut done = Context::background().done();
    assert!(poll(&mut done, &waker).is_pending());
    drop(done);
    assert_eq!((woken(&counts), Arc::strong_count(&counts)), (0, 2));
}

#[test]
fn a_waker_may_drop_the_future_it_wakes() {
    struct Drops(Mutex<Option<Done>>);
    impl Wake for Drops {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
        }
    }
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let holder = Arc::new(Drops(Mutex::new(Some(ctx.done()))));
    let waker = Waker::from(holder.clone());
    assert!(poll(holder.0.lock().unwrap().as_mut().unwrap(), &waker).is_pending());
    canceler.cancel();
    assert!(holder.0.lock().unwrap().is_none());
    drop(waker);
    assert_eq!(Arc::strong_count(&holder), 1);
}

#[test]
fn a_waker_that_is_let_go_may_end_the_context() {
    struct Cancels(Canceler);
    impl Wake for Cancels {
        fn wake(self: Arc<Self>) {
            drop(self); // which cancels, too
        }
    }
    impl Drop for Cancels {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (counts, waker) = counting();
    let mut done = ctx.done();
    assert!(poll(&mut done, &Waker::from(Arc::new(Cancels(canceler)))).is_pending());
    assert!(poll(&mut done, &waker).is_ready());
    assert_eq!(woken(&counts), 1);
}

#[test]
fn it_is_dropped_while_its_callback_runs_on_another_thread() {
    struct Blocks(Barrier, Barrier);
    impl Wake for Blocks {
        fn wake(self: Arc<Self>) {
            self.0.wait();
            self.1.wait();
        }
    }
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let blocks = Arc::new(Blocks(Barrier::new(2), Barrier::new(2)));
    let mut done = ctx.done();
    assert!(poll(&mut done, &Waker::from(blocks.clone())).is_pending());
    let canceling = thread::spawn(move || canceler.cancel());
    blocks.0.wait();
    drop(done); // does not wait
    blocks.1.wait();
    assert!(canceling.join().unwrap());
    assert_eq!(Arc::strong_count(&blocks), 1);
}

#[test]
fn a_waker_that_panics_does_not_stop_the_cancel() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("in a waker");
        }
    }
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (counts, waker) = counting();
    let (mut first, mut second) = (ctx.done(), ctx.done());
    assert!(poll(&mut first, &Waker::from(Arc::new(Panics))).is_pending());
    assert!(poll(&mut second, &waker).is_pending());
    assert!(canceler.cancel());
    assert_eq!(woken(&counts), 1);
}

/// Whatever the moment of the cancel: either a poll sees it, or the last waker is woken.
#[test]
fn no_wake_up_is_lost() {
    for round in 0..2000 {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        let start = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                canceler.cancel();
            });
            let mut done = ctx.done();
            start.wait();
            for _ in 0..round % 20 {
                std::hint::spin_loop();
            }
            let (_, early) = counting();
            let _ = poll(&mut done, &early);
            let (counts, waker) = counting();
            if poll(&mut done, &waker).is_pending() {
                ctx.wait().unwrap();
                let begin = Instant::now();
                while woken(&counts) == 0 {
                    thread::yield_now(); // the callback comes after the waiters: it does come
                    assert!(begin.elapsed() < crate::WATCHDOG, "it is woken");
                }
                assert!(poll(&mut done, &waker).is_ready());
            }
        });
    }
}
