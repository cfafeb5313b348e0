// SPDX-License-Identifier: MIT
//! Callbacks, which run when a context is done, and how to prevent them.

use crate::error::check;
use crate::guard::contain;
use crate::{Context, Result};
use libctx_sys as sys;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

/// Something armed on a context: a callback, or an entry of a queue. Dropping the watch leaves it armed.
#[derive(Debug)]
pub struct Watch(NonNull<sys::ctx_watch_t>);

// SAFETY: the library allows stops from any thread at any time. A stop drops the callback on its own
// thread: callbacks are Send.
unsafe impl Send for Watch {}
// SAFETY: as for Send; of several stops at once one wins.
unsafe impl Sync for Watch {}

impl Watch {
    /// Prevents a callback that has not begun. True if this call prevented it; its closure is dropped then.
    /// Does not wait for a callback that runs.
    pub fn stop(&self) -> bool {
        // SAFETY: self owns the handle.
        unsafe { sys::ctx_watch_stop(self.0.as_ptr()) == 1 }
    }

    /// As [`stop`](Watch::stop), and on return the callback no longer runs and its closure is dropped. Inside
    /// the callback itself it returns at once. Two callbacks that wait for each other wait for ever.
    pub fn stop_wait(&self) -> bool {
        // SAFETY: self owns the handle.
        unsafe { sys::ctx_watch_stop_wait(self.0.as_ptr()) == 1 }
    }

    /// # Safety
    /// A valid handle, not NULL, that the caller owns.
    pub(crate) unsafe fn own(watch: *mut sys::ctx_watch_t) -> Watch {
        // SAFETY: not NULL, as the caller says.
        Watch(unsafe { NonNull::new_unchecked(watch) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: self owns the handle, and gives it back once.
        unsafe { sys::ctx_watch_unref(self.0.as_ptr()) };
    }
}

impl Context {
    /// Runs `callback` once, when the context is done: on the thread that ends it, before that call
    /// returns; after a deadline on the library's thread `ctx-calls`. On a context that is done it runs
    /// here, before this returns. No lock of the library is held, so it may call anything; a panic in it
    /// is caught and reported (see [`set_panic_reporter`](crate::set_panic_reporter)).
    ///
    /// The callback stays armed when the watch is dropped, and keeps the context until it has run. On a
    /// context that can never be done nothing is armed: the callback is dropped with the watch.
    ///
    /// ```
    /// use libctx::Context;
    /// use std::sync::mpsc;
    ///
    /// let (ctx, canceler) = Context::background().with_cancel()?;
    /// let (tell, told) = mpsc::channel();
    /// ctx.after_func(move |ctx| tell.send(ctx.cause().unwrap().to_string()).unwrap())?;
    /// canceler.cancel_because("enough");
    /// assert_eq!(told.recv().unwrap(), "enough");
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn after_func<F>(&self, callback: F) -> Result<Watch>
    where
        F: FnOnce(&Context) + Send + 'static,
    {
        self.arm(callback, 0)
    }

    /// As [`after_func`](Context::after_func), but always on the thread `ctx-calls` (on a manual loop in
    /// its next dispatch), never inside a cancel: for callbacks that take a lock which a canceling caller
    /// may hold.
    pub fn after_func_deferred<F>(&self, callback: F) -> Result<Watch>
    where
        F: FnOnce(&Context) + Send + 'static,
    {
        self.arm(callback, sys::CTX_DEFER)
    }

    /// As [`after_func_deferred`](Context::after_func_deferred), for a callback that may block: it has a
    /// thread of the library's to itself (on a loop without threads it runs in a dispatch), and delays no
    /// other callback.
    ///
    /// ```
    /// use libctx::Context;
    /// use std::{sync::mpsc, thread, time::Duration};
    ///
    /// let (ctx, canceler) = Context::background().with_cancel()?;
    /// let (tell, told) = mpsc::channel();
    /// ctx.after_func_blocking(move |_| {
    ///     thread::sleep(Duration::from_millis(1)); // such as to flush a file
    ///     tell.send(thread::current().id()).unwrap()
    /// })?;
    /// canceler.cancel();
    /// assert_ne!(told.recv().unwrap(), thread::current().id());
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn after_func_blocking<F>(&self, callback: F) -> Result<Watch>
    where
        F: FnOnce(&Context) + Send + 'static,
    {
        self.arm(callback, sys::CTX_DEFER | sys::CTX_BLOCKING)
    }

    pub(crate) fn arm<F>(&self, callback: F, flags: u32) -> Result<Watch>
    where
        F: FnOnce(&Context) + Send + 'static,
    {
        let armed = Box::into_raw(Box::new(Some(callback)));
        // SAFETY: run::<F> and drop_callback::<F> take this box, and own it once armed.
        let result =
            unsafe { self.arm_raw(run::<F>, armed.cast::<c_void>(), drop_callback::<F>, flags) };
        if result.is_err() {
            // SAFETY: a constructor that fails has taken nothing.
            drop(unsafe { Box::from_raw(armed) });
        }
        result
    }

    /// # Safety
    /// `run` takes `arg`, once, from any thread, and so does `drop` after it or instead of it.
    pub(crate) unsafe fn arm_raw(
        &self,
        run: sys::ctx_fn,
        arg: *mut c_void,
        drop: sys::ctx_drop_fn,
        flags: u32,
    ) -> Result<Watch> {
        let mut watch = ptr::null_mut();
        // SAFETY: self holds a reference, and the rest is as the caller says.
        check(unsafe {
            sys::ctx_after_func(self.as_raw(), Some(run), arg, Some(drop), flags, &mut watch)
        })?;
        // SAFETY: the call succeeded, so this is a valid handle, and ours.
        Ok(unsafe { Watch::own(watch) })
    }
}

/// # Safety
/// `callback` is a `Box<Option<F>>` given out; the library calls this once, and before the destructor.
unsafe extern "C" fn run<F: FnOnce(&Context)>(ctx: *mut sys::ctx_t, callback: *mut c_void) {
    contain("a callback of after_func", || {
        // SAFETY: valid for this call and borrowed: so it is not given back.
        let ctx = ManuallyDrop::new(unsafe { Context::own(ctx) });
        // SAFETY: the box is there until the destructor runs, and nobody else looks into it.
        if let Some(callback) = unsafe { (*callback.cast::<Option<F>>()).take() } {
            callback(&ctx);
        }
    });
}

/// # Safety
/// `callback` is a `Box<Option<F>>` given out, and this is the last call with it.
unsafe extern "C" fn drop_callback<F>(callback: *mut c_void) {
    // SAFETY: as the caller says.
    let callback = unsafe { Box::from_raw(callback.cast::<Option<F>>()) };
    contain("the destructor of a callback", || drop(callback));
}
