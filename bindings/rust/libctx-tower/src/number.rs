// SPDX-License-Identifier: MIT
//! Random numbers of calls, for `ctx-call`.

use crate::wire;
use http::HeaderValue;

const SIZE: usize = 16;
const AT_ONCE: usize = 16;

/// Those of a channel. The system is asked for several at once: each time costs as much as the rest.
#[derive(Default)]
pub(crate) struct Numbers {
    bytes: [[u8; SIZE]; AT_ONCE],
    left: usize,
}

impl Numbers {
    /// 32 hexadecimal digits; `None` if the system has nothing random.
    pub(crate) fn next(&mut self) -> Option<HeaderValue> {
        if self.left == 0 {
            // SAFETY: the system writes within the array.
            let count =
                unsafe { libc::getrandom(self.bytes.as_mut_ptr().cast(), SIZE * AT_ONCE, 0) };
            self.left = usize::try_from(count).ok()? / SIZE;
        }
        self.left = self.left.checked_sub(1)?;
        let digit = |half: u8| char::from_digit(half.into(), 16).map_or(b'0', |digit| digit as u8);
        let mut text = [0; 2 * SIZE];
        for (byte, text) in self.bytes[self.left].iter().zip(text.chunks_exact_mut(2)) {
            text.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        let mut number = HeaderValue::from_bytes(&text).ok()?;
        wire::once(&mut number);
        Some(number)
    }
}
