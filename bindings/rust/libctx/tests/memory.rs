// SPDX-License-Identifier: MIT
//! Without memory a cause is an error, and a cancel with a message is still a cancel. The limit is that of the
//! process, so this test has one to itself.
#![allow(missing_docs)]

use libctx::{Cause, Context, Key};
use std::sync::Arc;

static HELD: Key<Arc<()>> = Key::new(c"held");
const SIZE: usize = 64 << 20; // malloc() maps as much as that, and gives it back

#[test]
fn a_cause_needs_memory_and_a_cancel_does_not() {
    // Room for the message alone; and for the copy that goes to C, but not for the one that C makes.
    for room in [SIZE / 2, SIZE + SIZE / 2] {
        let message = "x".repeat(SIZE);
        let held = Arc::new(());
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        let (guarded, its_canceler) = Context::background().with_cancel().unwrap();
        let all = limit();
        set_limit(in_use() + room as libc::rlim_t);
        let plain = Cause::new(1, &message);
        let with_data = Cause::with_data(1, &message, &HELD, held.clone());
        let canceled = canceler.cancel_because(&message);
        drop(its_canceler.guard_because(&message));
        set_limit(all);
        for cause in [plain, with_data] {
            assert_eq!(cause.unwrap_err().code(), -libc::ENOMEM);
        }
        assert_eq!(Arc::strong_count(&held), 1, "what was refused is dropped");
        assert!(canceled);
        for ended in [ctx.ended(), guarded.ended()] {
            assert!(!ended.unwrap().cause().is_given());
        }
    }
}

fn limits() -> libc::rlimit {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limits` is written to.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limits) }, 0);
    limits
}

fn limit() -> libc::rlim_t {
    limits().rlim_cur
}

fn set_limit(limit: libc::rlim_t) {
    let limits = libc::rlimit { rlim_cur: limit, ..limits() };
    // SAFETY: it only reads the limits.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limits) }, 0);
}

fn in_use() -> libc::rlim_t {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: libc::rlim_t = pages.split(' ').next().unwrap().parse().unwrap();
    // SAFETY: a call without pointers.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as libc::rlim_t
}
