// SPDX-License-Identifier: MIT
//! What went wrong in a call: one error type, made from the C library's negative errnos.

use crate::{Ended, Signal};
use libctx_sys as sys;
use std::ffi::{CStr, c_int};
use std::{error, fmt, io};

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a function failed.
///
/// [`kind`](Error::kind) says which. Functions that a context ends, such as [`Context::run`], fail with how it
/// [`ended`](Error::ended); by `?` an [`Ended`] becomes an error, too. It converts to [`io::Error`];
/// [`code`](Error::code) is the number that a C function would return.
///
/// ```
/// use libctx::{Context, ErrorKind, Result};
/// use std::{error::Error as _, io};
///
/// fn work(ctx: &Context) -> Result<()> {
///     ctx.check()?; // the end of a context
///     ctx.with_string("trace-id", "8f2c")?; // no memory, and so on
///     Ok(())
/// }
///
/// let (ctx, canceler) = Context::background().with_cancel()?;
/// canceler.cancel_because("the client has gone");
/// let error = work(&ctx).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Canceled);
/// assert_eq!(error.to_string(), "context canceled");
/// assert_eq!(error.source().unwrap().to_string(), "the client has gone");
/// assert_eq!(io::Error::from(error).to_string(), "context canceled");
/// # Ok::<(), libctx::Error>(())
/// ```
///
/// [`Context::run`]: crate::Context::run
#[derive(Clone)]
pub struct Error(What);

#[derive(Clone)]
enum What {
    Ended(Ended),
    Code(c_int),
    Unblocked(Signal),
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The context was canceled.
    Canceled,
    /// The context's deadline passed.
    DeadlineExceeded,
    /// An argument that makes no sense, such as a NUL inside a name or a signal that is not blocked, or is too long.
    InvalidInput,
    /// A text that came from elsewhere is not what it should be, such as a timeout that is none.
    Malformed,
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
        Error(What::Code(code))
    }

    #[cold]
    pub(crate) fn unblocked(signal: Signal) -> Error {
        Error(What::Unblocked(signal))
    }

    /// Which kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self.code() {
            sys::CTX_CANCELED => ErrorKind::Canceled,
            sys::CTX_DEADLINE_EXCEEDED => ErrorKind::DeadlineExceeded,
            code => match -code {
                libc::EINVAL | libc::E2BIG => ErrorKind::InvalidInput,
                libc::EBADMSG => ErrorKind::Malformed,
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
        match &self.0 {
            What::Ended(ended) => ended.code(),
            What::Code(code) => *code,
            What::Unblocked(_) => -libc::EINVAL,
        }
    }

    /// How the context ended, if that is the error.
    pub fn ended(&self) -> Option<&Ended> {
        match &self.0 {
            What::Ended(ended) => Some(ended),
            _ => None,
        }
    }

    /// True if the context was canceled.
    pub fn is_canceled(&self) -> bool {
        self.kind() == ErrorKind::Canceled
    }

    /// True if the context's deadline passed.
    pub fn is_deadline_exceeded(&self) -> bool {
        self.kind() == ErrorKind::DeadlineExceeded
    }
}

/// The text that C has for a code.
pub(crate) fn text(code: c_int) -> &'static str {
    // SAFETY: the text is static, never NULL, and ends with a NUL.
    let text = unsafe { CStr::from_ptr(sys::ctx_strerror(code)) };
    text.to_str().unwrap_or("unknown error")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0, self.kind()) {
            (What::Ended(ended), _) => ended.fmt(f),
            (What::Unblocked(signal), _) => {
                write!(f, "{signal} is not blocked, as it must be in every thread (Signal::block)")
            }
            (_, ErrorKind::Forked) => f.write_str("the context was made before a fork"),
            (_, ErrorKind::Foreign) => f.write_str("a handle of another copy of libctx"),
            (What::Code(code), _) => f.write_str(text(*code)),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("Error");
        s.field("kind", &self.kind()).field("code", &self.code());
        match &self.0 {
            What::Ended(ended) => s.field("cause", ended.cause()),
            What::Unblocked(signal) => s.field("unblocked", signal),
            What::Code(_) => &mut s,
        };
        s.finish()
    }
}

impl error::Error for Error {
    /// That of the [`Ended`], if it is one.
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.ended().and_then(error::Error::source)
    }
}

impl From<Ended> for Error {
    fn from(ended: Ended) -> Error {
        Error(What::Ended(ended))
    }
}

/// The end of a context becomes an [`io::Error`] as [`Ended`] does. Any other error becomes the system's own,
/// and a signal that is not blocked one of the kind `InvalidInput` around this error.
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        match error.0 {
            What::Ended(ended) => ended.into(),
            What::Code(code) => io::Error::from_raw_os_error(-code),
            What::Unblocked(_) => io::Error::new(io::ErrorKind::InvalidInput, error),
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
