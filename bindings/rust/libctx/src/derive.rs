// SPDX-License-Identifier: MIT
//! Deriving contexts: by cancel, time, merge and grace, and with values.
//!
//! A derivation that can be canceled returns a pair: the context and the right to cancel it. Drop the one that
//! you do not need.

use crate::error::check;
use crate::guard::drop_box;
use crate::text::{c_string, exact, lossy};
use crate::time::{Clock, nanoseconds};
use crate::{Canceler, Cause, Context, Key, Result};
use libctx_sys as sys;
use std::borrow::Cow;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::time::{Duration, Instant};

/// Derives with a C function that returns a context and its canceler.
#[inline]
pub(crate) fn pair(
    make: impl FnOnce(*mut *mut sys::ctx_t, *mut *mut sys::ctx_canceler_t) -> c_int,
) -> Result<(Context, Canceler)> {
    let (mut ctx, mut canceler) = (ptr::null_mut(), ptr::null_mut());
    check(make(&mut ctx, &mut canceler))?;
    // SAFETY: the function succeeded, so both are valid handles, and ours.
    Ok(unsafe { (Context::own(ctx), Canceler::own(canceler)) })
}

/// Derives with a C function that returns only a context.
pub(crate) fn single(make: impl FnOnce(*mut *mut sys::ctx_t) -> c_int) -> Result<Context> {
    let mut ctx = ptr::null_mut();
    check(make(&mut ctx))?;
    // SAFETY: the function succeeded, so this is a valid handle, and ours.
    Ok(unsafe { Context::own(ctx) })
}

impl Context {
    /// Derives a context that its canceler can end.
    #[inline]
    pub fn with_cancel(&self) -> Result<(Context, Canceler)> {
        // SAFETY: self holds a reference; the results are written to `pair`'s variables.
        pair(|ctx, canceler| unsafe { sys::ctx_with_cancel(self.as_raw(), ctx, canceler) })
    }

    /// Derives a context that also ends after some time. With zero it is born done.
    ///
    /// ```
    /// use libctx::Context;
    /// use std::time::Duration;
    ///
    /// let (ctx, _canceler) = Context::background().with_timeout(Duration::from_millis(5))?;
    /// assert!(ctx.wait()?.is_deadline_exceeded());
    /// # Ok::<(), libctx::Error>(())
    /// ```
    #[inline]
    pub fn with_timeout(&self, timeout: Duration) -> Result<(Context, Canceler)> {
        let timeout = nanoseconds(timeout);
        // SAFETY: as in with_cancel().
        pair(|ctx, canceler| unsafe {
            sys::ctx_with_timeout(self.as_raw(), timeout, ctx, canceler)
        })
    }

    /// Derives a context that also ends at an instant. The earlier of its own and its parent's deadline
    /// applies. On a loop with another clock than `Instant` has, it is as far ahead as the instant is now.
    pub fn with_deadline(&self, deadline: Instant) -> Result<(Context, Canceler)> {
        let deadline = Clock::of(self).reading(deadline);
        // SAFETY: as in with_cancel().
        pair(|ctx, canceler| unsafe {
            sys::ctx_with_deadline(self.as_raw(), deadline, ctx, canceler)
        })
    }

    /// As [`with_timeout`](Context::with_timeout); the context has this cause if this deadline fires.
    pub fn with_timeout_cause(
        &self,
        timeout: Duration,
        cause: &Cause,
    ) -> Result<(Context, Canceler)> {
        let (parent, timeout, cause) = (self.as_raw(), nanoseconds(timeout), cause.as_raw());
        // SAFETY: as in with_cancel(); the context takes its own reference to the cause.
        pair(|ctx, canceler| unsafe {
            sys::ctx_with_timeout_cause(parent, timeout, cause, ctx, canceler)
        })
    }

    /// As [`with_deadline`](Context::with_deadline); the context has this cause if this deadline fires.
    pub fn with_deadline_cause(
        &self,
        deadline: Instant,
        cause: &Cause,
    ) -> Result<(Context, Canceler)> {
        let deadline = Clock::of(self).reading(deadline);
        let (parent, cause) = (self.as_raw(), cause.as_raw());
        // SAFETY: as in with_timeout_cause().
        pair(|ctx, canceler| unsafe {
            sys::ctx_with_deadline_cause(parent, deadline, cause, ctx, canceler)
        })
    }

    /// Derives a context that keeps the values and nothing else: it never ends.
    pub fn without_cancel(&self) -> Result<Context> {
        // SAFETY: self holds a reference.
        single(|ctx| unsafe { sys::ctx_without_cancel(self.as_raw(), ctx) })
    }

    /// Derives a context that ends with the first of several, with that one's error and cause. Its
    /// deadline is the earliest, its values are those of the first. One of another loop ends it soon after its own end.
    ///
    /// ```
    /// use libctx::Context;
    ///
    /// let (server, _stop) = Context::background().with_cancel()?;
    /// let (client, leave) = Context::background().with_cancel()?;
    /// let (either, _canceler) = Context::merge([&server, &client])?;
    /// leave.cancel_because("gone");
    /// assert_eq!(either.cause().unwrap().message(), "gone");
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn merge<'a>(
        parents: impl IntoIterator<Item = &'a Context>,
    ) -> Result<(Context, Canceler)> {
        let parents: Vec<_> = parents.into_iter().map(Context::as_raw).collect();
        // SAFETY: the references behind the handles live through the call.
        pair(|ctx, canceler| unsafe {
            sys::ctx_merge(parents.as_ptr(), parents.len(), ctx, canceler)
        })
    }

    /// Derives a context that ends some time after this one, so that work in hand can finish. It can be
    /// canceled earlier; its deadline is this one's plus the grace.
    pub fn with_grace(&self, grace: Duration) -> Result<(Context, Canceler)> {
        let grace = nanoseconds(grace);
        // SAFETY: as in with_cancel().
        pair(|ctx, canceler| unsafe { sys::ctx_with_grace(self.as_raw(), grace, ctx, canceler) })
    }

    /// Derives a context that also ends when it was not [touched](Context::touch) for that long: for reads that must
    /// make progress, heartbeats and watchdogs. Its deadline is this one's.
    ///
    /// ```
    /// use libctx::Loop;
    /// use std::time::Duration;
    ///
    /// let clock = Loop::virtual_time()?;
    /// let (read, _canceler) = clock.background()?.with_idle(Duration::from_secs(30))?;
    /// for _ in 0..10 {
    ///     clock.advance(Duration::from_secs(29))?;
    ///     assert!(read.touch()); // a byte came
    /// }
    /// clock.advance(Duration::from_secs(30))?;
    /// assert!(read.is_done());
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn with_idle(&self, limit: Duration) -> Result<(Context, Canceler)> {
        let limit = nanoseconds(limit);
        // SAFETY: as in with_cancel().
        pair(|ctx, canceler| unsafe {
            sys::ctx_with_idle(self.as_raw(), limit, ptr::null(), ctx, canceler)
        })
    }

    /// As [`with_idle`](Context::with_idle); the context has this cause if it ends so.
    pub fn with_idle_cause(&self, limit: Duration, cause: &Cause) -> Result<(Context, Canceler)> {
        let (limit, cause) = (nanoseconds(limit), cause.as_raw());
        // SAFETY: as in with_timeout_cause().
        pair(|ctx, canceler| unsafe {
            sys::ctx_with_idle(self.as_raw(), limit, cause, ctx, canceler)
        })
    }

    /// Derives a context that carries a value. The thread that frees the last context that can see the value
    /// drops it, but never a loop's clock.
    pub fn with_value<T: Send + Sync + 'static>(
        &self,
        key: &'static Key<T>,
        value: T,
    ) -> Result<Context> {
        let value = Box::into_raw(Box::new(value));
        // SAFETY: self holds a reference, the key is static, and drop_box::<T> is the destructor of what
        // Box<T> gave out.
        let made = single(|ctx| unsafe {
            let drop = Some(drop_box::<T> as sys::ctx_drop_fn);
            sys::ctx_with_value(self.as_raw(), key.raw(), value.cast::<c_void>(), drop, ctx)
        });
        if made.is_err() {
            // SAFETY: a constructor that fails has taken nothing.
            drop(unsafe { Box::from_raw(value) });
        }
        made
    }

    /// Derives a context that hides a value from further up.
    pub fn without_value<T>(&self, key: &'static Key<T>) -> Result<Context> {
        // SAFETY: self holds a reference and the key is static; NULL is a value that hides.
        single(|ctx| unsafe {
            sys::ctx_with_value(self.as_raw(), key.raw(), ptr::null_mut(), None, ctx)
        })
    }

    /// The nearest value of a key.
    pub fn value<T: Send + Sync + 'static>(&self, key: &'static Key<T>) -> Option<&T> {
        // SAFETY: self holds a reference, and so every value that it can see.
        let value = unsafe { sys::ctx_value(self.as_raw(), key.raw()) };
        // SAFETY: under a Key<T> only with_value stores anything, a boxed T (see Key).
        unsafe { value.cast::<T>().as_ref() }
    }

    /// Derives a context that [`describe`](Context::describe) shows with a name, for people who look at the tree.
    /// It differs from its parent in nothing else. A NUL in the name becomes U+FFFD.
    ///
    /// ```
    /// use libctx::Context;
    ///
    /// let ctx = Context::background().with_name("fetch user")?;
    /// assert_eq!(ctx.describe(), "context.Background.WithName(fetch user)");
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn with_name(&self, name: &str) -> Result<Context> {
        let name = c_string(name)?;
        // SAFETY: self holds a reference, and the name lives through the call, which copies it.
        single(|ctx| unsafe { sys::ctx_with_name(self.as_raw(), name.as_ptr(), ctx) })
    }

    /// Derives a context that carries text, such as a trace id, which every language finds by its name.
    /// A NUL in the name or the text is an error.
    pub fn with_string(&self, name: &str, value: &str) -> Result<Context> {
        let (name, value) = (exact(name)?, exact(value)?);
        // SAFETY: self holds a reference, and both texts live through the call, which copies them.
        single(|ctx| unsafe {
            sys::ctx_with_string(self.as_raw(), name.as_ptr(), value.as_ptr(), ctx)
        })
    }

    /// Derives a context that hides a text from further up.
    pub fn without_string(&self, name: &str) -> Result<Context> {
        let name = exact(name)?;
        // SAFETY: as in with_string(); NULL hides.
        single(|ctx| unsafe {
            sys::ctx_with_string(self.as_raw(), name.as_ptr(), ptr::null(), ctx)
        })
    }

    /// The nearest text of a name. Bytes of other languages that are not UTF-8 become U+FFFD.
    ///
    /// ```
    /// use libctx::Context;
    ///
    /// let ctx = Context::background().with_string("trace-id", "8f2c")?;
    /// assert_eq!(ctx.string("trace-id").as_deref(), Some("8f2c"));
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn string(&self, name: &str) -> Option<Cow<'_, str>> {
        let name = exact(name).ok()?;
        // SAFETY: self holds a reference, and so the text; the name lives through the call.
        unsafe { lossy(sys::ctx_string(self.as_raw(), name.as_ptr())) }
    }

    /// Every name that [`string`](Context::string) finds, with its text; the nearest come first. So a bridge
    /// writes them to a wire.
    ///
    /// ```
    /// use libctx::Context;
    ///
    /// let ctx = Context::background().with_string("trace-id", "8f2c")?.with_string("user", "ada")?;
    /// assert_eq!(ctx.strings(), [("user".into(), "ada".into()), ("trace-id".into(), "8f2c".into())]);
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn strings(&self) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
        let mut all = Vec::new();
        // SAFETY: self holds a reference, and so the texts; collect takes the vector.
        unsafe { sys::ctx_strings(self.as_raw(), Some(collect), ptr::from_mut(&mut all).cast()) };
        all
    }
}

/// # Safety
/// `all` is the vector of `strings`, and the texts live as long as its items.
unsafe extern "C" fn collect(name: *const c_char, value: *const c_char, all: *mut c_void) -> c_int {
    // SAFETY: as the caller says.
    let (all, pair) = unsafe {
        (&mut *all.cast::<Vec<(Cow<'_, str>, Cow<'_, str>)>>(), (lossy(name), lossy(value)))
    };
    if let (Some(name), Some(value)) = pair {
        all.push((name, value));
    }
    0
}
