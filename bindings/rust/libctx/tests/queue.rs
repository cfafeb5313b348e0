// SPDX-License-Identifier: MIT
//! A queue: in which order it gives its events, how many of them at once, and whose references they are.

use libctx::{Cause, Context, Event, Events, Key, PollFd, Queue};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

const WATCHDOG: Duration = Duration::from_secs(60);
static HELD: Key<Arc<()>> = Key::new(c"held");

/// A queue, to which contexts with these tokens have been added that ended in this order.
fn filled(tokens: impl IntoIterator<Item = u64>) -> Queue {
    let queue = Queue::new().unwrap();
    for token in tokens {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        queue.add(&ctx, token).unwrap();
        canceler.cancel_because(&token.to_string());
    }
    queue
}

fn tokens(events: &[Event]) -> Vec<u64> {
    events.iter().map(Event::token).collect()
}

#[test]
fn events_come_in_the_order_of_the_ends_as_many_as_fit() {
    let (queue, mut room) = (filled([5, 4, 3, 2, 1]), [Event::default(); 3]);
    assert_eq!(tokens(queue.drain(&mut room[..1]).unwrap()), [5]);
    assert_eq!(tokens(queue.wait(&mut room[..2], None).unwrap()), [4, 3]);
    let both: Vec<_> = queue.drain_contexts(2).unwrap();
    assert_eq!([both[0].0.token(), both[1].0.token()], [2, 1]);
    assert!(queue.drain(&mut room).unwrap().is_empty());
    assert!(queue.drain_contexts(5).unwrap().is_empty());
}

#[test]
fn very_many_events_are_taken_at_once_in_each_form() {
    let all: Vec<_> = (0..300).collect();
    let queue = filled(all.clone());
    let drained = queue.drain_contexts(100).unwrap();
    let drained: Vec<_> = drained.iter().map(|(event, _)| event.token()).collect();
    let mut room = vec![Event::default(); 150];
    let next = tokens(queue.drain(&mut room[..100]).unwrap());
    let last = tokens(queue.wait(&mut room, None).unwrap());
    assert_eq!([drained, next, last].concat(), all);
}

#[test]
fn each_event_has_the_context_that_it_is_of() {
    let queue = filled([1, 2]);
    let late = Cause::new(7, "3").unwrap();
    let late = Context::background().with_timeout_cause(Duration::ZERO, &late).unwrap().0;
    queue.add(&late, 3).unwrap();
    let all = queue.drain_contexts(10).unwrap();
    assert_eq!(all.len(), 3);
    for (event, ctx) in &all {
        let ended = ctx.ended().unwrap();
        assert_eq!(ended.cause().message(), event.token().to_string());
        assert_eq!(event.is_canceled(), ended.is_canceled());
        assert_eq!(event.is_deadline_exceeded(), ended.is_deadline_exceeded());
    }
    assert_eq!(all[2].1, late);
    assert!(all[2].0.is_deadline_exceeded() && all[0].0.is_canceled());
}

#[test]
fn a_context_that_is_drained_is_held_by_whoever_drained_it() {
    let held = Arc::new(());
    let queue = Queue::new().unwrap();
    let (parent, canceler) = Context::background().with_cancel().unwrap();
    for token in 0..2 {
        queue.add(&parent.with_value(&HELD, held.clone()).unwrap(), token).unwrap();
    }
    canceler.cancel();
    assert_eq!(Arc::strong_count(&held), 3);
    let drained = queue.drain_contexts(1).unwrap();
    assert_eq!(Arc::strong_count(&held), 3);
    assert!(drained[0].1.value(&HELD).is_some());
    drop(drained);
    assert_eq!(Arc::strong_count(&held), 2);
    drop(queue);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn one_context_may_be_in_it_more_than_once_and_stays_when_its_watch_goes() {
    let queue = Queue::new().unwrap();
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    drop(queue.add(&ctx, 1).unwrap());
    let (second, _third) = (queue.add(&ctx, 2).unwrap(), queue.add(&ctx, 3).unwrap());
    assert!(second.stop());
    assert!(!second.stop() && !second.stop_wait());
    canceler.cancel();
    let mut room = [Event::default(); 8];
    let mut seen = tokens(queue.drain(&mut room).unwrap());
    seen.sort();
    assert_eq!(seen, [1, 3]);
}

#[test]
fn a_wait_lasts_its_time_or_until_an_event() {
    let queue = Queue::new().unwrap();
    let (begin, limit) = (Instant::now(), Duration::from_millis(20));
    assert!(queue.wait(&mut [Event::default()], Some(limit)).unwrap().is_empty());
    assert!(begin.elapsed() >= limit);
    for time in [None, Some(WATCHDOG), Some(Duration::MAX)] {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        queue.add(&ctx, 7).unwrap();
        let (ready, begun) = channel();
        thread::scope(|scope| {
            let waits = scope.spawn(|| {
                ready.send(()).unwrap();
                tokens(queue.wait(&mut [Event::default()], time).unwrap())
            });
            begun.recv_timeout(WATCHDOG).unwrap();
            canceler.cancel();
            assert_eq!(waits.join().unwrap(), [7]);
        });
    }
}

#[test]
fn its_descriptor_holds_it_and_is_readable_while_events_wait() {
    let queue = filled([1, 2]);
    let fd = queue.fd().unwrap();
    assert_eq!((fd.owner(), &fd.clone().owner().clone()), (&queue, &queue));
    drop(queue);
    let readable = || {
        let mut fds = [PollFd::new(&fd, Events::IN)];
        Context::background().poll(&mut fds, Some(Duration::ZERO)).unwrap() == 1
    };
    let mut room = [Event::default()];
    for token in [1, 2] {
        assert!(readable());
        assert_eq!(tokens(fd.owner().drain(&mut room).unwrap()), [token]);
    }
    assert!(!readable());
}
