// SPDX-License-Identifier: MIT
//! Signals by name and number, and blocking them in one thread. What a signal ends is in tests/signal.rs.

use libctx::{Context, ErrorKind, Signal};
use std::mem::MaybeUninit;
use std::{io, ptr, thread};

macro_rules! all {
    ($($name:ident = $number:ident)*) => { [$((Signal::$name, libc::$number, stringify!($number))),*] };
}

#[test]
fn every_signal_has_its_number_and_its_name() {
    let all = all! {
        HUP = SIGHUP INT = SIGINT QUIT = SIGQUIT TERM = SIGTERM USR1 = SIGUSR1 USR2 = SIGUSR2
        CHLD = SIGCHLD ALRM = SIGALRM VTALRM = SIGVTALRM PROF = SIGPROF PIPE = SIGPIPE
        TSTP = SIGTSTP CONT = SIGCONT TTIN = SIGTTIN TTOU = SIGTTOU WINCH = SIGWINCH IO = SIGIO
        URG = SIGURG XCPU = SIGXCPU XFSZ = SIGXFSZ
    };
    for (signal, number, name) in all {
        assert_eq!((signal.as_raw(), &*signal.to_string()), (number, name));
        assert_eq!((Signal::from_raw(number), format!("{signal:?}")), (signal, name.into()));
    }
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    let names = [
        (first, "SIGRTMIN+0".to_string()),
        (first + 1, "SIGRTMIN+1".into()),
        (last, format!("SIGRTMIN+{}", last - first)),
        (last + 1, format!("signal {}", last + 1)),
        (first - 1, format!("signal {}", first - 1)),
        (libc::SIGKILL, "signal 9".into()),
        (0, "signal 0".into()),
        (-1, "signal -1".into()),
    ];
    for (number, name) in names {
        assert_eq!(Signal::from_raw(number).to_string(), name);
    }
}

fn blocked() -> Vec<i32> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the call writes the set, which is read after that.
    unsafe {
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), set.as_mut_ptr()), 0);
        (1..=libc::SIGRTMAX()).filter(|&n| libc::sigismember(set.as_ptr(), n) == 1).collect()
    }
}

/// On a thread of its own: the harness's keeps its mask.
#[test]
fn a_block_adds_to_what_this_thread_and_those_that_it_starts_have_blocked() {
    let inside = || {
        let before = blocked();
        Signal::block(&[Signal::USR2]).unwrap();
        Signal::block(&[Signal::WINCH, Signal::HUP]).unwrap();
        Signal::block(&[]).unwrap();
        let mut expected = before;
        expected.extend([libc::SIGUSR2, libc::SIGWINCH, libc::SIGHUP]);
        expected.sort();
        assert_eq!(blocked(), expected);
        assert_eq!(thread::spawn(blocked).join().unwrap(), expected);
        // Of a bad list nothing is blocked.
        let bad = [Signal::URG, Signal::from_raw(-1)];
        assert_eq!(Signal::block(&bad).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(blocked(), expected);
    };
    let before = blocked();
    thread::spawn(inside).join().unwrap();
    assert_eq!(blocked(), before);
}

/// The first that is not blocked is named, in whatever the error becomes.
#[test]
fn a_signal_that_is_not_blocked_is_named() {
    let inside = || {
        Signal::block(&[Signal::USR1]).unwrap();
        let all = [Signal::USR1, Signal::XFSZ, Signal::XCPU];
        let error = Context::background().with_signal(&all).unwrap_err();
        let text = "SIGXFSZ is not blocked, as it must be in every thread (Signal::block)";
        assert_eq!((error.to_string(), error.code()), (text.into(), -libc::EINVAL));
        assert!(error.ended().is_none() && !error.is_canceled() && !error.is_deadline_exceeded());
        let shown = format!("{error:?}");
        assert!(shown.ends_with("unblocked: SIGXFSZ }"), "{shown}");
        let io = io::Error::from(error);
        assert_eq!((io.kind(), io.to_string()), (io::ErrorKind::InvalidInput, text.into()));
        let done = Context::background().with_cancel().unwrap();
        done.1.cancel();
        assert!(done.0.with_signal(&all).is_err(), "also below a context that is done");
    };
    thread::spawn(inside).join().unwrap();
}
