// SPDX-License-Identifier: MIT
//! Child processes that a context ends, and that the context goes to.
//!
//! 1. A child leads a process group of its own. Signals go to its number only until it is reaped: till then nobody else
//!    gets that number.
//! 2. Whoever asks waits for its pidfd, its pipes and the context in one poll(2). No thread, no signal handler.
//! 3. A child is reaped once, by whoever waits for it, or else by the drop.

use crate::{Context, Error, Events, Export, PollFd, Result};
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{
    Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio,
};
use std::ptr;
use std::time::{Duration, Instant};

/// Adds [`export`](CommandExport::export) to [`std::process::Command`], and with the feature `tokio` to that of tokio.
pub trait CommandExport: Sized {
    /// The command with the context exported to it: the child gets its `LIBCTX`, and the context ends the child.
    ///
    /// ```
    /// use libctx::{CommandExport, Context};
    /// use std::{process::Command, time::Duration};
    ///
    /// let (ctx, _canceler) = Context::background().with_timeout(Duration::from_secs(60))?;
    /// let output = Command::new("echo").arg("made").export(&ctx)?.output()?;
    /// assert!(output.status.success() && output.stdout == b"made\n");
    ///
    /// let (soon, _canceler) = ctx.with_timeout(Duration::from_millis(10))?;
    /// let error = Command::new("sleep").arg("3600").export(&soon)?.status().unwrap_err();
    /// assert!(error.is_deadline_exceeded());
    /// # Ok::<(), libctx::Error>(())
    /// ```
    fn export(&mut self, ctx: &Context) -> Result<ContextCommand<'_, Self>>;
}

impl CommandExport for Command {
    fn export(&mut self, ctx: &Context) -> Result<ContextCommand<'_>> {
        ContextCommand::new(self, ctx, |command, text| {
            command.env("LIBCTX", text);
        })
    }
}

/// A command to which a context is exported; see [`CommandExport`].
#[derive(Debug)]
#[must_use = "it has not started"]
pub struct ContextCommand<'command, C = Command> {
    pub(crate) command: &'command mut C,
    pub(crate) ctx: Context,
    pub(crate) export: Export,
    pub(crate) grace: Duration,
    pub(crate) wait_delay: Duration,
}

impl<'command, C> ContextCommand<'command, C> {
    pub(crate) fn new(
        command: &'command mut C,
        ctx: &Context,
        set: impl FnOnce(&mut C, &str),
    ) -> Result<ContextCommand<'command, C>> {
        let export = ctx.export()?;
        set(command, export.text());
        Ok(ContextCommand {
            command,
            ctx: ctx.clone(),
            export,
            grace: Duration::from_secs(5),
            wait_delay: Duration::from_secs(1),
        })
    }

    /// How long the child may take to end when the context has; 5 seconds if nobody says. See
    /// [`with_grace`](Context::with_grace).
    pub fn grace(self, time: Duration) -> ContextCommand<'command, C> {
        ContextCommand { grace: time, ..self }
    }

    /// How long others may hold the child's pipes open once it has exited, such as a daemon that it has started; 1 second
    /// if nobody says. What the child itself has written is read in any case.
    pub fn wait_delay(self, time: Duration) -> ContextCommand<'command, C> {
        ContextCommand { wait_delay: time, ..self }
    }
}

impl ContextCommand<'_> {
    /// Starts it, in a process group of its own, with `SIGTERM` neither blocked nor ignored, whatever this thread does. A
    /// context that is done is an error, and starts nothing.
    ///
    /// The process must not ignore `SIGCHLD`, nor wait for just any child.
    pub fn spawn(self) -> Result<ContextChild> {
        self.ctx.check()?;
        accept_term(self.command);
        let mut child = self.command.process_group(0).spawn().map_err(system)?;
        let exited = exit_of(child.id()).inspect_err(|_| {
            let _ = child.wait();
        })?;
        Ok(ContextChild {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            exited,
            ctx: self.ctx,
            grace: self.grace,
            wait_delay: self.wait_delay,
            outcome: None,
            parent: std::process::id(),
            _export: self.export,
        })
    }

    /// Starts it, and waits as [`ContextChild::wait`].
    pub fn status(self) -> Result<ExitStatus> {
        self.spawn()?.wait()
    }

    /// Starts it with pipes for what it writes, and waits as [`ContextChild::wait_with_output`]. Its input is inherited, if
    /// the command does not say otherwise.
    pub fn output(self) -> Result<Output> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn()?.wait_with_output()
    }
}

/// A child process that a context ends. Somebody has to wait: meanwhile the end of the context takes effect.
///
/// Then its process group gets `SIGTERM`, and `SIGCONT` for what is stopped. Once the child has exited, or after the
/// [`grace`](ContextCommand::grace), what is left of the group gets `SIGKILL`. What has left the group lives on, and so does
/// what a child that exits by itself has started.
///
/// A child that is dropped before is killed, with its group, and reaped.
#[derive(Debug)]
pub struct ContextChild {
    /// As [`Child::stdin`].
    pub stdin: Option<ChildStdin>,
    /// As [`Child::stdout`].
    pub stdout: Option<ChildStdout>,
    /// As [`Child::stderr`].
    pub stderr: Option<ChildStderr>,
    child: Child,
    exited: OwnedFd,
    ctx: Context,
    grace: Duration,
    wait_delay: Duration,
    outcome: Option<Result<ExitStatus>>,
    parent: u32, // who may wait for it; no child that is forked
    _export: Export,
}

impl ContextChild {
    /// The number of the process, and of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Closes the child's input and waits until it has exited. If the context ends first, it ends the child, and its end
    /// is the error. On return the child is reaped, whatever the answer; further calls answer the same.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.finish(Vec::new())
    }

    /// As [`wait`](ContextChild::wait), and meanwhile reads what the child writes into pipes; what came is there also
    /// after an error.
    pub fn wait_into(&mut self, stdout: &mut Vec<u8>, stderr: &mut Vec<u8>) -> Result<ExitStatus> {
        let mut pipes = Vec::new();
        if let Some(from) = self.stdout.take() {
            pipes.push(Pipe { from: OwnedFd::from(from).into(), into: stdout });
        }
        if let Some(from) = self.stderr.take() {
            pipes.push(Pipe { from: OwnedFd::from(from).into(), into: stderr });
        }
        self.finish(pipes)
    }

    /// As [`wait_into`](ContextChild::wait_into), and returns what came.
    pub fn wait_with_output(mut self) -> Result<Output> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let status = self.wait_into(&mut stdout, &mut stderr)?;
        Ok(Output { status, stdout, stderr })
    }

    fn finish(&mut self, mut pipes: Vec<Pipe<'_>>) -> Result<ExitStatus> {
        if let Some(outcome) = &self.outcome {
            return outcome.clone();
        }
        if self.parent != std::process::id() {
            return Err(Error::from_code(-libc::ECHILD));
        }
        drop(self.stdin.take());
        let end = self.until_exit(&self.ctx, &mut pipes).err().filter(|_| !self.has_exited());
        if let Some(error) = &end {
            self.end(error, &mut pipes);
        }
        let reaped = self.child.wait().map_err(system);
        drain(&mut pipes, self.wait_delay);
        self.outcome.insert(end.map_or(reaped, Err)).clone()
    }

    /// Reads until the child has exited. The end of the context is an error.
    fn until_exit(&self, limit: &Context, pipes: &mut Vec<Pipe<'_>>) -> Result<()> {
        while !read_ready(pipes, Some(&self.exited), limit, None)? {}
        Ok(())
    }

    /// Ends what is not reaped yet.
    fn end(&self, error: &Error, pipes: &mut Vec<Pipe<'_>>) {
        // If the wait itself has failed, so would that of the grace.
        if error.ended().is_some() {
            if let Ok((grace, _canceler)) = self.ctx.with_grace(self.grace) {
                signal(self.id(), libc::SIGTERM);
                signal(self.id(), libc::SIGCONT);
                let _ = self.until_exit(&grace, pipes);
            }
        }
        signal(self.id(), libc::SIGKILL);
    }

    fn has_exited(&self) -> bool {
        is_ready(&self.exited)
    }
}

impl Drop for ContextChild {
    fn drop(&mut self) {
        if self.outcome.is_none() && self.parent == std::process::id() {
            if !self.has_exited() {
                signal(self.id(), libc::SIGKILL);
            }
            let _ = self.child.wait();
        }
    }
}

/// The pidfd of a child, which is readable when that has exited. If there is none, the child is killed.
pub(crate) fn exit_of(child: u32) -> Result<OwnedFd> {
    // SAFETY: a call without pointers.
    match unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) } {
        // SAFETY: the call succeeded, and the descriptor is ours.
        fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
        _ => {
            let error = system(io::Error::last_os_error());
            signal(child, libc::SIGKILL);
            Err(error)
        }
    }
}

pub(crate) fn is_ready(fd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(fd, Events::IN)];
    Context::background().poll(&mut fds, Some(Duration::ZERO)).is_ok_and(|ready| ready == 1)
}

/// A child inherits what this thread blocks, as [`Signal::block`](crate::Signal::block) does, and what the process ignores.
pub(crate) fn accept_term(command: &mut Command) {
    let (mut mask, mut action) = (MaybeUninit::uninit(), MaybeUninit::<libc::sigaction>::zeroed());
    // SAFETY: the first two initialize what the others read; an action that is all zero is one, too.
    let accepted = unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr());
        libc::sigaction(libc::SIGTERM, ptr::null(), action.as_mut_ptr());
        libc::sigismember(mask.as_ptr(), libc::SIGTERM) == 0
            && action.assume_init().sa_sigaction != libc::SIG_IGN
    };
    if accepted {
        return; // without the closure the child shares this process's memory until it has started
    }
    let accept = || {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initializes the set.
        unsafe {
            libc::signal(libc::SIGTERM, libc::SIG_DFL);
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
        }
        Ok(())
    };
    // SAFETY: the closure has nothing of its own, and calls what is safe after a fork.
    unsafe { command.pre_exec(accept) };
}

/// To the group of a child that is not reaped yet; to the child alone if it has left that. `SIGKILL` always reaches it.
pub(crate) fn signal(child: u32, number: i32) {
    let child = child as libc::pid_t;
    // SAFETY: calls without pointers.
    unsafe {
        if libc::kill(-child, number) != 0 || number == libc::SIGKILL {
            libc::kill(child, number);
        }
    }
}

/// An error of std, as one of this crate.
pub(crate) fn system(error: io::Error) -> Error {
    Error::from_code(match error.raw_os_error() {
        Some(libc::ECHILD) => -libc::ESRCH, // somebody else has reaped it; ECHILD is said of a fork
        Some(number) => -number,
        None => -libc::EINVAL, // a NUL in a name or an argument
    })
}

/// One of the child's pipes, and what came from it.
pub(crate) struct Pipe<'into> {
    pub(crate) from: File,
    pub(crate) into: &'into mut Vec<u8>,
}

impl Pipe<'_> {
    /// Takes what is in the pipe now, and no more: others may write without end. False if nothing will come.
    fn read(&mut self) -> bool {
        let mut there = 0;
        // SAFETY: `there` is written to.
        let counted = unsafe { libc::ioctl(self.from.as_raw_fd(), libc::FIONREAD, &mut there) };
        let Ok(there @ 1..) = u64::try_from(there) else { return false };
        counted == 0 && self.from.by_ref().take(there).read_to_end(self.into).is_ok()
    }
}

/// Waits until something is there, and reads it. True if the child has exited.
fn read_ready(
    pipes: &mut Vec<Pipe<'_>>,
    exited: Option<&OwnedFd>,
    limit: &Context,
    time: Option<Duration>,
) -> Result<bool> {
    let of_pipes = pipes.iter().map(|pipe| PollFd::new(&pipe.from, Events::IN));
    let of_child = exited.into_iter().map(|fd| PollFd::new(fd, Events::IN));
    let mut fds: Vec<_> = of_pipes.chain(of_child).collect();
    limit.poll(&mut fds, time)?;
    let is_ready: Vec<_> = fds.iter().map(|fd| fd.ready() != Events::NONE).collect();
    let mut of_pipes = is_ready.iter();
    pipes.retain_mut(|pipe| of_pipes.next() != Some(&true) || pipe.read());
    Ok(exited.is_some() && is_ready.last() == Some(&true))
}

/// Reads what is in the pipes now, and for so long what others write.
pub(crate) fn drain(pipes: &mut Vec<Pipe<'_>>, time: Duration) {
    let begin = Instant::now();
    let mut left = Duration::ZERO;
    while !pipes.is_empty() && read_ready(pipes, None, &Context::background(), Some(left)).is_ok() {
        left = time.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return;
        }
    }
}
