// SPDX-License-Identifier: MIT
//! User code that C calls: a panic in it stops here, is reported, and never crosses the C interface.

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

/// A panic that was caught in code which libctx called: in a callback, a waker or a destructor.
#[derive(Debug)]
pub struct CallbackPanic<'a> {
    place: &'static str,
    payload: &'a (dyn Any + Send),
}

impl CallbackPanic<'_> {
    /// Which code panicked, such as `a callback of after_func`.
    pub fn place(&self) -> &'static str {
        self.place
    }

    /// The payload of the panic.
    pub fn payload(&self) -> &(dyn Any + Send) {
        self.payload
    }

    /// The same as text, if it is text.
    pub fn message(&self) -> &str {
        let text = self.payload.downcast_ref::<&str>().copied();
        text.or_else(|| self.payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message")
    }
}

type Reporter = Arc<dyn Fn(&CallbackPanic<'_>) + Send + Sync>;

static REPORTER: RwLock<Option<Reporter>> = RwLock::new(None);

/// Sets the function that hears of panics in code that libctx calls, in place of a line on standard error. It
/// runs on the thread of the panic, after the panic hook.
///
/// ```
/// use libctx::Context;
/// use std::sync::mpsc;
///
/// let (tell, told) = mpsc::channel();
/// libctx::set_panic_reporter(move |panic| tell.send(panic.message().to_string()).unwrap());
///
/// let (ctx, canceler) = Context::background().with_cancel()?;
/// ctx.after_func(|_| panic!("a mistake"))?;
/// assert!(canceler.cancel()); // goes on as if nothing had been
/// assert_eq!(told.recv().unwrap(), "a mistake");
/// # Ok::<(), libctx::Error>(())
/// ```
pub fn set_panic_reporter(reporter: impl Fn(&CallbackPanic<'_>) + Send + Sync + 'static) {
    let reporter: Reporter = Arc::new(reporter);
    let old = REPORTER.write().unwrap_or_else(PoisonError::into_inner).replace(reporter);
    drop(old); // not under the lock: it may hold what panics when it is dropped
}

/// Runs user code; a panic ends here.
pub(crate) fn contain(place: &'static str, code: impl FnOnce()) {
    // Unwind safe: only code that shared state with the callback can see what the panic left half done.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code)) {
        let told = catch_unwind(AssertUnwindSafe(|| report(place, &*payload)));
        discard(payload);
        told.unwrap_or_else(discard);
    }
}

/// Drops the payload of a panic, whose drop may panic in turn, and so on.
fn discard(mut payload: Box<dyn Any + Send>) {
    for _ in 0..100 {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(again) => payload = again,
        }
    }
    std::mem::forget(payload); // it would never end
}

fn report(place: &'static str, payload: &(dyn Any + Send)) {
    let panic = CallbackPanic { place, payload };
    let reporter = REPORTER.read().unwrap_or_else(PoisonError::into_inner).clone();
    match reporter {
        Some(reporter) => reporter(&panic),
        None => eprintln!("libctx: caught a panic in {place}: {}", panic.message()),
    }
}

/// The destructor, for C, of a value that a `Box<T>` gave out.
///
/// # Safety
/// The pointer is from `Box::<T>::into_raw`, and this is the only call with it.
pub(crate) unsafe extern "C" fn drop_box<T>(value: *mut c_void) {
    // SAFETY: as the caller says.
    contain("a destructor", || drop(unsafe { Box::from_raw(value.cast::<T>()) }));
}
