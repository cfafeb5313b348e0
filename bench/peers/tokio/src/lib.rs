// SPDX-License-Identifier: MIT
//! A token is one pointer, and so is its handle: nothing is boxed once more.

use std::ffi::c_void;
use std::mem::{transmute_copy, ManuallyDrop};
use tokio_util::sync::CancellationToken;

const _: () = assert!(size_of::<CancellationToken>() == size_of::<*mut c_void>());

fn to_handle(token: CancellationToken) -> *mut c_void {
    let token = ManuallyDrop::new(token);
    // SAFETY: of the same size (above); the token is not dropped here.
    unsafe { transmute_copy(&token) }
}

/// # Safety
/// `handle` came from this file and has not been dropped; the result must not outlive it.
unsafe fn borrow(handle: *mut c_void) -> ManuallyDrop<CancellationToken> {
    unsafe { transmute_copy(&handle) }
}

#[no_mangle]
pub extern "C" fn tokio_new() -> *mut c_void {
    to_handle(CancellationToken::new())
}

/// # Safety
/// As of [`borrow`].
#[no_mangle]
pub unsafe extern "C" fn tokio_child(parent: *mut c_void) -> *mut c_void {
    to_handle(unsafe { borrow(parent) }.child_token())
}

/// # Safety
/// As of [`borrow`].
#[no_mangle]
pub unsafe extern "C" fn tokio_cancel(handle: *mut c_void) {
    unsafe { borrow(handle) }.cancel();
}

/// # Safety
/// As of [`borrow`].
#[no_mangle]
pub unsafe extern "C" fn tokio_done(handle: *mut c_void) -> bool {
    unsafe { borrow(handle) }.is_cancelled()
}

/// # Safety
/// As of [`borrow`]; the handle is gone afterwards.
#[no_mangle]
pub unsafe extern "C" fn tokio_drop(handle: *mut c_void) {
    drop(ManuallyDrop::into_inner(unsafe { borrow(handle) }));
}
