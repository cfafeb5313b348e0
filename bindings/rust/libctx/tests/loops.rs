// SPDX-License-Identifier: MIT
//! Loops and queues, merge and grace, and descriptors, by way of Rust.
#![allow(missing_docs)]

use libctx::{Context, ErrorKind, Event, Events, Loop, LoopClock, PollFd, Queue, Work};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

const WATCHDOG: Option<Duration> = Some(Duration::from_secs(60));
const SECOND: Duration = Duration::from_secs(1);

/// Whether a descriptor is readable, now or soon.
fn readable(fd: &impl AsFd, time: Option<Duration>) -> bool {
    Context::background().poll(&mut [PollFd::new(fd, Events::IN)], time).unwrap() == 1
}

#[test]
fn a_manual_loop_fires_in_dispatch() {
    let host = Loop::manual().unwrap();
    let fd = host.fd().unwrap();
    assert!(!readable(&fd, Some(Duration::ZERO)));
    let root = host.background().unwrap();
    let (ctx, _canceler) = root.with_timeout(Duration::from_millis(2)).unwrap();
    let (tell, told) = channel();
    ctx.after_func(move |_| tell.send(std::thread::current().id()).unwrap()).unwrap();
    assert!(host.next().is_some());
    while !ctx.is_done() {
        assert!(readable(&fd, WATCHDOG), "the loop's descriptor tells of the deadline");
        host.dispatch().unwrap();
    }
    assert_eq!(told.try_recv(), Ok(std::thread::current().id()));
    assert!(ctx.ended().unwrap().is_deadline_exceeded());
    assert_eq!(host.next(), None);
}

#[test]
fn a_virtual_loop_has_a_time_of_its_own() {
    let clock = Loop::virtual_time().unwrap();
    let (ctx, _canceler) = clock.background().unwrap().with_timeout(3 * SECOND).unwrap();
    assert_eq!((clock.now(), clock.next()), (Duration::ZERO, Some(3 * SECOND)));
    assert_eq!(clock.advance(SECOND).unwrap(), 0);
    assert_eq!((ctx.now(), ctx.remaining()), (SECOND, Some(2 * SECOND)));
    assert_eq!(ctx.deadline_on_clock(), Some(3 * SECOND));
    assert_eq!(clock.advance(5 * SECOND).unwrap(), 1);
    assert!(ctx.is_done());
    assert_eq!((clock.now(), clock.next()), (6 * SECOND, None));
}

/// Instants are of the system's clock; on another they are as far ahead as they are now.
#[test]
fn an_instant_is_as_far_ahead_on_any_clock() {
    let clock = Loop::virtual_time().unwrap();
    clock.advance(5 * SECOND).unwrap();
    let before = Instant::now();
    let (ctx, _canceler) =
        clock.background().unwrap().with_deadline(before + 3600 * SECOND).unwrap();
    let spent = before.elapsed();
    let deadline = ctx.deadline_on_clock().unwrap();
    let noise = SECOND / 1000; // of readings that are not at the same time
    assert!(deadline <= 3605 * SECOND + noise, "{deadline:?}");
    assert!(deadline + spent + noise >= 3605 * SECOND, "{deadline:?}");
    let left = ctx.deadline().unwrap() - before;
    assert!(left + spent + noise >= 3600 * SECOND, "{left:?}");
    assert!(left <= 3600 * SECOND + before.elapsed() + noise, "{left:?}");

    let boottime = Loop::builder().clock(LoopClock::Boottime).threaded().unwrap();
    let (ctx, _canceler) = boottime.background().unwrap().with_deadline(before + SECOND).unwrap();
    assert!(ctx.remaining().unwrap() <= SECOND);
}

#[test]
fn a_loop_is_driven_by_one_at_a_time() {
    let clock = Loop::virtual_time().unwrap();
    let (ctx, _canceler) = clock.background().unwrap().with_timeout(SECOND).unwrap();
    let (tell, told) = channel();
    let again = clock.clone();
    ctx.after_func(move |_| tell.send(again.advance(SECOND).unwrap_err().kind()).unwrap()).unwrap();
    clock.advance(SECOND).unwrap();
    assert_eq!(told.recv(), Ok(ErrorKind::Busy));
    assert_eq!(clock.dispatch().unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_loop_that_is_closed_ends_what_lives_on_it() {
    let threaded = Loop::threaded().unwrap();
    let root = threaded.background().unwrap();
    let (ctx, _canceler) = root.with_cancel().unwrap();
    threaded.close().unwrap();
    assert_eq!(ctx.cause().unwrap().message(), "loop closed");
    assert!(root.with_cancel().unwrap().0.is_done());
    let manual = Loop::manual().unwrap();
    let (ctx, _canceler) = manual.background().unwrap().with_cancel().unwrap();
    let fd = manual.fd().unwrap();
    drop(manual);
    assert!(!ctx.is_done(), "the descriptor holds the loop");
    drop(fd);
    assert!(ctx.is_done());
}

#[test]
fn a_grace_follows_its_parent_and_a_merge_the_first() {
    let clock = Loop::virtual_time().unwrap();
    let root = clock.background().unwrap();
    let (server, stop) = root.with_cancel().unwrap();
    let (draining, _canceler) = server.with_grace(2 * SECOND).unwrap();
    let (user, _leave) = root.with_timeout(SECOND * 60).unwrap();
    let (work, _canceler) = Context::merge([&draining, &user]).unwrap();
    stop.cancel_because("stopping");
    assert!(server.is_done() && !draining.is_done() && !work.is_done());
    clock.advance(2 * SECOND).unwrap();
    assert_eq!(work.cause().unwrap().message(), "stopping");
}

#[test]
fn a_descriptor_that_hangs_up_ends_a_context() {
    let (near, far) = UnixStream::pair().unwrap();
    let (ctx, _canceler) = Context::background().with_fd(&near, Events::RDHUP).unwrap();
    assert!(!ctx.is_done());
    drop(far);
    assert!(ctx.wait().unwrap().is_canceled());
    assert!(ctx.cause().unwrap().events().unwrap().contains(Events::RDHUP));
    assert_eq!(ctx.cause().unwrap().signal(), None);
    let error = Context::background().with_fd(&near, Events::NONE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_descriptor_cancels() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let fd = canceler.cancel_fd().unwrap();
    std::fs::File::from(fd).write_all(&1_u64.to_ne_bytes()).unwrap();
    assert!(ctx.wait().unwrap().is_canceled());
}

#[test]
fn no_descriptor_stays_behind() {
    const ROUNDS: usize = 300;
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for _ in 0..ROUNDS {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        drop((canceler.cancel_fd().unwrap(), ctx.done_fd().unwrap(), ctx.done_fd_dup().unwrap()));
    }
    let begin = Instant::now();
    while open() > before + ROUNDS / 2 {
        // the other tests have theirs: far fewer
        assert!(Some(begin.elapsed()) < WATCHDOG, "{} before, now {}", before, open());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_done_descriptor_is_readable_for_ever_and_there_is_one() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (fd, again) = (ctx.done_fd().unwrap(), ctx.done_fd().unwrap());
    let own = ctx.done_fd_dup().unwrap();
    assert_eq!(fd.as_raw_fd(), again.as_raw_fd());
    assert_ne!(fd.as_raw_fd(), own.as_raw_fd());
    assert!(!readable(&fd, Some(Duration::ZERO)) && !readable(&own, Some(Duration::ZERO)));
    canceler.cancel();
    drop((ctx, canceler, again));
    assert!(readable(&fd, WATCHDOG) && readable(&fd, WATCHDOG) && readable(&own, WATCHDOG));
    assert!(fd.owner().is_done());
}

#[test]
fn poll_ends_with_the_context_or_a_descriptor() {
    let (mut near, far) = UnixStream::pair().unwrap();
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let mut fds = [PollFd::new(&far, Events::IN)];
    assert_eq!(ctx.poll(&mut fds, Some(Duration::ZERO)).unwrap(), 0);
    near.write_all(b"x").unwrap();
    assert_eq!(ctx.poll(&mut fds, WATCHDOG).unwrap(), 1);
    assert_eq!(fds[0].ready(), Events::IN);
    canceler.cancel_because("over");
    let error = ctx.poll(&mut [], None).unwrap_err();
    assert_eq!(error.ended().unwrap().cause().message(), "over");
}

#[test]
fn a_queue_gives_one_event_for_each_context() {
    let queue = Queue::new().unwrap();
    let fd = queue.fd().unwrap();
    let (parent, canceler) = Context::background().with_cancel().unwrap();
    let (expired, _canceler) = Context::background().with_timeout(Duration::ZERO).unwrap();
    let watches: Vec<_> = (0..3).map(|token| queue.add(&parent, token).unwrap()).collect();
    let mut events = [Event::default(); 8];
    assert!(!readable(&fd, Some(Duration::ZERO)));
    assert!(queue.drain(&mut events).unwrap().is_empty());
    assert!(queue.wait(&mut events, Some(Duration::from_millis(1))).unwrap().is_empty());
    queue.add(&expired, 7).unwrap();
    assert!(watches[1].stop());
    canceler.cancel();
    assert!(watches[2].stop(), "an event that waits is withdrawn");
    assert!(readable(&fd, WATCHDOG));
    let taken = queue.wait(&mut events, WATCHDOG).unwrap();
    let seen: Vec<_> =
        taken.iter().map(|event| (event.token(), event.is_deadline_exceeded())).collect();
    assert_eq!(seen, [(7, true), (0, false)]);
    assert!(taken[1].is_canceled() && !taken[0].is_canceled());
    assert!(!readable(&fd, Some(Duration::ZERO)));
    assert_eq!(format!("{:?}", taken[0]), "Event { token: 7, err: \"context deadline exceeded\" }");
}

#[test]
fn a_queue_is_waited_for_by_another_thread() {
    let queue = Queue::new().unwrap();
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    queue.add(&ctx, 9).unwrap();
    let waiter = queue.clone();
    let thread = std::thread::spawn(move || {
        waiter.wait(&mut [Event::default()], WATCHDOG).unwrap().first().map(Event::token)
    });
    canceler.cancel();
    assert_eq!(thread.join().unwrap(), Some(9));
    assert_eq!(queue.wait(&mut [], None).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_executor_runs_the_callbacks_of_its_loop() {
    let (post, posted) = channel::<Work>();
    let own = Loop::builder().executor(move |work| drop(post.send(work))).threaded().unwrap();
    let (ctx, canceler) = own.background().unwrap().with_cancel().unwrap();
    let (tell, told) = channel();
    for _ in 0..2 {
        let tell = tell.clone();
        ctx.after_func_deferred(move |_| tell.send(thread::current().id()).unwrap()).unwrap();
    }
    canceler.cancel();
    let work = posted.recv_timeout(WATCHDOG.unwrap()).unwrap();
    assert!(told.try_recv().is_err());
    work.run();
    drop(posted.recv_timeout(WATCHDOG.unwrap()).unwrap()); // dropped it runs, too
    assert_eq!([told.recv().unwrap(), told.recv().unwrap()], [thread::current().id(); 2]);
    drop((own, ctx, canceler));
    assert!(
        posted.recv_timeout(WATCHDOG.unwrap()).is_err(),
        "the executor is dropped with the loop"
    );
}

#[test]
fn a_loop_is_made_with_options() {
    let kept = Arc::new(());
    let executor = || {
        let kept = kept.clone();
        Loop::builder().executor(move |_work| drop(kept.clone()))
    };
    let refused = [
        (executor().manual(), ErrorKind::Unsupported),
        (executor().name("too long a name").threaded(), ErrorKind::InvalidInput),
        (Loop::builder().name("a\0b").threaded(), ErrorKind::InvalidInput),
    ];
    for (made, kind) in refused {
        assert_eq!(made.unwrap_err().kind(), kind);
    }
    assert_eq!(Arc::strong_count(&kept), 1, "a loop that is refused keeps no executor");

    let own = Loop::builder().name("own").clock(LoopClock::Boottime).start().threaded().unwrap();
    let (tell, told) = channel();
    let (ctx, canceler) = own.background().unwrap().with_cancel().unwrap();
    ctx.after_func_deferred(move |_| tell.send(thread_name()).unwrap()).unwrap();
    canceler.cancel();
    assert_eq!(told.recv_timeout(WATCHDOG.unwrap()).unwrap(), "own-calls");
}

fn thread_name() -> String {
    std::fs::read_to_string("/proc/thread-self/comm").unwrap().trim().to_string()
}

#[test]
fn the_work_of_an_executor_that_panics_is_done_all_the_same() {
    let own = Loop::builder().executor(|_work| panic!("no executor")).threaded().unwrap();
    let (ctx, canceler) = own.background().unwrap().with_cancel().unwrap();
    let (tell, told) = channel();
    ctx.after_func_deferred(move |_| tell.send(()).unwrap()).unwrap();
    canceler.cancel();
    told.recv_timeout(WATCHDOG.unwrap()).unwrap();
}

#[test]
fn callbacks_that_block_delay_no_other() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let (other, ran) = channel();
    let (tell, told) = channel();
    ctx.after_func_blocking(move |_| tell.send(ran.recv_timeout(WATCHDOG.unwrap())).unwrap())
        .unwrap();
    ctx.after_func_deferred(move |_| other.send(()).unwrap()).unwrap();
    canceler.cancel();
    assert!(told.recv_timeout(2 * WATCHDOG.unwrap()).unwrap().is_ok());
}
