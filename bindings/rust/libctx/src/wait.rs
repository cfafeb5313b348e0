// SPDX-License-Identifier: MIT
//! Blocking a thread until a context is done, or until a descriptor is ready or a context is done.

use crate::error::check;
use crate::time::limit;
use crate::{Context, Ended, Events, Result};
use libctx_sys as sys;
use std::ffi::c_int;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Calls a wait of C again whenever a signal handler cuts it short; the limit stays the same.
pub(crate) fn uninterrupted<R: Copy + PartialEq + From<i32>>(
    time: Option<Duration>,
    mut wait: impl FnMut(i64) -> R,
) -> R {
    let end = time.and_then(|time| Instant::now().checked_add(time));
    let mut left = limit(time);
    loop {
        let result = wait(left);
        if result != R::from(-libc::EINTR) {
            return result;
        }
        if let Some(end) = end {
            left = limit(Some(end.saturating_duration_since(Instant::now())));
        }
    }
}

impl Context {
    /// Blocks until the context is done, and returns how it ended. Where waiting is impossible (a context from
    /// before a fork), it is an error at once.
    pub fn wait(&self) -> Result<Ended> {
        loop {
            if let Some(ended) = self.wait_timeout(Duration::MAX)? {
                return Ok(ended);
            }
        }
    }

    /// As [`wait`](Context::wait), for a limited time: `None` if it passed. The limit is real time, also on a
    /// virtual loop.
    pub fn wait_timeout(&self, time: Duration) -> Result<Option<Ended>> {
        // SAFETY: self holds a reference.
        let wait = |left| unsafe { sys::ctx_wait(self.as_raw(), left) };
        check(uninterrupted(Some(time), wait)).map(|_| self.ended())
    }

    /// Blocks until one of several contexts is done, and returns its index, the lowest if several are; `None`
    /// if the time passed. No context at all is an error.
    pub fn wait_any<'a>(
        contexts: impl IntoIterator<Item = &'a Context>,
        time: Option<Duration>,
    ) -> Result<Option<usize>> {
        let contexts: Vec<_> = contexts.into_iter().map(Context::as_raw).collect();
        let mut index = 0;
        // SAFETY: the references behind the handles live through the call, and `index` is written to.
        let result = uninterrupted(time, |left| unsafe {
            sys::ctx_wait_any(contexts.as_ptr(), contexts.len(), left, &mut index)
        });
        Ok((check(result)? == 1).then_some(index))
    }

    /// poll(2) that the context ends: returns how many descriptors are ready, 0 if the time passed. The end of
    /// the context is an error, and wins.
    ///
    /// ```
    /// use libctx::{Context, Events, PollFd};
    /// use std::{io::Write, os::unix::net::UnixStream};
    ///
    /// let (mut near, far) = UnixStream::pair().unwrap();
    /// let (ctx, canceler) = Context::background().with_cancel()?;
    /// near.write_all(b"x").unwrap();
    /// let mut fds = [PollFd::new(&far, Events::IN)];
    /// assert_eq!(ctx.poll(&mut fds, None)?, 1);
    /// assert_eq!(fds[0].ready(), Events::IN);
    /// canceler.cancel();
    /// assert!(ctx.poll(&mut fds, None).unwrap_err().is_canceled());
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn poll(&self, fds: &mut [PollFd<'_>], time: Option<Duration>) -> Result<usize> {
        let (first, n) = (fds.as_mut_ptr().cast::<sys::pollfd>(), fds.len() as sys::nfds_t);
        let result = uninterrupted(time, |left| {
            // SAFETY: self holds a reference; PollFd has the layout of a pollfd, and its descriptors are
            // borrowed, so they are open.
            unsafe { sys::ctx_poll(self.as_raw(), first, n, left) }
        });
        match self.ended() {
            Some(ended) if ended.code() == result => Err(ended.into()),
            _ => check(result),
        }
    }
}

/// A descriptor for [`Context::poll`], and the events to wait for.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct PollFd<'fd> {
    raw: sys::pollfd,
    _fd: PhantomData<BorrowedFd<'fd>>,
}

impl<'fd> PollFd<'fd> {
    /// A descriptor and the events to wait for.
    pub fn new(fd: &'fd impl AsFd, events: Events) -> PollFd<'fd> {
        let (fd, events): (c_int, _) = (fd.as_fd().as_raw_fd(), events.as_raw());
        PollFd { raw: sys::pollfd { fd, events, revents: 0 }, _fd: PhantomData }
    }

    /// The events to wait for.
    pub fn events(&self) -> Events {
        Events::from_raw(self.raw.events)
    }

    /// The events that came; [`ERR`](Events::ERR), [`HUP`](Events::HUP) and [`NVAL`](Events::NVAL) come
    /// unasked.
    pub fn ready(&self) -> Events {
        Events::from_raw(self.raw.revents)
    }
}

impl fmt::Debug for PollFd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("PollFd");
        s.field("fd", &self.raw.fd).field("events", &self.events());
        s.field("ready", &self.ready()).finish()
    }
}
