// SPDX-License-Identifier: MIT
//! For `bench.py`: futures in tokio that await the ends of contexts, and note when they learned of them.

use libctx::Context;
use libctx_sys::ctx_t;
use std::ffi::c_int;
use std::slice;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::runtime::{Builder, Runtime};

/// Writes to `seen_ns[i]` when a task learned of the end of `ctxs[i]`, on the clock of `ctx_now()`. Returns 0 or a
/// negative errno.
///
/// # Safety
/// Both have `n` elements. The contexts live through the call, and `seen_ns` until all of them are written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn futures_watch(
    ctxs: *const *mut ctx_t,
    n: usize,
    seen_ns: *const AtomicI64,
) -> c_int {
    static TOKIO: OnceLock<Runtime> = OnceLock::new();
    let tokio = TOKIO.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(1).build().expect("a thread for tokio")
    });
    // SAFETY: as the caller says.
    let (ctxs, seen_ns) =
        unsafe { (slice::from_raw_parts(ctxs, n), slice::from_raw_parts(seen_ns, n)) };
    for (&ctx, seen_ns) in ctxs.iter().zip(seen_ns) {
        // SAFETY: as the caller says; this takes a reference of its own.
        let ctx = match unsafe { Context::clone_from_raw(ctx) } {
            Ok(ctx) => ctx,
            Err(error) => return error.code(),
        };
        tokio.spawn(async move {
            ctx.done().await.expect("memory for a waker");
            seen_ns.store(ctx.now().as_nanos() as i64, Ordering::Release);
        });
    }
    0
}
