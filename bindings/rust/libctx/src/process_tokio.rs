// SPDX-License-Identifier: MIT
//! Child processes of tokio that a context ends: as in `process.rs`, whose rules hold here, but nobody blocks a thread.
//!
//! 1. tokio reaps a child when somebody waits for it. So what waits for the exit is a context on the child's pidfd.

use crate::process::{Pipe, accept_term, drain, exit_of, is_ready, signal, system};
use crate::{CommandExport, Context, ContextCommand, Error, Events, Export, Result};
use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::process::{ExitStatus, Output, Stdio};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

impl CommandExport for Command {
    fn export(&mut self, ctx: &Context) -> Result<ContextCommand<'_, Command>> {
        ContextCommand::new(self, ctx, |command, text| {
            command.env("LIBCTX", text);
        })
    }
}

impl ContextCommand<'_, Command> {
    /// As that of a [`std::process::Command`], in a runtime of tokio.
    pub fn spawn(self) -> Result<AsyncContextChild> {
        self.ctx.check()?;
        accept_term(self.command.as_std_mut());
        let mut child = self.command.process_group(0).spawn().map_err(system)?;
        let id = child.id().unwrap_or(0); // it is there until the child is reaped
        Ok(AsyncContextChild {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            exited: exit_of(id)?,
            child,
            id,
            ctx: self.ctx,
            grace: self.grace,
            wait_delay: self.wait_delay,
            outcome: None,
            parent: std::process::id(),
            _export: self.export,
        })
    }

    /// Starts it, and waits as [`AsyncContextChild::wait`].
    pub async fn status(self) -> Result<ExitStatus> {
        self.spawn()?.wait().await
    }

    /// Starts it with pipes for what it writes, and waits as [`AsyncContextChild::wait_with_output`]. Its input is
    /// inherited, if the command does not say otherwise.
    pub async fn output(self) -> Result<Output> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn()?.wait_with_output().await
    }
}

/// A child process of tokio that a context ends, as it does a [`ContextChild`](crate::ContextChild). Somebody has to wait:
/// meanwhile the end of the context takes effect.
///
/// A child that is dropped before is killed, with its group, and tokio reaps it.
#[derive(Debug)]
pub struct AsyncContextChild {
    /// As [`Child::stdin`].
    pub stdin: Option<ChildStdin>,
    /// As [`Child::stdout`].
    pub stdout: Option<ChildStdout>,
    /// As [`Child::stderr`].
    pub stderr: Option<ChildStderr>,
    child: Child,
    id: u32,
    exited: OwnedFd,
    ctx: Context,
    grace: Duration,
    wait_delay: Duration,
    outcome: Option<Result<ExitStatus>>,
    parent: u32, // who may wait for it; no child that is forked
    _export: Export,
}

impl AsyncContextChild {
    /// The number of the process, and of its group.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Closes the child's input and waits until it has exited. If the context ends first, it ends the child, and its end
    /// is the error. Once ready, the child is reaped, whatever the answer; further calls answer the same. A future that is
    /// dropped has waited for nothing, and another may go on.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        if let Some(outcome) = &self.outcome {
            return outcome.clone();
        }
        if self.parent != std::process::id() {
            return Err(Error::from_code(-libc::ECHILD));
        }
        drop(self.stdin.take());
        let end = self.until_exit(&self.ctx).await.err().filter(|_| !is_ready(&self.exited));
        if let Some(error) = &end {
            self.end(error).await;
        }
        let reaped = self.child.wait().await.map_err(system);
        self.outcome.insert(end.map_or(reaped, Err)).clone()
    }

    /// As [`wait`](AsyncContextChild::wait), and meanwhile reads what the child writes into pipes; what came is there also
    /// after an error.
    pub async fn wait_into(
        &mut self,
        stdout: &mut Vec<u8>,
        stderr: &mut Vec<u8>,
    ) -> Result<ExitStatus> {
        let (mut out, mut err) = (self.stdout.take(), self.stderr.take());
        let delay = self.wait_delay;
        let status = {
            let mut reads = pin!(both(read(&mut out, stdout), read(&mut err, stderr)));
            let mut is_read = false;
            let mut waits = pin!(self.wait());
            let status = poll_fn(|cx| {
                is_read = is_read || reads.as_mut().poll(cx).is_ready();
                waits.as_mut().poll(cx)
            })
            .await;
            if let (false, Ok((limit, _canceler))) =
                (is_read, Context::background().with_timeout(delay))
            {
                let _ = limit.run(reads).await;
            }
            status
        };
        // What is there now, whoever else has the pipes.
        let out = out.and_then(|pipe| pipe.into_owned_fd().ok());
        let err = err.and_then(|pipe| pipe.into_owned_fd().ok());
        let pipe = |(from, into): (Option<OwnedFd>, _)| Some(Pipe { from: from?.into(), into });
        drain(
            &mut [(out, stdout), (err, stderr)].into_iter().filter_map(pipe).collect(),
            Duration::ZERO,
        );
        status
    }

    /// As [`wait_into`](AsyncContextChild::wait_into), and returns what came.
    pub async fn wait_with_output(mut self) -> Result<Output> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let status = self.wait_into(&mut stdout, &mut stderr).await?;
        Ok(Output { status, stdout, stderr })
    }

    /// Waits until the child has exited. The end of the context is an error.
    async fn until_exit(&self, limit: &Context) -> Result<()> {
        let (exited, _canceler) = Context::background().with_fd(&self.exited, Events::IN)?;
        limit.run(exited.done()).await??;
        Ok(())
    }

    /// Ends what is not reaped yet.
    async fn end(&self, error: &Error) {
        // If the wait itself has failed, so would that of the grace.
        if error.ended().is_some() {
            if let Ok((grace, _canceler)) = self.ctx.with_grace(self.grace) {
                signal(self.id, libc::SIGTERM);
                signal(self.id, libc::SIGCONT);
                let _ = self.until_exit(&grace).await;
            }
        }
        signal(self.id, libc::SIGKILL);
    }
}

impl Drop for AsyncContextChild {
    fn drop(&mut self) {
        let is_ours = self.outcome.is_none() && self.parent == std::process::id();
        if is_ours && !is_ready(&self.exited) {
            signal(self.id, libc::SIGKILL);
        }
    }
}

/// Reads to the end of a pipe; then that is gone. What came is there also if the future is dropped.
async fn read(from: &mut Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    if let Some(pipe) = from {
        while pipe.read_buf(into).await.is_ok_and(|count| count > 0) {}
    }
    *from = None;
}

async fn both(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut one_is_over, mut other_is_over) = (false, false);
    poll_fn(|cx| {
        one_is_over = one_is_over || one.as_mut().poll(cx).is_ready();
        other_is_over = other_is_over || other.as_mut().poll(cx).is_ready();
        if one_is_over && other_is_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
