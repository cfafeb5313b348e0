// SPDX-License-Identifier: MIT
//! Children of tokio that a context ends. tests/process.rs has the same for those of std.
#![allow(missing_docs)]

use libctx::{AsyncContextChild, CommandExport, Context, Ended, ErrorKind, Loop, Result};
use std::fs;
use std::future::{Future, poll_fn};
use std::process::Stdio;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

const WATCHDOG: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn root() -> Context {
    Context::background()
}

/// What hangs has failed.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime
        .block_on(async { tokio::time::timeout(WATCHDOG, test).await.expect("it takes too long") });
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

/// A child with pipes, which has written the line `ready`.
async fn ready(script: &str, ctx: &Context, grace: Duration, delay: Duration) -> AsyncContextChild {
    let mut command = sh(script);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.export(ctx).unwrap().grace(grace).wait_delay(delay).spawn().unwrap();
    expect(&mut child, "ready\n").await;
    child
}

async fn expect(child: &mut AsyncContextChild, text: &str) {
    let mut came = vec![0; text.len()];
    child.stdout.as_mut().unwrap().read_exact(&mut came).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&came), text);
}

/// Such as `S` for one that sleeps and `Z` for one that waits to be reaped; `None` if there is no such process.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::task::yield_now().await;
    }
}

/// Ends a process whose number a child has written, and which sleeps. One that was killed before does not.
async fn kill(output: &[u8]) {
    let pid = String::from_utf8_lossy(output).trim().parse().unwrap();
    until(|| matches!(state(pid), Some('S' | 'Z') | None)).await;
    assert_eq!(state(pid), Some('S'), "it lives on");
    // SAFETY: a call without pointers.
    assert_eq!(unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) }, 0);
}

fn ended_by(result: Result<impl std::fmt::Debug>, ctx: &Context) {
    assert_eq!(result.unwrap_err().ended(), Some(&ctx.ended().unwrap()));
}

#[test]
fn a_command_has_the_export_and_says_how_it_ended() {
    run(async {
        let (ctx, _canceler) = root().with_string("name", "text").unwrap().with_cancel().unwrap();
        let mut command = sh("echo $LIBCTX; echo no >&2; exit 3");
        let output = command.export(&ctx).unwrap().output().await.unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(3), &b"no\n"[..]));
        assert!(String::from_utf8(output.stdout).unwrap().contains(':'));
        assert!(sh("exit 0").export(&root()).unwrap().status().await.unwrap().success());

        let mut command = sh("read line; echo $line; cat");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .export(&ctx)
            .unwrap()
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(b"a line\n").await.unwrap();
        let (mut stdout, mut none) = (Vec::new(), Vec::new());
        let status = child.wait_into(&mut stdout, &mut none).await.unwrap();
        assert!(status.success() && stdout == b"a line\n" && none.is_empty());
        assert_eq!(child.wait().await.unwrap(), status, "again");
        assert_eq!(state(child.id()), None, "it is reaped");
    });
}

#[test]
fn what_cannot_start_is_an_error() {
    run(async {
        let mut command = Command::new("/no/such/program");
        let error = command.export(&root()).unwrap().spawn().unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::System, -libc::ENOENT));
        let (done, canceler) = root().with_cancel().unwrap();
        canceler.cancel();
        ended_by(command.export(&done).unwrap().spawn(), &done);
    });
}

#[test]
fn the_end_of_the_context_is_a_request_to_end_and_output_is_kept() {
    run(async {
        let (ctx, canceler) = root().with_cancel().unwrap();
        let script = "trap 'echo asked; exit 0' TERM; echo ready; sleep 3600 & wait";
        // Only the exit of both the child and its child closes the pipes.
        let mut child = ready(script, &ctx, HOUR, HOUR).await;
        canceler.cancel();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        ended_by(child.wait_into(&mut stdout, &mut stderr).await, &ctx);
        assert_eq!(String::from_utf8_lossy(&stdout), "asked\n");
        assert_eq!(state(child.id()), None, "it is reaped");
        ended_by(child.wait().await, &ctx);
    });
}

/// The child says that it was asked and that it has gone on since. Only then does the grace pass, on a clock that stands.
#[test]
fn after_the_grace_it_is_killed() {
    run(async {
        let clock = Loop::virtual_time().unwrap();
        let (ctx, canceler) = clock.background().unwrap().with_cancel().unwrap();
        let child = "trap '' TERM; exec sleep 3600";
        let script = format!(
            "trap 'echo asked' TERM; ({child}) & echo ready; while :; do read a && echo $a; done"
        );
        let mut child = ready(&script, &ctx, HOUR, HOUR).await;
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        canceler.cancel();
        let mut waits = Box::pin(child.wait());
        let mut told = Box::pin(async {
            let mut came = [0; 9];
            stdout.read_exact(&mut came[..6]).await.unwrap();
            stdin.write_all(b"on\n").await.unwrap();
            stdout.read_exact(&mut came[6..]).await.unwrap();
            assert_eq!(&came, b"asked\non\n");
        });
        poll_fn(|cx| {
            assert!(waits.as_mut().poll(cx).is_pending(), "the grace has not passed");
            told.as_mut().poll(cx)
        })
        .await;
        drop(told);
        clock.advance(HOUR).unwrap();
        ended_by(waits.await, &ctx);
        assert_eq!(stdout.read(&mut [0]).await.unwrap(), 0, "nor is its child left");
    });
}

#[test]
fn a_wait_that_is_dropped_has_waited_for_nothing() {
    run(async {
        let (ctx, canceler) = root().with_cancel().unwrap();
        let mut child = ready("echo ready; exec sleep 3600", &ctx, HOUR, HOUR).await;
        for _ in 0..3 {
            let mut waits = Box::pin(child.wait());
            poll_fn(|cx| {
                assert!(waits.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        canceler.cancel();
        ended_by(child.wait().await, &ctx);
    });
}

#[test]
fn a_child_that_has_exited_was_not_ended() {
    run(async {
        let (ctx, canceler) = root().with_cancel().unwrap();
        let mut child = sh("exit 7").export(&ctx).unwrap().spawn().unwrap();
        until(|| state(child.id()) == Some('Z')).await;
        canceler.cancel();
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
    });
}

#[test]
fn much_output_on_both_pipes_is_read() {
    run(async {
        let script =
            "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2; echo end; echo end >&2";
        let output = sh(script).export(&root()).unwrap().output().await.unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (3_000_004, 2_000_004));
    });
}

/// What the child has written is there, though somebody else has the pipes, and even writes.
#[test]
fn a_grandchild_that_holds_the_pipes_hangs_nobody() {
    run(async {
        let quiet = "head -c 60000 /dev/zero >&2; sleep 3600 & echo $!";
        let writes = "head -c 60000 /dev/zero >&2; (trap '' PIPE; exec yes >&2) & echo $!";
        for (script, delay) in [(quiet, 0), (quiet, 1), (writes, 0), (writes, 1)] {
            let command = &mut sh(script);
            let command = command.export(&root()).unwrap().wait_delay(Duration::from_millis(delay));
            let output = command.output().await.unwrap();
            assert!(output.status.success() && output.stderr.len() >= 60000);
            if script == quiet {
                kill(&output.stdout).await; // the other ends by itself: nobody reads any more
            }
        }
    });
}

/// One that writes when the child is reaped already.
#[test]
fn what_a_grandchild_writes_within_the_delay_is_read() {
    run(async {
        let script = "(while kill -0 $$ 2>/dev/null; do :; done; echo late) & echo soon";
        let output = sh(script).export(&root()).unwrap().wait_delay(HOUR).output().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "soon\nlate\n");
    });
}

#[test]
fn a_child_that_is_dropped_is_killed_with_its_group() {
    run(async {
        let script = "trap '' TERM; sleep 3600 & echo ready; wait";
        let mut child = ready(script, &root(), HOUR, HOUR).await;
        let (pid, mut stdout) = (child.id(), child.stdout.take().unwrap());
        drop(child);
        assert_eq!(stdout.read(&mut [0]).await.unwrap(), 0, "with its group");
        until(|| state(pid).is_none()).await; // tokio reaps it
        // One that has exited leaves its children alone.
        let mut child = ready("echo ready; sleep 3600 & echo $!", &root(), HOUR, HOUR).await;
        until(|| state(child.id()) == Some('Z')).await;
        let mut stdout = child.stdout.take().unwrap();
        drop(child);
        let mut line = [0; 20];
        let n = stdout.read(&mut line).await.unwrap();
        kill(&line[..n]).await;
    });
}

#[test]
fn a_deadline_is_told_as_one() {
    run(async {
        let (soon, _canceler) = root().with_timeout(Duration::from_millis(1)).unwrap();
        let mut command = sh("exec sleep 3600");
        let result = match command.export(&soon) {
            Ok(command) => command.output().await,
            Err(error) => Err(error),
        };
        let error = std::io::Error::from(result.unwrap_err());
        assert!(Ended::find(&error).unwrap().is_deadline_exceeded());
    });
}
