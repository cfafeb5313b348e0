// SPDX-License-Identifier: MIT
//! The right to cancel a context, and a guard that cancels at the end of a scope.

use crate::error::check;
use crate::{Cause, Ended, Error, Result};
use libctx_sys as sys;
use std::ffi::c_int;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

/// The right to cancel one context. A clone is the same right. Dropping it does not cancel;
/// [`guard`](Canceler::guard) does.
///
/// A cancel ends the context and everything derived from it. When it returns, all of them are done, every
/// waiter is woken, and the callbacks have run on this thread; inside a callback they run as soon as that
/// one has returned. A cancel needs no memory and cannot fail. Only a context made before a fork the child
/// cannot cancel: it returns `false` there.
///
/// Two are equal if they are the right to cancel the same context.
#[must_use = "dropped, it cancels nothing: keep it, or make it a guard"]
#[derive(PartialEq, Eq, Hash)]
pub struct Canceler(NonNull<sys::ctx_canceler_t>);

// SAFETY: the library allows cancels and references from any thread at any time. A cancel runs callbacks
// on its own thread: those are Send (`after_func`).
unsafe impl Send for Canceler {}
// SAFETY: as for Send; cancels from several threads at once are what the library is for.
unsafe impl Sync for Canceler {}

impl Canceler {
    /// Ends the context. True if this call did it, false if it was done already.
    #[inline]
    pub fn cancel(&self) -> bool {
        // SAFETY: self holds a reference.
        unsafe { sys::ctx_cancel(self.as_raw()) == 1 }
    }

    /// Ends the context with a cause.
    pub fn cancel_with(&self, cause: &Cause) -> bool {
        self.end(sys::CTX_CANCELED, Some(cause)) == 1
    }

    /// Ends the context with a message; where there is no memory for that, without one.
    pub fn cancel_because(&self, message: &str) -> bool {
        self.end(sys::CTX_CANCELED, because(message).as_ref()) == 1
    }

    /// Ends the context as another one ended: with its error and its cause.
    ///
    /// ```
    /// use libctx::Context;
    /// use std::time::Duration;
    ///
    /// let (late, _canceler) = Context::background().with_timeout(Duration::ZERO)?;
    /// let (ctx, canceler) = Context::background().with_cancel()?;
    /// canceler.cancel_as(&late.wait()?);
    /// assert_eq!(ctx.ended(), late.ended());
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn cancel_as(&self, ended: &Ended) -> bool {
        self.end(ended.code(), Some(ended.cause())) == 1
    }

    /// As [`cancel`](Canceler::cancel), for callers that hold locks: no callback and no drop of a value runs on this
    /// thread. They run as if the loop had ended the context. An error if the loop has no threads yet and cannot be
    /// started; then nothing has changed.
    ///
    /// ```
    /// use libctx::Context;
    /// use std::sync::{Arc, Mutex, mpsc};
    ///
    /// let (tell, told) = mpsc::channel();
    /// let shared = Arc::new(Mutex::new(1));
    /// let (ctx, canceler) = Context::background().with_cancel()?;
    /// let other = shared.clone();
    /// ctx.after_func(move |_| tell.send(*other.lock().unwrap()).unwrap())?;
    /// let mut held = shared.lock().unwrap();
    /// assert!(canceler.cancel_deferred(None)?); // cancel() would wait for itself here
    /// *held = 2;
    /// drop(held);
    /// assert_eq!(told.recv().unwrap(), 2);
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn cancel_deferred(&self, cause: Option<&Cause>) -> Result<bool> {
        let cause = cause.map_or(ptr::null(), Cause::as_raw);
        // SAFETY: self holds a reference; the context takes its own to the cause, if there is one.
        let result = unsafe { sys::ctx_cancel_deferred(self.as_raw(), sys::CTX_CANCELED, cause) };
        check(result).map(|ended| ended == 1)
    }

    fn end(&self, code: c_int, cause: Option<&Cause>) -> c_int {
        let cause = cause.map_or(ptr::null(), Cause::as_raw);
        // SAFETY: self holds a reference; the context takes its own to the cause, if there is one.
        unsafe { sys::ctx_cancel_with(self.as_raw(), code, cause) }
    }

    /// A descriptor that cancels: write a `u64` of 1 to it, and the loop soon cancels. For signal handlers,
    /// and for other processes that receive it.
    pub fn cancel_fd(&self) -> Result<OwnedFd> {
        // SAFETY: self holds a reference.
        let fd = unsafe { sys::ctx_cancel_fd(self.as_raw()) };
        check(fd)?;
        // SAFETY: the call succeeded, and the descriptor is ours.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Cancels when it is dropped: at the end of a scope, or with the task that holds it.
    pub fn guard(self) -> CancelGuard {
        self.guarded(None)
    }

    /// As [`guard`](Canceler::guard), and the cancel has this message; where there is no memory for that now,
    /// it has none.
    pub fn guard_because(self, message: &str) -> CancelGuard {
        self.guarded(because(message))
    }

    /// As [`guard`](Canceler::guard), and the cancel has this cause.
    pub fn guard_with(self, cause: &Cause) -> CancelGuard {
        self.guarded(Some(cause.clone()))
    }

    fn guarded(self, cause: Option<Cause>) -> CancelGuard {
        CancelGuard { canceler: self, cause, armed: true }
    }

    /// The C handle, borrowed.
    #[inline]
    pub fn as_raw(&self) -> *mut sys::ctx_canceler_t {
        self.0.as_ptr()
    }

    /// The C handle, with its reference.
    pub fn into_raw(self) -> *mut sys::ctx_canceler_t {
        ManuallyDrop::new(self).as_raw()
    }

    /// Takes over a reference from a C handle. NULL, a context's handle and one of another copy of libctx
    /// are errors, and then nothing has been taken.
    ///
    /// # Safety
    /// The handle is NULL, or one whose reference the caller owns and now gives away.
    pub unsafe fn from_raw(canceler: *mut sys::ctx_canceler_t) -> Result<Canceler> {
        // SAFETY: as the caller says.
        let canceler = unsafe { Canceler::clone_from_raw(canceler) }?;
        // SAFETY: of the two references that exist now, the caller's is given back.
        unsafe { sys::ctx_canceler_unref(canceler.as_raw()) };
        Ok(canceler)
    }

    /// Takes a reference of its own from a C handle that stays the caller's; errors as
    /// [`from_raw`](Canceler::from_raw).
    ///
    /// # Safety
    /// The handle is NULL, or one that is valid during this call.
    pub unsafe fn clone_from_raw(canceler: *mut sys::ctx_canceler_t) -> Result<Canceler> {
        // SAFETY: valid or NULL, as the caller says.
        let own = unsafe { sys::ctx_canceler_ref(canceler) };
        NonNull::new(own).map(Canceler).ok_or_else(|| {
            // SAFETY: as above. A cancel refuses the handle, too, and says why.
            Error::from_code(unsafe { sys::ctx_cancel(canceler) })
        })
    }

    /// # Safety
    /// A valid handle, not NULL, whose reference the caller owns.
    #[inline]
    pub(crate) unsafe fn own(canceler: *mut sys::ctx_canceler_t) -> Canceler {
        // SAFETY: not NULL, as the caller says.
        Canceler(unsafe { NonNull::new_unchecked(canceler) })
    }
}

impl Clone for Canceler {
    #[inline]
    fn clone(&self) -> Canceler {
        // SAFETY: self holds a reference, so the handle is valid and one more can be had.
        unsafe { sys::ctx_canceler_ref(self.as_raw()) };
        Canceler(self.0)
    }
}

impl Drop for Canceler {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: self owns one reference, and gives it back once.
        unsafe { sys::ctx_canceler_unref(self.as_raw()) };
    }
}

impl fmt::Debug for Canceler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Canceler").field(&self.as_raw()).finish()
    }
}

/// The cause of a cancel with a message, if there is memory for it: a cancel needs none.
fn because(message: &str) -> Option<Cause> {
    Cause::new(sys::CTX_CANCELED, message).ok()
}

/// A canceler that cancels when it is dropped. In an async task it ends the context when the task ends, also
/// by an abort. Make it outside the task and move it in: a task that is aborted before its first poll has
/// run nothing of its body.
///
/// ```
/// use libctx::Context;
///
/// let (ctx, canceler) = Context::background().with_cancel()?;
/// {
///     let _guard = canceler.guard_because("the request is over");
///     assert!(!ctx.is_done());
/// }
/// assert_eq!(ctx.cause().unwrap().message(), "the request is over");
/// # Ok::<(), libctx::Error>(())
/// ```
#[must_use = "a guard that is not kept cancels at once"]
#[derive(Debug)]
pub struct CancelGuard {
    canceler: Canceler,
    cause: Option<Cause>,
    armed: bool,
}

impl CancelGuard {
    /// Lets the context live, and returns the canceler.
    pub fn disarm(mut self) -> Canceler {
        self.armed = false;
        self.canceler.clone()
    }
}

impl Deref for CancelGuard {
    type Target = Canceler;
    fn deref(&self) -> &Canceler {
        &self.canceler
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if self.armed {
            self.end(sys::CTX_CANCELED, self.cause.as_ref());
        }
    }
}
