// SPDX-License-Identifier: MIT
//! What the compiler refuses: each bound and each lifetime that keeps safe code sound. Only `cargo test --doc` reads
//! this. Each program here would compile without the one thing that it does wrong. So if one compiles, a bound is gone.
//!
//! Callbacks run on other threads, later:
//! ```compile_fail,E0277
//! let (ctx, mine) = (libctx::Context::background(), std::rc::Rc::new(1));
//! ctx.after_func(move |_| drop(mine)).unwrap();
//! ```
//! ```compile_fail,E0277
//! let (ctx, mine) = (libctx::Context::background(), std::rc::Rc::new(1));
//! ctx.after_func_deferred(move |_| drop(mine)).unwrap();
//! ```
//! ```compile_fail,E0277
//! let (ctx, mine) = (libctx::Context::background(), std::rc::Rc::new(1));
//! ctx.after_func_blocking(move |_| drop(mine)).unwrap();
//! ```
//! ```compile_fail,E0597
//! let (ctx, text) = (libctx::Context::background(), String::new());
//! let borrowed = &text;
//! ctx.after_func(move |_| drop(borrowed.len())).unwrap();
//! ```
//! So does the work of a group, and the reporter of panics, which several threads call at once:
//! ```compile_fail,E0277
//! let (ctx, mine) = (libctx::Context::background(), std::rc::Rc::new(1));
//! let group = libctx::Group::new(&ctx).unwrap();
//! group.spawn(move |_| Ok(drop(mine))).unwrap();
//! ```
//! ```compile_fail,E0277
//! let counter = std::cell::Cell::new(0);
//! libctx::set_panic_reporter(move |_| counter.set(1));
//! ```
//! Each thread of a program may look at a value or at the data of a cause, and be the one that drops it:
//! ```compile_fail,E0277
//! static KEY: libctx::Key<std::cell::Cell<u32>> = libctx::Key::new(c"not Sync");
//! let ctx = libctx::Context::background().with_value(&KEY, std::cell::Cell::new(1));
//! ```
//! ```compile_fail,E0277
//! use std::sync::MutexGuard;
//! static KEY: libctx::Key<MutexGuard<'static, u32>> = libctx::Key::new(c"not Send");
//! let lock = Box::leak(Box::new(std::sync::Mutex::new(1)));
//! let ctx = libctx::Context::background().with_value(&KEY, lock.lock().unwrap());
//! ```
//! ```compile_fail,E0277
//! static KEY: libctx::Key<std::cell::Cell<u32>> = libctx::Key::new(c"not Sync");
//! let cause = libctx::Cause::with_data(0, "", &KEY, std::cell::Cell::new(1));
//! ```
//! ```compile_fail,E0277
//! use std::sync::MutexGuard;
//! static KEY: libctx::Key<MutexGuard<'static, u32>> = libctx::Key::new(c"not Send");
//! let lock = Box::leak(Box::new(std::sync::Mutex::new(1)));
//! let cause = libctx::Cause::with_data(0, "", &KEY, lock.lock().unwrap());
//! ```
//! Several threads of a loop may hand work to its executor at once, and any may drop it:
//! ```compile_fail,E0277
//! let counter = std::cell::Cell::new(0);
//! let builder = libctx::Loop::builder().executor(move |work| { counter.set(1); drop(work) });
//! ```
//! ```compile_fail,E0277
//! let lock = Box::leak(Box::new(std::sync::Mutex::new(1)));
//! let mine = lock.lock().unwrap();
//! let builder = libctx::Loop::builder().executor(move |_| drop(*mine));
//! ```
//! What is borrowed goes with its owner:
//! ```compile_fail,E0505
//! let ctx = libctx::Context::background().with_string("name", "text").unwrap();
//! let text = ctx.string("name");
//! drop(ctx);
//! drop(text);
//! ```
//! ```compile_fail,E0505
//! let ctx = libctx::Context::background().with_string("name", "text").unwrap();
//! let texts = ctx.strings();
//! drop(ctx);
//! drop(texts);
//! ```
//! ```compile_fail,E0505
//! static KEY: libctx::Key<u32> = libctx::Key::new(c"number");
//! let ctx = libctx::Context::background().with_value(&KEY, 1).unwrap();
//! let value = ctx.value(&KEY);
//! drop(ctx);
//! drop(value);
//! ```
//! ```compile_fail,E0505
//! let cause = libctx::Cause::new(1, "why").unwrap();
//! let message = cause.message();
//! drop(cause);
//! drop(message);
//! ```
//! ```compile_fail,E0505
//! let cause = libctx::Cause::from_error("why").unwrap();
//! let error = cause.get_ref();
//! drop(cause);
//! drop(error.is_some());
//! ```
//! ```compile_fail,E0505
//! use std::os::fd::AsFd;
//! let (ctx, _canceler) = libctx::Context::background().with_cancel().unwrap();
//! let fd = ctx.done_fd().unwrap();
//! let borrowed = fd.as_fd();
//! drop(fd);
//! drop(borrowed);
//! ```
//! ```compile_fail,E0505
//! let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
//! let fds = [libctx::PollFd::new(&near, libctx::Events::IN)];
//! drop(near);
//! drop(fds);
//! ```
