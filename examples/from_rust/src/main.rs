// SPDX-License-Identifier: MIT
//! libctx from Rust with nothing but `extern "C"`: derive, cancel in another thread, poll the done
//! descriptor, read the error and the cause.
//!
//! Exits 0 only if everything it prints came true.

use std::ffi::{CStr, CString};
use std::io;
use std::os::raw::{c_char, c_int, c_short, c_ulong};
use std::ptr;
use std::thread;

/// What this program uses of `ctx/ctx.h`, and poll(2), declared by hand.
mod ffi {
    use super::*;

    #[repr(C)]
    pub struct Ctx([u8; 0]);
    #[repr(C)]
    pub struct Canceler([u8; 0]);
    #[repr(C)]
    pub struct Cause([u8; 0]);

    extern "C" {
        pub fn ctx_background() -> *mut Ctx;
        pub fn ctx_unref(ctx: *mut Ctx) -> *mut Ctx;
        pub fn ctx_with_cancel(
            parent: *mut Ctx,
            ret: *mut *mut Ctx,
            ret_canceler: *mut *mut Canceler,
        ) -> c_int;
        pub fn ctx_with_timeout(
            parent: *mut Ctx,
            timeout_ns: i64,
            ret: *mut *mut Ctx,
            ret_canceler: *mut *mut Canceler,
        ) -> c_int;
        pub fn ctx_err(ctx: *const Ctx) -> c_int;
        pub fn ctx_done_fd(ctx: *mut Ctx) -> c_int;
        pub fn ctx_cancel_with(canceler: *mut Canceler, err: c_int, cause: *const Cause) -> c_int;
        pub fn ctx_canceler_unref(canceler: *mut Canceler) -> *mut Canceler;
        pub fn ctx_cause(ctx: *const Ctx) -> *const Cause;
        pub fn ctx_cause_new(code: c_int, message: *const c_char, ret: *mut *mut Cause) -> c_int;
        pub fn ctx_cause_message(cause: *const Cause) -> *const c_char;
        pub fn ctx_cause_unref(cause: *const Cause) -> *const Cause;
        pub fn ctx_strerror(err: c_int) -> *const c_char;
        pub fn ctx_version_string() -> *const c_char;
    }

    #[repr(C)]
    pub struct PollFd {
        pub fd: c_int,
        pub events: c_short,
        pub revents: c_short,
    }
    pub const POLLIN: c_short = 1;

    extern "C" {
        pub fn poll(fds: *mut PollFd, nfds: c_ulong, timeout_ms: c_int) -> c_int;
    }
}

const WATCHDOG_MS: c_int = 60_000;
const CTX_CANCELED: c_int = -125; // -ECANCELED
const CTX_DEADLINE_EXCEEDED: c_int = -110; // -ETIMEDOUT

/// The right to cancel, sent to another thread: libctx lets any thread use any handle.
struct Canceler(*mut ffi::Canceler);
unsafe impl Send for Canceler {}

impl Canceler {
    fn cancel(self, message: &str) -> io::Result<()> {
        let message = CString::new(message)?;
        let mut cause = ptr::null_mut();
        unsafe {
            check(ffi::ctx_cause_new(
                CTX_CANCELED,
                message.as_ptr(),
                &mut cause,
            ))?;
            let result = ffi::ctx_cancel_with(self.0, CTX_CANCELED, cause);
            ffi::ctx_cause_unref(cause);
            check(result).map(drop)
        }
    }
}

impl Drop for Canceler {
    fn drop(&mut self) {
        unsafe { ffi::ctx_canceler_unref(self.0) };
    }
}

/// A negative result is an errno, as io::Error knows it.
fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::from_raw_os_error(-result))
    } else {
        Ok(result)
    }
}

fn text<'a>(borrowed: *const c_char) -> &'a str {
    assert!(!borrowed.is_null());
    unsafe { CStr::from_ptr(borrowed) }.to_str().expect("UTF-8")
}

/// Waits in poll(2) until the done descriptor is readable.
fn poll_done(ctx: *mut ffi::Ctx) -> io::Result<()> {
    let fd = check(unsafe { ffi::ctx_done_fd(ctx) })?;
    let mut entry = ffi::PollFd {
        fd,
        events: ffi::POLLIN,
        revents: 0,
    };
    if unsafe { ffi::poll(&mut entry, 1, WATCHDOG_MS) } < 0 {
        return Err(io::Error::last_os_error());
    }
    match entry.revents & ffi::POLLIN {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

fn cancel_from_a_thread() -> io::Result<()> {
    let (mut ctx, mut canceler) = (ptr::null_mut(), ptr::null_mut());
    check(unsafe { ffi::ctx_with_cancel(ffi::ctx_background(), &mut ctx, &mut canceler) })?;
    let canceler = Canceler(canceler);
    assert_eq!(unsafe { ffi::ctx_err(ctx) }, 0, "live");

    let thread = thread::spawn(move || canceler.cancel("the worker found what it looked for"));
    poll_done(ctx)?;
    println!("poll saw the cancel of another thread");
    thread.join().expect("no panic")?;

    unsafe {
        assert_eq!(ffi::ctx_err(ctx), CTX_CANCELED);
        println!("error: {}", text(ffi::ctx_strerror(ffi::ctx_err(ctx))));
        let message = text(ffi::ctx_cause_message(ffi::ctx_cause(ctx)));
        assert_eq!(message, "the worker found what it looked for");
        println!("cause: {message}");
        ffi::ctx_unref(ctx);
    }
    Ok(())
}

fn deadline() -> io::Result<()> {
    let mut ctx = ptr::null_mut();
    let timeout_ns = 100_000_000;
    let none = ptr::null_mut();
    check(unsafe { ffi::ctx_with_timeout(ffi::ctx_background(), timeout_ns, &mut ctx, none) })?;
    poll_done(ctx)?;
    println!("poll saw the deadline");

    let err = unsafe { ffi::ctx_err(ctx) };
    assert_eq!(err, CTX_DEADLINE_EXCEEDED);
    println!("error: {}", text(unsafe { ffi::ctx_strerror(err) }));
    println!(
        "as an io::ErrorKind: {:?}",
        io::Error::from_raw_os_error(-err).kind()
    );
    unsafe { ffi::ctx_unref(ctx) };
    Ok(())
}

fn main() -> io::Result<()> {
    println!(
        "libctx {} in Rust",
        text(unsafe { ffi::ctx_version_string() })
    );
    cancel_from_a_thread()?;
    deadline()
}
