// SPDX-License-Identifier: MIT
//! The reason of a cancel, with what only Rust understands of it.

use libctx::{Cause, Context, Ended, Key, Loop, Origin, sys};
use std::error::Error;
use std::ffi::CStr;
use std::fmt;
use std::io;
use std::ptr;
use std::time::Duration;

static PLACE: Key<&'static str> = Key::new(c"place");
static OTHER: Key<&'static str> = Key::new(c"place");

#[test]
fn a_cause_goes_down_the_tree_and_out_to_c() {
    let (parent, canceler) = Context::background().with_cancel().unwrap();
    let (child, _own) = parent.with_cancel().unwrap();
    canceler.cancel_with(&Cause::new(-libc::EPIPE, "the client has gone").unwrap());
    let cause = child.cause().unwrap();
    assert_eq!((cause.code(), &*cause.message()), (-libc::EPIPE, "the client has gone"));
    // SAFETY: `child` holds the context, and that its cause and its text.
    let seen = unsafe { CStr::from_ptr(sys::ctx_cause_message(sys::ctx_cause(child.as_raw()))) };
    assert_eq!(seen.to_str().unwrap(), "the client has gone");
}

#[test]
fn a_plain_cancel_has_a_plain_cause() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    assert!(ctx.cause().is_none());
    canceler.cancel();
    let cause = ctx.cause().unwrap();
    assert_eq!((cause.code(), &*cause.message()), (-libc::ECANCELED, "context canceled"));
    assert!(cause.source().is_none());
}

#[test]
fn who_ended_the_context() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    canceler.cancel();
    assert_eq!(ctx.cause().unwrap().origin(), Origin::CANCELED);
    let cause = Cause::new(-1, "slow").unwrap();
    assert_eq!(cause.origin(), Origin::CANCELED);
    let (late, _own) = Context::background().with_timeout_cause(Duration::ZERO, &cause).unwrap();
    assert_eq!(late.cause().unwrap().origin(), Origin::DEADLINE);
    let told = Cause::with_origin(Origin::PEER, -libc::ECONNRESET, "reset").unwrap();
    assert_eq!(
        (told.origin(), told.code(), &*told.message()),
        (Origin::PEER, -libc::ECONNRESET, "reset")
    );
    let other = Origin::from_raw(200).unwrap();
    assert_eq!(Cause::with_origin(other, 0, "").unwrap().origin().as_raw(), 200);
    assert_eq!(Origin::from_raw(0), None);
    assert_eq!(format!("{:?} {other:?}", Origin::PEER), "PEER Origin(200)");
}

#[test]
fn where_it_was_made_if_asked() {
    assert_eq!(Cause::new(-1, "no place").unwrap().place(), None);
    let (line, cause) = (line!(), Cause::here(-1, "a place").unwrap());
    let place = cause.place().unwrap();
    assert_eq!((&*place.file, place.line, place.function.as_deref()), (file!(), line, None));
    assert_eq!(place.to_string(), format!("{}:{line}", file!()));
    assert!(format!("{cause:?}").contains(&place.to_string()), "{cause:?}");
    assert_eq!(cause.to_string(), "a place");
    let (line, cause) = (line!(), Cause::from_error_here("broken").unwrap());
    assert_eq!(cause.place().unwrap().line, line);
    assert_eq!(cause.get_ref().unwrap().to_string(), "broken");
}

#[test]
fn an_error_comes_back_as_it_was() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let io = io::Error::from_raw_os_error(libc::EIO);
    let text = io.to_string();
    canceler.cancel_with(&Cause::from_error(io).unwrap());
    let cause = ctx.cause().unwrap();
    let original = cause.get_ref().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(original.raw_os_error(), Some(libc::EIO));
    assert_eq!(cause.to_string(), text);
    assert!(cause.source().is_none());
    assert_eq!(Cause::from_error("just text").unwrap().message(), "just text");
}

#[test]
fn an_error_with_a_number_has_it_for_its_code() {
    let of_io = |error: io::Error| Cause::from_error(error).unwrap().code();
    assert_eq!(of_io(io::Error::from_raw_os_error(libc::EIO)), -libc::EIO);
    assert_eq!(of_io(io::Error::from_raw_os_error(i32::MIN)), i32::MIN); // which has no other sign
    assert_eq!(of_io(io::Error::other("no number")), -libc::ECANCELED);
    assert_eq!(Cause::from_error("just text").unwrap().code(), -libc::ECANCELED);
    let (late, _canceler) = Context::background().with_timeout(Duration::ZERO).unwrap();
    assert_eq!(Cause::from_error(late.ended().unwrap()).unwrap().code(), -libc::ETIMEDOUT);
}

#[test]
fn a_chain_of_sources_tells_each_text_once() {
    let because = |why: &str| {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        canceler.cancel_because(why);
        ctx.ended().unwrap()
    };
    let plain = || {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        canceler.cancel();
        ctx.ended().unwrap()
    };
    let late = || {
        let (ctx, _canceler) = Context::background().with_timeout(Duration::ZERO).unwrap();
        ctx.ended().unwrap()
    };
    let gone = ["context canceled", "the client has gone"];
    assert_eq!(chain(because("the client has gone")), gone);
    // Passed on from one context to another, once and again, and inside an error of std's.
    let passed_on = passed(because("the client has gone"));
    assert_eq!(chain(passed_on.clone()), gone);
    assert_eq!(chain(passed(passed_on)), gone);
    assert_eq!(chain(passed(io::Error::from(because("the client has gone")))), gone);
    assert_eq!(chain(plain()), ["context canceled"]);
    assert_eq!(chain(passed(plain())), ["context canceled"]);
    assert_eq!(chain(late()), ["context deadline exceeded"]);
    assert_eq!(chain(passed(late())), ["context canceled", "context deadline exceeded"]);
    // An end of the other kind says more, also where it has a cause of its own.
    let late_for = |cause: &Cause| {
        let root = Context::background();
        root.with_timeout_cause(Duration::ZERO, cause).unwrap().0.ended().unwrap()
    };
    let slow = Cause::new(42, "too slow").unwrap();
    let late = ["context canceled", "context deadline exceeded", "too slow"];
    assert_eq!(chain(passed(late_for(&slow))), late);
    let canceled = Cause::from_error(because("the client has gone")).unwrap();
    let late = ["context deadline exceeded", "context canceled", "the client has gone"];
    assert_eq!(chain(late_for(&canceled)), late);
}

/// What is given stays in the chain with its own sources, also if it reads as the end does.
#[test]
fn a_cause_that_reads_as_the_end_hides_nothing() {
    #[derive(Debug)]
    struct Reads(&'static str, io::Error);
    impl fmt::Display for Reads {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }
    impl Error for Reads {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.1)
        }
    }
    let ended = passed(Reads("context canceled", io::Error::other("the disk is full")));
    assert_eq!(chain(ended.clone()).last().unwrap(), "the disk is full");
    assert_eq!(ended.source().unwrap().downcast_ref(), Some(ended.cause()));
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    canceler.cancel_because("context canceled");
    let ended = ctx.ended().unwrap();
    assert_eq!(ended.source().unwrap().downcast_ref(), Some(ended.cause()));
}

/// The error of a context that was canceled for another error.
fn passed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Ended {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    canceler.cancel_with(&Cause::from_error(error).unwrap());
    ctx.ended().unwrap()
}

fn chain(error: impl Error) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    texts
}

#[test]
fn a_cause_is_given_if_it_says_more_than_an_error() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    canceler.cancel();
    assert!(!ctx.cause().unwrap().is_given());
    assert!(Cause::new(-libc::ECANCELED, "context canceled").unwrap().is_given());
    assert!(Cause::from_error("just text").unwrap().is_given());
}

/// A cause that another language made without a message is no source of the error whose number it has.
#[test]
fn a_bare_cause_is_a_source_of_another_error_alone() {
    let bare = |code| {
        let mut cause = ptr::null_mut();
        // SAFETY: without a message C takes the code's; the reference is taken over.
        unsafe {
            assert_eq!(sys::ctx_cause_new(code, ptr::null(), &mut cause), 0);
            Cause::from_raw(cause).unwrap()
        }
    };
    let with_data = || {
        let mut cause = ptr::null_mut();
        let (key, none) = ((&raw const PLACE).cast(), ptr::null_mut());
        // SAFETY: as above; for this key null is no value.
        unsafe {
            let code = sys::CTX_CANCELED;
            assert_eq!(sys::ctx_cause_new_data(code, ptr::null(), key, none, None, &mut cause), 0);
            Cause::from_raw(cause).unwrap()
        }
    };
    let ended_by = |cause| {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        canceler.cancel_with(&cause);
        ctx.ended().unwrap()
    };
    let ended = |code| ended_by(bare(code));
    assert_eq!(chain(ended(sys::CTX_CANCELED)), ["context canceled"]);
    assert_eq!(chain(ended_by(with_data())), ["context canceled"]);
    let late = ["context canceled", "context deadline exceeded"];
    assert_eq!(chain(ended(sys::CTX_DEADLINE_EXCEEDED)), late);
    assert_eq!(chain(ended(-libc::EPIPE)), ["context canceled", "Broken pipe"]);
}

#[test]
fn data_is_seen_through_its_key_alone() {
    let cause = Cause::with_data(3, "with data", &PLACE, "here").unwrap();
    assert_eq!(cause.data(&PLACE), Some(&"here"));
    assert_eq!(cause.data(&OTHER), None);
    assert_eq!(cause.clone().data(&PLACE), Some(&"here"));
}

#[test]
fn the_cause_of_a_deadline_is_there_when_it_fires() {
    let late = Cause::new(42, "too slow").unwrap();
    let (ctx, _canceler) =
        Context::background().with_timeout_cause(Duration::from_millis(1), &late).unwrap();
    let ended = ctx.wait().unwrap();
    assert!(ended.is_deadline_exceeded());
    assert_eq!(
        (ended.cause().code(), ended.source().unwrap().to_string().as_str()),
        (42, "too slow")
    );
    let hour = Duration::from_secs(3600);
    let (ctx, canceler) = Context::background().with_timeout_cause(hour, &late).unwrap();
    canceler.cancel();
    assert_eq!(ctx.cause().unwrap().message(), "context canceled");
}

#[test]
fn a_nul_in_a_message_is_shown() {
    assert_eq!(Cause::new(1, "a\0b").unwrap().message(), "a\u{FFFD}b");
}

/// A timeout and an idle time, each with a cause and without.
#[test]
fn a_deadline_of_each_kind_has_the_cause_that_it_was_given() {
    let clock = Loop::virtual_time().unwrap();
    let (root, second) = (clock.background().unwrap(), Duration::from_secs(1));
    let late = Cause::new(42, "too slow").unwrap();
    let made = [
        root.with_timeout_cause(second, &late).unwrap(),
        root.with_idle_cause(second, &late).unwrap(),
        root.with_timeout(second).unwrap(),
        root.with_idle(second).unwrap(),
    ];
    clock.advance(2 * second).unwrap();
    let seen = made.map(|(ctx, _canceler)| ctx.ended().unwrap());
    assert!(seen.iter().all(Ended::is_deadline_exceeded));
    assert_eq!(seen.each_ref().map(|ended| ended.cause() == &late), [true, true, false, false]);
    assert_eq!(seen.map(|ended| ended.cause().is_given()), [true, true, false, false]);
}

#[test]
fn a_cancel_for_callers_with_locks_has_its_cause_and_runs_nothing_here() {
    let cause = Cause::new(7, "why").unwrap();
    for cause in [None, Some(&cause)] {
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        ctx.after_func(move |_| tell.send(std::thread::current().id()).unwrap()).unwrap();
        assert!(canceler.cancel_deferred(cause).unwrap());
        assert!(!canceler.cancel_deferred(cause).unwrap());
        assert!(ctx.ended().unwrap().is_canceled());
        match cause {
            Some(cause) => assert_eq!(&ctx.cause().unwrap(), cause),
            None => assert!(!ctx.cause().unwrap().is_given()),
        }
        assert_ne!(super::next(&told), std::thread::current().id());
    }
}

#[test]
fn a_context_is_ended_by_itself_or_by_those_above_it() {
    let (parent, canceler) = Context::background().with_cancel().unwrap();
    let (child, its_own) = parent.with_cancel().unwrap();
    let (below, _canceler) = child.with_cancel().unwrap();
    assert!(!below.ended_by(&child) && !child.ended_by(&child));
    its_own.cancel();
    assert!(below.ended_by(&child) && !child.ended_by(&below));
    canceler.cancel();
    assert!(!below.ended_by(&parent) && !parent.ended_by(&below));
}
