// SPDX-License-Identifier: MIT
//! Contexts that go to other processes, and children that a context ends.
#![allow(missing_docs)]

use libctx::{
    CommandExport, Context, ContextChild, Ended, ErrorKind, Loop, Origin, Result, Signal,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

const ALONE: &str = "LIBCTX_TEST_ALONE";
const WATCHDOG: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn root() -> Context {
    Context::background()
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

/// This program, of which only one test runs.
fn this_test(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]);
    command
}

/// A child with pipes, which has written the line `ready`.
fn ready(script: &str, ctx: &Context, grace: Duration, delay: Duration) -> ContextChild {
    let mut command = sh(script);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let command = command.export(ctx).unwrap().grace(grace).wait_delay(delay);
    let mut child = command.spawn().unwrap();
    expect(child.stdout.as_mut().unwrap(), "ready\n");
    child
}

fn expect(from: &mut impl Read, text: &str) {
    let mut came = vec![0; text.len()];
    from.read_exact(&mut came).unwrap();
    assert_eq!(String::from_utf8_lossy(&came), text);
}

/// Such as `S` for one that sleeps and `Z` for one that waits to be reaped; `None` if there is no such process.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

fn until(what: impl Fn() -> bool) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed() < WATCHDOG);
        thread::yield_now();
    }
}

/// Ends a process whose number a child has written, and which sleeps. One that was killed before does not.
fn kill(output: &[u8]) {
    let pid = String::from_utf8_lossy(output).trim().parse().unwrap();
    until(|| matches!(state(pid), Some('S' | 'Z') | None));
    assert_eq!(state(pid), Some('S'), "it lives on");
    // SAFETY: a call without pointers.
    assert_eq!(unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) }, 0);
}

fn ended_by(result: Result<impl std::fmt::Debug>, ctx: &Context) {
    assert_eq!(result.unwrap_err().ended(), Some(&ctx.ended().unwrap()));
}

#[test]
fn an_import_has_what_was_exported_and_ends_with_it() {
    let (ctx, canceler) = root().with_timeout(HOUR).unwrap();
    let ctx = ctx.with_string("name", "text").unwrap();
    let export = ctx.export().unwrap();
    let (imported, _canceler) = root().import_text(export.text()).unwrap();
    assert_eq!(imported.string("name").as_deref(), Some("text"));
    assert_eq!(imported.deadline_on_clock(), ctx.deadline_on_clock());
    assert!(!imported.is_done());
    canceler.cancel_because("why");
    let ended = imported.wait_timeout(WATCHDOG).unwrap().unwrap();
    assert_eq!((ended.is_canceled(), &*ended.cause().message()), (true, "why"));
}

#[test]
fn an_export_that_is_dropped_has_stopped() {
    let (ctx, _canceler) = root().with_cancel().unwrap();
    let export = ctx.export().unwrap();
    let text = export.text().to_owned();
    let (imported, _canceler) = root().import_text(&text).unwrap();
    drop(export);
    let ended = imported.wait_timeout(WATCHDOG).unwrap().unwrap();
    assert_eq!(ended.cause().origin(), Origin::PARENT_PROCESS);
    assert_eq!(ended.cause().message(), "export stopped");
    let (stale, _canceler) = root().import_text(&text).unwrap();
    assert_eq!(stale.cause().unwrap().message(), "parent process gone");
}

#[test]
fn a_text_that_is_no_export_is_malformed() {
    for text in ["", "no", "a\0b", &"1:".repeat(1000)] {
        let error = root().import_text(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{text:.10}");
    }
    assert!(env::var_os("LIBCTX").is_none(), "the tests' own");
    let (plain, canceler) = root().import().unwrap();
    assert!(!plain.is_done() && canceler.cancel() && plain.is_done());
}

/// What a child of the test below is.
fn imports() {
    let (ctx, _canceler) = root().import().unwrap();
    println!("{}", ctx.string("name").unwrap());
    let ended = ctx.wait().unwrap();
    println!("{ended:#}");
}

#[test]
fn a_child_imports_by_its_environment_alone() {
    if env::var_os(ALONE).is_some() {
        return imports();
    }
    let (ctx, canceler) = root().with_cancel().unwrap();
    let ctx = ctx.with_string("name", "text").unwrap();
    let export = ctx.export().unwrap();
    let mut command = this_test("a_child_imports_by_its_environment_alone");
    command.env(ALONE, "1").env("LIBCTX", export.text()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    let mut stdout = child.stdout.take().unwrap();
    while !said.contains("text\n") {
        let mut some = [0; 100];
        let n = stdout.read(&mut some).unwrap();
        assert!(n > 0, "{said}");
        said.push_str(std::str::from_utf8(&some[..n]).unwrap());
    }
    canceler.cancel_because("why");
    stdout.read_to_string(&mut said).unwrap();
    assert!(said.contains("context canceled: why\n"), "{said}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_command_has_the_export_and_says_how_it_ended() {
    let (ctx, _canceler) = root().with_string("name", "text").unwrap().with_cancel().unwrap();
    let mut command = sh("echo $LIBCTX; echo no >&2; exit 3");
    let output = command.export(&ctx).unwrap().output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(3), &b"no\n"[..]));
    assert!(String::from_utf8(output.stdout).unwrap().contains(':'));
    assert!(sh("exit 0").export(&root()).unwrap().status().unwrap().success());

    let mut child = sh("read line; echo $line")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .export(&ctx)
        .unwrap()
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(b"a line\n").unwrap();
    let (mut stdout, mut none) = (Vec::new(), Vec::new());
    let status = child.wait_into(&mut stdout, &mut none).unwrap();
    assert!(status.success() && stdout == b"a line\n" && none.is_empty());
    assert_eq!(child.wait().unwrap(), status, "again");
    assert_eq!(state(child.id()), None, "it is reaped");
}

/// The export lives as long as the child, and the child's input is closed while somebody waits.
#[test]
fn a_child_keeps_its_export() {
    let script = "echo $LIBCTX; exec cat";
    let mut command = sh(script);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.export(&root()).unwrap().spawn().unwrap();
    let mut text = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut text).unwrap();
    let (imported, _canceler) = root().import_text(text.trim()).unwrap();
    assert!(child.wait().unwrap().success() && !imported.is_done());
    drop(child);
    let ended = imported.wait_timeout(WATCHDOG).unwrap().unwrap();
    assert_eq!(ended.cause().message(), "export stopped");
}

#[test]
fn what_cannot_start_is_an_error() {
    let mut command = Command::new("/no/such/program");
    let error = command.export(&root()).unwrap().spawn().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::System, -libc::ENOENT));
    let error = sh("a\0b").export(&root()).unwrap().spawn().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let (done, canceler) = root().with_cancel().unwrap();
    canceler.cancel();
    ended_by(command.export(&done).unwrap().spawn(), &done); // and not that there is no such program
}

#[test]
fn the_end_of_the_context_is_a_request_to_end_and_output_is_kept() {
    let (ctx, canceler) = root().with_cancel().unwrap();
    let script = "trap 'echo asked; exit 0' TERM; echo ready; sleep 3600 & wait";
    // Only the exit of both the child and its child closes the pipes.
    let mut child = ready(script, &ctx, HOUR, HOUR);
    canceler.cancel();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    ended_by(child.wait_into(&mut stdout, &mut stderr), &ctx);
    assert_eq!(String::from_utf8_lossy(&stdout), "asked\n");
    assert_eq!(state(child.id()), None, "it is reaped");
    ended_by(child.wait(), &ctx);
}

/// The child says that it was asked and that it has gone on since. Only then does the grace pass, on a clock that stands.
#[test]
fn after_the_grace_it_is_killed() {
    let clock = Loop::virtual_time().unwrap();
    let (ctx, canceler) = clock.background().unwrap().with_cancel().unwrap();
    let child = "trap '' TERM; exec sleep 3600";
    let script = format!(
        "trap 'echo asked' TERM; ({child}) & echo ready; while :; do read a && echo $a; done"
    );
    let mut child = ready(&script, &ctx, HOUR, HOUR);
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    thread::scope(|scope| {
        let waits = scope.spawn(|| child.wait());
        canceler.cancel();
        expect(&mut stdout, "asked\n");
        stdin.write_all(b"on\n").unwrap();
        expect(&mut stdout, "on\n");
        assert!(!waits.is_finished());
        until(|| {
            clock.advance(HOUR).unwrap();
            waits.is_finished()
        });
        ended_by(waits.join().unwrap(), &ctx);
    });
    assert_eq!(stdout.read(&mut [0]).unwrap(), 0, "nor is its child left");
}

#[test]
fn a_stopped_child_ends_too() {
    let (ctx, canceler) = root().with_cancel().unwrap();
    let mut child = ready("echo ready; kill -STOP $$; sleep 3600", &ctx, HOUR, HOUR);
    until(|| state(child.id()) == Some('T'));
    canceler.cancel();
    ended_by(child.wait(), &ctx);
}

/// What this thread blocks, or the process ignores, ends a child all the same.
#[test]
fn a_signal_that_is_not_accepted_here_is_there() {
    let name = "a_signal_that_is_not_accepted_here_is_there";
    let ends = || {
        let (ctx, canceler) = root().with_cancel().unwrap();
        let mut child = ready("echo ready; exec sleep 3600", &ctx, HOUR, HOUR);
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        for line in status.lines().filter(|line| line.starts_with("Sig")) {
            let (name, bits) = line.split_once(":\t").unwrap();
            let bits = u64::from_str_radix(bits, 16).unwrap_or(0) & (1 << (libc::SIGTERM - 1));
            assert_eq!(bits, 0, "{name}");
        }
        canceler.cancel();
        ended_by(child.wait(), &ctx);
    };
    if env::var_os(ALONE).is_some() {
        // SAFETY: a call without pointers.
        unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
        return ends();
    }
    let alone = this_test(name).env(ALONE, "1").output().unwrap();
    assert!(alone.status.success(), "{alone:?}");
    thread::spawn(move || {
        Signal::block(&[Signal::TERM]).unwrap();
        ends();
    })
    .join()
    .unwrap();
}

#[test]
fn a_child_that_has_exited_was_not_ended() {
    let (ctx, canceler) = root().with_cancel().unwrap();
    let mut child = sh("exit 7").export(&ctx).unwrap().spawn().unwrap();
    until(|| state(child.id()) == Some('Z'));
    canceler.cancel();
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn much_output_on_both_pipes_is_read() {
    let script = "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2; echo end; echo end >&2";
    let output = sh(script).export(&root()).unwrap().output().unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (3_000_004, 2_000_004));
}

/// What the child has written is there, though somebody else has the pipes, and even writes.
#[test]
fn a_grandchild_that_holds_the_pipes_hangs_nobody() {
    let quiet = "head -c 60000 /dev/zero >&2; sleep 3600 & echo $!";
    let writes = "head -c 60000 /dev/zero >&2; (trap '' PIPE; exec yes >&2) & echo $!";
    for (script, delay) in [(quiet, 0), (quiet, 1), (writes, 0), (writes, 1)] {
        let command = &mut sh(script);
        let command = command.export(&root()).unwrap().wait_delay(Duration::from_millis(delay));
        let output = command.output().unwrap();
        assert!(output.status.success() && output.stderr.len() >= 60000);
        if script == quiet {
            kill(&output.stdout); // the other ends by itself: nobody reads any more
        }
    }
}

/// One that writes when the child is reaped already.
#[test]
fn what_a_grandchild_writes_within_the_delay_is_read() {
    let script = "(while kill -0 $$ 2>/dev/null; do :; done; echo late) & echo soon";
    let output = sh(script).export(&root()).unwrap().wait_delay(HOUR).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "soon\nlate\n");
}

#[test]
fn what_has_left_the_group_hangs_nobody_either() {
    let (ctx, canceler) = root().with_cancel().unwrap();
    let script = "echo ready; setsid sleep 3600 & echo $! >&2; wait";
    let mut child = ready(script, &ctx, HOUR, Duration::from_millis(1));
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut line = [0; 20];
    let n = child.stderr.as_mut().unwrap().read(&mut line).unwrap();
    let pid: u32 = std::str::from_utf8(&line[..n]).unwrap().trim().parse().unwrap();
    until(|| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() == "sleep\n");
    canceler.cancel();
    ended_by(child.wait_into(&mut stdout, &mut stderr), &ctx);
    kill(&line[..n]);
}

#[test]
fn a_child_that_is_dropped_is_killed_and_reaped() {
    let mut child = ready("trap '' TERM; echo ready; sleep 3600", &root(), HOUR, HOUR);
    let (pid, mut stdout) = (child.id(), child.stdout.take().unwrap());
    drop(child);
    assert_eq!(state(pid), None);
    assert_eq!(stdout.read(&mut [0]).unwrap(), 0, "with its group");

    let mut child = ready("echo ready; sleep 3600 & echo $!", &root(), HOUR, HOUR);
    let (pid, mut stdout) = (child.id(), child.stdout.take().unwrap());
    until(|| state(pid) == Some('Z'));
    drop(child);
    assert_eq!(state(pid), None);
    let mut line = [0; 20];
    let n = stdout.read(&mut line).unwrap();
    kill(&line[..n]); // one that has exited leaves its children alone
}

#[test]
fn a_deadline_is_told_as_one() {
    let (soon, _canceler) = root().with_timeout(Duration::from_millis(1)).unwrap();
    let result = sh("exec sleep 3600").export(&soon).and_then(|command| command.output());
    let error = std::io::Error::from(result.unwrap_err());
    assert!(Ended::find(&error).unwrap().is_deadline_exceeded());
}
