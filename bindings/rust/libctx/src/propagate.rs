// SPDX-License-Identifier: MIT
//! What a context carries, as headers: out of it, and into one that is derived.

use crate::derive::{pair, single};
use crate::error::check;
use crate::text::{exact, lossy};
use crate::time::nanoseconds;
use crate::{Canceler, Context, Formats, Result};
use libctx_sys as sys;
use std::any::Any;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::hash::{BuildHasher, Hash};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::time::Duration;

/// Where [`Context::inject`] writes headers: a `&mut HashMap<String, String>`, a closure, or a type of your own.
pub trait SetHeader {
    /// Sets a header, in place of what is there. Name and text are printable ASCII.
    fn set_header(&mut self, name: &str, text: &str);
}

impl<F: FnMut(&str, &str)> SetHeader for F {
    fn set_header(&mut self, name: &str, text: &str) {
        self(name, text);
    }
}

impl<S: BuildHasher> SetHeader for &mut HashMap<String, String, S> {
    fn set_header(&mut self, name: &str, text: &str) {
        self.insert(name.to_owned(), text.to_owned());
    }
}

/// Where [`Context::extract`] finds headers: a reference to a `HashMap`, a closure, or a type of your own.
pub trait GetHeader {
    /// The text of a header: bytes, since it is a stranger's.
    type Text: AsRef<[u8]>;

    /// What there is of this name. It is in lower case, but for those of the environment and that of
    /// [`timeout_ms`](Formats::timeout_ms). A header that came several times is one text, joined by commas.
    fn get_header(&mut self, name: &str) -> Option<Self::Text>;
}

impl<F: FnMut(&str) -> Option<T>, T: AsRef<[u8]>> GetHeader for F {
    type Text = T;

    fn get_header(&mut self, name: &str) -> Option<T> {
        self(name)
    }
}

impl<'map, K, V, S> GetHeader for &'map HashMap<K, V, S>
where
    K: Borrow<str> + Eq + Hash,
    V: AsRef<[u8]>,
    S: BuildHasher,
{
    type Text = &'map V;

    fn get_header(&mut self, name: &str) -> Option<&'map V> {
        self.get(name)
    }
}

/// User code that C calls within a call of ours. After a panic it is not called again, and the panic goes on after the
/// call.
struct Called<T> {
    user: T,
    panic: Option<Box<dyn Any + Send>>,
}

impl<T> Called<T> {
    fn new(user: T) -> Called<T> {
        Called { user, panic: None }
    }

    /// What the code answers; after a panic the default.
    fn run<R: Default>(&mut self, code: impl FnOnce(&mut T) -> R) -> R {
        if self.panic.is_none() {
            // Unwind safe: the panic goes on in the caller, who owns what it left half done.
            match catch_unwind(AssertUnwindSafe(|| code(&mut self.user))) {
                Ok(answer) => return answer,
                Err(panic) => self.panic = Some(panic),
            }
        }
        R::default()
    }

    fn arg(&mut self) -> *mut c_void {
        ptr::from_mut(self).cast()
    }

    fn go_on(self) {
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
    }
}

/// A map that is asked, and its last answer, which C reads until the next.
struct Asked<G: GetHeader> {
    map: G,
    text: Option<G::Text>,
}

impl Context {
    /// Writes what the context carries as headers: the deadline as the time that remains, the trace and the baggage.
    /// What it does not have, or what is not well formed, is left out.
    ///
    /// The end of the context is an error, and then nothing was written.
    ///
    /// ```
    /// use libctx::{Context, Formats};
    ///
    /// let ctx = Context::background().with_baggage("user", "ada")?;
    /// let mut command = std::process::Command::new("env");
    /// ctx.inject(&Formats::new().environment(), |name: &str, text: &str| {
    ///     command.env(name, text);
    /// })?;
    /// let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    /// assert!(said.lines().any(|line| line == "BAGGAGE=user=ada"));
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn inject<S: SetHeader>(&self, formats: &Formats<'_>, headers: S) -> Result<()> {
        let mut called = Called::new(headers);
        // SAFETY: self holds a reference, the name in the formats lives through the call, and set_one::<S> takes the
        // headers, which it alone uses meanwhile.
        let result = unsafe {
            sys::ctx_inject(self.as_raw(), &formats.raw(), Some(set_one::<S>), called.arg())
        };
        called.go_on();
        self.or_ended(result)
    }

    /// Derives a context as headers say, for the work that a request asks for. Its deadline is the earliest of this
    /// one's and theirs, and the strings of the formats asked for are theirs alone: a request is no part of the trace
    /// that the server itself is in.
    ///
    /// A timeout that is malformed is [`ErrorKind::Malformed`](crate::ErrorKind::Malformed). Anything else that is
    /// malformed is left out.
    ///
    /// ```
    /// use libctx::{Context, ErrorKind, Formats};
    ///
    /// let came = [("Grpc-Timeout", "5 s")]; // as some crate keeps them
    /// let get = |name: &str| {
    ///     came.iter().find(|header| header.0.eq_ignore_ascii_case(name)).map(|header| header.1)
    /// };
    /// let error = Context::background().extract(&Formats::new().grpc_timeout(), get).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Malformed);
    /// ```
    pub fn extract<G: GetHeader>(
        &self,
        formats: &Formats<'_>,
        headers: G,
    ) -> Result<(Context, Canceler)> {
        let mut called = Called::new(Asked { map: headers, text: None });
        let (formats, arg) = (formats.raw(), called.arg());
        // SAFETY: as in inject(); the results are written to `pair`'s variables.
        let made = pair(|ctx, canceler| unsafe {
            sys::ctx_extract(self.as_raw(), &formats, Some(get_one::<G>), arg, ctx, canceler)
        });
        called.go_on();
        made
    }

    /// `Ok` if there is time enough for work that takes so long, so that nobody begins what must end in vain. If less
    /// remains it is a [`DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded), which no [`Ended`](crate::Ended) comes
    /// with, as the context has not ended.
    ///
    /// ```
    /// use libctx::Context;
    /// use std::time::Duration;
    ///
    /// let (ctx, _canceler) = Context::background().with_timeout(Duration::from_secs(60))?;
    /// ctx.require(Duration::from_secs(1))?;
    /// assert!(ctx.require(Duration::from_secs(3600)).unwrap_err().is_deadline_exceeded());
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn require(&self, time: Duration) -> Result<()> {
        // SAFETY: self holds a reference.
        self.or_ended(unsafe { sys::ctx_require(self.as_raw(), nanoseconds(time)) })
    }

    /// A result, in which the end of this context has its cause.
    fn or_ended(&self, result: c_int) -> Result<()> {
        match self.ended() {
            Some(ended) if ended.code() == result => Err(ended.into()),
            _ => check(result).map(drop),
        }
    }

    /// The value of a member of the baggage, decoded; of several of one name the last one's. Properties are in
    /// `string("baggage")`.
    pub fn baggage(&self, name: &str) -> Option<String> {
        let name = exact(name).ok()?;
        let mut text = Vec::<u8>::with_capacity(128);
        loop {
            let (at, room) = (text.as_mut_ptr().cast(), text.capacity());
            // SAFETY: self holds a reference, the name lives through the call, and C writes within the capacity.
            let length = unsafe { sys::ctx_baggage(self.as_raw(), name.as_ptr(), at, room) };
            let length = usize::try_from(length).ok()?;
            if length < room {
                // SAFETY: the library has written this many bytes and a NUL.
                unsafe { text.set_len(length) };
                return Some(String::from_utf8_lossy(&text).into_owned()); // it is UTF-8 already
            }
            text.reserve(length + 1);
        }
    }

    /// Derives a context whose baggage has a member set, in place of all of that name. A name that is no token, a NUL,
    /// and more baggage than 64 members or 8192 bytes are errors.
    ///
    /// ```
    /// use libctx::Context;
    ///
    /// let ctx = Context::background().with_baggage("user", "Ada L.")?;
    /// assert_eq!(ctx.string("baggage").as_deref(), Some("user=Ada%20L."));
    /// assert_eq!(ctx.baggage("user").as_deref(), Some("Ada L."));
    /// assert_eq!(ctx.without_baggage("user")?.baggage("user"), None);
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn with_baggage(&self, name: &str, value: &str) -> Result<Context> {
        let (name, value) = (exact(name)?, exact(value)?);
        // SAFETY: self holds a reference, and both texts live through the call, which copies them.
        single(|ctx| unsafe {
            sys::ctx_with_baggage(self.as_raw(), name.as_ptr(), value.as_ptr(), ctx)
        })
    }

    /// Derives a context whose baggage has no member of this name.
    pub fn without_baggage(&self, name: &str) -> Result<Context> {
        let name = exact(name)?;
        // SAFETY: as in with_baggage(); NULL removes.
        single(|ctx| unsafe {
            sys::ctx_with_baggage(self.as_raw(), name.as_ptr(), ptr::null(), ctx)
        })
    }
}

/// # Safety
/// `arg` is the `Called<S>` of `inject`, and the texts live through the call.
unsafe extern "C" fn set_one<S: SetHeader>(
    name: *const c_char,
    text: *const c_char,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: as the caller says; nobody else looks at it during the call.
    let called = unsafe { &mut *arg.cast::<Called<S>>() };
    // SAFETY: as the caller says.
    let (name, text) = unsafe { (lossy(name), lossy(text)) };
    called.run(|headers| headers.set_header(&name.unwrap_or_default(), &text.unwrap_or_default()));
    0
}

/// # Safety
/// `arg` is the `Called<Asked<G>>` of `extract`, `name` lives through the call, and `text` is written to.
unsafe extern "C" fn get_one<G: GetHeader>(
    name: *const c_char,
    text: *mut *const c_char,
    arg: *mut c_void,
) -> i64 {
    // SAFETY: as the caller says; nobody else looks at it during the call.
    let called = unsafe { &mut *arg.cast::<Called<Asked<G>>>() };
    // SAFETY: as the caller says.
    let name = unsafe { lossy(name) }.unwrap_or_default();
    let found = called.run(|asked| {
        asked.text = asked.map.get_header(&name);
        let found = asked.text.as_ref()?.as_ref(); // stays where it is until the next call
        Some((found.as_ptr(), found.len()))
    });
    let Some((start, length)) = found else { return -1 };
    // SAFETY: as the caller says.
    unsafe { *text = start.cast() };
    i64::try_from(length).unwrap_or(-1) // a slice is never longer
}
