// SPDX-License-Identifier: MIT
//! Very many contexts on one descriptor.

use crate::error::{check, text};
use crate::wait::uninterrupted;
use crate::{Context, Descriptor, Error, Result, Watch};
use libctx_sys as sys;
use std::fmt;
use std::ptr::{self, NonNull};
use std::time::Duration;

/// A queue: each added context posts one event when it is done.
///
/// ```
/// use libctx::{Context, Event, Queue};
///
/// let (parent, canceler) = Context::background().with_cancel()?;
/// let queue = Queue::new()?;
/// for token in 0..1000 {
///     queue.add(&parent.with_cancel()?.0, token)?;
/// }
/// canceler.cancel();
/// let mut events = [Event::default(); 64];
/// let mut all = 0;
/// while let taken @ [_, ..] = queue.drain(&mut events)? {
///     all += taken.len();
/// }
/// assert_eq!(all, 1000);
/// # Ok::<(), libctx::Error>(())
/// ```
///
/// A clone is the same queue, and equal. Dropping the last handle disarms everything in it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Queue(NonNull<sys::ctx_queue_t>);

// SAFETY: the library allows every function from any thread at any time. What a queue releases on the
// thread that drains it are references to contexts, which are Send.
unsafe impl Send for Queue {}
// SAFETY: as for Send.
unsafe impl Sync for Queue {}

/// The event of a context that is done.
#[repr(transparent)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Event(sys::ctx_event_t);

impl Event {
    /// The token given to [`Queue::add`].
    pub fn token(&self) -> u64 {
        self.0.token
    }

    /// True if the context was canceled. [`Queue::drain_contexts`] has more on how it ended.
    pub fn is_canceled(&self) -> bool {
        self.0.err == sys::CTX_CANCELED
    }

    /// True if the context's deadline passed.
    pub fn is_deadline_exceeded(&self) -> bool {
        self.0.err == sys::CTX_DEADLINE_EXCEEDED
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("Event");
        s.field("token", &self.token()).field("err", &text(self.0.err)).finish()
    }
}

impl Queue {
    /// A new queue.
    pub fn new() -> Result<Queue> {
        let mut queue = ptr::null_mut();
        // SAFETY: the result is written to `queue`.
        check(unsafe { sys::ctx_queue_new(&mut queue) })?;
        // SAFETY: the call succeeded, so this is a valid handle, and ours.
        Ok(Queue(unsafe { NonNull::new_unchecked(queue) }))
    }

    /// Adds a context: when it is done, or at once if it is done already, one event with this token is
    /// posted. The queue holds the context until its event is drained. Until then the watch can withdraw it;
    /// dropping the watch leaves it.
    pub fn add(&self, ctx: &Context, token: u64) -> Result<Watch> {
        let mut watch = ptr::null_mut();
        // SAFETY: both hold a reference, and the result is written to `watch`.
        check(unsafe { sys::ctx_queue_add(self.as_raw(), ctx.as_raw(), token, &mut watch) })?;
        // SAFETY: the call succeeded, so this is a valid handle, and ours.
        Ok(unsafe { Watch::own(watch) })
    }

    /// Takes events in the order they were posted, as many as there are and fit. Never blocks.
    pub fn drain<'a>(&self, events: &'a mut [Event]) -> Result<&'a [Event]> {
        let (first, room) = (events.as_mut_ptr().cast(), events.len());
        // SAFETY: self holds a reference; Event has the layout of a ctx_event_t, and there is room.
        taken(events, unsafe { sys::ctx_queue_drain(self.as_raw(), first, room) })
    }

    /// Takes at most so many events with their contexts: for the error of each, with its cause, or for values.
    /// Never blocks.
    ///
    /// ```
    /// use libctx::{Context, Queue};
    ///
    /// let (ctx, canceler) = Context::background().with_cancel()?;
    /// let queue = Queue::new()?;
    /// queue.add(&ctx, 7)?;
    /// canceler.cancel_because("the client hung up");
    /// for (event, ctx) in queue.drain_contexts(64)? {
    ///     assert_eq!(event.token(), 7);
    ///     assert_eq!(ctx.cause().unwrap().message(), "the client hung up");
    /// }
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn drain_contexts(&self, most: usize) -> Result<Vec<(Event, Context)>> {
        let mut events = vec![Event::default(); most];
        let mut contexts = vec![ptr::null_mut(); most];
        let first = events.as_mut_ptr().cast();
        // SAFETY: self holds a reference; Event has the layout of a ctx_event_t, and there is room for both.
        let n =
            unsafe { sys::ctx_queue_drain_ctxs(self.as_raw(), first, contexts.as_mut_ptr(), most) };
        let events = taken(&events, n)?;
        // SAFETY: each is a reference that the call handed over.
        Ok(events
            .iter()
            .zip(contexts)
            .map(|(&event, ctx)| (event, unsafe { Context::own(ctx) }))
            .collect())
    }

    /// As [`drain`](Queue::drain), but blocks until there is an event. If the time passes, it returns none.
    pub fn wait<'a>(&self, events: &'a mut [Event], time: Option<Duration>) -> Result<&'a [Event]> {
        let (first, room) = (events.as_mut_ptr().cast(), events.len());
        // SAFETY: as in drain().
        let wait = |left| unsafe { sys::ctx_queue_wait(self.as_raw(), first, room, left) };
        taken(events, uninterrupted(time, wait))
    }

    /// A descriptor that is readable while events wait. Do not read it: draining does.
    pub fn fd(&self) -> Result<Descriptor<Queue>> {
        // SAFETY: self holds a reference, and so does the descriptor.
        Descriptor::of(self.clone(), unsafe { sys::ctx_queue_fd(self.as_raw()) })
    }

    /// The C handle, borrowed.
    pub fn as_raw(&self) -> *mut sys::ctx_queue_t {
        self.0.as_ptr()
    }
}

fn taken(events: &[Event], result: i64) -> Result<&[Event]> {
    match usize::try_from(result) {
        Ok(n) => Ok(&events[..n]),
        Err(_) => Err(Error::from_code(result as i32)), // a negative errno: it fits
    }
}

impl Clone for Queue {
    fn clone(&self) -> Queue {
        // SAFETY: self holds a reference, so the handle is valid and one more can be had.
        unsafe { sys::ctx_queue_ref(self.as_raw()) };
        Queue(self.0)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: self owns one reference, and gives it back once.
        unsafe { sys::ctx_queue_unref(self.as_raw()) };
    }
}
