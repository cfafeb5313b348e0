// SPDX-License-Identifier: MIT
//! The C worker, as a future: `worker.h` has the rest.

use libctx::{Canceler, Context};
use libctx_sys::{ctx_canceler_t, ctx_t};
use std::ffi::{c_int, c_void};
use std::ptr;
use tokio::sync::oneshot;

/// What a runtime saw of the context: `sight_t`.
#[repr(C)]
#[derive(Clone)]
pub struct Sight {
    pub woken_ns: i64,
    pub cancel_ns: i64,
    pub err: i32,
    pub thread: i32,
    pub trace_id: [u8; 64],
    pub cause: [u8; 128],
}

#[repr(C)]
struct Worker(c_void);

type DoneFn = unsafe extern "C" fn(*mut c_void, *const Sight);

unsafe extern "C" {
    fn worker_start(
        ctx: *mut ctx_t,
        canceler: *mut ctx_canceler_t,
        client: c_int,
        done: DoneFn,
        arg: *mut c_void,
        ret: *mut *mut Worker,
    ) -> c_int;
    fn worker_join(worker: *mut Worker);
}

/// A worker that runs, or has run.
pub struct Running {
    worker: *mut Worker,
    sight: oneshot::Receiver<Sight>,
}

// SAFETY: the worker belongs to no thread; dropping this joins it, once.
unsafe impl Send for Running {}

/// Serves the client in C, with the same context. The error is the worker's negative errno.
pub fn start(ctx: &Context, canceler: &Canceler, client: c_int) -> Result<Running, c_int> {
    let (sender, sight) = oneshot::channel::<Sight>();
    let sender = Box::into_raw(Box::new(sender));
    let mut worker = ptr::null_mut();
    // SAFETY: the handles are borrowed for the call; `seen` takes the sender back, once.
    let result = unsafe {
        worker_start(ctx.as_raw(), canceler.as_raw(), client, seen, sender.cast(), &mut worker)
    };
    if result < 0 {
        // SAFETY: a worker that has not started calls nothing.
        drop(unsafe { Box::from_raw(sender) });
        return Err(result);
    }
    Ok(Running { worker, sight })
}

impl Running {
    /// Waits for the worker's end, and returns what it saw.
    pub async fn end(mut self) -> Sight {
        (&mut self.sight).await.expect("a worker calls back before it ends")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: the worker has been started, and is joined only here.
        unsafe { worker_join(self.worker) };
    }
}

/// Runs on the thread of the worker.
unsafe extern "C" fn seen(sender: *mut c_void, sight: *const Sight) {
    // SAFETY: the sender is that of start(), and this is called once; the sight lives through the call.
    let (sender, sight) =
        unsafe { (Box::from_raw(sender.cast::<oneshot::Sender<Sight>>()), (*sight).clone()) };
    let _ = sender.send(sight); // nobody waits if Running was dropped
}

/// A text in a C field, cut if it is too long.
pub fn field<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    let length = text.len().min(N - 1);
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
    field
}

const _: () = assert!(size_of::<Sight>() == 24 + 64 + 128);
