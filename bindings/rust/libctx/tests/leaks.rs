// SPDX-License-Identifier: MIT
//! Nothing stays allocated, in Rust or in C, of what was made and dropped: each operation runs many times over, and the
//! allocator says what is in use. It runs without a test harness, which would allocate beside it.
#![allow(missing_docs)]

use libctx::*;
use std::collections::HashMap;
use std::future::{pending, ready};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Cx, Poll, Wake};
use std::time::{Duration, Instant};

const ROUNDS: usize = 500;
const TIMES: usize = 4; // what malloc keeps for each thread, or the library for itself, grows once
const WATCHDOG: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
static KEY: Key<Vec<u8>> = Key::new(c"key");

fn main() {
    set_panic_reporter(|panic| drop(panic.message().to_string()));
    for (name, operation) in OPERATIONS {
        operation(); // what is made once stays
        operation();
        let grown =
            (1..=TIMES).map(|time| grown(operation, if time < TIMES { SECOND } else { WATCHDOG }));
        let grown: Vec<usize> = grown.take_while(|&bytes| bytes > 0).collect();
        assert!(grown.len() < TIMES, "{name}: {grown:?} bytes more after {ROUNDS} rounds each");
        println!("test leaks::{name} ... ok");
    }
}

/// How many bytes more many rounds have left in use, or 0 if fewer than any object for each of them. What a thread of the
/// library gives back comes a little later.
fn grown(operation: &fn(), patience: Duration) -> usize {
    let before = in_use();
    for _ in 0..ROUNDS {
        operation();
    }
    let begin = Instant::now();
    loop {
        let bytes = in_use().saturating_sub(before);
        if bytes < 8 * ROUNDS {
            return 0; // the smallest object takes more than 8 bytes, with malloc's own
        }
        if begin.elapsed() >= patience {
            return bytes;
        }
        std::thread::yield_now();
    }
}

fn in_use() -> usize {
    // SAFETY: a call without pointers.
    let now = unsafe { libc::mallinfo2() };
    now.uordblks + now.hblkhd
}

fn pair() -> (Context, Canceler) {
    Context::background().with_cancel().unwrap()
}

fn canceled() -> Context {
    let (ctx, canceler) = pair();
    canceler.cancel();
    ctx
}

fn group() -> Group {
    Group::new(&Context::background()).unwrap()
}

fn cause() -> Cause {
    Cause::with_data(1, "why", &KEY, vec![1, 2, 3]).unwrap()
}

fn poll<F: Future>(future: F) -> Poll<F::Output> {
    struct Quiet;
    impl Wake for Quiet {
        fn wake(self: Arc<Self>) {}
    }
    pin!(future).poll(&mut Cx::from_waker(&Arc::new(Quiet).into()))
}

const OPERATIONS: &[(&str, fn())] = &[
    ("cancel", || {
        let (ctx, canceler) = pair();
        assert!(canceler.clone().cancel() && ctx.clone().is_done());
        drop((ctx.ended(), ctx.cause(), ctx.check(), ctx.wait(), canceler.cancel_because("again")));
    }),
    ("cancel_with_each_cause", || {
        for end in [
            |canceler: &Canceler| canceler.cancel_because("why"),
            |canceler: &Canceler| canceler.cancel_with(&cause()),
            |canceler: &Canceler| canceler.cancel_as(&canceled().ended().unwrap()),
        ] {
            let (ctx, canceler) = pair();
            assert!(end(&canceler) && !end(&canceler));
            drop(ctx.ended().map(|ended| (ended.clone(), std::io::Error::from(ended))));
        }
    }),
    ("guards", || {
        drop(pair().1.guard());
        drop(pair().1.guard_because("why"));
        drop(pair().1.guard_with(&cause()));
        drop(pair().1.guard_with(&cause()).disarm());
    }),
    ("times", || {
        let (root, now) = (Context::background(), Instant::now());
        drop((root.with_timeout(HOUR), root.with_timeout_cause(HOUR, &cause())));
        drop((root.with_deadline(now + HOUR), root.with_deadline_cause(now, &cause())));
        drop((root.with_idle(HOUR), root.with_idle_cause(HOUR, &cause())));
        drop((root.with_grace(HOUR), pair().0.with_grace(HOUR), root.with_timeout(Duration::ZERO)));
    }),
    ("values", || {
        let (ctx, _canceler) = pair();
        let ctx = ctx.with_value(&KEY, vec![1]).unwrap().with_string("name", "text").unwrap();
        let ctx = ctx.with_name("name").unwrap().without_cancel().unwrap();
        drop((ctx.without_value(&KEY), ctx.without_string("name"), ctx.with_string("a\0b", "")));
        drop((ctx.strings(), ctx.string("name"), ctx.describe(), ctx.value(&KEY)));
        drop((Context::merge([&ctx, &pair().0]), Context::merge([])));
    }),
    ("causes", || {
        drop((cause().clone(), Cause::here(1, "here"), Cause::new(1, "a\0b")));
        drop((Cause::from_error("text"), Cause::from_error_here(canceled().ended().unwrap())));
        drop((Cause::with_origin(Origin::PEER, 1, "why"), format!("{:?}", cause().place())));
    }),
    ("texts", || {
        let formats = Formats::new().timeout_ms(c"ms");
        let ctx = pair().0.with_baggage("name", &"x".repeat(1000)).unwrap();
        let mut headers = HashMap::new();
        ctx.inject(&formats, &mut headers).unwrap();
        headers.insert("ms".into(), "1000".into());
        drop((ctx.extract(&formats, &headers), ctx.baggage("name"), ctx.without_baggage("name")));
        drop((ctx.with_baggage("a b", ""), ctx.require(SECOND)));
        drop((ctx.extract(&formats, |_: &str| Some("no".to_string())), canceled().require(SECOND)));
        drop(canceled().inject(&formats, &mut headers));
        let panics = || {
            drop(ctx.extract(&formats, |_: &str| -> Option<&str> { resume_unwind(Box::new(1)) }))
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        let panics = || drop(ctx.inject(&formats, |_: &str, _: &str| resume_unwind(Box::new(1))));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        drop((Cause::decode(cause().encode("who")).unwrap().peer(), Cause::decode("no")));
    }),
    ("exports", || {
        let (ctx, canceler) = pair();
        let export = ctx.with_string("name", "text").unwrap().export().unwrap();
        let imported = Context::background().import_text(export.text()).unwrap();
        drop((Context::background().import(), Context::background().import_text("no")));
        canceler.cancel_because("why");
        assert!(imported.0.wait().is_ok());
        drop((canceled().export(), ctx.export().unwrap().text().len()));
    }),
    ("raw_handles", || {
        let ((ctx, canceler), cause) = (pair(), cause());
        // SAFETY: valid handles, whose references are given out just before where they are taken.
        unsafe {
            drop((
                Context::from_raw(ctx.clone().into_raw()),
                Context::clone_from_raw(ctx.as_raw()),
            ));
            drop(Canceler::from_raw(canceler.clone().into_raw()));
            drop(Canceler::clone_from_raw(canceler.as_raw()));
            drop((
                Cause::from_raw(cause.clone().into_raw()),
                Cause::clone_from_raw(cause.as_raw()),
            ));
            drop((
                Context::from_raw(canceler.as_raw().cast()),
                Cause::from_raw(ctx.as_raw().cast()),
            ));
            drop(Canceler::clone_from_raw(ctx.as_raw().cast()));
        }
    }),
    ("callbacks", || {
        let (ctx, canceler) = pair();
        let held = vec![1];
        drop(ctx.after_func(move |ctx| drop((ctx.clone(), held))).unwrap());
        let stopped = ctx.after_func(|_| ()).unwrap();
        assert!(stopped.stop() && !stopped.stop_wait());
        ctx.after_func(|_| resume_unwind(Box::new("a mistake"))).unwrap();
        canceler.cancel();
        let held = vec![1];
        drop((ctx.after_func(move |_| drop(held)), Context::background().after_func(|_| ())));
    }),
    ("futures", || {
        let (ctx, canceler) = pair();
        let (mut done, mut other) = (ctx.done(), Box::pin(ctx.run(pending::<()>())));
        for _ in 0..3 {
            assert!(poll(&mut done).is_pending() && poll(&mut other).is_pending());
        }
        drop((ctx.done(), poll(ctx.done()), poll(ctx.run(ready(vec![1])))));
        canceler.cancel();
        assert!(poll(done).is_ready() && poll(other).is_ready());
        drop((poll(ctx.done()), poll(Context::background().done())));
        let ctx = pair().0; // which nothing ends
        assert!(poll(ctx.done()).is_pending() && poll(ctx.run(pending::<()>())).is_pending());
    }),
    ("descriptors", || {
        let (ctx, canceler) = pair();
        let (near, far) = UnixStream::pair().unwrap();
        drop((ctx.done_fd().unwrap().clone(), ctx.done_fd_dup(), canceler.cancel_fd()));
        drop((ctx.with_fd(&near, Events::IN), ctx.with_fd(&near, Events::NONE)));
        drop((Context::background().done_fd(), Context::background().done_fd_dup()));
        let mut fds = [PollFd::new(&far, Events::OUT)];
        drop((ctx.poll(&mut fds, None), Context::wait_any([&ctx], Some(Duration::ZERO))));
    }),
    ("loops", || {
        for own in [Loop::manual().unwrap(), Loop::virtual_time().unwrap()] {
            let (ctx, _canceler) = own.background().unwrap().with_timeout(SECOND).unwrap();
            ctx.after_func_deferred(|_| ()).unwrap();
            drop((own.fd(), own.advance(2 * SECOND), own.dispatch(), own.clone(), own.next()));
            own.close().unwrap();
        }
        let made = || Loop::builder().name("name").executor(|work| work.run());
        drop((made().threaded(), made().manual(), made().name("a\0b").threaded(), made()));
    }),
    ("queues", || {
        let (queue, (ctx, canceler)) = (Queue::new().unwrap(), pair());
        for token in 0..3 {
            queue.add(&ctx, token).unwrap();
        }
        assert!(queue.add(&ctx, 3).unwrap().stop());
        canceler.cancel();
        let mut room = [Event::default(); 1];
        assert_eq!(queue.drain(&mut room).unwrap().len(), 1);
        assert_eq!(queue.drain_contexts(1).unwrap().len(), 1);
        drop((queue.fd().unwrap().clone(), queue.clone(), queue.wait(&mut [], None)));
        queue.add(&pair().0, 4).unwrap();
    }),
    ("groups", || {
        let group = group();
        let inner = group.nested().unwrap();
        drop((
            inner.clone(),
            inner.context(),
            inner.canceler(),
            inner.over(),
            inner.fd(),
            inner.cause(),
        ));
        drop(inner.begin().unwrap().context());
        inner.begin().unwrap().run(|ctx| Ok(ctx.check()?));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            inner.begin().unwrap().run(|_| resume_unwind(Box::new(1)));
        }));
        assert!(caught.is_err() && inner.begin().is_err() && inner.nested().is_err());
        drop((group.wait_timeout(Duration::ZERO), inner.wait(), poll(inner.done())));
        drop(inner);
        assert!(group.spawn(|_| Ok(())).is_err() && group.task(ready(Ok(()))).is_err());
    }),
    ("tasks", || {
        drop((group().task(pending()), poll(group().task(pending()).unwrap())));
        assert!(poll(group().task(ready(Ok(()))).unwrap()).is_ready());
        assert!(poll(group().task(ready(Err("no".into()))).unwrap()).is_ready());
        let panics = std::future::poll_fn(|_| resume_unwind(Box::new(1)));
        let caught = catch_unwind(AssertUnwindSafe(|| poll(group().task(panics).unwrap())));
        assert!(caught.is_err());
        group().begin().unwrap().fail(&cause());
    }),
    #[cfg(feature = "tokio-util")]
    ("tokens", || {
        let ((ctx, canceler), token) = (pair(), tokio_util::sync::CancellationToken::new());
        drop((ctx.to_token(), Context::background().to_token(), ctx.with_token(&token)));
        let tied = (ctx.to_token().unwrap().detach(), ctx.with_token(&token).unwrap());
        canceler.cancel();
        assert!(tied.0.is_cancelled() && tied.1.is_done());
        let (ctx, _canceler) = pair();
        let tied = ctx.with_token(&token).unwrap();
        token.cancel();
        assert!(tied.is_done() && ctx.with_token(&token).unwrap().is_done());
    }),
    ("reporters", || {
        let held = Box::new(1);
        set_panic_reporter(move |panic| assert!(*held == 1 && !panic.message().is_empty()));
    }),
];
