// SPDX-License-Identifier: MIT
//! A context: its roots, its C handle, and reading it.

use crate::time::{Clock, duration};
use crate::{Cause, Ended, Result};
use libctx_sys as sys;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// A context: it carries a cancel signal, a deadline and values from a caller to everything it calls.
///
/// A clone is the same context. Derive from one with the `with_…` methods. A context alone does not give the
/// right to cancel it; the [`Canceler`](crate::Canceler) that comes with a derivation does. When the last
/// handle of a context is dropped, the context is freed, canceled or not.
///
/// ```
/// use libctx::{Context, Result};
/// use std::time::Duration;
///
/// fn work(ctx: &Context) -> Result<u32> {
///     for step in 0.. {
///         ctx.check()?; // done: the error says how, and carries the cause
///         std::thread::yield_now();
///         if step == 1000 {
///             break;
///         }
///     }
///     Ok(1000)
/// }
///
/// let (ctx, _canceler) = Context::background().with_timeout(Duration::from_secs(3600))?;
/// assert_eq!(work(&ctx)?, 1000);
/// # Ok::<(), libctx::Error>(())
/// ```
///
/// Two are equal if they are handles of the same context.
#[repr(transparent)]
#[derive(PartialEq, Eq, Hash)]
pub struct Context(NonNull<sys::ctx_t>);

// SAFETY: the library allows every function from any thread at any time, on shared handles too, and
// counts references atomically. The values that Rust hangs onto a context, and gets from it, are
// Send + Sync by the bounds of `with_value` and `value`, so other threads may share and drop them; callbacks
// are Send by the bounds of `after_func`. Rust cannot reach the values of other languages, whose destructors
// must be ready for any thread, by the contract of the C functions.
unsafe impl Send for Context {}
// SAFETY: as for Send; methods of a shared context change it only under the library's locks.
unsafe impl Sync for Context {}

impl Context {
    /// The root of all contexts: never done, no deadline, no values.
    #[inline]
    pub fn background() -> Context {
        // SAFETY: the root is static: never NULL, and references to it are not counted.
        unsafe { Context::own(sys::ctx_background()) }
    }

    /// A second root, for code that does not know yet which context it should use.
    pub fn todo() -> Context {
        // SAFETY: as for background().
        unsafe { Context::own(sys::ctx_todo()) }
    }

    /// How the context ended; `None` while it is live. Once set, it never changes.
    #[inline]
    pub fn ended(&self) -> Option<Ended> {
        // SAFETY: self holds a reference.
        match unsafe { sys::ctx_err(self.as_raw()) } {
            0 => None,
            code => Some(Ended::new(code, self.cause()?)), // which is there: it is set first
        }
    }

    /// `Ok` while the context is live, else how it ended: `ctx.check()?` is the whole idiom.
    #[inline]
    pub fn check(&self) -> std::result::Result<(), Ended> {
        match self.ended() {
            None => Ok(()),
            Some(ended) => Err(ended),
        }
    }

    /// True once the context is done. One load: cheap enough for any loop.
    #[inline]
    pub fn is_done(&self) -> bool {
        // SAFETY: self holds a reference.
        unsafe { sys::ctx_err(self.as_raw()) != 0 }
    }

    /// Says that there was progress: the ends of all contexts of [`with_idle`](Context::with_idle) at or above this
    /// one move. False if it is done, or was made before a fork. Some nanoseconds.
    #[inline]
    pub fn touch(&self) -> bool {
        // SAFETY: self holds a reference.
        unsafe { sys::ctx_touch(self.as_raw()) == 0 }
    }

    /// Why the context is done; `None` while it is live, never `None` after.
    pub fn cause(&self) -> Option<Cause> {
        // SAFETY: self holds a reference, and with it the cause, if there is one.
        unsafe { Cause::clone_from_raw(sys::ctx_cause(self.as_raw())) }.ok()
    }

    /// True if the context can ever be done.
    pub fn is_cancelable(&self) -> bool {
        // SAFETY: self holds a reference.
        unsafe { sys::ctx_cancelable(self.as_raw()) == 1 }
    }

    /// Whether the candidate ended this context. One that ended by itself was ended by no other; any other was ended
    /// by its parent, and by whatever ended that. A merged context was ended by exactly one of its parents.
    ///
    /// ```
    /// use libctx::Context;
    ///
    /// let (server, _stop) = Context::background().with_cancel()?;
    /// let (client, hang_up) = Context::background().with_cancel()?;
    /// let (both, _cancel) = Context::merge([&server, &client])?;
    /// hang_up.cancel();
    /// assert!(both.ended_by(&client) && !both.ended_by(&server));
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn ended_by(&self, candidate: &Context) -> bool {
        // SAFETY: both hold references.
        unsafe { sys::ctx_ended_by(self.as_raw(), candidate.as_raw()) == 1 }
    }

    /// The effective deadline: the earlier of its own and its parent's. It never changes, but on a loop with
    /// another clock than `Instant` has the instant does: it is as far ahead as the deadline is now. There
    /// [`deadline_on_clock`](Context::deadline_on_clock) tells more.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline_nanoseconds().map(|time| Clock::of(self).instant(time))
    }

    /// The deadline as a reading of [`now`](Context::now).
    pub fn deadline_on_clock(&self) -> Option<Duration> {
        self.deadline_nanoseconds().map(duration)
    }

    fn deadline_nanoseconds(&self) -> Option<i64> {
        let mut time = 0;
        // SAFETY: self holds a reference, and `time` is written to.
        (unsafe { sys::ctx_deadline(self.as_raw(), &mut time) } == 1).then_some(time)
    }

    /// How long until the deadline, zero after it; `None` without one.
    pub fn remaining(&self) -> Option<Duration> {
        // SAFETY: self holds a reference.
        match unsafe { sys::ctx_remaining(self.as_raw()) } {
            sys::CTX_FOREVER => None,
            time => Some(duration(time)),
        }
    }

    /// As [`remaining`](Context::remaining), in milliseconds rounded up, and -1 without a deadline: what
    /// poll(2), libpq, curl and other C libraries take for a timeout.
    pub fn remaining_ms(&self) -> i32 {
        // SAFETY: self holds a reference.
        unsafe { sys::ctx_remaining_ms(self.as_raw()) }
    }

    /// Now, on the clock of this context's deadlines: the system's monotonic clock, that of
    /// [`LoopClock::Boottime`](crate::LoopClock::Boottime), or that of a virtual loop, which begins at zero.
    pub fn now(&self) -> Duration {
        // SAFETY: self holds a reference.
        duration(unsafe { sys::ctx_now(self.as_raw()) })
    }

    /// How the context came to be, such as `context.Background.WithCancel.WithValue(user)`.
    pub fn describe(&self) -> String {
        let mut text = Vec::<u8>::with_capacity(128);
        loop {
            // SAFETY: self holds a reference, and the library writes within the capacity.
            let length = unsafe {
                sys::ctx_describe(self.as_raw(), text.as_mut_ptr().cast(), text.capacity())
            };
            let Ok(length) = usize::try_from(length) else { return String::new() };
            if length < text.capacity() {
                // SAFETY: the library has written this many bytes and a NUL.
                unsafe { text.set_len(length) };
                return String::from_utf8_lossy(&text).into_owned();
            }
            text.reserve(length + 16); // the remaining time is part of the text, and may grow
        }
    }

    /// The C handle, borrowed: for a call into C, which takes its own reference if it keeps it.
    #[inline]
    pub fn as_raw(&self) -> *mut sys::ctx_t {
        self.0.as_ptr()
    }

    /// The C handle, with its reference: give that back by `ctx_unref()` or
    /// [`from_raw`](Context::from_raw).
    pub fn into_raw(self) -> *mut sys::ctx_t {
        ManuallyDrop::new(self).as_raw()
    }

    /// Takes over a reference from a C handle. NULL, a canceler's handle and one of another copy of
    /// libctx are errors, and then nothing has been taken.
    ///
    /// ```
    /// use libctx::Context;
    ///
    /// let (ctx, _canceler) = Context::background().with_cancel()?;
    /// let handle = ctx.clone().into_raw(); // to C, to Python, and back
    /// // SAFETY: the handle owns its reference, and is not used again.
    /// let back = unsafe { Context::from_raw(handle) }?;
    /// assert_eq!(back, ctx);
    /// # Ok::<(), libctx::Error>(())
    /// ```
    ///
    /// # Safety
    /// The handle is NULL, or one whose reference the caller owns and now gives away.
    pub unsafe fn from_raw(ctx: *mut sys::ctx_t) -> Result<Context> {
        // SAFETY: NULL or valid, as the caller says.
        crate::error::check(unsafe { sys::ctx_cancelable(ctx) })?;
        // SAFETY: not NULL, or the check had failed; this object owns the reference now.
        Ok(unsafe { Context::own(ctx) })
    }

    /// Takes a reference of its own to a C handle that stays the caller's, as in a function that C calls
    /// with one. Errors as [`from_raw`](Context::from_raw).
    ///
    /// # Safety
    /// The handle is NULL, or one that is valid during this call.
    pub unsafe fn clone_from_raw(ctx: *mut sys::ctx_t) -> Result<Context> {
        // SAFETY: the reference is not ours to give back: ManuallyDrop does not.
        let borrowed = ManuallyDrop::new(unsafe { Context::from_raw(ctx) }?);
        Ok(Context::clone(&borrowed))
    }

    /// # Safety
    /// A valid handle, not NULL, whose reference the caller owns.
    #[inline]
    pub(crate) unsafe fn own(ctx: *mut sys::ctx_t) -> Context {
        // SAFETY: not NULL, as the caller says.
        Context(unsafe { NonNull::new_unchecked(ctx) })
    }
}

impl Clone for Context {
    #[inline]
    fn clone(&self) -> Context {
        // SAFETY: self holds a reference, so the handle is valid and one more can be had.
        unsafe { sys::ctx_ref(self.as_raw()) };
        Context(self.0)
    }
}

impl Drop for Context {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: self owns one reference, and gives it back once.
        unsafe { sys::ctx_unref(self.as_raw()) };
    }
}

/// The root: [`Context::background`].
impl Default for Context {
    fn default() -> Context {
        Context::background()
    }
}

/// As [`Context::describe`].
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.describe())
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}
