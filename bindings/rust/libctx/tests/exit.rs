// SPDX-License-Identifier: MIT
//! A process ends as it should, whatever of libctx is alive in it. This program runs itself, once for each
//! way to end; it has no test harness, so that its main is main.
#![allow(missing_docs)]

use libctx::{Canceler, Context, Key, Loop, Queue};
use std::env;
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
static VALUE: Key<Vec<u8>> = Key::new(c"value");
static FIRED: AtomicUsize = AtomicUsize::new(0);
static EARLIER: OnceLock<(Context, Canceler)> = OnceLock::new();

/// The ways to end, and the status that each must end with.
const WAYS: [(&str, i32); 8] = [
    ("returning_from_main", 7),
    ("process_exit", 8),
    ("exit_in_a_callback", 9),
    ("panic_in_main", 101),
    ("exit_while_a_deferred_callback_runs", 10),
    ("exit_while_deadlines_fire", 11),
    ("use_in_an_exit_handler", 12),
    ("shutdown_at_the_end_of_main", 13),
];

fn main() -> ExitCode {
    if let Some(way) = env::args().nth(1).filter(|way| WAYS.iter().any(|known| known.0 == way)) {
        return end(&way);
    }
    for (way, status) in WAYS {
        for _ in 0..10 {
            run(way, status);
        }
        println!("test exit::{way} ... ok");
    }
    ExitCode::SUCCESS
}

fn run(way: &str, status: i32) {
    let mut child = Command::new(env::current_exe().unwrap())
        .arg(way)
        .stderr(Stdio::null())
        .spawn()
        .expect("this program runs itself");
    let begin = Instant::now();
    let ended = loop {
        match child.try_wait().unwrap() {
            Some(ended) => break ended,
            None if begin.elapsed() > Duration::from_secs(60) => {
                child.kill().unwrap();
                panic!("{way}: it does not end");
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    assert_eq!(ended.code(), Some(status), "{way}: {ended}");
}

/// Leaves as much as possible alive and armed, and ends the process.
fn end(way: &str) -> ExitCode {
    let root = Context::background();
    let (ctx, canceler) = root.with_timeout(HOUR).unwrap();
    let ctx = ctx.with_value(&VALUE, vec![0; 1000]).unwrap();
    let (done, cancel_done) = root.with_cancel().unwrap();
    cancel_done.cancel();
    ctx.after_func(|_| ()).unwrap();
    ctx.done_fd().unwrap();
    let queue = Queue::new().unwrap();
    queue.add(&ctx, 1).unwrap();
    let own = Loop::threaded().unwrap();
    let _elsewhere = own.background().unwrap().with_timeout(HOUR).unwrap();
    let (begun, begins) = channel();
    let waiting = ctx.clone();
    let started = begun.clone();
    thread::spawn(move || {
        started.send(()).unwrap();
        waiting.wait()
    });
    begins.recv().unwrap();
    match way {
        "returning_from_main" => return ExitCode::from(7),
        "process_exit" => std::process::exit(8),
        "exit_in_a_callback" => {
            ctx.after_func(|_| std::process::exit(9)).unwrap();
            canceler.cancel();
        }
        "shutdown_at_the_end_of_main" => {
            let (go_on, goes_on) = channel::<()>();
            ctx.after_func_blocking(move |_| {
                begun.send(()).unwrap();
                let _ = goes_on.recv();
                let inside = libctx::shutdown(Duration::MAX).unwrap_err();
                assert_eq!(inside.code(), -libc::EDEADLK);
                FIRED.fetch_add(1, SeqCst);
            })
            .unwrap();
            assert!(!libctx::shutdown(Duration::from_millis(1)).unwrap());
            begins.recv().unwrap();
            assert!(ctx.ended().unwrap().is_canceled());
            drop(go_on);
            assert!(libctx::shutdown(Duration::MAX).unwrap());
            assert_eq!(FIRED.load(SeqCst), 1);
            assert!(root.with_timeout(HOUR).unwrap().0.is_done());
            return ExitCode::from(13);
        }
        "panic_in_main" => panic!("as intended"),
        "exit_while_deadlines_fire" => {
            // SAFETY: the handler is a function, and uses nothing that has gone by then.
            assert_eq!(unsafe { libc::atexit(see_more_fire) }, 0);
            fire();
            see_more_fire();
            std::process::exit(11);
        }
        "use_in_an_exit_handler" => {
            EARLIER.set((ctx, canceler)).unwrap();
            // SAFETY: the handler is a function, and uses nothing that has gone by then.
            assert_eq!(unsafe { libc::atexit(use_it) }, 0);
            std::process::exit(12);
        }
        _ => {
            done.after_func_deferred(move |_| {
                begun.send(()).unwrap();
                loop {
                    thread::park();
                }
            })
            .unwrap();
            begins.recv().unwrap();
            std::process::exit(10);
        }
    }
    ExitCode::FAILURE
}

/// A deadline whose callback sets the next one, as long as there is a process.
fn fire() {
    let (ctx, _canceler) = Context::background().with_timeout(Duration::from_micros(1)).unwrap();
    let next = |_: &_| {
        FIRED.fetch_add(1, SeqCst);
        fire();
    };
    ctx.after_func_deferred(next).unwrap();
}

extern "C" fn see_more_fire() {
    let enough = FIRED.load(SeqCst) + 100;
    while FIRED.load(SeqCst) < enough {
        thread::yield_now();
    }
}

/// An exit handler; a panic would abort.
extern "C" fn use_it() {
    let (ctx, canceler) = EARLIER.get().unwrap();
    let (late, _canceler) = ctx.with_timeout(Duration::from_millis(1)).unwrap();
    let (tell, told) = channel();
    ctx.after_func(move |ctx| tell.send(ctx.value(&VALUE).is_some()).unwrap()).unwrap();
    assert!(late.wait().unwrap().is_deadline_exceeded());
    assert!(canceler.cancel_because("at exit"));
    assert_eq!(told.try_recv(), Ok(true));
}
