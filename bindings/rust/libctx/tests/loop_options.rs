// SPDX-License-Identifier: MIT
//! The options of a loop, and what loops of each kind answer. The threads of this process are counted by name, so
//! each test has names of its own.
#![allow(missing_docs)]

use libctx::{Cause, Context, ErrorKind, Events, Loop, LoopClock, Origin, Work};
use std::fs::{read_dir, read_to_string};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

const WATCHDOG: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The names of the threads of this process that begin so.
fn threads(prefix: &str) -> Vec<String> {
    let tasks = read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| read_to_string(task.unwrap().path().join("comm")).ok());
    let mut names: Vec<_> =
        names.map(|name| name.trim().to_string()).filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

/// A thread may be there a moment before it has its name.
fn wait_for(mut condition: impl FnMut() -> bool, what: &str) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < WATCHDOG, "{what}");
        thread::yield_now();
    }
}

#[test]
fn a_loop_starts_at_once_if_it_is_told_to_and_else_when_it_is_needed() {
    let _started = Loop::builder().name("early").start().threaded().unwrap();
    wait_for(|| threads("early-") == ["early-calls", "early-loop"], "it has started");
    let idle = Loop::builder().name("idle").threaded().unwrap();
    let (_ctx, canceler) = idle.background().unwrap().with_cancel().unwrap();
    canceler.cancel();
    assert_eq!(threads("idle-"), [""; 0]);
    let (_later, _canceler) = idle.background().unwrap().with_timeout(HOUR).unwrap();
    wait_for(|| threads("idle-").contains(&"idle-loop".into()), "it has started");
}

#[test]
fn a_name_has_one_to_nine_bytes_or_is_that_of_the_library() {
    for name in ["n", "ninebytes"] {
        let own = Loop::builder().name(name).start().threaded().unwrap();
        wait_for(|| threads(&format!("{name}-")).len() == 2, name);
        drop(own);
    }
    assert!(Loop::builder().name("tenbytes!!").threaded().is_err());
    for own in [Loop::builder().name("").start().threaded(), Loop::builder().start().threaded()] {
        let (ctx, canceler) = own.unwrap().background().unwrap().with_cancel().unwrap();
        let (tell, told) = channel();
        let name = || read_to_string("/proc/thread-self/comm").unwrap();
        ctx.after_func_deferred(move |_| tell.send(name()).unwrap()).unwrap();
        canceler.cancel();
        assert_eq!(told.recv_timeout(WATCHDOG).unwrap().trim(), "ctx-calls");
    }
}

/// The kernel tells which clock the timer of a manual loop has.
#[test]
fn a_loop_has_the_clock_that_it_was_given() {
    let timers = || {
        let all = read_dir("/proc/self/fdinfo").unwrap();
        let texts = all.filter_map(|entry| read_to_string(entry.unwrap().path()).ok());
        let clock = |text: String| {
            text.lines().find_map(|line| line.strip_prefix("clockid: ")?.parse::<i32>().ok())
        };
        let mut clocks: Vec<_> = texts.filter_map(clock).collect();
        clocks.sort();
        clocks
    };
    let count = |clock| timers().iter().filter(|&&it| it == clock).count();
    let alive = |made: Loop| {
        let fd = made.fd().unwrap();
        let (ctx, canceler) = made.background().unwrap().with_timeout(HOUR).unwrap();
        (made, fd, ctx, canceler)
    };
    assert_eq!(count(libc::CLOCK_BOOTTIME), 0);
    let _plain = alive(Loop::manual().unwrap());
    let _monotonic = alive(Loop::builder().clock(LoopClock::Monotonic).manual().unwrap());
    assert_eq!(LoopClock::default(), LoopClock::Monotonic);
    assert_eq!(count(libc::CLOCK_BOOTTIME), 0);
    let boottime = alive(Loop::builder().clock(LoopClock::Boottime).manual().unwrap());
    assert_eq!(count(libc::CLOCK_BOOTTIME), 1);
    drop(boottime);
    assert_eq!(count(libc::CLOCK_BOOTTIME), 0);
}

#[test]
fn now_is_that_of_the_loops_clock() {
    let reading = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is written to.
        assert_eq!(unsafe { libc::clock_gettime(clock, &mut time) }, 0);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let made = [
        (Loop::manual().unwrap(), libc::CLOCK_MONOTONIC),
        (Loop::threaded().unwrap(), libc::CLOCK_MONOTONIC),
        (Loop::builder().clock(LoopClock::Boottime).manual().unwrap(), libc::CLOCK_BOOTTIME),
    ];
    for (own, clock) in made {
        let root = own.background().unwrap();
        for now in [&|| own.now(), &|| root.now()] as [&dyn Fn() -> Duration; 2] {
            let (before, now, after) = (reading(clock), now(), reading(clock));
            assert!(before <= now && now <= after, "{before:?} {now:?} {after:?}");
        }
    }
}

#[test]
fn what_a_loop_of_a_kind_cannot_do_is_unsupported() {
    let (threaded, manual, clock) =
        (Loop::threaded().unwrap(), Loop::manual().unwrap(), Loop::virtual_time().unwrap());
    let kind = |error: Option<libctx::Error>| error.unwrap().kind();
    for own in [&threaded, &clock] {
        assert_eq!(kind(own.fd().err()), ErrorKind::Unsupported);
        assert_eq!(kind(own.dispatch().err()), ErrorKind::Unsupported);
    }
    for own in [&threaded, &manual] {
        assert_eq!(kind(own.advance(Duration::ZERO).err()), ErrorKind::Unsupported);
    }
    assert_eq!(manual.dispatch().unwrap(), 0);
    assert_eq!(clock.advance(Duration::ZERO).unwrap(), 0);
    assert_eq!(kind(Context::background().done_fd_dup().err()), ErrorKind::Unsupported);
    assert_eq!(kind(manual.background().unwrap().done_fd_dup().err()), ErrorKind::Unsupported);
}

#[test]
fn a_clone_is_the_same_loop_and_keeps_it_open() {
    let own = Loop::manual().unwrap();
    let same = own.clone();
    assert_eq!(own, same);
    let (ctx, _canceler) = own.background().unwrap().with_cancel().unwrap();
    drop(own);
    assert!(!ctx.is_done());
    drop(same);
    assert_eq!(ctx.cause().unwrap().origin(), Origin::SHUTDOWN);
}

/// A dispatch counts deadlines, graces and descriptors, and no callbacks.
#[test]
fn a_dispatch_tells_how_many_fired() {
    let host = Loop::manual().unwrap();
    let root = host.background().unwrap();
    let (near, far) = UnixStream::pair().unwrap();
    let made: Vec<_> = (0..3).map(|_| root.with_fd(&near, Events::IN).unwrap()).collect();
    made[0].0.after_func_deferred(|_| ()).unwrap();
    assert_eq!(host.dispatch().unwrap(), 0);
    drop(far);
    assert_eq!(host.dispatch().unwrap(), 3);
    assert!(made.iter().all(|(ctx, _)| ctx.is_done()));
    assert_eq!(host.dispatch().unwrap(), 0);
}

#[test]
fn each_event_ends_a_context_and_is_told() {
    for (events, ends) in [(Events::IN, true), (Events::OUT, true), (Events::PRI, false)] {
        let host = Loop::manual().unwrap();
        let (near, mut far) = UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut far, b"x").unwrap();
        let (ctx, _canceler) = host.background().unwrap().with_fd(&near, events).unwrap();
        assert_eq!(host.dispatch().unwrap(), usize::from(ends));
        let told = ctx.cause().map(|cause| (cause.origin(), cause.events()));
        assert_eq!(told, ends.then_some((Origin::DESCRIPTOR, Some(events))));
    }
    let other = Cause::with_origin(Origin::PEER, 1, "no descriptor").unwrap();
    assert_eq!((other.events(), other.signal()), (None, None));
}

/// The loop counts on each piece of work to run once, and on its executor to be dropped when none will come.
#[test]
fn work_runs_once_and_the_executor_is_dropped_once() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let (ran, dropped) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let held = Dropped(dropped.clone());
    let (post, posted) = channel::<Work>();
    let executor = move |work| {
        let _held = &held;
        post.send(work).unwrap();
    };
    let own = Loop::builder().executor(executor).threaded().unwrap();
    let (ctx, canceler) = own.background().unwrap().with_cancel().unwrap();
    for blocking in [false, true, false] {
        let ran = ran.clone();
        let count = move |_: &Context| assert!(ran.fetch_add(1, SeqCst) < 3);
        if blocking { ctx.after_func_blocking(count) } else { ctx.after_func_deferred(count) }
            .unwrap();
    }
    canceler.cancel();
    for n in 1..=3 {
        posted.recv_timeout(WATCHDOG).unwrap().run();
        assert_eq!(ran.load(SeqCst), n);
    }
    assert_eq!(dropped.load(SeqCst), 0, "the loop may post more");
    drop((ctx, canceler, own));
    wait_for(|| dropped.load(SeqCst) == 1, "the executor is dropped with its loop");
    assert!(posted.recv_timeout(WATCHDOG).is_err());
    assert_eq!(ran.load(SeqCst), 3);
}

/// Work that is sent away and dropped on another thread runs there.
#[test]
fn work_goes_to_any_thread() {
    let (post, posted) = channel::<Work>();
    let own = Loop::builder().executor(move |work| drop(post.send(work))).threaded().unwrap();
    let (ctx, canceler) = own.background().unwrap().with_cancel().unwrap();
    let (tell, told) = channel();
    ctx.after_func_deferred(move |_| tell.send(thread::current().id()).unwrap()).unwrap();
    canceler.cancel();
    let work = posted.recv_timeout(WATCHDOG).unwrap();
    let other = thread::spawn(move || drop(work));
    let id = other.thread().id();
    other.join().unwrap();
    assert_eq!(told.try_recv(), Ok(id));
}
