// SPDX-License-Identifier: MIT
//! What the wrapper costs above the C functions that it calls: both sides in one run, in turns, through the
//! same shared library. Prints the medians in nanoseconds of processor time, a name and a figure a line;
//! `ratio` is the median of the ratios of the turns.

use libctx::sys::*;
use libctx::{Context, Key};
use std::hint::black_box;
use std::ptr::null_mut;
use std::time::Duration;

const TURNS: usize = 61;
const EACH: u32 = 20_000;

static KEY: Key<u64> = Key::new(c"key");

fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is written to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Nanoseconds that one call takes.
fn timed(work: &mut dyn FnMut()) -> f64 {
    let begin = processor_time();
    work();
    (processor_time() - begin) / f64::from(EACH)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Compares two ways to do the same, each a loop of `EACH` rounds; which goes first takes turns.
fn compare(name: &str, mut c: impl FnMut(), mut rust: impl FnMut()) {
    let (mut ours, mut theirs, mut ratios) = (vec![], vec![], vec![]);
    for turn in 0..=TURNS {
        let (a, b) = if turn % 2 == 0 {
            let a = timed(&mut c);
            (a, timed(&mut rust))
        } else {
            let b = timed(&mut rust);
            (timed(&mut c), b)
        };
        if turn > 0 {
            theirs.push(a);
            ours.push(b);
            ratios.push(b / a);
        }
    }
    println!("P16/rust/{name}/c {:.2}", median(theirs));
    println!("P16/rust/{name}/rust {:.2}", median(ours));
    println!("P16/rust/{name}/ratio {:.3}", median(ratios));
}

unsafe extern "C" fn nothing(_: *mut ctx_t, _: *mut std::ffi::c_void) {}

fn main() {
    let root = Context::background();
    let (parent, canceler) = root.with_cancel().unwrap();
    let raw = parent.as_raw();
    let hour = Duration::from_secs(3600);

    compare(
        "derive",
        || {
            for _ in 0..EACH {
                let (mut ctx, mut canceler) = (null_mut(), null_mut());
                // SAFETY: `parent` is held; both results are given back.
                unsafe {
                    assert_eq!(ctx_with_cancel(raw, &mut ctx, &mut canceler), 0);
                    black_box(ctx_cancel(canceler));
                    ctx_canceler_unref(canceler);
                    ctx_unref(ctx);
                }
            }
        },
        || {
            for _ in 0..EACH {
                let (_ctx, canceler) = parent.with_cancel().unwrap();
                black_box(canceler.cancel());
            }
        },
    );
    compare(
        "timeout",
        || {
            for _ in 0..EACH {
                let (mut ctx, mut canceler) = (null_mut(), null_mut());
                // SAFETY: as above.
                unsafe {
                    let time = black_box(3_600_000_000_000);
                    assert_eq!(ctx_with_timeout(raw, time, &mut ctx, &mut canceler), 0);
                    black_box(ctx_cancel(canceler));
                    ctx_canceler_unref(canceler);
                    ctx_unref(ctx);
                }
            }
        },
        || {
            for _ in 0..EACH {
                let (_ctx, canceler) = parent.with_timeout(black_box(hour)).unwrap();
                black_box(canceler.cancel());
            }
        },
    );
    compare(
        "check",
        || {
            for _ in 0..EACH {
                // SAFETY: `parent` is held.
                black_box(unsafe { ctx_err(raw) });
            }
        },
        || {
            for _ in 0..EACH {
                black_box(parent.check().is_ok());
            }
        },
    );
    let valued = parent.with_value(&KEY, 5).unwrap();
    let raw_valued = valued.as_raw();
    let raw_key = (&raw const KEY).cast::<ctx_key_t>();
    compare(
        "value",
        || {
            for _ in 0..EACH {
                // SAFETY: `valued` is held, the key is static and begins with the C key.
                black_box(unsafe { ctx_value(raw_valued, raw_key) });
            }
        },
        || {
            for _ in 0..EACH {
                black_box(valued.value(&KEY));
            }
        },
    );
    compare(
        "callback",
        || {
            for _ in 0..EACH {
                let mut watch = null_mut();
                // SAFETY: `parent` is held, the callback wants nothing, the watch is given back.
                unsafe {
                    let armed = ctx_after_func(raw, Some(nothing), null_mut(), None, 0, &mut watch);
                    assert_eq!(armed, 0);
                    black_box(ctx_watch_stop(watch));
                    ctx_watch_unref(watch);
                }
            }
        },
        || {
            for _ in 0..EACH {
                // The closure has something to hold, so this has a box, which C has not.
                let held = black_box(7_u64);
                let watch = parent.after_func(move |_| assert_eq!(held, 7)).unwrap();
                black_box(watch.stop());
            }
        },
    );
    canceler.cancel();
}
