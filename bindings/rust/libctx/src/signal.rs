// SPDX-License-Identifier: MIT
//! Signals by name, how to block them, and contexts that they end.

use crate::derive::pair;
use crate::error::check;
use crate::{Canceler, Cause, Context, Error, Origin, Result};
use libctx_sys as sys;
use std::ffi::c_int;
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr;

/// A signal of the system.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(c_int);

macro_rules! signals {
    ($($(#[$doc:meta])* $name:ident = $number:ident;)*) => {
        impl Signal {
            $($(#[$doc])* pub const $name: Signal = Signal(libc::$number);)*

            fn name(self) -> Option<&'static str> {
                match self.0 {
                    $(libc::$number => Some(stringify!($number)),)*
                    _ => None,
                }
            }
        }
    };
}

signals! {
    /// The terminal has gone, or a daemon shall read its configuration again.
    HUP = SIGHUP;
    /// Ctrl-C.
    INT = SIGINT;
    /// Ctrl-\.
    QUIT = SIGQUIT;
    /// The request to end, from kill(1), service managers and container runtimes.
    TERM = SIGTERM;
    /// For the program's own use.
    USR1 = SIGUSR1;
    /// For the program's own use.
    USR2 = SIGUSR2;
    /// A child has stopped or ended.
    CHLD = SIGCHLD;
    /// A timer of alarm(2) has expired.
    ALRM = SIGALRM;
    /// A timer of the process's time has expired.
    VTALRM = SIGVTALRM;
    /// A timer of profiling has expired.
    PROF = SIGPROF;
    /// A pipe or socket that nobody reads was written to.
    PIPE = SIGPIPE;
    /// Ctrl-Z.
    TSTP = SIGTSTP;
    /// The process goes on after a stop.
    CONT = SIGCONT;
    /// A process in the background reads from the terminal.
    TTIN = SIGTTIN;
    /// A process in the background writes to the terminal.
    TTOU = SIGTTOU;
    /// The terminal's window has another size.
    WINCH = SIGWINCH;
    /// A descriptor is ready.
    IO = SIGIO;
    /// A socket has urgent data.
    URG = SIGURG;
    /// The process has used its processor time.
    XCPU = SIGXCPU;
    /// A file has reached its largest size.
    XFSZ = SIGXFSZ;
}

impl Signal {
    /// The signal of a number, such as one above `libc::SIGRTMIN()`. Whoever takes it checks it.
    pub const fn from_raw(number: i32) -> Signal {
        Signal(number)
    }

    /// The number of the signal.
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    /// Blocks signals in this thread and in the threads that it starts from now on, for
    /// [`Context::with_signal`]. Call it first thing in `main`: then they are blocked in every thread.
    ///
    /// A program that this one starts also has them blocked, until it changes that.
    pub fn block(signals: &[Signal]) -> Result<()> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initializes the set, which is passed on after that.
        let result = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            if signals.iter().any(|signal| libc::sigaddset(set.as_mut_ptr(), signal.0) != 0) {
                return Err(Error::from_code(-libc::EINVAL));
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut())
        };
        check(-result).map(drop)
    }

    /// The first of these that this thread does not block, though it could.
    fn unblocked(signals: &[Signal]) -> Option<Signal> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: pthread_sigmask initializes the set, or sigemptyset has.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), set.as_mut_ptr());
            // For what is no signal the answer is -1.
            let unblocked = |signal: &Signal| libc::sigismember(set.as_ptr(), signal.0) == 0;
            let never = [libc::SIGKILL, libc::SIGSTOP];
            signals.iter().copied().find(|signal| unblocked(signal) && !never.contains(&signal.0))
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.0 - libc::SIGRTMIN()) {
            (Some(name), _) => f.write_str(name),
            (None, more @ 0..) if self.0 <= libc::SIGRTMAX() => write!(f, "SIGRTMIN+{more}"),
            _ => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Cause {
    /// The signal that ended the context of [`with_signal`](Context::with_signal).
    pub fn signal(&self) -> Option<Signal> {
        (self.origin() == Origin::SIGNAL).then(|| Signal(self.code()))
    }
}

impl Context {
    /// Derives a context that also ends when the process is sent one of these signals. The cause has the
    /// [`signal`](Cause::signal); its message names signal and sender. No handler is changed, and none runs.
    ///
    /// The signals must be blocked in every thread; [`InvalidInput`](crate::ErrorKind::InvalidInput), with a
    /// text that names it, for one that this thread does not block.
    ///
    /// ```no_run
    /// use libctx::{Context, Signal};
    ///
    /// let stop = [Signal::TERM, Signal::INT];
    /// Signal::block(&stop)?; // before any thread is started
    /// let (server, _canceler) = Context::background().with_signal(&stop)?;
    /// println!("{:#}", server.wait()?); // context canceled: SIGINT, and who sent it
    /// # Ok::<(), libctx::Error>(())
    /// ```
    pub fn with_signal(&self, signals: &[Signal]) -> Result<(Context, Canceler)> {
        let first = signals.as_ptr().cast::<c_int>();
        // SAFETY: self holds a reference; a Signal is an int, and they live through the call.
        let made = pair(|ctx, canceler| unsafe {
            sys::ctx_with_signal(self.as_raw(), first, signals.len(), ctx, canceler)
        });
        made.map_err(|error| match Signal::unblocked(signals) {
            Some(signal) if error.code() == -libc::EINVAL => Error::unblocked(signal),
            _ => error,
        })
    }
}
