// SPDX-License-Identifier: MIT
//! Loops, which run the clock, and descriptors that end contexts.

use crate::derive::{pair, single};
use crate::error::check;
use crate::guard::{contain, drop_box};
use crate::text::exact;
use crate::time::{duration, nanoseconds};
use crate::{Canceler, Context, Descriptor, Events, Result};
use libctx_sys as sys;
use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};
use std::time::Duration;

/// A clock, its deadlines and the descriptors it watches. Contexts derived from [`background`]
/// live on it.
///
/// ```
/// use libctx::Loop;
/// use std::time::Duration;
///
/// let hour = Duration::from_secs(3600);
/// let clock = Loop::virtual_time()?; // for tests that do not sleep
/// let (ctx, _canceler) = clock.background()?.with_timeout(hour)?;
/// assert_eq!(clock.advance(hour - Duration::from_nanos(1))?, 0);
/// assert!(!ctx.is_done());
/// assert_eq!(clock.advance(Duration::from_nanos(1))?, 1);
/// assert!(ctx.ended().unwrap().is_deadline_exceeded());
/// # Ok::<(), libctx::Error>(())
/// ```
///
/// A clone is the same loop. Dropping the last handle of a manual or virtual loop closes it: all its
/// contexts end. Live contexts do not prevent that.
///
/// Two are equal if they are handles of the same loop.
///
/// [`background`]: Loop::background
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Loop(NonNull<sys::ctx_loop_t>);

// SAFETY: the library allows every function from any thread at any time; two dispatches at once are a
// result, Busy, and no race. Callbacks, which dispatch and advance run on their thread, are Send.
unsafe impl Send for Loop {}
// SAFETY: as for Send.
unsafe impl Sync for Loop {}

impl Loop {
    /// A loop with two threads of its own, as the default loop; they start when first needed.
    pub fn threaded() -> Result<Loop> {
        Loop::builder().threaded()
    }

    /// A loop without a thread: the host adds [`fd`](Loop::fd) to its event loop and calls
    /// [`dispatch`](Loop::dispatch) whenever it is readable.
    pub fn manual() -> Result<Loop> {
        Loop::builder().manual()
    }

    /// A loop without a thread and without real time: its clock begins at zero and moves only by
    /// [`advance`](Loop::advance).
    pub fn virtual_time() -> Result<Loop> {
        Loop::of_kind(sys::CTX_LOOP_VIRTUAL, ptr::null())
    }

    /// Makes a loop with other options: the names of its threads, its clock, who runs its callbacks.
    pub fn builder() -> LoopBuilder {
        LoopBuilder::default()
    }

    fn of_kind(kind: c_int, options: *const sys::ctx_loop_options_t) -> Result<Loop> {
        let mut handle = ptr::null_mut();
        // SAFETY: the options are null or those of a builder, and the result is written to `handle`.
        check(unsafe { sys::ctx_loop_new(kind, options, &mut handle) })?;
        // SAFETY: the call succeeded, so this is a valid handle, and ours.
        Ok(Loop(unsafe { NonNull::new_unchecked(handle) }))
    }

    /// The loop's root: contexts derived from it live on this loop.
    pub fn background(&self) -> Result<Context> {
        // SAFETY: self holds a reference.
        single(|ctx| unsafe { sys::ctx_loop_background(self.as_raw(), ctx) })
    }

    /// Makes this the loop that [`Context::background`] lives on, for good.
    /// [`Busy`](crate::ErrorKind::Busy) if that has been used before.
    pub fn set_default(&self) -> Result<()> {
        // SAFETY: self holds a reference.
        check(unsafe { sys::ctx_loop_set_default(self.as_raw()) }).map(drop)
    }

    /// Ends everything on the loop that can be canceled, for good.
    pub fn close(&self) -> Result<()> {
        // SAFETY: self holds a reference.
        check(unsafe { sys::ctx_loop_close(self.as_raw()) }).map(drop)
    }

    /// A manual loop's descriptor: readable whenever [`dispatch`](Loop::dispatch) has work.
    pub fn fd(&self) -> Result<Descriptor<Loop>> {
        // SAFETY: self holds a reference, and so does the descriptor.
        Descriptor::of(self.clone(), unsafe { sys::ctx_loop_fd(self.as_raw()) })
    }

    /// Fires everything due on a manual loop, callbacks included, and never blocks. Returns how many deadlines,
    /// graces, descriptors and signals fired.
    pub fn dispatch(&self) -> Result<usize> {
        // SAFETY: self holds a reference.
        check(unsafe { sys::ctx_loop_dispatch(self.as_raw()) })
    }

    /// Moves the clock of a virtual loop, and fires everything due up to its new time, in order; each callback
    /// sees the clock at its own deadline. Returns how many fired.
    pub fn advance(&self, time: Duration) -> Result<usize> {
        // SAFETY: self holds a reference.
        check(unsafe { sys::ctx_loop_advance(self.as_raw(), nanoseconds(time)) })
    }

    /// Now, on the loop's clock.
    pub fn now(&self) -> Duration {
        // SAFETY: self holds a reference.
        duration(unsafe { sys::ctx_loop_now(self.as_raw()) })
    }

    /// When, on the loop's clock, dispatch or advance next has work; `None` if there is none, and for a loop
    /// with threads of its own.
    pub fn next(&self) -> Option<Duration> {
        // SAFETY: self holds a reference.
        match unsafe { sys::ctx_loop_next(self.as_raw()) } {
            i64::MAX | i64::MIN => None,
            time => Some(duration(time)),
        }
    }

    /// The C handle, borrowed.
    pub fn as_raw(&self) -> *mut sys::ctx_loop_t {
        self.0.as_ptr()
    }
}

/// The clock of a loop's deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LoopClock {
    /// Stands still while the system is suspended: `CLOCK_MONOTONIC`, as `std::time::Instant`.
    #[default]
    Monotonic,
    /// Counts the time of a suspended system, too: `CLOCK_BOOTTIME`.
    Boottime,
}

type Executor = Box<dyn Fn(Work) + Send + Sync>;

/// Makes a [`Loop`] with options.
///
/// ```
/// use libctx::{Loop, LoopClock};
///
/// let web = Loop::builder().name("web").clock(LoopClock::Boottime).start().threaded()?;
/// # Ok::<(), libctx::Error>(())
/// ```
#[derive(Default)]
#[must_use = "a builder makes nothing by itself"]
pub struct LoopBuilder {
    name: String,
    clock: LoopClock,
    start: bool,
    executor: Option<Executor>,
}

impl LoopBuilder {
    /// The loop's threads are `NAME-loop` and `NAME-calls`. At most 9 bytes; without a name, or with an empty one, it
    /// is "ctx".
    pub fn name(mut self, name: impl Into<String>) -> LoopBuilder {
        self.name = name.into();
        self
    }

    /// The clock of the loop's deadlines.
    pub fn clock(mut self, clock: LoopClock) -> LoopBuilder {
        self.clock = clock;
        self
    }

    /// Starts the loop at once, so that its threads inherit from the one that makes it: scheduling, processors,
    /// namespaces, and for callbacks the signal mask.
    pub fn start(mut self) -> LoopBuilder {
        self.start = true;
        self
    }

    /// Has an executor of the program's own run the callbacks that the loop sets off or defers: so the
    /// callbacks of one library do not wait for those of another. The loop's threads call `post` for one
    /// callback after the other; it passes the [`Work`] on to whatever runs it.
    ///
    /// Callbacks of `after_func_blocking` go to it, too. The loop drops `post` when it will post nothing more and
    /// all work has run: on any thread, which may be one of the executor's.
    ///
    /// ```
    /// use libctx::{Loop, Work};
    /// use std::{sync::mpsc, thread, time::Duration};
    ///
    /// let (post, posted) = mpsc::channel();
    /// thread::spawn(move || posted.into_iter().for_each(Work::run));
    ///
    /// let own = Loop::builder()
    ///     .executor(move |work| drop(post.send(work)))
    ///     .threaded()?;
    /// let (ctx, _canceler) = own.background()?.with_timeout(Duration::from_millis(1))?;
    /// let (tell, told) = mpsc::channel();
    /// ctx.after_func(move |_| tell.send("on the executor").unwrap())?;
    /// assert_eq!(told.recv().unwrap(), "on the executor");
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn executor<F>(mut self, post: F) -> LoopBuilder
    where
        F: Fn(Work) + Send + Sync + 'static,
    {
        self.executor = Some(Box::new(post));
        self
    }

    /// Makes a loop with two threads of its own.
    pub fn threaded(self) -> Result<Loop> {
        self.make(sys::CTX_LOOP_THREAD)
    }

    /// Makes a loop without a thread. [`Unsupported`](crate::ErrorKind::Unsupported) with an executor.
    pub fn manual(self) -> Result<Loop> {
        self.make(sys::CTX_LOOP_MANUAL)
    }

    fn make(self, kind: c_int) -> Result<Loop> {
        let name = exact(&self.name)?;
        let executor = self.executor.map(|post| Box::into_raw(Box::new(post)));
        let options = sys::ctx_loop_options_t {
            size: std::mem::size_of::<sys::ctx_loop_options_t>(),
            flags: if self.start { sys::CTX_LOOP_START } else { 0 },
            clock: match self.clock {
                LoopClock::Monotonic => sys::CTX_CLOCK_MONOTONIC,
                LoopClock::Boottime => sys::CTX_CLOCK_BOOTTIME,
            },
            name: if self.name.is_empty() { ptr::null() } else { name.as_ptr() },
            post: executor.map(|_| hand as sys::ctx_post_fn),
            executor: executor.map_or(ptr::null_mut(), |boxed| boxed.cast()),
            drop: executor.map(|_| drop_box::<Executor> as sys::ctx_drop_fn),
        };
        let made = Loop::of_kind(kind, &options);
        if let (Err(_), Some(boxed)) = (&made, executor) {
            // SAFETY: what fails has taken nothing.
            drop(unsafe { Box::from_raw(boxed) });
        }
        made
    }
}

impl std::fmt::Debug for LoopBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoopBuilder")
            .field("name", &self.name)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

/// A callback that an executor has to run; see [`LoopBuilder::executor`]. Dropped, it runs at once.
#[must_use = "dropped, it runs at once"]
#[derive(Debug)]
pub struct Work {
    run: unsafe extern "C" fn(*mut c_void),
    work: *mut c_void,
}

// SAFETY: the library lets work be run on any thread.
unsafe impl Send for Work {}

impl Work {
    /// Runs the callback, on this thread.
    pub fn run(self) {} // by being dropped
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: the library's function for this work, once.
        unsafe { (self.run)(self.work) };
    }
}

/// # Safety
/// `executor` is a boxed Executor.
unsafe extern "C" fn hand(
    executor: *mut c_void,
    run: unsafe extern "C" fn(*mut c_void),
    work: *mut c_void,
) -> c_int {
    // SAFETY: as the caller says.
    let post = unsafe { &*executor.cast::<Executor>() };
    let work = Work { run, work };
    contain("an executor", || post(work)); // if it panics, the work is dropped, and so has run
    0
}

/// An orderly end of the default loop, for the end of `main`: ends all its contexts, runs waiting callbacks, and
/// joins the library's threads. From then on contexts of the default loop are born done. False if callbacks
/// still run after that time: then call it again. Inside a callback it is an error.
///
/// ```
/// use libctx::Context;
/// use std::time::Duration;
///
/// let (ctx, _canceler) = Context::background().with_timeout(Duration::from_secs(3600))?;
/// assert!(libctx::shutdown(Duration::MAX)?);
/// assert!(ctx.ended().unwrap().is_canceled());
/// # Ok::<(), libctx::Error>(())
/// ```
pub fn shutdown(limit: Duration) -> Result<bool> {
    // SAFETY: a call without pointers, for any thread.
    match unsafe { sys::ctx_shutdown(nanoseconds(limit)) } {
        sys::CTX_DEADLINE_EXCEEDED => Ok(false), // the same errno
        result => check(result).map(|_| true),
    }
}

impl Clone for Loop {
    fn clone(&self) -> Loop {
        // SAFETY: self holds a reference, so the handle is valid and one more can be had.
        unsafe { sys::ctx_loop_ref(self.as_raw()) };
        Loop(self.0)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // SAFETY: self owns one reference, and gives it back once.
        unsafe { sys::ctx_loop_unref(self.as_raw()) };
    }
}

impl Context {
    /// Derives a context that also ends when poll(2) would report one of `events` on a descriptor, or an error
    /// or a hang-up. Nothing is read. The cause has the [`events`](crate::Cause::events) that came.
    ///
    /// ```
    /// use libctx::{Context, Events};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (server, client) = UnixStream::pair().unwrap();
    /// let (ctx, _canceler) = Context::background().with_fd(&server, Events::RDHUP)?;
    /// drop(client);
    /// let events = ctx.wait()?.cause().events().unwrap();
    /// assert!(events.contains(Events::RDHUP));
    /// # Ok::<(), libctx::Error>(())
    /// ```
    ///
    /// Keep the descriptor open until the context is done or freed: once closed, it no longer ends the
    /// context.
    pub fn with_fd(&self, fd: impl AsFd, events: Events) -> Result<(Context, Canceler)> {
        let (fd, events) = (fd.as_fd(), u32::from(events.as_raw() as u16));
        // SAFETY: self holds a reference; the descriptor is open during the call, and later the library is
        // ready for it to be closed, and its number to be another's.
        pair(|ctx, canceler| unsafe {
            sys::ctx_with_fd(self.as_raw(), fd.as_raw_fd(), events, ctx, canceler)
        })
    }
}
