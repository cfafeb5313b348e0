// SPDX-License-Identifier: MIT
//! Text across the C interface, where it ends at a NUL and need not be UTF-8.

use crate::{Error, Result};
use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char};

/// A message for people: a NUL inside it, which C could not carry, becomes U+FFFD. An error without memory.
pub(crate) fn c_string(text: &str) -> Result<CString> {
    const SHOWN: &str = "\u{FFFD}";
    let nuls = text.matches('\0').count();
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(text.len() + nuls * (SHOWN.len() - 1) + 1)
        .map_err(|_| Error::from_code(-libc::ENOMEM))?;
    for (i, part) in text.split('\0').enumerate() {
        bytes.extend_from_slice(if i == 0 { &[] } else { SHOWN.as_bytes() });
        bytes.extend_from_slice(part.as_bytes());
    }
    Ok(CString::new(bytes).expect("no NUL is left"))
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
