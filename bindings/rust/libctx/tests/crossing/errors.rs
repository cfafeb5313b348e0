// SPDX-License-Identifier: MIT
//! Errors of C as errors of Rust's, and as those of std::io.

use libctx::{Canceler, Cause, Context, Ended, Error, ErrorKind, Events, Loop, sys};
use std::error::Error as _;
use std::ffi::{CStr, CString, c_int};
use std::mem::transmute;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{io, ptr};

fn expired() -> Ended {
    let (ctx, _canceler) = Context::background().with_timeout(Duration::ZERO).unwrap();
    ctx.check().unwrap_err()
}

fn canceled(message: &str) -> Ended {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    assert!(ctx.check().is_ok() && ctx.ended().is_none() && ctx.cause().is_none());
    assert!(canceler.cancel_because(message));
    ctx.check().unwrap_err()
}

#[test]
fn the_two_ends_have_their_names_and_codes() {
    let ended = canceled("why");
    assert!(matches!(&ended, Ended::Canceled(cause) if cause.message() == "why"));
    assert_eq!((ended.code(), &*ended.to_string()), (-libc::ECANCELED, "context canceled"));
    assert!(ended.is_canceled() && !ended.is_deadline_exceeded());
    assert_eq!(Error::from(ended).kind(), ErrorKind::Canceled);
    let ended = expired();
    assert!(matches!(&ended, Ended::DeadlineExceeded(cause) if !cause.is_given()));
    assert_eq!(
        (ended.code(), &*ended.to_string()),
        (-libc::ETIMEDOUT, "context deadline exceeded")
    );
    assert!(ended.is_deadline_exceeded() && !ended.is_canceled());
    assert_eq!(Error::from(ended).kind(), ErrorKind::DeadlineExceeded);
}

#[test]
fn the_source_is_the_cause_if_it_says_more() {
    assert_eq!(canceled("why").source().unwrap().to_string(), "why");
    assert!(expired().source().is_none());
    assert_eq!(expired().cause().message(), "context deadline exceeded");
}

#[test]
fn the_end_of_a_context_becomes_an_io_error_and_back() {
    let error = io::Error::from(expired());
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let error = io::Error::from(canceled("why"));
    assert_eq!(error.kind(), io::ErrorKind::Other);
    assert_eq!(Ended::find(&error).unwrap().cause().message(), "why");
    assert_eq!(io::Error::from(Error::from(expired())).kind(), io::ErrorKind::TimedOut);

    fn reads(ctx: &Context) -> io::Result<()> {
        ctx.check()?;
        Ok(())
    }
    assert!(reads(&Context::background()).is_ok());
}

#[test]
fn an_error_of_the_system_is_the_systems_in_io() {
    let regular = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let error = Context::background().with_fd(&regular, Events::IN).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::System, -libc::EPERM));
    assert!(error.ended().is_none() && error.source().is_none());
    assert_eq!(io::Error::from(error).raw_os_error(), Some(libc::EPERM));
}

#[test]
fn every_kind_comes_from_where_it_should() {
    let root = Context::background();
    let manual = Loop::manual().unwrap();
    let kind = |error: Option<Error>| error.unwrap().kind();
    assert_eq!(kind(root.done_fd().err()), ErrorKind::Unsupported);
    assert_eq!(kind(manual.advance(Duration::ZERO).err()), ErrorKind::Unsupported);
    assert_eq!(kind(root.with_string("a\0b", "").err()), ErrorKind::InvalidInput);
    assert_eq!(kind(Context::merge([]).err()), ErrorKind::InvalidInput);
    assert_eq!(kind(Context::wait_any([], None).err()), ErrorKind::InvalidInput);
    assert_eq!(kind(root.with_signal(&[]).err()), ErrorKind::InvalidInput);
    assert_eq!(kind(manual.set_default().err()), ErrorKind::Busy);
    assert_eq!(kind(Cause::decode("").err()), ErrorKind::Malformed);
    assert_eq!(kind(root.with_baggage("a", &"x".repeat(8192)).err()), ErrorKind::InvalidInput);
}

/// Whatever `?` made of an end: it is found again, and shows itself with its cause.
#[test]
fn an_end_is_found_in_whatever_it_became() {
    fn boxed(ctx: &Context) -> Result<(), Box<dyn std::error::Error>> {
        Ok(ctx.check()?)
    }
    fn own(ctx: &Context) -> libctx::Result<()> {
        ctx.check()?;
        ctx.with_cancel().map(drop)
    }
    fn io_of_own(ctx: &Context) -> io::Result<()> {
        Ok(own(ctx)?)
    }
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    assert!(own(&ctx).is_ok());
    canceler.cancel_because("why");
    let ended = ctx.ended().unwrap();
    assert_eq!(Ended::find(&*boxed(&ctx).unwrap_err()), Some(&ended));
    assert_eq!(Ended::find(&own(&ctx).unwrap_err()), Some(&ended));
    assert_eq!(own(&ctx).unwrap_err().ended(), Some(&ended));
    assert_eq!(Ended::find(&io_of_own(&ctx).unwrap_err()), Some(&ended));
    assert_eq!(Ended::find(&io::Error::other(io_of_own(&ctx).unwrap_err())), Some(&ended));
    assert_eq!(Ended::find(&io::Error::other("why")), None);
    assert_eq!(Ended::find(&Context::merge([]).unwrap_err()), None);
    assert_eq!(format!("{ended:#}"), "context canceled: why");
    assert_eq!(format!("{:#}", own(&ctx).unwrap_err()), "context canceled: why");
    assert_eq!(format!("{:#}", expired()), "context deadline exceeded");
}

/// An error of a program's own around another one.
#[derive(Debug)]
struct Around(&'static str, Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for Around {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Around {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.1)
    }
}

#[test]
fn an_end_is_found_however_deep_it_is() {
    let ended = canceled("why");
    let around = |text, error| Box::new(Around(text, error));
    let all: [Box<dyn std::error::Error + Send + Sync>; 4] = [
        Box::new(ended.clone()),
        Error::from(ended.clone()).into(),
        io::Error::from(ended.clone()).into(),
        io::Error::other(Error::from(ended.clone())).into(),
    ];
    for error in all {
        let deep = around("outer", around("inner", error));
        assert_eq!(Ended::find(&*deep), Some(&ended));
    }
    assert_eq!(Ended::find(&*around("outer", "no end".into())), None);
}

/// An error of the crate has the sources of the end that it is, and none of its own.
#[test]
fn an_end_is_shown_with_all_its_sources() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let error = Around("it was not written", Around("the disk", "it is full".into()).into());
    canceler.cancel_with(&Cause::from_error(error).unwrap());
    let (ended, text) = (ctx.ended().unwrap(), "it was not written: the disk: it is full");
    assert_eq!(format!("{ended}"), "context canceled");
    assert_eq!(format!("{ended:#}"), format!("context canceled: {text}"));
    let error = Error::from(ended);
    assert_eq!(format!("{error:#}"), format!("context canceled: {text}"));
    let source = error.source().unwrap();
    assert_eq!(source.to_string(), "it was not written");
    assert_eq!(source.source().unwrap().to_string(), "the disk");
}

#[test]
fn an_error_can_be_passed_on_to_another_context() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    assert!(canceler.cancel_as(&expired()));
    assert!(ctx.ended().unwrap().is_deadline_exceeded());
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    assert!(canceler.cancel_as(&canceled("of another")));
    assert_eq!(ctx.cause().unwrap().message(), "of another");
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let error = Context::merge([]).unwrap_err();
    assert!(canceler.cancel_with(&Cause::from_error(error).unwrap()));
    assert!(ctx.ended().unwrap().is_canceled());
    assert_eq!(ctx.cause().unwrap().code(), -libc::EINVAL);
}

#[test]
fn times_go_there_and_back() {
    let deadline = Instant::now() + Duration::from_secs(7200);
    let (ctx, _canceler) = Context::background().with_deadline(deadline).unwrap();
    assert_eq!(ctx.deadline(), Some(deadline));
    assert!(ctx.remaining().unwrap() <= Duration::from_secs(7200));
    let cause = Cause::new(1, "too late").unwrap();
    let earlier = Instant::now() - Duration::from_secs(60); // before any clock of this process was read
    let (past, _canceler) = ctx.with_deadline_cause(earlier, &cause).unwrap();
    assert_eq!(past.cause().unwrap().message(), "too late");
    assert_eq!((past.deadline(), past.remaining()), (Some(earlier), Some(Duration::ZERO)));
    let (endless, _canceler) = Context::background().with_timeout(Duration::MAX).unwrap();
    assert_eq!((endless.deadline(), endless.remaining()), (None, None));
    let years = |n: u64| Duration::from_secs(n * 365 * 24 * 3600);
    for n in [291, 293, 1000, 100_000_000_000] {
        let Some(far) = Instant::now().checked_add(years(n)) else { continue };
        for ctx in [Context::background(), Loop::virtual_time().unwrap().background().unwrap()] {
            let (far, _canceler) = ctx.with_deadline(far).unwrap();
            assert!(!far.is_done() && far.remaining().is_none_or(|left| left > years(290)), "{n}");
        }
    }
}

#[test]
fn an_instant_is_never_early() {
    let deadline = Instant::now() + Duration::from_millis(20);
    let (ctx, _canceler) = Context::background().with_deadline(deadline).unwrap();
    assert!(ctx.wait().unwrap().is_deadline_exceeded());
    assert!(Instant::now() >= deadline);
}

#[test]
fn a_wait_that_times_out_is_no_error() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    assert!(ctx.wait_timeout(Duration::ZERO).unwrap().is_none());
    assert_eq!(Context::wait_any([&ctx], Some(Duration::from_millis(1))).unwrap(), None);
    canceler.cancel();
    assert!(ctx.wait_timeout(Duration::ZERO).unwrap().unwrap().is_canceled());
    let root = Context::background();
    assert_eq!(Context::wait_any([&root, &ctx], None).unwrap(), Some(1));
}

/// The library again, under another name: its handles are told from ours, and refused.
#[test]
fn a_handle_of_another_copy_is_an_error() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut paths = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
    let Some(path) = paths.find(|path| path.contains("/libctx.so")) else {
        if cfg!(feature = "bundled") {
            return; // linked into this program: there is no file to copy
        }
        panic!("no shared libctx");
    };
    let copy =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("copy-{}.so", std::process::id()));
    std::fs::copy(path, &copy).unwrap();
    let name = CString::new(copy.as_os_str().as_bytes()).unwrap();
    // SAFETY: the copy is never unloaded, and its functions have the types of ours, of which each symbol
    // is given its own; what they make is valid, and stays.
    let (ctx, canceler, cause) = unsafe {
        let library = libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!library.is_null());
        let symbol = |name: &CStr| {
            let symbol = libc::dlsym(library, name.as_ptr());
            assert!(!symbol.is_null());
            symbol
        };
        let background: unsafe extern "C" fn() -> *mut sys::ctx_t =
            transmute(symbol(c"ctx_background"));
        let with_cancel: WithCancel = transmute(symbol(c"ctx_with_cancel"));
        let cause_of: unsafe extern "C" fn(*const sys::ctx_t) -> *const sys::ctx_cause_t =
            transmute(symbol(c"ctx_cause"));
        let cancel: unsafe extern "C" fn(*mut sys::ctx_canceler_t) -> c_int =
            transmute(symbol(c"ctx_cancel"));
        let (mut ctx, mut canceler) = (ptr::null_mut(), ptr::null_mut());
        assert_eq!(with_cancel(background(), &mut ctx, &mut canceler), 0);
        // SAFETY: valid handles, if not of this copy; nothing is taken from them.
        let error = Canceler::clone_from_raw(canceler).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Foreign, -libc::EREMOTE));
        assert_eq!(cancel(canceler), 1, "a handle that is refused is not canceled");
        (ctx, canceler, cause_of(ctx))
    };
    std::fs::remove_file(&copy).unwrap();
    // SAFETY: valid handles, if not of this copy; nothing is taken from them.
    let errors = unsafe {
        [
            Context::from_raw(ctx).unwrap_err(),
            Context::clone_from_raw(ctx).unwrap_err(),
            Canceler::from_raw(canceler).unwrap_err(),
            Cause::from_raw(cause).unwrap_err(),
            Cause::clone_from_raw(cause).unwrap_err(),
        ]
    };
    for error in errors {
        assert_eq!((error.kind(), error.code()), (ErrorKind::Foreign, -libc::EREMOTE));
        assert_eq!(error.to_string(), "a handle of another copy of libctx");
    }
}

type WithCancel = unsafe extern "C" fn(
    *mut sys::ctx_t,
    *mut *mut sys::ctx_t,
    *mut *mut sys::ctx_canceler_t,
) -> c_int;
