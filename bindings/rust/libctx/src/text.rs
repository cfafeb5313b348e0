// SPDX-License-Identifier: MIT
//! Text across the C interface, where it ends at a NUL and need not be UTF-8.

use crate::{Error, Result};
use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char};

/// A message for people: a NUL inside it, which C could not carry, becomes U+FFFD.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text)
        .unwrap_or_else(|_| CString::new(text.replace('\0', "\u{FFFD}")).expect("no NUL is left"))
}

/// A name or a value, which must arrive as it is.
pub(crate) fn exact(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::from_code(-libc::EINVAL))
}

/// Text from C; `None` for NULL.
///
/// # Safety
/// NULL, or a C string that lives as long as `'a`.
pub(crate) unsafe fn lossy<'a>(text: *const c_char) -> Option<Cow<'a, str>> {
    // SAFETY: as the caller says.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy())
}
