// SPDX-License-Identifier: MIT
//! One tree for a process and those that it starts: a context goes out as a text, and comes in from one.

use crate::derive::pair;
use crate::error::check;
use crate::{Canceler, Context, Error, Result, Watch};
use libctx_sys as sys;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStringExt;
use std::{env, ptr};

/// An export of a context: as long as it is there, processes below this one may import the context.
///
/// Its text is the value of the environment variable `LIBCTX` of a child. Drop it when the children have ended: that ends
/// what they have imported. [`CommandExport`](crate::CommandExport) does both.
///
/// ```
/// use libctx::Context;
///
/// let (ctx, canceler) = Context::background().with_cancel()?;
/// let export = ctx.with_string("trace-id", "8f2c")?.export()?;
///
/// let (imported, _) = Context::background().import_text(export.text())?; // in another process
/// assert_eq!(imported.string("trace-id").as_deref(), Some("8f2c"));
/// canceler.cancel_because("enough");
/// assert_eq!(imported.wait()?.cause().message(), "enough");
/// # Ok::<(), libctx::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropped, it has stopped"]
pub struct Export {
    text: String,
    watch: Watch,
}

impl Export {
    /// The value of `LIBCTX`.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.watch.stop();
    }
}

impl Context {
    /// Exports the context to processes below this one: its deadline, its strings, and how it ends. It takes three
    /// descriptors and a page of memory, whoever imports it. [`InvalidInput`](crate::ErrorKind::InvalidInput) for more
    /// than 1,024 strings, or a megabyte of them.
    pub fn export(&self) -> Result<Export> {
        let (mut text, mut watch) = ([0u8; sys::CTX_EXPORT_SIZE], ptr::null_mut());
        // SAFETY: self holds a reference, and C writes within the array and to `watch`.
        check(unsafe {
            sys::ctx_export(self.as_raw(), text.as_mut_ptr().cast(), text.len(), &mut watch)
        })?;
        // SAFETY: the call succeeded, so this is a valid handle, and ours.
        let watch = unsafe { Watch::own(watch) };
        let text = CStr::from_bytes_until_nul(&text).unwrap_or_default();
        Ok(Export { text: text.to_string_lossy().into_owned(), watch })
    }

    /// Derives a context that also ends with the one that a process above has exported to this one, by the environment
    /// variable `LIBCTX`: when that one ends, or when its process is gone, however. Its deadline is the earlier of both,
    /// and of strings that both have it has the exported ones.
    ///
    /// Where there is no such variable this is [`with_cancel`](Context::with_cancel). A program with more rights than its
    /// caller ignores it.
    ///
    /// The variable is what some process has set: [`Malformed`](crate::ErrorKind::Malformed) if libctx has not,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if another version has, and `EACCES` if this process may not look at
    /// that one.
    ///
    /// ```
    /// let (ctx, canceler) = libctx::Context::background().import()?; // the first line of a program
    /// # drop((ctx, canceler));
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn import(&self) -> Result<(Context, Canceler)> {
        // SAFETY: a call without pointers.
        let has_more_rights = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
        // Read here, under the lock of std::env: C would look without it.
        match env::var_os("LIBCTX") {
            Some(text) if !has_more_rights => self.import_bytes(text.into_vec()),
            _ => self.with_cancel(),
        }
    }

    /// As [`import`](Context::import), of a text that came in another way.
    pub fn import_text(&self, text: &str) -> Result<(Context, Canceler)> {
        self.import_bytes(text.into())
    }

    fn import_bytes(&self, text: Vec<u8>) -> Result<(Context, Canceler)> {
        let text = CString::new(text).map_err(|_| Error::from_code(-libc::EBADMSG))?;
        // SAFETY: self holds a reference, and the text lives through the call; the results are written to `pair`'s
        // variables.
        pair(|ctx, canceler| unsafe {
            sys::ctx_import(text.as_ptr(), self.as_raw(), ctx, canceler)
        })
    }
}
