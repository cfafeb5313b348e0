// SPDX-License-Identifier: MIT
//! Feature `tokio-util`: a `CancellationToken` from a context, and a context from a token.
//!
//! Neither direction needs a runtime or a task: a context wakes by a callback, and a token by a waker.

use crate::{Canceler, Context, Key, Result, Watch};
use libctx_sys as sys;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Wake, Waker};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A token that is canceled with a context, as long as this object lives. Dropping it leaves the token as it
/// is.
///
/// Use it as the token; pass clones and child tokens of it around as usual. Needs the feature `tokio-util`.
#[must_use = "dropped, the token is not canceled with the context any more"]
#[derive(Debug)]
pub struct LinkedToken {
    token: CancellationToken,
    watch: Option<Watch>,
}

impl LinkedToken {
    /// The token alone, tied to the context until that ends. The tie keeps the context alive: if nothing ends
    /// the context, it stays for ever.
    pub fn detach(mut self) -> CancellationToken {
        self.watch = None;
        self.token.clone()
    }
}

impl Deref for LinkedToken {
    type Target = CancellationToken;
    fn deref(&self) -> &CancellationToken {
        &self.token
    }
}

impl Drop for LinkedToken {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.stop();
        }
    }
}

impl Context {
    /// A token that is canceled when this context is done. Tasks that wait for it are woken before any callback
    /// of the same end runs. Needs the feature `tokio-util`.
    ///
    /// ```
    /// use libctx::Context;
    ///
    /// let (ctx, canceler) = Context::background().with_cancel()?;
    /// let token = ctx.to_token()?;
    /// let child = token.child_token();
    /// canceler.cancel();
    /// assert!(child.is_cancelled());
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn to_token(&self) -> Result<LinkedToken> {
        let token = CancellationToken::new();
        let canceled = token.clone();
        // A token only wakes, as a future does, and so is behind no callback.
        let watch = Some(self.arm(move |_| canceled.cancel(), sys::CTX_WAKER)?);
        Ok(LinkedToken { token, watch })
    }

    /// Derives a context that also ends when a token is canceled, with the cause "token canceled". If the token
    /// is one of [`to_token`](Context::to_token), and so ends with another context, callbacks of this one run on
    /// the library's thread. Needs the feature `tokio-util`.
    ///
    /// ```
    /// use libctx::Context;
    /// use tokio_util::sync::CancellationToken;
    ///
    /// let token = CancellationToken::new();
    /// let ctx = Context::background().with_token(&token)?;
    /// token.cancel();
    /// assert!(ctx.ended().unwrap().is_canceled());
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn with_token(&self, token: &CancellationToken) -> Result<Context> {
        let (ctx, canceler) = self.with_cancel()?;
        let waker = Waker::from(Arc::new(Bridge { token: token.clone(), canceler }));
        let mut waiting = Box::pin(token.clone().cancelled_owned());
        // The first poll leaves the waker with the token, or finds it canceled.
        if let Poll::Ready(()) = waiting.as_mut().poll(&mut task::Context::from_waker(&waker)) {
            waker.wake();
            return Ok(ctx);
        }
        // The tie lives in a value of the context that is handed out, and is freed with that context. Its
        // canceler keeps only the inner context.
        ctx.with_value(&TIE, Tie { _waiting: Mutex::new(waiting) })
    }
}

static TIE: Key<Tie> = Key::new(c"CancellationToken");

/// Keeps the waker with the token. Nobody takes the lock: it only makes the future Sync.
struct Tie {
    _waiting: Mutex<Pin<Box<WaitForCancellationFutureOwned>>>,
}

/// A waker that cancels. A token wakes with no lock held; the future is not polled again.
struct Bridge {
    token: CancellationToken,
    canceler: Canceler,
}

impl Wake for Bridge {
    fn wake(self: Arc<Self>) {
        // A waker may be called spuriously.
        if self.token.is_cancelled() {
            self.canceler.cancel_because("token canceled");
        }
    }
}
