// SPDX-License-Identifier: MIT
//! Why a context was canceled: a code, a message and, if wanted, data such as a Rust error.

use crate::error::check;
use crate::guard::drop_box;
use crate::text::{c_string, lossy};
use crate::{Ended, Error, Key, Result};
use libctx_sys as sys;
use std::borrow::Cow;
use std::ffi::{c_char, c_int, c_void};
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::{error, fmt, io};

type BoxedError = Box<dyn error::Error + Send + Sync>;

/// A value under its key, until a cause has taken it.
struct Data {
    key: *const sys::ctx_key_t,
    data: *mut c_void,
    drop: sys::ctx_drop_fn,
}

impl Data {
    fn new<T: Send + Sync + 'static>(key: &'static Key<T>, data: T) -> Data {
        let data = Box::into_raw(Box::new(data)).cast::<c_void>();
        Data { key: key.raw(), data, drop: drop_box::<T> }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // SAFETY: this is the destructor of the data, which nobody else has.
        unsafe { (self.drop)(self.data) };
    }
}

/// The data of causes that [`Cause::from_error`] made.
static ERROR: Key<BoxedError> = Key::new(c"rust error");

/// Who ended a context, as a [`Cause`] says. Other numbers than the constants are possible: later versions of
/// libctx may add some, and makers of causes may state any.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(u8);

impl Origin {
    /// A caller canceled.
    pub const CANCELED: Origin = Origin(sys::CTX_ORIGIN_CANCELED as u8);
    /// A deadline passed.
    pub const DEADLINE: Origin = Origin(sys::CTX_ORIGIN_DEADLINE as u8);
    /// A signal came.
    pub const SIGNAL: Origin = Origin(sys::CTX_ORIGIN_SIGNAL as u8);
    /// Something came on a descriptor.
    pub const DESCRIPTOR: Origin = Origin(sys::CTX_ORIGIN_DESCRIPTOR as u8);
    /// The loop was closed or shut down.
    pub const SHUTDOWN: Origin = Origin(sys::CTX_ORIGIN_SHUTDOWN as u8);
    /// The other side of a connection said so, or is gone.
    pub const PEER: Origin = Origin(sys::CTX_ORIGIN_PEER as u8);
    /// The process that started this one is gone, or said so.
    pub const PARENT_PROCESS: Origin = Origin(sys::CTX_ORIGIN_PARENT_PROCESS as u8);
    /// Somebody has too much to do, and so left this undone.
    pub const OVERLOAD: Origin = Origin(sys::CTX_ORIGIN_OVERLOAD as u8);

    /// The origin of a number of C; `None` for 0.
    pub const fn from_raw(number: u8) -> Option<Origin> {
        if number == 0 { None } else { Some(Origin(number)) }
    }

    /// The number of the C constant.
    pub const fn as_raw(self) -> u8 {
        self.0
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Origin::CANCELED => "CANCELED",
            Origin::DEADLINE => "DEADLINE",
            Origin::SIGNAL => "SIGNAL",
            Origin::DESCRIPTOR => "DESCRIPTOR",
            Origin::SHUTDOWN => "SHUTDOWN",
            Origin::PEER => "PEER",
            Origin::PARENT_PROCESS => "PARENT_PROCESS",
            Origin::OVERLOAD => "OVERLOAD",
            Origin(number) => return write!(f, "Origin({number})"),
        })
    }
}

/// Where a cause was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place<'a> {
    /// The file.
    pub file: Cow<'a, str>,
    /// The line in it; 0 if its maker did not know it.
    pub line: u32,
    /// The function, if its maker knew it. Causes that Rust makes have none.
    pub function: Option<Cow<'a, str>>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

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
// for any thread, by the contract of ctx_cause_new_at().
unsafe impl Send for Cause {}
// SAFETY: as for Send.
unsafe impl Sync for Cause {}

impl Cause {
    /// A cause with a code of the caller's (by custom a negative errno) and a message.
    pub fn new(code: i32, message: &str) -> Result<Cause> {
        Cause::made_at(code, message, 0, None, None)
    }

    /// As [`new`](Cause::new), with the place of the call, which [`place`](Cause::place) returns.
    ///
    /// ```
    /// let cause = libctx::Cause::here(-32, "the client has gone")?;
    /// assert!(cause.place().unwrap().file.ends_with(".rs"));
    /// # Ok::<(), libctx::Error>(())
    /// ```
    #[track_caller]
    pub fn here(code: i32, message: &str) -> Result<Cause> {
        Cause::made_at(code, message, 0, Some(Location::caller()), None)
    }

    /// As [`new`](Cause::new), and states who ended the context: for an end that came from elsewhere.
    pub fn with_origin(origin: Origin, code: i32, message: &str) -> Result<Cause> {
        Cause::made_at(code, message, origin.as_raw(), None, None)
    }

    /// A cause that carries an error, which [`get_ref`](Cause::get_ref) returns. The message is the error's.
    /// The code is that of an [`Error`] or an [`Ended`], the negative errno of an [`io::Error`] from the system, and
    /// otherwise that of a cancel.
    pub fn from_error(error: impl Into<BoxedError>) -> Result<Cause> {
        Cause::from_error_at(error.into(), None)
    }

    /// As [`from_error`](Cause::from_error), with the place of the call, which [`place`](Cause::place) returns.
    #[track_caller]
    pub fn from_error_here(error: impl Into<BoxedError>) -> Result<Cause> {
        Cause::from_error_at(error.into(), Some(Location::caller()))
    }

    fn from_error_at(error: BoxedError, place: Option<&Location<'_>>) -> Result<Cause> {
        let of_end = || error.downcast_ref().map(Ended::code);
        let of_system = || error.downcast_ref::<io::Error>()?.raw_os_error().map(i32::wrapping_neg);
        let code = error.downcast_ref().map(Error::code).or_else(of_end).or_else(of_system);
        let message = error.to_string();
        let code = code.unwrap_or(sys::CTX_CANCELED);
        Cause::made_at(code, &message, 0, place, Some(Data::new(&ERROR, error)))
    }

    /// A cause that carries a value, for those who have the key. The thread that drops the last reference
    /// drops the value.
    pub fn with_data<T: Send + Sync + 'static>(
        code: i32,
        message: &str,
        key: &'static Key<T>,
        data: T,
    ) -> Result<Cause> {
        Cause::made_at(code, message, 0, None, Some(Data::new(key, data)))
    }

    fn made_at(
        code: i32,
        message: &str,
        origin: u8,
        place: Option<&Location<'_>>,
        data: Option<Data>,
    ) -> Result<Cause> {
        let message = c_string(message)?;
        let file = place.map(|place| c_string(place.file())).transpose()?;
        let file = file.as_ref().map_or(ptr::null(), |file| file.as_ptr());
        let line = place.map_or(0, |place| c_int::try_from(place.line()).unwrap_or(0));
        let (key, pointer, drop) = data
            .as_ref()
            .map_or((ptr::null(), ptr::null_mut(), None), |it| (it.key, it.data, Some(it.drop)));
        // SAFETY: the texts live through the call, which copies them. The key is static, and drop is the
        // destructor of the data.
        let made = Cause::made(|ret| unsafe {
            sys::ctx_cause_new_at(
                code,
                message.as_ptr(),
                c_int::from(origin),
                file,
                line,
                ptr::null(),
                key,
                pointer,
                drop,
                ret,
            )
        })?;
        std::mem::forget(data); // the cause has it now; a constructor that fails has taken nothing
        Ok(made)
    }

    pub(crate) fn made(make: impl FnOnce(*mut *mut sys::ctx_cause_t) -> c_int) -> Result<Cause> {
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

    /// Who ended the context; [`signal`](Cause::signal) and [`events`](Cause::events) say more. If its maker stated no
    /// origin, it is a deadline if the code is that of one or the cause was given to one, and otherwise a cancel.
    pub fn origin(&self) -> Origin {
        // SAFETY: self holds a reference.
        let number = unsafe { sys::ctx_cause_origin(self.as_raw()) };
        u8::try_from(number).map_or(Origin::CANCELED, Origin)
    }

    /// Where it was made, if its maker said so: in Rust [`here`](Cause::here) and
    /// [`from_error_here`](Cause::from_error_here).
    pub fn place(&self) -> Option<Place<'_>> {
        // SAFETY: self holds a reference, and the texts live as long as the cause.
        let text = |raw: *const c_char| unsafe { lossy(raw) };
        // SAFETY: self holds a reference.
        let (file, line, function) = unsafe {
            let raw = self.as_raw();
            (sys::ctx_cause_file(raw), sys::ctx_cause_line(raw), sys::ctx_cause_function(raw))
        };
        Some(Place {
            file: text(file)?,
            line: u32::try_from(line).unwrap_or(0),
            function: text(function),
        })
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
        s.field("code", &self.code()).field("message", &self.message());
        if let Some(place) = self.place() {
            s.field("place", &format_args!("{place}"));
        }
        s.finish()
    }
}

impl error::Error for Cause {
    /// The source of the error that [`from_error`](Cause::from_error) was given. The cause already shows that
    /// error's text, so a chain of sources must not show it again.
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.get_ref().and_then(error::Error::source)
    }
}
