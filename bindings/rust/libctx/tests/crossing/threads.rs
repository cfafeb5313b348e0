// SPDX-License-Identifier: MIT
//! Contexts go to other threads, and are shared between them.

use super::next;
use libctx::{CancelGuard, Canceler, Cause, Context, Done, Ended, Error, Key, Loop, Queue, Watch};
use std::cell::RefCell;
use std::sync::Barrier;
use std::sync::mpsc::channel;
use std::thread;

#[test]
fn everything_may_be_sent_and_shared() {
    fn both<T: Send + Sync + 'static>() {}
    both::<Context>();
    both::<Canceler>();
    both::<CancelGuard>();
    both::<Cause>();
    both::<Ended>();
    both::<Error>();
    both::<Key<*mut u8>>();
    both::<Watch>();
    both::<Done>();
    both::<Loop>();
    both::<Queue>();
    both::<libctx::Descriptor<Context>>();
    both::<libctx::Descriptor<Loop>>();
    both::<libctx::Descriptor<Queue>>();
    both::<libctx::Group>();
    both::<libctx::Piece>();
    both::<libctx::Task<()>>();
    both::<libctx::LoopBuilder>();
    both::<libctx::PollFd<'static>>();
    both::<(libctx::Event, libctx::Events, libctx::Origin, libctx::Signal, libctx::Place)>();
    #[cfg(feature = "tokio-util")]
    both::<libctx::LinkedToken>();
    fn sent<T: Send + 'static>() {}
    sent::<libctx::Work>();
    fn sent_if_the_future_is<F: Future + Send>(_: F) {}
    let (ctx, group) = (Context::background(), libctx::Group::new(&Context::background()));
    sent_if_the_future_is(ctx.run(async {}));
    sent_if_the_future_is(group.unwrap().done());
}

#[test]
fn a_wait_in_one_thread_ends_by_a_cancel_in_another() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (ready, begun) = channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            ready.send(()).unwrap();
            ctx.wait()
        });
        next(&begun);
        canceler.cancel_because("across");
        assert_eq!(waiter.join().unwrap().unwrap().cause().message(), "across");
    });
}

#[test]
fn of_many_cancels_at_once_one_wins() {
    for _ in 0..100 {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        let start = Barrier::new(4);
        let won: Vec<_> = thread::scope(|scope| {
            let cancel = |name: &'static str| {
                let (canceler, start) = (&canceler, &start);
                scope.spawn(move || {
                    start.wait();
                    canceler.cancel_because(name).then_some(name)
                })
            };
            let all = ["a", "b", "c", "d"].map(cancel);
            all.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(won.len(), 1);
        assert_eq!(ctx.cause().unwrap().message(), won[0]);
    }
}

#[test]
fn a_tree_is_derived_and_canceled_by_threads_at_once() {
    let (root, canceler) = Context::background().with_cancel().unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !root.is_done() {
                    let (child, own) = root.with_cancel().unwrap();
                    let (grandchild, _) = child.with_cancel().unwrap();
                    own.cancel();
                    assert!(grandchild.is_done());
                }
                assert!(root.with_cancel().unwrap().0.is_done());
            });
        }
        for _ in 0..1000 {
            drop(root.with_cancel().unwrap());
        }
        canceler.cancel();
    });
}

/// Thread locals go in no promised order with the library's own, which it must not mind.
#[test]
fn a_context_in_a_thread_local_goes_with_its_thread() {
    thread_local!(static KEPT: RefCell<Vec<Context>> = const { RefCell::new(Vec::new()) });
    struct UsesTheLibrary;
    impl Drop for UsesTheLibrary {
        fn drop(&mut self) {
            let (ctx, canceler) = Context::background().with_cancel().unwrap();
            assert!(canceler.cancel() && ctx.is_done());
        }
    }
    static VALUE: Key<(super::Counted, UsesTheLibrary)> = Key::new(c"value");
    let drops = super::Drops::default();
    for before in [true, false] {
        let counted = drops.counted();
        let keep = move || {
            if before {
                KEPT.with_borrow_mut(Vec::clear); // its destructor is registered before the library's
            }
            let (ctx, _canceler) = Context::background().with_cancel().unwrap();
            let ctx = ctx.with_value(&VALUE, (counted, UsesTheLibrary)).unwrap();
            KEPT.with_borrow_mut(|kept| kept.push(ctx));
        };
        thread::spawn(keep).join().unwrap();
    }
    assert_eq!(drops.count(), 2);
}
