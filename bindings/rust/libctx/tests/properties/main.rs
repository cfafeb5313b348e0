// SPDX-License-Identifier: MIT
//! Any order of operations, on a virtual and on a manual loop, against a reference that is as plain as possible.
//!
//! After every step everything that can be seen is compared. The operations are the same in every run. For others,
//! and as many as you like: CTX_CASES=10000 run_tests.sh <build folder> <prefix> properties.
#![allow(missing_docs)]

mod compare;
mod operations;
mod reference;
mod run;

use libctx::{
    Canceler, Cause, Context, Ended, ErrorKind, Event, Events, Group, Key, Loop, Origin, Piece,
    PollFd, Queue, Watch, sys,
};
use operations::{Op, Pick, operations};
use proptest::collection::vec;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use reference::{Action, Called, Err, FOREVER, Kind, ROOT, Reason, Reference, State};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write;
use std::mem::take;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

static KEYS: [Key<Value>; 2] = [Key::new(c"a"), Key::new(c"a")];
static DATA: Key<Value> = Key::new(c"data");
const NAMES: [&str; 3] = ["a", "b", "ä longer name"];
const TEXTS: [&str; 3] = ["", "a text", "ö"];
const CANCELED: i32 = sys::CTX_CANCELED;
const EXCEEDED: i32 = sys::CTX_DEADLINE_EXCEEDED;
const PLACE: &str = file!(); // where all causes are made

/// Counts how often it is dropped.
struct Value(Arc<AtomicUsize>);

impl Drop for Value {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What callbacks look at, and write.
struct Shared {
    host: Loop,
    contexts: Mutex<BTreeMap<usize, Context>>,
    cancelers: Mutex<BTreeMap<usize, Canceler>>,
    watches: Mutex<BTreeMap<usize, Arc<Watch>>>,
    log: Mutex<VecDeque<Called>>,
}

impl Shared {
    fn called(&self, watch: usize, action: Action) {
        let done = |(&i, ctx): (&usize, &Context)| ctx.is_done().then_some(i);
        let done: BTreeSet<_> = self.contexts.lock().unwrap().iter().filter_map(done).collect();
        let now = nanoseconds(self.host.now());
        let result = match action {
            Action::Nothing => None,
            Action::Cancel(ctx) => {
                let canceler = self.cancelers.lock().unwrap().get(&ctx).cloned();
                canceler.map(|canceler| canceler.cancel())
            }
            Action::Stop(watch) => {
                let other = self.watches.lock().unwrap().get(&watch).cloned();
                other.map(|other| if watch % 2 == 0 { other.stop() } else { other.stop_wait() })
            }
        };
        self.log.lock().unwrap().push_back(Called { watch, now, done, result });
    }
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(FOREVER)
}

fn time(nanoseconds: i64) -> Duration {
    if nanoseconds == FOREVER { Duration::MAX } else { Duration::from_nanos(nanoseconds as u64) }
}

fn readable(fd: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(fd, Events::IN)];
    Context::background().poll(&mut fds, Some(Duration::ZERO)).unwrap() == 1
}

fn picked<T: Copy>(all: &[T], pick: Pick) -> Option<T> {
    (!all.is_empty()).then(|| all[all.len() - 1 - usize::from(pick) % all.len()])
}

struct Machine {
    virtual_time: bool,
    shared: Arc<Shared>,
    model: Reference,
    queues: BTreeMap<usize, Queue>,
    groups: BTreeMap<usize, Group>,
    pieces: Vec<(usize, Piece)>,
    streams: BTreeMap<usize, (UnixStream, UnixStream)>,
    done_fds: BTreeMap<usize, OwnedFd>,
    /// The time when an operation began.
    before: i64,
    /// How often each value, callback and datum of a cause was dropped.
    values: BTreeMap<usize, Arc<AtomicUsize>>,
    callbacks: BTreeMap<usize, Arc<AtomicUsize>>,
    data: Vec<Arc<AtomicUsize>>,
    /// Whether a cause was given to a deadline.
    exceeded: Vec<Cause>,
}

impl Machine {
    fn new(virtual_time: bool) -> Machine {
        let host = if virtual_time { Loop::virtual_time() } else { Loop::manual() }.unwrap();
        let (root, clock) = (host.background().unwrap(), host.clone());
        Machine {
            virtual_time,
            shared: Arc::new(Shared {
                host,
                contexts: Mutex::new(BTreeMap::from([(ROOT, root)])),
                cancelers: Mutex::default(),
                watches: Mutex::default(),
                log: Mutex::default(),
            }),
            model: Reference::new((!virtual_time).then_some(clock)),
            before: 0,
            queues: BTreeMap::new(),
            groups: BTreeMap::new(),
            pieces: Vec::new(),
            streams: BTreeMap::new(),
            done_fds: BTreeMap::new(),
            values: BTreeMap::new(),
            callbacks: BTreeMap::new(),
            data: Vec::new(),
            exceeded: Vec::new(),
        }
    }

    fn host(&self) -> &Loop {
        &self.shared.host
    }

    /// The log, so that the reference takes what ran.
    fn follow(&mut self) -> &mut Reference {
        self.model.log.append(&mut self.shared.log.lock().unwrap());
        &mut self.model
    }

    // ---------------------------------------------------------------- whom it is about

    fn context(&self, pick: Pick) -> (usize, Context) {
        let contexts = self.shared.contexts.lock().unwrap();
        let all: Vec<_> = contexts.keys().copied().collect();
        let i = picked(&all, pick).unwrap();
        (i, contexts[&i].clone())
    }

    fn canceler(&self, pick: Pick) -> Option<(usize, Canceler)> {
        let cancelers = self.shared.cancelers.lock().unwrap();
        let all: Vec<_> = cancelers.keys().copied().collect();
        picked(&all, pick).map(|i| (i, cancelers[&i].clone()))
    }

    fn watch(&self, pick: Pick) -> Option<(usize, Arc<Watch>)> {
        let watches = self.shared.watches.lock().unwrap();
        let all: Vec<_> = watches.keys().copied().collect();
        picked(&all, pick).map(|i| (i, watches[&i].clone()))
    }

    fn one_of<T>(all: &BTreeMap<usize, T>, pick: Pick) -> Option<usize> {
        picked(&all.keys().copied().collect::<Vec<_>>(), pick)
    }

    fn length(&self, pick: u8) -> i64 {
        match i64::from(pick) {
            pick if pick % 16 == 0 => FOREVER,
            pick if pick % 16 == 1 => 0,
            pick if !self.virtual_time => pick * 3_600_000_000_000,
            pick if pick & 16 == 0 => pick * 125_000_000,
            pick => pick * 10_000_001,
        }
    }

    fn counted(&mut self) -> Value {
        self.data.push(Arc::default());
        Value(self.data.last().unwrap().clone())
    }

    fn cause(&mut self, pick: u8) -> Option<Cause> {
        let made = match pick % 8 {
            0 | 1 => return None,
            2 => Cause::new(5, "a cause"),
            3 => Cause::with_origin(Origin::PEER, -libc::EIO, "of a peer"),
            4 => Cause::here(EXCEEDED, "timed out"),
            5 => Cause::from_error(std::io::Error::from_raw_os_error(libc::EPIPE)),
            6 => Cause::with_data(7, "with data", &DATA, self.counted()),
            _ => Cause::from_error_here("an error"),
        };
        Some(made.unwrap())
    }

    /// One that is given to a deadline.
    fn deadline_cause(&mut self, pick: u8) -> Option<Cause> {
        let cause = self.cause(pick);
        self.exceeded.extend(cause.clone());
        cause
    }

    // ---------------------------------------------------------------- the end

    /// All is given back, and so all is dropped, once.
    fn end(self) {
        drop(take(&mut *self.shared.contexts.lock().unwrap()));
        drop(take(&mut *self.shared.cancelers.lock().unwrap()));
        let watches = take(&mut *self.shared.watches.lock().unwrap());
        drop((watches, self.queues, self.pieces, self.groups));
        self.shared.host.close().unwrap();
        if self.virtual_time {
            self.shared.host.advance(Duration::ZERO).unwrap(); // what is deferred
        } else {
            self.shared.host.dispatch().unwrap();
        }
        drop((self.shared, self.model, self.exceeded));
        let drops = self.values.values().chain(self.callbacks.values()).chain(&self.data);
        for drops in drops {
            assert_eq!(drops.load(Ordering::Relaxed), 1, "drops, after all was given back");
        }
    }
}

fn check(virtual_time: bool) {
    let cases = std::env::var("CTX_CASES").ok().map(|cases| cases.parse().expect("a number"));
    let rng_seed = if cases.is_some() { RngSeed::Random } else { RngSeed::Fixed(1) };
    let cases = cases.unwrap_or(600);
    let config = Config { cases, rng_seed, failure_persistence: None, ..Config::default() };
    let ran = TestRunner::new(config).run(&vec(operations(), 1..80), |ops| {
        let mut machine = Machine::new(virtual_time);
        let first = [Op::NewQueue, Op::NewGroup(0), Op::Begin(0, 2)];
        for op in first.iter().chain(&ops) {
            machine.run(op);
            if machine.model.ambiguous {
                break;
            }
            machine.compare();
        }
        machine.end();
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}

#[test]
fn a_virtual_loop_is_as_the_reference_says() {
    check(true);
}

#[test]
fn a_manual_loop_is_as_the_reference_says() {
    check(false);
}
