// SPDX-License-Identifier: MIT
//! Without memory a cause is an error, a cancel with a message is still a cancel, and a failure still a failure. The
//! limit is that of the process, so these tests have one to themselves, and take turns.
#![allow(missing_docs)]

use libctx::{Cause, Context, ErrorKind, Group, Key};
use std::fmt;
use std::sync::{Arc, Mutex};

static HELD: Key<Arc<()>> = Key::new(c"held");
static TURN: Mutex<()> = Mutex::new(());
const SIZE: usize = 64 << 20; // malloc() maps as much as that, and gives it back

#[test]
fn a_cause_needs_memory_and_a_cancel_does_not() {
    let _turn = TURN.lock();
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

/// Without room for the stack of a thread no work has begun, and what it was given is dropped. The stacks of threads that
/// have ended are in use again before that.
#[test]
fn work_without_a_thread_is_an_error_and_no_work() {
    let _turn = TURN.lock();
    let (group, held) = (Group::new(&Context::background()).unwrap(), Arc::new(()));
    let (gate, open) = Context::background().with_cancel().unwrap();
    let all = limit();
    set_limit(in_use() + 4096);
    let mut begun = 0;
    let refused = loop {
        let (holds, gate) = (held.clone(), gate.clone());
        let work = move |_: &Context| {
            gate.wait()?;
            drop(holds);
            Ok(())
        };
        match group.spawn(work) {
            Ok(()) if begun < 1000 => begun += 1,
            result => break result,
        }
    };
    set_limit(all);
    let error = refused.unwrap_err();
    assert!([-libc::EAGAIN, -libc::ENOMEM].contains(&error.code()), "{error:?}");
    assert_eq!((error.kind(), Arc::strong_count(&held)), (ErrorKind::System, 1 + begun));
    open.cancel();
    group.wait().unwrap();
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(!group.context().is_done());
}

/// An error whose text is longer than there is room for.
#[test]
fn a_failure_without_memory_is_a_failure() {
    #[derive(Debug)]
    struct Long(Mutex<Option<String>>);
    impl fmt::Display for Long {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0.lock().unwrap().as_deref().unwrap_or("short"))
        }
    }
    impl std::error::Error for Long {}
    let _turn = TURN.lock();
    let group = Group::new(&Context::background()).unwrap();
    let (piece, other) = (group.begin().unwrap(), group.begin().unwrap());
    let long = Long(Mutex::new(Some("x".repeat(SIZE))));
    let all = limit();
    // Room for the text, and not for the copy that goes to C.
    set_limit(in_use() + (SIZE + SIZE / 2) as libc::rlim_t);
    piece.run(move |_| Err(long.into()));
    set_limit(all);
    assert!(group.context().is_done() && !group.wait_timeout(std::time::Duration::ZERO).unwrap());
    drop(other);
    let failure = group.wait().unwrap_err();
    assert!(failure.is_canceled() && !failure.ended().unwrap().cause().is_given());
    assert_eq!(group.cause().as_ref(), Some(failure.ended().unwrap().cause()));
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
