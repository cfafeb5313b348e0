// SPDX-License-Identifier: MIT
//! Python calls this: it handles a request in tokio, and in C below it, with Python's own context, which comes
//! as an integer.

mod late;
mod worker;

use libctx::{Canceler, Context};
use std::ffi::c_int;
use tokio::runtime;
use tokio::sync::oneshot;
use worker::{Sight, field};

/// Handles a request until the context is done. The handles are borrowed for the call; `seen` has room for
/// two: Rust's sight and C's. Returns 0 or a negative errno.
///
/// # Safety
/// `ctx` and `canceler` are a `ctx_t*` and a `ctx_canceler_t*` that live through the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn handler_serve(
    ctx: usize,
    canceler: usize,
    client: c_int,
    seen: *mut [Sight; 2],
) -> c_int {
    // SAFETY: as the caller says; each takes a reference of its own.
    let handles = unsafe {
        Context::clone_from_raw(ctx as *mut _)
            .and_then(|ctx| Ok((ctx, Canceler::clone_from_raw(canceler as *mut _)?)))
    };
    let (ctx, canceler) = match handles {
        Ok(handles) => handles,
        Err(error) => return error.code(), // -EREMOTE for those of another copy
    };
    let tokio = match runtime::Builder::new_multi_thread().worker_threads(1).build() {
        Ok(tokio) => tokio,
        Err(error) => return -error.raw_os_error().unwrap_or(libc::EAGAIN),
    };
    match tokio.block_on(serve(ctx, canceler, client)) {
        Ok(both) => {
            // SAFETY: there is room, as the caller says.
            unsafe { seen.write(both) };
            0
        }
        Err(code) => code,
    }
}

async fn serve(ctx: Context, canceler: Canceler, client: c_int) -> Result<[Sight; 2], c_int> {
    // A task on a tokio thread waits with Rust's own future; meanwhile C waits with its loop.
    let (waiting, begun) = oneshot::channel();
    let mine = tokio::spawn(sight(ctx.clone(), waiting));
    let _ = begun.await; // so that all wait when the client is greeted
    let c = worker::start(&ctx, &canceler, client)?.end().await;
    let rust = mine.await.expect("the task does not panic");
    Ok([rust, c])
}

async fn sight(ctx: Context, waiting: oneshot::Sender<()>) -> Sight {
    let trace_id = field(&ctx.string("trace-id").unwrap_or_default());
    let _ = waiting.send(());
    let ended = ctx.done().await.expect("memory for a waker");
    let woken_ns = ctx.now().as_nanos() as i64;
    Sight {
        woken_ns,
        cancel_ns: 0,
        err: ended.code(),
        // SAFETY: it is only a system call.
        thread: unsafe { libc::gettid() },
        trace_id,
        cause: field(&ended.cause().message()),
    }
}
