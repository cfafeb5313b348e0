// SPDX-License-Identifier: MIT
//! The C API of libctx, declared for Rust: types and constants here, the functions in [`functions`].
//!
//! The C headers in `ctx/` are the contract and say what each function does, who owns what and which
//! errors it returns; `ctx/ctx.h` opens with the rules that hold everywhere. A test compares every
//! declaration with them. The crate `libctx` is the safe API.
//!
//! ```
//! use libctx_sys::*;
//! use std::ptr;
//!
//! let (mut ctx, mut canceler) = (ptr::null_mut(), ptr::null_mut());
//! // SAFETY: the root is a valid parent; both results are owned here, and given back below.
//! unsafe {
//!     assert_eq!(ctx_with_cancel(ctx_background(), &mut ctx, &mut canceler), 0);
//!     assert_eq!(ctx_cancel(canceler), 1);
//!     assert_eq!(ctx_err(ctx), CTX_CANCELED);
//!     ctx_canceler_unref(canceler);
//!     ctx_unref(ctx);
//! }
//! ```
#![no_std]
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_int, c_void};
use core::marker::{PhantomData, PhantomPinned};

pub mod functions;
pub use functions::*;
pub use libc::{nfds_t, pollfd};

/// An opaque object of the library. To Rust it has no reliable size, must not move, and is neither Send nor
/// Sync.
type Opaque = PhantomData<(*mut u8, PhantomPinned)>;

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Debug)]
        pub struct $name { _data: [u8; 0], _marker: Opaque }
    )*};
}

opaque! {
    /// A context. This handle does not give the right to cancel it.
    ctx_t;
    /// The right to cancel one context.
    ctx_canceler_t;
    /// Why a context was canceled; immutable.
    ctx_cause_t;
    /// Something armed on a context: a callback, or its place in a queue.
    ctx_watch_t;
    /// Many contexts on one descriptor.
    ctx_queue_t;
    /// Work that is waited for together.
    ctx_group_t;
    /// A clock, its timers and the descriptors it watches.
    ctx_loop_t;
}

/// A key of values and of causes' data; its address identifies it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ctx_key_t {
    /// For `ctx_describe()`; static text, or NULL.
    pub name: *const c_char,
}

/// The event of a context that is done.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ctx_event_t {
    /// The token given to `ctx_queue_add()`.
    pub token: u64,
    /// `CTX_CANCELED` or `CTX_DEADLINE_EXCEEDED`.
    pub err: i32,
    /// 0.
    pub reserved: u32,
}

/// A callback of `ctx_after_func()`. It must not unwind.
pub type ctx_fn = unsafe extern "C" fn(ctx: *mut ctx_t, arg: *mut c_void);
/// A user's destructor: called once, with the pointer that was handed over. It must not unwind.
pub type ctx_drop_fn = unsafe extern "C" fn(ptr: *mut c_void);
/// A function of [`ctx_strings`] and [`ctx_inject`]: answers 0 to go on. It must not unwind.
pub type ctx_string_fn =
    unsafe extern "C" fn(name: *const c_char, value: *const c_char, arg: *mut c_void) -> c_int;
/// How [`ctx_extract`] asks a map: the length of the text, negative if there is none. It must not unwind.
pub type ctx_get_fn =
    unsafe extern "C" fn(name: *const c_char, text: *mut *const c_char, arg: *mut c_void) -> i64;
/// An executor of [`ctx_loop_options_t`]: it must have `run(work)` called once, or return a negative number.
pub type ctx_post_fn = unsafe extern "C" fn(
    executor: *mut c_void,
    run: unsafe extern "C" fn(work: *mut c_void),
    work: *mut c_void,
) -> c_int;

/// Options of [`ctx_loop_new`]: `size` is that of this struct, and what is not needed is zero.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ctx_loop_options_t {
    /// Of this struct.
    pub size: usize,
    /// 0 or [`CTX_LOOP_START`].
    pub flags: u32,
    /// [`CTX_CLOCK_MONOTONIC`] or [`CTX_CLOCK_BOOTTIME`].
    pub clock: u32,
    /// Of the loop's threads, 1 to 9 bytes; NULL for "ctx". Copied.
    pub name: *const c_char,
    /// Of the loop's executor.
    pub post: Option<ctx_post_fn>,
    /// Passed to `post`.
    pub executor: *mut c_void,
    /// Called once on `executor`, when all posted work has run and none will come.
    pub drop: Option<ctx_drop_fn>,
}

/// What [`ctx_inject`] writes and [`ctx_extract`] reads: `size` is that of this struct, and what is not needed is
/// zero.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ctx_formats_t {
    /// Of this struct.
    pub size: usize,
    /// `CTX_FORMAT_...`, any of them, or 0.
    pub flags: u32,
    /// The name under which the deadline travels in milliseconds; NULL for none.
    pub timeout_ms: *const c_char,
    /// Of [`ctx_extract`]: no timeout is longer; 0 for no such limit.
    pub maximum_ns: i64,
    /// Of [`ctx_extract`]: the timeout if the map has none; 0 for none.
    pub default_ns: i64,
}

/// The context was canceled.
pub const CTX_CANCELED: c_int = -libc::ECANCELED;
/// The context's deadline passed.
pub const CTX_DEADLINE_EXCEEDED: c_int = -libc::ETIMEDOUT;
/// Origin of a cause: a caller canceled.
pub const CTX_ORIGIN_CANCELED: c_int = 1;
/// Origin of a cause: a deadline passed.
pub const CTX_ORIGIN_DEADLINE: c_int = 2;
/// Origin of a cause: a signal came.
pub const CTX_ORIGIN_SIGNAL: c_int = 3;
/// Origin of a cause: something came on a descriptor.
pub const CTX_ORIGIN_DESCRIPTOR: c_int = 4;
/// Origin of a cause: the loop was closed or shut down.
pub const CTX_ORIGIN_SHUTDOWN: c_int = 5;
/// Origin of a cause: the other side of a connection said so, or is gone.
pub const CTX_ORIGIN_PEER: c_int = 6;
/// Origin of a cause: the process that started this one is gone, or said so.
pub const CTX_ORIGIN_PARENT_PROCESS: c_int = 7;
/// Origin of a cause: somebody has too much to do.
pub const CTX_ORIGIN_OVERLOAD: c_int = 8;
/// No deadline, and no limit of a wait.
pub const CTX_FOREVER: i64 = i64::MAX;
/// Flag of `ctx_after_func()`: always run on the callback thread.
pub const CTX_DEFER: u32 = 1;
/// Flag of `ctx_after_func()`: the callback may block; it gets a thread of its own.
pub const CTX_BLOCKING: u32 = 2;
/// Flag of `ctx_after_func()`, alone: the callback only wakes somebody, and runs before all others.
pub const CTX_WAKER: u32 = 4;
/// A loop with threads of its own.
pub const CTX_LOOP_THREAD: c_int = 1;
/// A loop that the host drives.
pub const CTX_LOOP_MANUAL: c_int = 2;
/// A loop whose time the host moves.
pub const CTX_LOOP_VIRTUAL: c_int = 3;
/// Flag of [`ctx_loop_options_t`]: the loop starts at once.
pub const CTX_LOOP_START: u32 = 1;
/// A loop's clock: `CLOCK_MONOTONIC`.
pub const CTX_CLOCK_MONOTONIC: u32 = 0;
/// A loop's clock: `CLOCK_BOOTTIME`.
pub const CTX_CLOCK_BOOTTIME: u32 = 1;
/// Format of [`ctx_formats_t`]: the deadline as `grpc-timeout`.
pub const CTX_FORMAT_GRPC_TIMEOUT: u32 = 1;
/// Format of [`ctx_formats_t`]: `traceparent` and `tracestate`.
pub const CTX_FORMAT_TRACE: u32 = 2;
/// Format of [`ctx_formats_t`]: `baggage`.
pub const CTX_FORMAT_BAGGAGE: u32 = 4;
/// Format of [`ctx_formats_t`]: the names of environment variables.
pub const CTX_FORMAT_ENVIRONMENT: u32 = 8;
/// No text of [`ctx_cause_encode`] is longer, with its NUL.
pub const CTX_CAUSE_TEXT: c_int = 512;
/// Room for what `ctx_export()` writes.
pub const CTX_EXPORT_SIZE: usize = 128;
/// Major version of the headers that these declarations follow.
pub const CTX_VERSION_MAJOR: u32 = 0;
/// Minor version of the headers that these declarations follow.
pub const CTX_VERSION_MINOR: u32 = 1;
/// Patch version of the headers that these declarations follow.
pub const CTX_VERSION_PATCH: u32 = 0;
/// The three in one: each in one byte, from bit 16 down.
pub const CTX_VERSION: u32 =
    (CTX_VERSION_MAJOR << 16) | (CTX_VERSION_MINOR << 8) | CTX_VERSION_PATCH;
