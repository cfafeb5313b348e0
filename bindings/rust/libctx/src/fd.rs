// SPDX-License-Identifier: MIT
//! Descriptors that the library keeps: borrowed from a context, a loop or a queue, which stays alive as long
//! as somebody holds the descriptor.

use crate::error::check;
use crate::{Context, Result};
use libctx_sys as sys;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A descriptor together with a handle of its owner. Poll it for reading, in any event loop; do not read
/// it.
#[derive(Clone, Debug)]
pub struct Descriptor<T> {
    owner: T,
    fd: RawFd,
}

impl<T> Descriptor<T> {
    /// The descriptor that a C function returned, which lives as long as `owner` is held.
    pub(crate) fn of(owner: T, fd: RawFd) -> Result<Descriptor<T>> {
        check(fd)?;
        Ok(Descriptor { owner, fd })
    }

    /// The owner of the descriptor.
    pub fn owner(&self) -> &T {
        &self.owner
    }
}

impl<T> AsRawFd for Descriptor<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}

impl<T> AsFd for Descriptor<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the library keeps it open for as long as the owner is held, and self holds it.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl Context {
    /// A descriptor that polls readable, for ever, once the context is done. It is made when first asked
    /// for, and a context has one; contexts derived for values alone share it. For a context that can
    /// never be done it is [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    pub fn done_fd(&self) -> Result<Descriptor<Context>> {
        // SAFETY: self holds a reference, and so does the descriptor.
        Descriptor::of(self.clone(), unsafe { sys::ctx_done_fd(self.as_raw()) })
    }

    /// As [`done_fd`](Context::done_fd), but a descriptor of the caller's own, such as for a second epoll.
    pub fn done_fd_dup(&self) -> Result<OwnedFd> {
        // SAFETY: self holds a reference.
        let fd = unsafe { sys::ctx_done_fd_dup(self.as_raw()) };
        check(fd)?;
        // SAFETY: the call succeeded, and the descriptor is ours.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}
