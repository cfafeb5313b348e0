// SPDX-License-Identifier: MIT
//! The version of the C library.

use libctx_sys as sys;
use std::ffi::CStr;

/// The version of the C library that runs, such as "0.1.0".
pub fn version() -> &'static str {
    // SAFETY: the text is static, and ends with a NUL.
    unsafe { CStr::from_ptr(sys::ctx_version_string()) }.to_str().unwrap_or_default()
}
