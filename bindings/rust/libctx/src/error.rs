// SPDX-License-Identifier: MIT
//! How a call failed, or how a context ended: one error type, made from the C library's negative errnos.

use crate::Cause;
use libctx_sys as sys;
use std::ffi::{CStr, c_int};
use std::{error, fmt, io};

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a context is done, or why a function failed.
///
/// [`kind`](Error::kind) says which. An error from the end of a context carries its
/// [`Cause`], which is also the [`source`](error::Error::source) if somebody gave one. It converts to
/// [`io::Error`]; [`code`](Error::code) is the number that a C function would return.
///
/// ```
/// use libctx::{Context, ErrorKind};
/// use std::{error::Error as _, io};
///
/// let (ctx, canceler) = Context::background().with_cancel()?;
/// canceler.cancel_because("the client has gone");
/// let error = ctx.check().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Canceled);
/// assert_eq!(error.to_string(), "context canceled");
/// assert_eq!(error.source().unwrap().to_string(), "the client has gone");
/// assert_eq!(io::Error::from(error).to_string(), "context canceled");
/// # Ok::<(), libctx::Error>(())
/// ```
#[derive(Clone)]
pub struct Error {
    code: c_int,
    cause: Option<Cause>,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The context was canceled.
    Canceled,
    /// The context's deadline passed.
    DeadlineExceeded,
    /// An argument that makes no sense, such as a NUL inside a name.
    InvalidInput,
    /// Contexts of different loops cannot be merged.
    OtherLoop,
    /// A loop of this kind cannot do it, or a context that can never be done has no descriptor.
    Unsupported,
    /// The loop is being driven already, or the default loop has been used.
    Busy,
    /// The handle was made before a fork: in the child it can only be read.
    Forked,
    /// The handle belongs to another copy of libctx in this process.
    Foreign,
    /// The system had no memory, descriptor or thread, or refused in another way; see [`Error::code`].
    System,
}

impl Error {
    /// An error from a C function's negative result.
    #[cold]
    pub(crate) fn from_code(code: c_int) -> Error {
        Error { code, cause: None }
    }

    /// How a context ended.
    #[cold]
    pub(crate) fn ended(code: c_int, cause: Option<Cause>) -> Error {
        Error { code, cause }
    }

    /// Which kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self.code {
            sys::CTX_CANCELED => ErrorKind::Canceled,
            sys::CTX_DEADLINE_EXCEEDED => ErrorKind::DeadlineExceeded,
            code => match -code {
                libc::EINVAL => ErrorKind::InvalidInput,
                libc::EXDEV => ErrorKind::OtherLoop,
                libc::ENOTSUP => ErrorKind::Unsupported,
                libc::EBUSY => ErrorKind::Busy,
                libc::ECHILD => ErrorKind::Forked,
                libc::EREMOTE => ErrorKind::Foreign,
                _ => ErrorKind::System,
            },
        }
    }

    /// Its number in the C functions: a negative errno, to return across an FFI boundary.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// Why the context was ended; `None` for an error that is not the end of a context.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// True if it was a cancel.
    pub fn is_canceled(&self) -> bool {
        self.kind() == ErrorKind::Canceled
    }

    /// True if a deadline passed.
    pub fn is_deadline_exceeded(&self) -> bool {
        self.kind() == ErrorKind::DeadlineExceeded
    }

    fn text(&self) -> &'static str {
        // SAFETY: the text is static, never NULL, and ends with a NUL.
        let text = unsafe { CStr::from_ptr(sys::ctx_strerror(self.code)) };
        text.to_str().unwrap_or("unknown error")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            ErrorKind::Forked => f.write_str("the context was made before a fork"),
            ErrorKind::Foreign => f.write_str("a handle of another copy of libctx"),
            ErrorKind::OtherLoop => f.write_str("contexts of different loops"),
            _ => f.write_str(self.text()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("Error");
        s.field("kind", &self.kind()).field("code", &self.code);
        if let Some(cause) = &self.cause {
            s.field("cause", cause);
        }
        s.finish()
    }
}

impl error::Error for Error {
    /// The cause, if it says more than the error itself. A cause made of the same end of another context says
    /// no more: then this is the cause's source, so that a chain says nothing twice.
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        let mut error = self;
        loop {
            let cause = error.cause.as_ref()?;
            match cause.get_ref().and_then(inside) {
                Some(inner) if inner.code == self.code => error = inner,
                _ if cause.text_is_of(self.code) => return None,
                _ => return Some(cause),
            }
        }
    }
}

/// The error of a context: this error, or the one inside this [`io::Error`].
fn inside<'a>(error: &'a (dyn error::Error + Send + Sync + 'static)) -> Option<&'a Error> {
    let io = || error.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref();
    error.downcast_ref().or_else(io)
}

/// The end of a context becomes an [`io::Error`] around this error (`get_ref()` and `downcast_ref()` get it
/// back). Its kind is `TimedOut` for a deadline and `Other` for a cancel: on `Interrupted` readers and
/// writers would try again. Any other error becomes the system's own.
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        match error.kind() {
            ErrorKind::Canceled => io::Error::other(error),
            ErrorKind::DeadlineExceeded => io::Error::new(io::ErrorKind::TimedOut, error),
            _ => io::Error::from_raw_os_error(-error.code),
        }
    }
}

/// A C function's result: its error, or the count that it returned.
#[inline]
pub(crate) fn check(result: c_int) -> Result<usize> {
    match usize::try_from(result) {
        Ok(count) => Ok(count),
        Err(_) => Err(Error::from_code(result)),
    }
}
