// SPDX-License-Identifier: MIT
//! A signal ends a context. It must be blocked in every thread, so this test has its process to itself,
//! and no test harness, which has threads of its own.
#![allow(missing_docs)]

use libctx::{Context, ErrorKind};
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

fn main() {
    let root = Context::background();
    let unblocked = root.with_signal(&[libc::SIGUSR1]).unwrap_err();
    assert_eq!(unblocked.kind(), ErrorKind::InvalidInput);

    // SAFETY: the set is initialised by sigemptyset before it is read.
    unsafe {
        let mut set = MaybeUninit::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGUSR1);
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()), 0);
    }
    let (ctx, _canceler) = root.with_signal(&[libc::SIGUSR1, libc::SIGUSR1]).unwrap();
    assert!(!ctx.is_done());
    // SAFETY: a signal to this very process.
    assert_eq!(unsafe { libc::kill(libc::getpid(), libc::SIGUSR1) }, 0);
    let error = ctx.wait_timeout(Duration::from_secs(60)).expect("the signal ends it");
    assert!(error.is_canceled());
    assert_eq!(error.cause().unwrap().code(), libc::SIGUSR1);
    println!("test signal ... ok ({})", error.cause().unwrap());
}
