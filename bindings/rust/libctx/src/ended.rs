// SPDX-License-Identifier: MIT
//! How a context ended.

use crate::error::text;
use crate::{Cause, Error};
use libctx_sys as sys;
use std::ffi::c_int;
use std::{error, fmt, io};

/// How a context ended, with the cause.
///
/// It is an answer ([`Context::ended`], [`Context::wait`]) and an error ([`Context::check`]). As an error it
/// converts by `?` to an [`Error`], to an [`io::Error`] and to a `Box<dyn Error>`, and its
/// [`source`](error::Error::source) is the cause if somebody gave one. `{:#}` shows it with its cause.
///
/// ```
/// use libctx::{Context, Ended};
/// use std::io;
///
/// fn read(ctx: &Context) -> io::Result<u32> {
///     ctx.check()?;
///     Ok(7)
/// }
///
/// let (ctx, canceler) = Context::background().with_cancel()?;
/// canceler.cancel_because("the client has gone");
/// match ctx.wait()? {
///     Ended::Canceled(cause) => assert_eq!(cause.message(), "the client has gone"),
///     Ended::DeadlineExceeded(cause) => panic!("too late: {cause}"),
/// }
/// let error = read(&ctx).unwrap_err();
/// let ended = Ended::find(&error).unwrap();
/// assert_eq!(ended.to_string(), "context canceled");
/// assert_eq!(format!("{ended:#}"), "context canceled: the client has gone");
/// # Ok::<(), libctx::Error>(())
/// ```
///
/// Two are equal if they are ends of the same kind with the same cause.
///
/// [`Context::ended`]: crate::Context::ended
/// [`Context::wait`]: crate::Context::wait
/// [`Context::check`]: crate::Context::check
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The context was canceled.
    Canceled(Cause),
    /// The context's deadline passed.
    DeadlineExceeded(Cause),
}

impl Ended {
    #[cold]
    pub(crate) fn new(code: c_int, cause: Cause) -> Ended {
        match code {
            sys::CTX_DEADLINE_EXCEEDED => Ended::DeadlineExceeded(cause),
            _ => Ended::Canceled(cause), // there is no third
        }
    }

    /// The end of work that failed with this cause: a deadline if one is found in its error, else a cancel.
    pub(crate) fn of_work(cause: Cause) -> Ended {
        let end = || cause.get_ref().and_then(|error| Ended::find(error)).map(Ended::code);
        let of_require = || cause.get_ref()?.downcast_ref::<Error>().map(Error::code);
        Ended::new(end().or_else(of_require).unwrap_or(sys::CTX_CANCELED), cause)
    }

    /// Why the context ended.
    pub fn cause(&self) -> &Cause {
        match self {
            Ended::Canceled(cause) | Ended::DeadlineExceeded(cause) => cause,
        }
    }

    /// True if it was a cancel.
    pub fn is_canceled(&self) -> bool {
        matches!(self, Ended::Canceled(_))
    }

    /// True if a deadline passed.
    pub fn is_deadline_exceeded(&self) -> bool {
        matches!(self, Ended::DeadlineExceeded(_))
    }

    /// Its number in the C functions: `CTX_CANCELED` or `CTX_DEADLINE_EXCEEDED`, to return across an FFI
    /// boundary.
    pub fn code(&self) -> i32 {
        match self {
            Ended::Canceled(_) => sys::CTX_CANCELED,
            Ended::DeadlineExceeded(_) => sys::CTX_DEADLINE_EXCEEDED,
        }
    }

    /// The end of a context inside an error that it became by `?`, or inside one of that error's sources.
    ///
    /// An `anyhow::Error` hides what it was made of when `?` makes it a `Box<dyn Error>`, as at the end of a group's
    /// work. Its `reallocate_into_boxed_dyn_error_without_backtrace()` does not.
    pub fn find<'a>(error: &'a (dyn error::Error + 'static)) -> Option<&'a Ended> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(ended) = inside(error) {
                return Some(ended);
            }
            next = error.source();
        }
        None
    }
}

/// The end that this error is: itself, in an [`Error`], or one of these in an [`io::Error`].
fn inside<'a>(error: &'a (dyn error::Error + 'static)) -> Option<&'a Ended> {
    let io = || inside(error.downcast_ref::<io::Error>()?.get_ref()?);
    error.downcast_ref().or_else(|| error.downcast_ref::<Error>()?.ended()).or_else(io)
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(text(self.code()))?;
        let mut next = error::Error::source(self).filter(|_| f.alternate());
        while let Some(source) = next {
            write!(f, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}

impl error::Error for Ended {
    /// The cause, if it says more than the end itself. A cause made of the same end of another context says
    /// no more: then this is the cause's source, so that a chain says nothing twice.
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        let mut ended = self;
        loop {
            let cause = ended.cause();
            match cause.get_ref().and_then(|error| inside(error)) {
                Some(inner) if inner.code() == self.code() => ended = inner,
                _ if cause.text_is_of(self.code()) => return None,
                _ => return Some(cause),
            }
        }
    }
}

/// An [`io::Error`] around it, in which [`Ended::find`] finds it. Its kind is `TimedOut` for a deadline and
/// `Other` for a cancel: on `Interrupted` readers and writers would try again.
impl From<Ended> for io::Error {
    fn from(ended: Ended) -> io::Error {
        match ended {
            Ended::Canceled(_) => io::Error::other(ended),
            Ended::DeadlineExceeded(_) => io::Error::new(io::ErrorKind::TimedOut, ended),
        }
    }
}
