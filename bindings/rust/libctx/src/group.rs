// SPDX-License-Identifier: MIT
//! Work that is waited for together, and that ends together when a part of it fails.

use crate::error::check;
use crate::wait::uninterrupted;
use crate::{Canceler, Cause, Context, Descriptor, Ended, Error, Result};
use libctx_sys as sys;
use std::error;
use std::ffi::c_int;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{self, Poll};
use std::thread;
use std::time::Duration;

type BoxedError = Box<dyn error::Error + Send + Sync>;

/// What a piece of work returns: any error becomes one by `?`.
type Outcome = std::result::Result<(), BoxedError>;

/// Counts pieces of work, such as threads and tasks, and has a context of its own in which they run.
///
/// The first piece of work that fails cancels that context, with its error as the cause: the others stop if they look.
/// [`wait`](Group::wait) and [`done`](Group::done) wait until nothing is left, and return that failure.
///
/// ```
/// use libctx::{Context, Group};
/// use std::io;
///
/// let group = Group::new(&Context::background())?;
/// for _ in 0..3 {
///     group.spawn(|ctx| {
///         ctx.wait()?; // until it is told to stop
///         Ok(())
///     })?;
/// }
/// group.spawn(|_| Err(io::Error::other("the disk is full").into()))?;
/// let failure = group.wait().unwrap_err();
/// assert_eq!(failure.ended().unwrap().cause().message(), "the disk is full");
/// # Ok::<(), libctx::Error>(())
/// ```
///
/// A clone is the same group, and equal. Dropping one neither cancels nor waits; the work holds its group. Once the
/// group's context is done, no work begins any more: what begins some returns its end.
///
/// Any executor runs [`task`](Group::task)s:
///
/// ```
/// use libctx::{Context, Group};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let group = Group::new(&Context::background())?;
/// let ctx = group.context();
/// tokio::spawn(group.task(async move { Ok(ctx.run(async {}).await?) })?);
/// group.done().await
/// # })?;
/// # Ok::<(), libctx::Error>(())
/// ```
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Group(NonNull<sys::ctx_group_t>);

// SAFETY: the library allows every function from any thread at any time, on shared handles too. What the end of a
// group releases is a context and a cause, which are Send.
unsafe impl Send for Group {}
// SAFETY: as for Send.
unsafe impl Sync for Group {}

impl Group {
    /// A group without work, whose context is derived from this one.
    pub fn new(parent: &Context) -> Result<Group> {
        // SAFETY: the reference lives through the call.
        Group::made(|ret| check(unsafe { sys::ctx_group_new(parent.as_raw(), ret) }).map(|_| ()))
    }

    /// A group that this one counts as a piece of work, until it has neither work nor handles; then its failure, if
    /// there was one, is a failure of this one.
    pub fn nested(&self) -> Result<Group> {
        // SAFETY: self holds a reference.
        Group::made(|ret| self.or_ended(unsafe { sys::ctx_group_new_below(self.as_raw(), ret) }))
    }

    fn made(make: impl FnOnce(*mut *mut sys::ctx_group_t) -> Result<()>) -> Result<Group> {
        let mut group = ptr::null_mut();
        make(&mut group)?;
        // SAFETY: the call succeeded, so this is a valid handle, and ours.
        Ok(Group(unsafe { NonNull::new_unchecked(group) }))
    }

    /// A result, in which the end of the group's context has its cause.
    fn or_ended(&self, result: c_int) -> Result<()> {
        if result == sys::CTX_CANCELED || result == sys::CTX_DEADLINE_EXCEEDED {
            self.context().check()?;
        }
        check(result).map(|_| ())
    }

    /// The context of its work. It ends with its parent, with the first failure, or by the canceler; not because the
    /// work has ended.
    pub fn context(&self) -> Context {
        // SAFETY: self holds a reference, and with it the context, of which this takes one.
        unsafe { Context::own(sys::ctx_ref(sys::ctx_group_context(self.as_raw()))) }
    }

    /// The right to cancel that context: to stop all work.
    pub fn canceler(&self) -> Canceler {
        // SAFETY: as for context().
        unsafe { Canceler::own(sys::ctx_canceler_ref(sys::ctx_group_canceler(self.as_raw()))) }
    }

    /// Counts a piece of work, which ends when it is dropped.
    pub fn begin(&self) -> Result<Piece> {
        // SAFETY: self holds a reference.
        self.or_ended(unsafe { sys::ctx_group_begin(self.as_raw()) })?;
        Ok(Piece(self.0))
    }

    /// Runs work on a thread of its own. An error that it returns, and a panic, is its failure.
    pub fn spawn(&self, work: impl FnOnce(&Context) -> Outcome + Send + 'static) -> Result<()> {
        let piece = self.begin()?;
        let started = thread::Builder::new().spawn(move || piece.run(work));
        match started {
            Ok(_) => Ok(()), // nobody joins it: wait() waits for the work
            Err(error) => Err(Error::from_code(-error.raw_os_error().unwrap_or(libc::EAGAIN))),
        }
    }

    /// A future that is a piece of work, for `tokio::spawn`, `smol::spawn` and the like: it has begun, and ends when the
    /// future is ready or dropped. An error that it returns, and a panic, is its failure. To have the group's
    /// context end it, too, give it to [`Context::run`].
    pub fn task<F: Future<Output = Outcome>>(&self, future: F) -> Result<Task<F>> {
        Ok(Task { piece: Some(self.begin()?), future })
    }

    /// The cause that the first piece of work to fail has ended with.
    pub fn cause(&self) -> Option<Cause> {
        // SAFETY: self holds a reference, and with it the cause, if there is one.
        unsafe { Cause::clone_from_raw(sys::ctx_group_cause(self.as_raw())) }.ok()
    }

    /// Blocks until nothing is left. The first failure is an error: [`Ended::DeadlineExceeded`] if [`Ended::find`] finds
    /// that in what the work returned, or if that is the error of [`Context::require`], and else [`Ended::Canceled`]. Its
    /// cause has what the work returned: [`Cause::get_ref`].
    ///
    /// If the group's context was done before the call, no work begins after it.
    pub fn wait(&self) -> Result<()> {
        self.wait_for(None).map(|_| ())
    }

    /// As [`wait`](Group::wait), for a limited time: false if it passed.
    pub fn wait_timeout(&self, time: Duration) -> Result<bool> {
        self.wait_for(Some(time))
    }

    fn wait_for(&self, time: Option<Duration>) -> Result<bool> {
        // SAFETY: self holds a reference.
        let wait = |left| unsafe { sys::ctx_group_wait(self.as_raw(), left) };
        let over = check(uninterrupted(time, wait))? == 1;
        if over { self.failure().map(|()| true) } else { Ok(false) }
    }

    fn failure(&self) -> Result<()> {
        match self.cause() {
            Some(cause) => Err(Ended::of_work(cause).into()),
            None => Ok(()),
        }
    }

    /// As [`wait`](Group::wait), in async code on any executor. If its loop is closed before, that is the error.
    pub async fn done(&self) -> Result<()> {
        let ended = self.over()?.done().await?;
        if ended.cause().is_given() {
            return Err(ended.into()); // the end of the work gives no cause
        }
        self.failure()
    }

    /// A context that ends as soon as nothing is left, or at once if nothing is: for callbacks, queues, and waits for
    /// several. If its loop is closed, that ends it, too, with a cause that says so.
    pub fn over(&self) -> Result<Context> {
        let mut ctx = ptr::null_mut();
        // SAFETY: self holds a reference, and the result is written to `ctx`.
        check(unsafe { sys::ctx_group_over(self.as_raw(), &mut ctx) })?;
        // SAFETY: the call succeeded, so this is a valid handle, and ours.
        Ok(unsafe { Context::own(ctx) })
    }

    /// A descriptor that is readable exactly while nothing is left. Do not read it.
    pub fn fd(&self) -> Result<Descriptor<Group>> {
        // SAFETY: self holds a reference, and so does the descriptor.
        Descriptor::of(self.clone(), unsafe { sys::ctx_group_fd(self.as_raw()) })
    }

    /// The C handle, borrowed.
    pub fn as_raw(&self) -> *mut sys::ctx_group_t {
        self.0.as_ptr()
    }
}

impl Clone for Group {
    fn clone(&self) -> Group {
        // SAFETY: self holds a reference, so the handle is valid and one more can be had.
        unsafe { sys::ctx_group_ref(self.as_raw()) };
        Group(self.0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: self owns one reference, and gives it back once.
        unsafe { sys::ctx_group_unref(self.as_raw()) };
    }
}

/// A piece of work of a [`Group`] that has begun. It ends when it is dropped, on any thread; in a panic it has failed.
///
/// ```
/// use libctx::{Context, Group};
///
/// let (group, text) = (Group::new(&Context::background())?, String::from("of this scope"));
/// std::thread::scope(|scope| {
///     for _ in 0..3 {
///         let piece = group.begin()?;
///         scope.spawn(|| piece.run(|ctx| Ok(ctx.check().map(|()| assert_eq!(text.len(), 13))?)));
///     }
///     group.wait()
/// })?;
/// # Ok::<(), libctx::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropped, it has ended"]
pub struct Piece(NonNull<sys::ctx_group_t>); // which it holds, as a handle does

// SAFETY: as for Group.
unsafe impl Send for Piece {}
// SAFETY: as for Group.
unsafe impl Sync for Piece {}

impl Piece {
    /// Runs the work, here, and ends it: an error that it returns, and a panic, is its failure. A panic goes on.
    pub fn run(self, work: impl FnOnce(&Context) -> Outcome) {
        let ctx = self.context();
        if let Err(error) = work(&ctx) {
            self.fail_with(error);
        }
    }

    /// Ends it; it has failed.
    pub fn fail(self, cause: &Cause) {
        ManuallyDrop::new(self).end(cause.as_raw());
    }

    /// The group's context.
    pub fn context(&self) -> Context {
        // SAFETY: self holds the group, and with it the context, of which this takes a reference.
        unsafe { Context::own(sys::ctx_ref(sys::ctx_group_context(self.0.as_ptr()))) }
    }

    fn fail_with(self, error: BoxedError) {
        match Cause::from_error(error) {
            Ok(cause) => self.fail(&cause),
            Err(_) => self.fail_plainly(), // there was no memory for it
        }
    }

    /// As every context that is done has a cause, a canceled one has one to spare.
    fn fail_plainly(self) {
        // SAFETY: self holds the group, and with it the canceler.
        unsafe { sys::ctx_cancel(sys::ctx_group_canceler(self.0.as_ptr())) };
        match self.context().cause() {
            Some(cause) => self.fail(&cause),
            None => ManuallyDrop::new(self).end(ptr::null()), // in a forked child
        }
    }

    fn panicked(self) {
        match Cause::new(sys::CTX_CANCELED, "the work panicked") {
            Ok(cause) => self.fail(&cause),
            Err(_) => self.fail_plainly(),
        }
    }

    /// Once: the group may be gone then.
    fn end(&self, cause: *const sys::ctx_cause_t) {
        // SAFETY: self holds the group; the cause is NULL, or held by the caller.
        unsafe { sys::ctx_group_end(self.0.as_ptr(), cause) };
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if thread::panicking() {
            Piece(self.0).panicked(); // which ends it in place of this
        } else {
            self.end(ptr::null());
        }
    }
}

/// The future of [`Group::task`]. Dropped before it is ready, it has ended without a failure.
#[must_use = "a future does nothing unless it is awaited"]
#[derive(Debug)]
pub struct Task<F> {
    piece: Option<Piece>,
    future: F,
}

impl<F: Future<Output = Outcome>> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        // SAFETY: the future is never moved out of self, which is pinned; the piece is not pinned.
        let (piece, future) = unsafe {
            let this = self.get_unchecked_mut();
            (&mut this.piece, Pin::new_unchecked(&mut this.future))
        };
        // An executor may catch a panic and then drop the task with no panic under way.
        let polled = catch_unwind(AssertUnwindSafe(|| future.poll(cx)));
        match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(()))) => drop(piece.take()),
            Ok(Poll::Ready(Err(error))) => {
                if let Some(piece) = piece.take() {
                    piece.fail_with(error);
                }
            }
            Err(panic) => {
                if let Some(piece) = piece.take() {
                    piece.panicked();
                }
                resume_unwind(panic)
            }
        }
        Poll::Ready(())
    }
}
