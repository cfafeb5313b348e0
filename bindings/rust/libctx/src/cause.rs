// SPDX-License-Identifier: MIT
//! Why a context was canceled: a code, a message and, if wanted, data such as a Rust error.

use crate::error::check;
use crate::guard::drop_box;
use crate::text::{c_string, lossy};
use crate::{Ended, Error, Key, Result};
use libctx_sys as sys;
use std::borrow::Cow;
use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::{error, fmt, io};

type BoxedError = Box<dyn error::Error + Send + Sync>;

/// The data of causes that [`Cause::from_error`] made.
static ERROR: Key<BoxedError> = Key::new(c"rust error");

/// Why a context was canceled. Immutable, and shared: a clone is the same cause.
///
/// Every language of the process sees its code and its message. It can also carry what only Rust
/// understands: an error, by [`from_error`](Cause::from_error), or any other value, by
/// [`with_data`](Cause::with_data).
///
/// ```
/// use libctx::{Cause, Context};
///
/// let (ctx, canceler) = Context::background().with_cancel()?;
/// let broken = "x".parse::<i32>().unwrap_err();
/// canceler.cancel_with(&Cause::from_error(broken.clone())?);
///
/// let cause = ctx.cause().unwrap();
/// assert_eq!(cause.message(), "invalid digit found in string");
/// assert_eq!(cause.get_ref().unwrap().downcast_ref(), Some(&broken));
/// # Ok::<(), libctx::Error>(())
/// ```
///
/// Two are equal if they are the same cause, not if they say the same. Without memory the functions that make
/// one return an error.
#[derive(PartialEq, Eq, Hash)]
pub struct Cause(NonNull<sys::ctx_cause_t>);

// SAFETY: a cause is immutable, its reference count is atomic, and the library allows every call from
// any thread. The data that Rust puts into one, or gets out of one, is Send + Sync by the bounds of
// `with_data` and `data`. Rust cannot reach the data of another language, whose drop function must be ready
// for any thread, by the contract of ctx_cause_new_data().
unsafe impl Send for Cause {}
// SAFETY: as for Send.
unsafe impl Sync for Cause {}

impl Cause {
    /// A cause with a code of the caller's (by custom a negative errno) and a message.
    pub fn new(code: i32, message: &str) -> Result<Cause> {
        let message = c_string(message)?;
        // SAFETY: the message is a C string that lives through the call, which copies it.
        Cause::made(|ret| unsafe { sys::ctx_cause_new(code, message.as_ptr(), ret) })
    }

    /// A cause that carries an error, which [`get_ref`](Cause::get_ref) returns. The message is the error's.
    /// The code is that of an [`Error`] or an [`Ended`], the negative errno of an [`io::Error`] from the system, and
    /// otherwise that of a cancel.
    pub fn from_error(error: impl Into<BoxedError>) -> Result<Cause> {
        let error = error.into();
        let of_end = || error.downcast_ref().map(Ended::code);
        let of_system = || error.downcast_ref::<io::Error>()?.raw_os_error().map(i32::wrapping_neg);
        let code = error.downcast_ref().map(Error::code).or_else(of_end).or_else(of_system);
        Cause::with_data(code.unwrap_or(sys::CTX_CANCELED), &error.to_string(), &ERROR, error)
    }

    /// A cause that carries a value, for those who have the key. The thread that drops the last reference
    /// drops the value.
    pub fn with_data<T: Send + Sync + 'static>(
        code: i32,
        message: &str,
        key: &'static Key<T>,
        data: T,
    ) -> Result<Cause> {
        let message = c_string(message)?;
        let data = Box::into_raw(Box::new(data));
        // SAFETY: the key is static, the message lives through the call, and drop_box::<T> is the
        // destructor of what Box<T> gave out.
        let made = Cause::made(|ret| unsafe {
            let (message, data, drop) = (message.as_ptr(), data.cast::<c_void>(), drop_box::<T>);
            sys::ctx_cause_new_data(code, message, key.raw(), data, Some(drop), ret)
        });
        if made.is_err() {
            // SAFETY: a constructor that fails has taken nothing.
            drop(unsafe { Box::from_raw(data) });
        }
        made
    }

    fn made(make: impl FnOnce(*mut *mut sys::ctx_cause_t) -> c_int) -> Result<Cause> {
        let mut cause = ptr::null_mut();
        check(make(&mut cause))?;
        // SAFETY: the call succeeded, so this is a valid handle, and ours.
        Ok(Cause(unsafe { NonNull::new_unchecked(cause) }))
    }

    /// The code: by custom a negative errno.
    pub fn code(&self) -> i32 {
        // SAFETY: self holds a reference.
        unsafe { sys::ctx_cause_code(self.as_raw()) }
    }

    /// The message. Bytes of other languages that are not UTF-8 become U+FFFD.
    pub fn message(&self) -> Cow<'_, str> {
        // SAFETY: self holds a reference, and the text lives as long as the cause.
        unsafe { lossy(sys::ctx_cause_message(self.as_raw())) }.unwrap_or_default()
    }

    /// Whether it says more than the error of its context: false for the plain cause of an error, and for
    /// one that C made of nothing but such an error's number.
    ///
    /// ```
    /// use libctx::{Cause, Context};
    ///
    /// let (ctx, canceler) = Context::background().with_cancel()?;
    /// canceler.cancel();
    /// assert!(!ctx.cause().unwrap().is_given());
    /// assert!(Cause::from_error("the client has gone")?.is_given());
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn is_given(&self) -> bool {
        // SAFETY: self holds a reference.
        unsafe { sys::ctx_cause_given(self.as_raw()) == 1 }
    }

    /// Whether nobody gave it a message: then its text is the very text of its code.
    pub(crate) fn text_is_of(&self, error: c_int) -> bool {
        // SAFETY: self holds a reference.
        unsafe { ptr::eq(sys::ctx_cause_message(self.as_raw()), sys::ctx_strerror(error)) }
    }

    /// The value, if the cause was made with this key.
    pub fn data<T: Send + Sync + 'static>(&self, key: &'static Key<T>) -> Option<&T> {
        // SAFETY: self holds a reference, and so the data.
        let data = unsafe { sys::ctx_cause_data(self.as_raw(), key.raw()) };
        // SAFETY: with a Key<T> only with_data puts anything in, and that is a boxed T (see Key).
        unsafe { data.cast::<T>().as_ref() }
    }

    /// The error that [`from_error`](Cause::from_error) was given, in this process and by this crate.
    pub fn get_ref(&self) -> Option<&(dyn error::Error + Send + Sync + 'static)> {
        self.data(&ERROR).map(|error| &**error)
    }

    /// The C handle, borrowed.
    pub fn as_raw(&self) -> *const sys::ctx_cause_t {
        self.0.as_ptr()
    }

    /// The C handle, with its reference.
    pub fn into_raw(self) -> *const sys::ctx_cause_t {
        std::mem::ManuallyDrop::new(self).as_raw()
    }

    /// Takes over a reference from a C handle. NULL, handles of another kind and of another copy of
    /// libctx are errors, and then nothing has been taken.
    ///
    /// # Safety
    /// The handle is NULL, or one whose reference the caller owns and now gives away.
    pub unsafe fn from_raw(cause: *const sys::ctx_cause_t) -> Result<Cause> {
        // SAFETY: as the caller says.
        let cause = unsafe { Cause::clone_from_raw(cause) }?;
        // SAFETY: of the two references that exist now, the caller's is given back.
        unsafe { sys::ctx_cause_unref(cause.as_raw()) };
        Ok(cause)
    }

    /// Takes a reference of its own from a C handle that stays the caller's; errors as
    /// [`from_raw`](Cause::from_raw).
    ///
    /// # Safety
    /// The handle is NULL, or one that is valid during this call.
    pub unsafe fn clone_from_raw(cause: *const sys::ctx_cause_t) -> Result<Cause> {
        // SAFETY: valid or NULL, as the caller says.
        let own = unsafe { sys::ctx_cause_ref(cause) };
        NonNull::new(own.cast_mut()).map(Cause).ok_or_else(|| {
            // SAFETY: as above. For a handle that was refused just now, the code is the reason.
            Error::from_code(unsafe { sys::ctx_cause_code(cause) })
        })
    }
}

impl Clone for Cause {
    fn clone(&self) -> Cause {
        // SAFETY: self holds a reference, so the handle is valid and one more can be had.
        unsafe { sys::ctx_cause_ref(self.as_raw()) };
        Cause(self.0)
    }
}

impl Drop for Cause {
    fn drop(&mut self) {
        // SAFETY: self owns one reference, and gives it back once.
        unsafe { sys::ctx_cause_unref(self.as_raw()) };
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("Cause");
        s.field("code", &self.code()).field("message", &self.message()).finish()
    }
}

impl error::Error for Cause {
    /// The source of the error that [`from_error`](Cause::from_error) was given. The cause already shows that
    /// error's text, so a chain of sources must not show it again.
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.get_ref().and_then(error::Error::source)
    }
}
