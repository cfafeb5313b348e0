// SPDX-License-Identifier: MIT
//! The end of a context as a future. It needs only a callback and a waker: no descriptor, no thread of its
//! own, no runtime.

use crate::guard::contain;
use crate::{Context, Ended, Result, Watch};
use libctx_sys as sys;
use std::convert::identity;
use std::ffi::c_void;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll, Waker};

/// The future of [`Context::done`]: ready, with how it ended, when the context is done.
///
/// It owns its context, so it may be kept, moved to another task and polled from anywhere. Once ready, it
/// stays ready. With a context that can never be done it is pending for ever.
#[must_use = "a future does nothing unless it is awaited"]
#[derive(Debug)]
pub struct Done {
    ctx: Context,
    armed: Option<Armed>,
}

#[derive(Debug)]
struct Armed {
    watch: Watch,
    slot: Arc<Slot>,
}

/// Where the callback finds the waker. Callback and future share it, and either may be the last.
#[derive(Debug)]
struct Slot(Mutex<State>);

#[derive(Debug)]
enum State {
    Waiting(Waker),
    Fired,
}

impl Slot {
    fn replace(&self, state: State) -> State {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), state)
    }

    /// From now on the callback wakes this waker. False if it has run already: then it wakes nobody.
    fn wait_with(&self, waker: &Waker) -> bool {
        let mut waker = waker.clone(); // other people's code: not under the lock, here or at the end
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            State::Fired => false,
            State::Waiting(old) => {
                std::mem::swap(old, &mut waker);
                drop(state);
                true
            }
        }
    }
}

impl Context {
    /// Waits, in async code on any executor, until the context is done; returns how it ended. Where waiting is
    /// impossible (no memory, or a context from before a fork), it is an error at once. (A future
    /// that was polled before a fork stays pending in the child.)
    ///
    /// The task is woken before any callback of the same end runs: nobody's callback delays it.
    ///
    /// ```
    /// use libctx::Context;
    /// use std::time::Duration;
    ///
    /// let (ctx, canceler) = Context::background().with_cancel()?;
    /// std::thread::spawn(move || canceler.cancel_because("from another thread"));
    /// let ended = smol::block_on(ctx.done())?;
    /// assert_eq!(ended.cause().message(), "from another thread");
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn done(&self) -> Done {
        Done { ctx: self.clone(), armed: None }
    }

    /// Runs a future until it is ready or the context is done, whichever comes first, and then drops it.
    /// Once the context is done the future is not polled again.
    ///
    /// ```
    /// use libctx::Context;
    /// use std::{future, time::Duration};
    ///
    /// let ctx = Context::background();
    /// let (soon, _canceler) = ctx.with_timeout(Duration::from_millis(5))?;
    /// smol::block_on(async {
    ///     assert_eq!(ctx.run(async { 7 }).await.unwrap(), 7);
    ///     let never = soon.run(future::pending::<u32>()).await;
    ///     assert!(never.unwrap_err().is_deadline_exceeded());
    /// });
    /// # Ok::<(), libctx::Error>(())
    /// ```
    #[allow(clippy::manual_async_fn)] // an async fn moves its arguments, and so has room for two of each
    pub fn run<F: Future>(&self, mut future: F) -> impl Future<Output = Result<F::Output>> {
        async move {
            let mut done = self.done();
            // SAFETY: a capture of this block lives in it, is pinned with it, and nothing moves it. (`pin!`
            // would move it to a place of its own, and so double its size.)
            let mut future = unsafe { Pin::new_unchecked(&mut future) };
            poll_fn(move |cx| match Pin::new(&mut done).poll(cx) {
                Poll::Ready(ended) => Poll::Ready(Err(ended.map_or_else(identity, Into::into))),
                Poll::Pending => future.as_mut().poll(cx).map(Ok),
            })
            .await
        }
    }
}

impl Done {
    fn arm(&mut self, waker: &Waker) -> Result<()> {
        let slot = Arc::new(Slot(Mutex::new(State::Waiting(waker.clone()))));
        let shared = Arc::into_raw(slot.clone());
        // SAFETY: wake() borrows the Arc that drop_slot() gives back; both may run on any thread.
        match unsafe { self.ctx.arm_raw(wake, shared.cast_mut().cast(), drop_slot, sys::CTX_WAKER) }
        {
            Ok(watch) => self.armed = Some(Armed { watch, slot }),
            Err(error) => {
                // SAFETY: a constructor that fails has taken nothing.
                drop(unsafe { Arc::from_raw(shared) });
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Future for Done {
    type Output = Result<Ended>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<Ended>> {
        if let Some(ended) = self.ctx.ended() {
            return Poll::Ready(Ok(ended));
        }
        let waits = match &self.armed {
            Some(armed) => armed.slot.wait_with(cx.waker()),
            None => match self.arm(cx.waker()) {
                Ok(()) => true,
                Err(error) => return Poll::Ready(Err(error)),
            },
        };
        // The callback may have run in between: then the error is there, since it is set first.
        match self.ctx.ended() {
            Some(ended) => Poll::Ready(Ok(ended)),
            None => {
                debug_assert!(waits, "a callback ran on a context that is live");
                Poll::Pending
            }
        }
    }
}

impl Drop for Done {
    /// Disarms. A callback that runs at this moment owns its share of the slot, and wakes a task that no longer
    /// waits, as wakers may. Nothing waits for the callback, so it may call this itself.
    fn drop(&mut self) {
        if let Some(armed) = &self.armed {
            armed.watch.stop();
        }
    }
}

/// # Safety
/// `slot` is from `Arc::<Slot>::into_raw`, and not given back yet.
unsafe extern "C" fn wake(_: *mut sys::ctx_t, slot: *mut c_void) {
    // SAFETY: as the caller says.
    let slot = unsafe { &*slot.cast::<Slot>() };
    if let State::Waiting(waker) = slot.replace(State::Fired) {
        contain("a waker", || waker.wake());
    }
}

/// # Safety
/// `slot` is from `Arc::<Slot>::into_raw`, and this is the last use of it.
unsafe extern "C" fn drop_slot(slot: *mut c_void) {
    // SAFETY: as the caller says.
    contain("the destructor of a waker", || drop(unsafe { Arc::from_raw(slot.cast::<Slot>()) }));
}
