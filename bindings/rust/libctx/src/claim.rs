// SPDX-License-Identifier: MIT
//! Causes as text, for headers and trailers; and who claims one that came so.

use crate::text::{c_string, lossy};
use crate::{Cause, Result};
use libctx_sys as sys;
use std::borrow::Cow;

const SIZE: usize = sys::CTX_CAUSE_TEXT as usize;

impl Cause {
    /// The cause as text of at most 511 letters, digits and `-._~%&=`, which needs no more encoding in a header, a
    /// trailer of gRPC, JSON or an environment variable.
    ///
    /// It has the code, the origin and the message, which is cut off if it is too long; not the place, and not the data.
    /// `who` says so, such as the name of this service; empty for nobody. A cause that came from elsewhere keeps the name
    /// that it came with.
    ///
    /// ```
    /// use libctx::Cause;
    ///
    /// let text = Cause::new(-110, "no answer")?.encode("payments");
    /// assert_eq!(text, "v=1&code=-110&origin=2&by=payments&message=no%20answer");
    /// let came = Cause::decode(&text)?; // elsewhere
    /// assert_eq!((&*came.message(), came.peer().as_deref()), ("no answer", Some("payments")));
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn encode(&self, who: &str) -> String {
        let who = c_string(who).unwrap_or_default(); // without memory for it nobody says so
        let mut text = [0u8; SIZE];
        // SAFETY: self holds a reference, the name lives through the call, and C writes within the array.
        let length = unsafe {
            sys::ctx_cause_encode(self.as_raw(), who.as_ptr(), text.as_mut_ptr().cast(), SIZE)
        };
        let length = usize::try_from(length).unwrap_or(0).min(SIZE - 1);
        String::from_utf8_lossy(&text[..length]).into_owned()
    }

    /// The cause of such a text. What it says is what another process claims, and [`peer`](Cause::peer) tells which.
    /// A text that is malformed or too long is [`ErrorKind::Malformed`](crate::ErrorKind::Malformed).
    pub fn decode(text: impl AsRef<[u8]>) -> Result<Cause> {
        let text = text.as_ref();
        // SAFETY: the text lives through the call, which copies what it needs.
        Cause::made(|ret| unsafe { sys::ctx_cause_decode(text.as_ptr().cast(), text.len(), ret) })
    }

    /// Who claims a cause of another process, which came by [`decode`](Cause::decode) or an import, and nothing proves it:
    /// empty if nobody is named. `None` for a cause of this process.
    pub fn peer(&self) -> Option<Cow<'_, str>> {
        // SAFETY: self holds a reference, and the name lives as long as the cause.
        unsafe { lossy(sys::ctx_cause_peer(self.as_raw())) }
    }
}
