// SPDX-License-Identifier: MIT
//! Which headers carry a context.

use libctx_sys as sys;
use std::ffi::CStr;
use std::ptr;
use std::time::Duration;

/// Which headers [`Context::inject`](crate::Context::inject) writes and [`Context::extract`](crate::Context::extract)
/// reads: the trace and the baggage, and others if they are asked for.
///
/// ```
/// use libctx::{Context, Formats};
/// use std::{collections::HashMap, time::Duration};
///
/// const HTTP: Formats =
///     Formats::new().timeout_ms(c"x-timeout-ms").maximum_timeout(Duration::from_secs(60));
///
/// let came = HashMap::from([("x-timeout-ms", "1500"), ("baggage", "user=ada")]);
/// let (request, _canceler) = Context::background().extract(&HTTP, &came)?;
/// assert_eq!(request.baggage("user").as_deref(), Some("ada"));
/// assert!(request.remaining().unwrap() <= Duration::from_millis(1500));
///
/// let mut headers = HashMap::new(); // of a request to the next server
/// request.inject(&HTTP, &mut headers)?;
/// assert_eq!(headers["baggage"], "user=ada");
/// # Ok::<(), libctx::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "each method returns the formats with one more"]
pub struct Formats<'name> {
    flags: u32,
    timeout_ms: Option<&'name CStr>,
    maximum: i64,
    default: i64,
}

impl<'name> Formats<'name> {
    /// [`trace`](Formats::trace) and [`baggage`](Formats::baggage).
    pub const fn new() -> Formats<'name> {
        Formats::none().trace().baggage()
    }

    /// No header.
    pub const fn none() -> Formats<'name> {
        Formats { flags: 0, timeout_ms: None, maximum: 0, default: 0 }
    }

    /// The deadline as `grpc-timeout`.
    pub const fn grpc_timeout(self) -> Formats<'name> {
        self.and(sys::CTX_FORMAT_GRPC_TIMEOUT)
    }

    /// `traceparent` and `tracestate`, as W3C Trace Context has them.
    pub const fn trace(self) -> Formats<'name> {
        self.and(sys::CTX_FORMAT_TRACE)
    }

    /// `baggage`, as W3C Baggage has it.
    pub const fn baggage(self) -> Formats<'name> {
        self.and(sys::CTX_FORMAT_BAGGAGE)
    }

    /// Those of [`trace`](Formats::trace) and [`baggage`](Formats::baggage) have the names of environment variables:
    /// `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`.
    pub const fn environment(self) -> Formats<'name> {
        self.and(sys::CTX_FORMAT_ENVIRONMENT)
    }

    /// The deadline in milliseconds, under this name.
    pub const fn timeout_ms(self, name: &'name CStr) -> Formats<'name> {
        Formats { timeout_ms: Some(name), ..self }
    }

    /// No timeout that comes is longer, and there is one.
    pub const fn maximum_timeout(self, time: Duration) -> Formats<'name> {
        Formats { maximum: at_least_one(time), ..self }
    }

    /// The timeout if none comes.
    pub const fn default_timeout(self, time: Duration) -> Formats<'name> {
        Formats { default: at_least_one(time), ..self }
    }

    const fn and(self, flag: u32) -> Formats<'name> {
        Formats { flags: self.flags | flag, ..self }
    }

    pub(crate) fn raw(&self) -> sys::ctx_formats_t {
        sys::ctx_formats_t {
            size: size_of::<sys::ctx_formats_t>(),
            flags: self.flags,
            timeout_ms: self.timeout_ms.map_or(ptr::null(), CStr::as_ptr),
            maximum_ns: self.maximum,
            default_ns: self.default,
        }
    }
}

/// As [`Formats::new`].
impl Default for Formats<'_> {
    fn default() -> Self {
        Formats::new()
    }
}

/// In nanoseconds, of which 0 would be no limit to C.
const fn at_least_one(time: Duration) -> i64 {
    match time.as_nanos() {
        0 => 1,
        most if most > i64::MAX as u128 => i64::MAX,
        nanoseconds => nanoseconds as i64,
    }
}
