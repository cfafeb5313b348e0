// SPDX-License-Identifier: MIT
//! Blocking a thread until a context is done, or until a descriptor is ready or a context is done.

use crate::error::check;
use crate::time::limit;
use crate::{Context, Error, Result};
use libctx_sys as sys;
use std::ffi::c_int;
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
    /// Blocks until the context is done, and returns how it ended. If waiting is impossible (a context from
    /// before a fork), it returns that error at once.
    pub fn wait(&self) -> Error {
        loop {
            if let Some(error) = self.wait_timeout(Duration::MAX) {
                return error;
            }
        }
    }

    /// As [`wait`](Context::wait), for a limited time: `None` if it passed. The limit is real time, also on a
    /// virtual loop.
    pub fn wait_timeout(&self, time: Duration) -> Option<Error> {
        // SAFETY: self holds a reference.
        match uninterrupted(Some(time), |left| unsafe { sys::ctx_wait(self.as_raw(), left) }) {
            0 => None,
            1 => self.err(),
            code => Some(Error::from_code(code)),
        }
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

    /// poll(2) that the context ends: returns how many descriptors are ready, 0 if the time passed, or the
    /// context's error, which wins.
    ///
    /// ```
    /// use libctx::{Context, PollFd};
    /// use std::{io::Write, os::unix::net::UnixStream};
    ///
    /// let (mut near, far) = UnixStream::pair().unwrap();
    /// let (ctx, canceler) = Context::background().with_cancel()?;
    /// near.write_all(b"x").unwrap();
    /// let mut fds = [PollFd::new(&far, libc::POLLIN)];
    /// assert_eq!(ctx.poll(&mut fds, None)?, 1);
    /// assert_eq!(fds[0].ready(), libc::POLLIN);
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
        match self.err() {
            Some(error) if error.code() == result => Err(error),
            _ => check(result),
        }
    }
}

/// A descriptor for [`Context::poll`], and the events to wait for: `libc::POLLIN` and its like.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct PollFd<'fd> {
    raw: sys::pollfd,
    _fd: PhantomData<BorrowedFd<'fd>>,
}

impl<'fd> PollFd<'fd> {
    /// A descriptor and the events to wait for.
    pub fn new(fd: &'fd impl AsFd, events: i16) -> PollFd<'fd> {
        let fd: c_int = fd.as_fd().as_raw_fd();
        PollFd { raw: sys::pollfd { fd, events, revents: 0 }, _fd: PhantomData }
    }

    /// The events that came; `POLLERR`, `POLLHUP` and `POLLNVAL` come unasked.
    pub fn ready(&self) -> i16 {
        self.raw.revents
    }
}
