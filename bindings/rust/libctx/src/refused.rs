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
//! ```compile_fail,E0597
//! let (ctx, text) = (libctx::Context::background(), String::new());
//! let borrowed = &text;
//! ctx.after_func_deferred(move |_| drop(borrowed.len())).unwrap();
//! ```
//! ```compile_fail,E0597
//! let (ctx, text) = (libctx::Context::background(), String::new());
//! let borrowed = &text;
//! ctx.after_func_blocking(move |_| drop(borrowed.len())).unwrap();
//! ```
//! So does the work of a group, and the reporter of panics, which several threads call at once:
//! ```compile_fail,E0277
//! let (ctx, mine) = (libctx::Context::background(), std::rc::Rc::new(1));
//! let group = libctx::Group::new(&ctx).unwrap();
//! group.spawn(move |_| Ok(drop(mine))).unwrap();
//! ```
//! ```compile_fail,E0597
//! let (ctx, text) = (libctx::Context::background(), String::new());
//! let (group, borrowed) = (libctx::Group::new(&ctx).unwrap(), &text);
//! group.spawn(move |_| Ok(drop(borrowed.len()))).unwrap();
//! ```
//! ```compile_fail,E0277
//! let mine = std::sync::Mutex::new(());
//! let held = mine.lock().unwrap();
//! libctx::set_panic_reporter(move |_| drop(&held));
//! ```
//! ```compile_fail,E0597
//! let text = String::new();
//! let borrowed = &text;
//! libctx::set_panic_reporter(move |_| drop(borrowed.len()));
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
//! ```compile_fail,E0597
//! let text = String::new();
//! let borrowed = &text;
//! let builder = libctx::Loop::builder().executor(move |_| drop(borrowed.len()));
//! ```
//! A key has its address for as long as anything may look for it, and so has its name:
//! ```compile_fail,E0597
//! let key = libctx::Key::new(c"of this scope");
//! let ctx = libctx::Context::background().with_value(&key, 1);
//! ```
//! ```compile_fail,E0597
//! let key = libctx::Key::<u32>::new(c"of this scope");
//! let value = libctx::Context::background().value(&key).is_some();
//! ```
//! ```compile_fail,E0597
//! let key = libctx::Key::new(c"of this scope");
//! let cause = libctx::Cause::with_data(0, "", &key, 1);
//! ```
//! ```compile_fail,E0597
//! let (cause, key) = (libctx::Cause::new(0, "").unwrap(), libctx::Key::<u32>::new(c"of this scope"));
//! let data = cause.data(&key).is_some();
//! ```
//! ```compile_fail,E0597
//! let key = libctx::Key::<u32>::new(c"of this scope");
//! let ctx = libctx::Context::background().without_value(&key);
//! ```
//! ```compile_fail,E0597
//! let name = std::ffi::CString::new("of this scope").unwrap();
//! let key = libctx::Key::<u32>::new(&name);
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
//! ```compile_fail,E0505
//! let cause = libctx::Cause::here(1, "why").unwrap();
//! let place = cause.place();
//! drop(cause);
//! drop(place);
//! ```
//! ```compile_fail,E0505
//! static KEY: libctx::Key<u32> = libctx::Key::new(c"number");
//! let cause = libctx::Cause::with_data(0, "", &KEY, 1).unwrap();
//! let data = cause.data(&KEY);
//! drop(cause);
//! drop(data.is_some());
//! ```
//! ```compile_fail,E0505
//! let late = libctx::Context::background().with_timeout(std::time::Duration::ZERO).unwrap().0;
//! let ended = late.ended().unwrap();
//! let cause = ended.cause();
//! drop(ended);
//! drop(cause.code());
//! ```
//! ```compile_fail,E0505
//! let error = std::io::Error::other("no end");
//! let ended = libctx::Ended::find(&error);
//! drop(error);
//! drop(ended.is_some());
//! ```
//! ```compile_fail,E0505
//! let fd = libctx::Queue::new().unwrap().fd().unwrap();
//! let owner = fd.owner();
//! drop(fd);
//! drop(owner.as_raw());
//! ```
//! ```compile_fail,E0505
//! let guard = libctx::Context::background().with_cancel().unwrap().1.guard();
//! let canceler: &libctx::Canceler = &guard;
//! drop(guard);
//! drop(canceler.as_raw());
//! ```
//! ```compile_fail,E0505
//! let cause = libctx::Cause::decode("v=1&code=1").unwrap();
//! let peer = cause.peer();
//! drop(cause);
//! drop(peer);
//! ```
//! ```compile_fail,E0597
//! let mut formats = libctx::Formats::new();
//! {
//!     let name = std::ffi::CString::new("timeout-ms").unwrap();
//!     formats = formats.timeout_ms(&name);
//! }
//! drop(libctx::Context::background().inject(&formats, |_: &str, _: &str| ()));
//! ```
//! ```compile_fail,E0505
//! let export = libctx::Context::background().export().unwrap();
//! let text = export.text();
//! drop(export);
//! drop(text.len());
//! ```
//! ```compile_fail,E0505
//! use libctx::CommandExport;
//! let mut program = std::process::Command::new("true");
//! let command = program.export(&libctx::Context::background()).unwrap();
//! drop(program);
//! drop(command);
//! ```
//! What a map answers is not borrowed from the question, which goes before the answer:
//! ```compile_fail
//! let formats = libctx::Formats::new();
//! let made = libctx::Context::background().extract(&formats, |name: &str| Some(name));
//! ```
//! Events are in the room that was given for them, until it is used again:
//! ```compile_fail,E0499
//! let (queue, mut room) = (libctx::Queue::new().unwrap(), [libctx::Event::default()]);
//! let first = queue.drain(&mut room).unwrap();
//! queue.drain(&mut room).unwrap();
//! drop(first.len());
//! ```
//! ```compile_fail,E0499
//! let (queue, mut room) = (libctx::Queue::new().unwrap(), [libctx::Event::default()]);
//! let first = queue.wait(&mut room, Some(std::time::Duration::ZERO)).unwrap();
//! queue.drain(&mut room).unwrap();
//! drop(first.len());
//! ```
//! What ends with its owner is not used after it, and what happens once does not happen twice:
//! ```compile_fail,E0382
//! let group = libctx::Group::new(&libctx::Context::background()).unwrap();
//! let piece = group.begin().unwrap();
//! piece.run(|_| Ok(()));
//! piece.run(|_| Ok(()));
//! ```
//! ```compile_fail,E0382
//! let group = libctx::Group::new(&libctx::Context::background()).unwrap();
//! let piece = group.begin().unwrap();
//! piece.fail(&libctx::Cause::new(1, "").unwrap());
//! drop(piece);
//! ```
//! ```compile_fail,E0382
//! let builder = libctx::Loop::builder().executor(libctx::Work::run);
//! let loops = (builder.threaded(), builder.threaded());
//! ```
//! ```compile_fail,E0382
//! let canceler = libctx::Context::background().with_cancel().unwrap().1;
//! let guards = (canceler.guard(), canceler.guard());
//! ```
//! A wait that is not awaited, a guard that is not kept, a piece of work that ends at once, and a right that nobody takes
//! are most likely mistakes, of which the compiler warns:
//! ```compile_fail
//! #![deny(unused_must_use)]
//! libctx::Context::background().done();
//! ```
//! ```compile_fail
//! #![deny(unused_must_use)]
//! let canceler = libctx::Context::background().with_cancel().unwrap().1;
//! canceler.clone().guard();
//! drop(canceler);
//! ```
//! ```compile_fail
//! #![deny(unused_must_use)]
//! fn takes(canceler: &libctx::Canceler) -> libctx::Canceler {
//!     canceler.clone()
//! }
//! let canceler = libctx::Context::background().with_cancel().unwrap().1;
//! takes(&canceler);
//! ```
//! ```compile_fail
//! #![deny(unused_must_use)]
//! let group = libctx::Group::new(&libctx::Context::background()).unwrap();
//! group.begin().unwrap();
//! ```
//! ```compile_fail
//! #![deny(unused_must_use)]
//! let group = libctx::Group::new(&libctx::Context::background()).unwrap();
//! group.task(async { Ok(()) }).unwrap();
//! ```
//! ```compile_fail
//! #![deny(unused_must_use)]
//! libctx::Loop::builder();
//! ```
//! ```compile_fail
//! #![deny(unused_must_use)]
//! libctx::Formats::new().trace();
//! ```
//! ```compile_fail
//! #![deny(unused_must_use)]
//! libctx::Context::background().export().unwrap();
//! ```
//! ```compile_fail
//! #![deny(unused_must_use)]
//! use libctx::CommandExport;
//! std::process::Command::new("true").export(&libctx::Context::background()).unwrap();
//! ```
//! ```compile_fail
//! #![deny(unused_must_use)]
//! let ctx = libctx::Context::background();
//! ctx.run(async {});
//! ```
//! ```compile_fail
//! #![deny(unused_must_use)]
//! fn takes(work: libctx::Work) -> libctx::Work {
//!     work
//! }
//! let builder = libctx::Loop::builder().executor(|work| {
//!     takes(work);
//! });
//! ```
//! ```compile_fail
//! #![deny(unused_must_use)]
//! libctx::Context::background().to_token().unwrap();
//! ```
