// SPDX-License-Identifier: MIT
//! A program's own loop as the default one. That is set once in a process, before anything else, so this test has
//! a process to itself.
#![allow(missing_docs)]

use libctx::{Context, ErrorKind, Loop};
use std::time::Duration;

#[test]
fn contexts_live_on_the_loop_that_was_made_the_default() {
    let _unused = Loop::threaded().unwrap();
    let tasks = || std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
    let names = tasks().filter_map(|task| name(task.unwrap()).ok());
    assert_eq!(names.filter(|name| name.starts_with("ctx-")).count(), 0, "it is not needed yet");
    let clock = Loop::virtual_time().unwrap();
    clock.set_default().unwrap();
    let second = Duration::from_secs(1);
    let (ctx, _canceler) = Context::background().with_timeout(second).unwrap();
    let (other, _its_canceler) = Context::todo().with_timeout(second).unwrap();
    assert_eq!(clock.next(), Some(second));
    assert_eq!(clock.advance(second).unwrap(), 2);
    assert!(ctx.is_done() && other.is_done());
    assert_eq!(Context::background().now(), second);
    for own in [&clock, &Loop::manual().unwrap()] {
        assert_eq!(own.set_default().unwrap_err().kind(), ErrorKind::Busy);
    }
}
