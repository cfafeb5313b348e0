// SPDX-License-Identifier: MIT
//! Any order of operations, on a virtual and on a manual loop, against a reference that is as plain as possible.
//!
//! After every step everything that can be seen is compared. The operations are the same in every run. For others,
//! and as many as you like: CTX_CASES=10000 run_tests.sh <build folder> <prefix> properties.
#![allow(missing_docs)]

mod reference;

use libctx::{
    Canceler, Cause, Context, Ended, ErrorKind, Event, Events, Group, Key, Loop, Origin, Piece,
    PollFd, Queue, Watch, sys,
};
use proptest::collection::vec;
use proptest::prelude::*;
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

/// Counts how often it is dropped.
struct Value(Arc<AtomicUsize>);

impl Drop for Value {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whom an operation is about, counted from the newest.
type Pick = u8;

#[derive(Clone, Debug)]
enum Op {
    WithCancel(Pick),
    WithTimeout(Pick, u8, u8),
    WithDeadline(Pick, u8, u8),
    WithIdle(Pick, u8, u8),
    WithGrace(Pick, u8),
    Merge(Vec<Pick>),
    WithValue(Pick, u8),
    WithoutValue(Pick, u8),
    WithString(Pick, u8, u8),
    WithName(Pick, u8),
    WithoutCancel(Pick),
    WithFd(Pick),
    Write(Pick),
    Cancel(Pick, u8),
    CancelAs(Pick, u8, bool),
    CancelDeferred(Pick, u8),
    CancelByDescriptor(Pick),
    Guard(Pick, u8),
    ComeDue(Pick, u8),
    After(Pick, u8, u8, Pick),
    Stop(Pick, bool),
    NewQueue,
    Add(Pick, Pick),
    Drain(Pick, u8),
    DropQueue(Pick),
    NewGroup(Pick),
    Nested(Pick),
    Begin(Pick, u8),
    End(Pick, u8),
    Over(Pick),
    DropGroup(Pick),
    DropContext(Pick),
    DropCanceler(Pick),
    DropWatch(Pick),
    HandOver(Pick, bool),
    Turn(u8),
    Touch(Pick),
    Wait(Vec<Pick>),
    DoneFd(Pick),
    Close(u8),
}

fn operations() -> impl Strategy<Value = Op> {
    use Op::*;
    let byte = any::<u8>;
    let picks = || vec(any::<u8>(), 1..5);
    let pair = move || (byte(), byte());
    let three = move || (byte(), byte(), byte());
    let making = prop_oneof![
        byte().prop_map(WithCancel),
        three().prop_map(|(a, b, c)| WithTimeout(a, b, c)),
        three().prop_map(|(a, b, c)| WithDeadline(a, b, c)),
        three().prop_map(|(a, b, c)| WithIdle(a, b, c)),
        pair().prop_map(|(a, b)| WithGrace(a, b)),
        picks().prop_map(Merge),
        pair().prop_map(|(a, b)| WithValue(a, b)),
        pair().prop_map(|(a, b)| WithoutValue(a, b)),
        three().prop_map(|(a, b, c)| WithString(a, b, c)),
        pair().prop_map(|(a, b)| WithName(a, b)),
        byte().prop_map(WithoutCancel),
        byte().prop_map(WithFd),
    ];
    let ending = prop_oneof![
        byte().prop_map(Write),
        pair().prop_map(|(a, b)| Cancel(a, b)),
        (byte(), byte(), any::<bool>()).prop_map(|(a, b, c)| CancelAs(a, b, c)),
        pair().prop_map(|(a, b)| CancelDeferred(a, b)),
        byte().prop_map(CancelByDescriptor),
        pair().prop_map(|(a, b)| Guard(a, b)),
        pair().prop_map(|(a, b)| ComeDue(a, b)),
        byte().prop_map(Close),
    ];
    let watching = prop_oneof![
        6 => (byte(), byte(), byte(), byte()).prop_map(|(a, b, c, d)| After(a, b, c, d)),
        2 => (byte(), any::<bool>()).prop_map(|(a, b)| Stop(a, b)),
        1 => Just(NewQueue),
        3 => pair().prop_map(|(a, b)| Add(a, b)),
        2 => pair().prop_map(|(a, b)| Drain(a, b)),
        1 => byte().prop_map(DropQueue),
        1 => picks().prop_map(Wait),
        1 => byte().prop_map(DoneFd),
    ];
    let grouping = prop_oneof![
        2 => byte().prop_map(NewGroup),
        2 => byte().prop_map(Nested),
        4 => pair().prop_map(|(a, b)| Begin(a, b)),
        4 => pair().prop_map(|(a, b)| End(a, b)),
        2 => byte().prop_map(Over),
        1 => byte().prop_map(DropGroup),
    ];
    let handling = prop_oneof![
        byte().prop_map(DropContext),
        byte().prop_map(DropCanceler),
        byte().prop_map(DropWatch),
        (byte(), any::<bool>()).prop_map(|(a, b)| HandOver(a, b)),
        byte().prop_map(Touch),
    ];
    prop_oneof![
        8 => making,
        4 => ending,
        5 => watching,
        4 => grouping,
        2 => handling,
        3 => byte().prop_map(Turn),
    ]
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

    // ---------------------------------------------------------------- operations

    fn made(&mut self, made: usize, ctx: Context, canceler: Option<Canceler>) {
        assert_eq!(self.model.contexts[made].canceler, canceler.is_some());
        if !self.virtual_time {
            self.adopt_deadline(made, &ctx);
        }
        self.shared.contexts.lock().unwrap().insert(made, ctx);
        let mut cancelers = self.shared.cancelers.lock().unwrap();
        cancelers.extend(canceler.map(|canceler| (made, canceler)));
    }

    /// On a clock of real time some nanoseconds have passed.
    fn adopt_deadline(&mut self, made: usize, ctx: &Context) {
        let told = ctx.deadline_on_clock().map_or(FOREVER, nanoseconds);
        let expected = self.model.contexts[made].deadline;
        let passed = self.model.now() - self.before;
        let earliest = if expected == FOREVER { FOREVER } else { expected - passed };
        let node = self.model.node(made);
        if node == made && matches!(self.model.contexts[made].kind, Kind::Deadline | Kind::Grace) {
            assert!((earliest..=expected).contains(&told), "{expected} and {told}");
            self.model.adopt_deadline(made, told);
        }
    }

    fn run(&mut self, op: &Op) {
        self.before = self.model.now();
        match *op {
            Op::WithCancel(pick) => {
                let (i, ctx) = self.context(pick);
                let (ctx, canceler) = ctx.with_cancel().unwrap();
                let made = self.model.with_cancel(i);
                self.made(made, ctx, Some(canceler));
            }
            Op::WithTimeout(pick, length, cause) => {
                let ((i, ctx), length) = (self.context(pick), self.length(length));
                let cause = self.deadline_cause(cause);
                let (ctx, canceler) = match &cause {
                    None => ctx.with_timeout(time(length)),
                    Some(cause) => ctx.with_timeout_cause(time(length), cause),
                }
                .unwrap();
                let made = self.model.with_timeout(i, length, cause.map(Reason::Given));
                self.made(made, ctx, Some(canceler));
            }
            Op::WithDeadline(pick, length, cause) if !self.virtual_time => {
                let ((i, ctx), length) = (self.context(pick), self.length(length));
                if length == FOREVER {
                    return;
                }
                let (instant, cause) = (Instant::now() + time(length), self.deadline_cause(cause));
                let (ctx, canceler) = match &cause {
                    None => ctx.with_deadline(instant),
                    Some(cause) => ctx.with_deadline_cause(instant, cause),
                }
                .unwrap();
                if self.model.contexts[self.model.node(i)].deadline == FOREVER {
                    assert_eq!(ctx.deadline(), Some(instant), "to the nanosecond");
                }
                let made = self.model.with_timeout(i, length, cause.map(Reason::Given));
                self.made(made, ctx, Some(canceler));
            }
            Op::WithDeadline(..) => {} // an Instant is not exact on a clock of its own
            Op::WithIdle(pick, length, cause) => {
                let ((i, ctx), length) = (self.context(pick), self.length(length));
                let cause = self.deadline_cause(cause);
                let (ctx, canceler) = match &cause {
                    None => ctx.with_idle(time(length)),
                    Some(cause) => ctx.with_idle_cause(time(length), cause),
                }
                .unwrap();
                let made = self.model.with_idle(i, length, cause.map(Reason::Given));
                self.made(made, ctx, Some(canceler));
            }
            Op::WithGrace(pick, length) => {
                let ((i, ctx), length) = (self.context(pick), self.length(length));
                let (ctx, canceler) = ctx.with_grace(time(length)).unwrap();
                let made = self.model.with_grace(i, length);
                self.made(made, ctx, Some(canceler));
            }
            Op::Merge(ref picks) => {
                let (parents, contexts): (Vec<_>, Vec<_>) =
                    picks.iter().map(|&pick| self.context(pick)).unzip();
                let (ctx, canceler) = Context::merge(&contexts).unwrap();
                let made = self.model.merge(&parents);
                self.made(made, ctx, Some(canceler));
            }
            Op::WithValue(pick, key) => {
                let ((i, ctx), key) = (self.context(pick), usize::from(key % 2));
                let drops = Arc::<AtomicUsize>::default();
                let ctx = ctx.with_value(&KEYS[key], Value(drops.clone())).unwrap();
                let content = self.model.contexts.len();
                let made = self.model.carrier(Kind::Value, i, key, Some(content));
                self.values.insert(made, drops);
                self.made(made, ctx, None);
            }
            Op::WithoutValue(pick, key) => {
                let ((i, ctx), key) = (self.context(pick), usize::from(key % 2));
                let ctx = ctx.without_value(&KEYS[key]).unwrap();
                let made = self.model.carrier(Kind::Value, i, key, None);
                self.made(made, ctx, None);
            }
            Op::WithString(pick, name, text) => {
                let ((i, ctx), name) = (self.context(pick), usize::from(name) % NAMES.len());
                let text = Some(usize::from(text % 4)).filter(|&text| text < TEXTS.len());
                let ctx = match text {
                    None => ctx.without_string(NAMES[name]),
                    Some(text) => ctx.with_string(NAMES[name], TEXTS[text]),
                }
                .unwrap();
                let made = self.model.carrier(Kind::Text, i, name, text);
                self.made(made, ctx, None);
            }
            Op::WithName(pick, name) => {
                let ((i, ctx), name) = (self.context(pick), usize::from(name) % NAMES.len());
                let ctx = ctx.with_name(NAMES[name]).unwrap();
                let made = self.model.carrier(Kind::Name, i, name, None);
                self.made(made, ctx, None);
            }
            Op::WithoutCancel(pick) => {
                let (i, ctx) = self.context(pick);
                let (ctx, made) = (ctx.without_cancel().unwrap(), self.model.without_cancel(i));
                self.made(made, ctx, None);
            }
            Op::WithFd(pick) => {
                let ((i, ctx), pair) = (self.context(pick), UnixStream::pair().unwrap());
                let (ctx, canceler) = ctx.with_fd(&pair.0, Events::IN).unwrap();
                let made = self.model.with_fd(i);
                self.streams.insert(made, pair);
                self.made(made, ctx, Some(canceler));
            }
            Op::Write(pick) => {
                if let Some(i) = Machine::one_of(&self.streams, pick) {
                    self.streams.get_mut(&i).unwrap().1.write_all(b"x").unwrap();
                    self.model.contexts[i].ready = true;
                }
            }
            Op::Cancel(pick, how) => {
                let Some((i, canceler)) = self.canceler(pick) else { return };
                let cause = self.cause(how);
                let message = how & 8 != 0;
                let (won, reason) = match cause {
                    None if message => {
                        let text = String::from("a message");
                        (canceler.cancel_because(&text), Some(Reason::Message(text)))
                    }
                    None => (canceler.cancel(), None),
                    Some(cause) => (canceler.cancel_with(&cause), Some(Reason::Given(cause))),
                };
                assert_eq!(won, self.follow().cancel(i, Err::Canceled, reason));
            }
            Op::CancelAs(pick, cause, exceeded) => {
                let Some((i, canceler)) = self.canceler(pick) else { return };
                let cause = if exceeded { self.deadline_cause(cause) } else { self.cause(cause) };
                let Some(cause) = cause else { return };
                let (ended, err) = if exceeded {
                    (Ended::DeadlineExceeded(cause.clone()), Err::DeadlineExceeded)
                } else {
                    (Ended::Canceled(cause.clone()), Err::Canceled)
                };
                let won = canceler.cancel_as(&ended);
                assert_eq!(won, self.follow().cancel(i, err, Some(Reason::Given(cause))));
            }
            Op::CancelDeferred(pick, cause) => {
                let Some((i, canceler)) = self.canceler(pick) else { return };
                let cause = self.cause(cause);
                let won = canceler.cancel_deferred(cause.as_ref()).unwrap();
                assert_eq!(won, self.follow().cancel_deferred(i, cause.map(Reason::Given)));
            }
            Op::CancelByDescriptor(pick) => {
                let Some((i, canceler)) = self.canceler(pick) else { return };
                let mut fd = std::fs::File::from(canceler.cancel_fd().unwrap());
                fd.write_all(&1_u64.to_ne_bytes()).unwrap();
                if self.model.ended(i).is_none() {
                    self.model.contexts[i].written = true;
                }
            }
            Op::Guard(pick, how) => {
                let Some((i, canceler)) = self.canceler(pick) else { return };
                let cause = self.cause(how);
                let reason = match cause {
                    None if how & 16 != 0 => {
                        let again = canceler.clone().guard().disarm();
                        assert_eq!(again, canceler);
                        return;
                    }
                    None if how & 8 != 0 => {
                        drop(canceler.guard_because("a guard"));
                        Some(Reason::Message("a guard".into()))
                    }
                    None => {
                        drop(canceler.guard());
                        None
                    }
                    Some(cause) => {
                        drop(canceler.guard_with(&cause));
                        Some(Reason::Given(cause))
                    }
                };
                self.follow().cancel(i, Err::Canceled, reason);
            }
            Op::ComeDue(pick, cause) if !self.virtual_time => self.come_due(pick, cause),
            Op::ComeDue(..) => {}
            Op::After(pick, how, what, other) => {
                let (i, ctx) = self.context(pick);
                let action = match what % 4 {
                    0 | 1 => Action::Nothing,
                    2 => self.canceler(other).map_or(Action::Nothing, |it| Action::Cancel(it.0)),
                    _ => self.watch(other).map_or(Action::Nothing, |it| Action::Stop(it.0)),
                };
                self.arm(i, &ctx, how % 3, action);
            }
            Op::Stop(pick, wait) => {
                let Some((i, watch)) = self.watch(pick) else { return };
                let stopped = if wait { watch.stop_wait() } else { watch.stop() };
                assert_eq!(stopped, self.model.stop(i));
            }
            Op::NewQueue => {
                if self.queues.len() < 2 {
                    self.queues.insert(self.model.queues.len(), Queue::new().unwrap());
                    self.model.queues.push(reference::Queue::default());
                }
            }
            Op::Add(queue, pick) => {
                let Some(queue) = Machine::one_of(&self.queues, queue) else { return };
                let (i, ctx) = self.context(pick);
                let watch = self.queues[&queue].add(&ctx, self.model.watches.len() as u64).unwrap();
                let made = self.model.add_to(queue, i);
                self.shared.watches.lock().unwrap().insert(made, Arc::new(watch));
            }
            Op::Drain(queue, how) => {
                let Some(queue) = Machine::one_of(&self.queues, queue) else { return };
                self.drain(queue, how);
            }
            Op::DropQueue(queue) => {
                let Some(queue) = Machine::one_of(&self.queues, queue) else { return };
                self.queues.remove(&queue);
                self.model.free_queue(queue);
            }
            Op::NewGroup(pick) => {
                let (i, ctx) = self.context(pick);
                if self.groups.len() < 4 {
                    let (group, made) = (Group::new(&ctx).unwrap(), self.model.group(i));
                    self.keep_group(made, group);
                }
            }
            Op::Nested(pick) => {
                let Some(outer) = Machine::one_of(&self.groups, pick) else { return };
                match self.groups[&outer].nested() {
                    Ok(group) => {
                        assert!(self.model.ended(self.model.groups[outer].ctx).is_none());
                        let made = self.model.nested(outer);
                        self.keep_group(made, group);
                    }
                    Err(error) => self.refused(outer, &error),
                }
            }
            Op::Begin(pick, more) => {
                let Some(i) = Machine::one_of(&self.groups, pick) else { return };
                for _ in 0..1 + more % 3 {
                    match self.groups[&i].begin() {
                        Ok(piece) => {
                            assert!(self.model.ended(self.model.groups[i].ctx).is_none());
                            self.model.groups[i].work += 1;
                            self.pieces.push((i, piece));
                        }
                        Err(error) => self.refused(i, &error),
                    }
                }
            }
            Op::End(pick, how) => {
                if self.pieces.is_empty() {
                    return;
                }
                let (i, piece) = self.pieces.remove(usize::from(pick) % self.pieces.len());
                let cause = self.cause(how);
                match &cause {
                    Some(cause) => piece.fail(cause),
                    None if how & 8 != 0 => piece.run(|_| Ok(())),
                    None => drop(piece),
                }
                self.follow().end_work(i, cause.map(Reason::Given));
            }
            Op::Over(pick) => {
                let Some(i) = Machine::one_of(&self.groups, pick) else { return };
                let over = self.groups[&i].over().unwrap();
                let made = self.follow().over(i);
                self.made(made, over, None);
            }
            Op::DropGroup(pick) => {
                let Some(i) = Machine::one_of(&self.groups, pick) else { return };
                let copy = self.groups[&i].clone();
                assert_eq!(Some(copy), self.groups.remove(&i));
                self.follow().drop_group(i);
            }
            Op::DropContext(pick) => {
                let (i, ctx) = self.context(pick);
                if i != ROOT {
                    self.shared.contexts.lock().unwrap().remove(&i);
                    self.model.contexts[i].handle = false;
                }
                drop(ctx);
            }
            Op::DropCanceler(pick) => {
                let Some((i, _canceler)) = self.canceler(pick) else { return };
                self.shared.cancelers.lock().unwrap().remove(&i);
                self.model.contexts[i].canceler = false;
            }
            Op::DropWatch(pick) => {
                let Some((i, _watch)) = self.watch(pick) else { return };
                self.shared.watches.lock().unwrap().remove(&i);
            }
            Op::HandOver(pick, whole) => self.hand_over(pick, whole),
            Op::Turn(number) => self.turn(number),
            Op::Touch(pick) => {
                let (i, ctx) = self.context(pick);
                assert_eq!(ctx.touch(), self.model.touch(i));
            }
            Op::Wait(ref picks) => {
                let (all, contexts): (Vec<_>, Vec<_>) =
                    picks.iter().map(|&pick| self.context(pick)).unzip();
                let found = Context::wait_any(&contexts, Some(Duration::ZERO)).unwrap();
                assert_eq!(found, all.iter().position(|&i| self.model.ended(i).is_some()));
                let ended = contexts[0].wait_timeout(Duration::ZERO).unwrap();
                assert_eq!(ended.is_some(), self.model.ended(all[0]).is_some());
            }
            Op::DoneFd(pick) => {
                let (i, ctx) = self.context(pick);
                match ctx.done_fd_dup() {
                    Ok(fd) => drop(self.done_fds.insert(i, fd)),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Unsupported);
                        assert!(!self.model.is_cancelable(i));
                    }
                }
            }
            Op::Close(number) => {
                if number % 16 == 0 {
                    self.host().close().unwrap();
                    self.follow().close();
                }
            }
        }
    }

    fn arm(&mut self, i: usize, ctx: &Context, how: u8, action: Action) {
        let (watch, drops) = (self.model.watches.len(), Arc::<AtomicUsize>::default());
        let (shared, carried) = (self.shared.clone(), Value(drops.clone()));
        let callback = move |_: &Context| {
            let _carried = carried;
            shared.called(watch, action);
        };
        let armed = match how {
            0 => ctx.after_func(callback),
            1 => ctx.after_func_deferred(callback),
            _ => ctx.after_func_blocking(callback),
        };
        self.shared.watches.lock().unwrap().insert(watch, Arc::new(armed.unwrap()));
        self.callbacks.insert(watch, drops);
        self.follow().after(i, how > 0, action);
    }

    /// A deadline of real time passes, and a waiter notices.
    fn come_due(&mut self, pick: Pick, cause: u8) {
        let ((i, ctx), cause) = (self.context(pick), self.deadline_cause(cause));
        let soon = Duration::from_millis(1);
        let (ctx, canceler) = match &cause {
            None => ctx.with_timeout(soon),
            Some(cause) => ctx.with_timeout_cause(soon, cause),
        }
        .unwrap();
        let made = self.model.with_timeout(i, nanoseconds(soon), cause.map(Reason::Given));
        self.made(made, ctx.clone(), Some(canceler));
        if self.model.ended(made).is_none() {
            self.arm(made, &ctx, 0, Action::Nothing);
            ctx.wait().unwrap();
            self.model.fire_due();
        }
    }

    fn drain(&mut self, queue: usize, how: u8) {
        let most = usize::from(how % 4) + 1;
        let real = &self.queues[&queue];
        let mut room = [Event::default(); 4];
        let events = match how / 4 % 3 {
            0 => real.drain(&mut room[..most]).unwrap().to_vec(),
            1 => real.wait(&mut room[..most], Some(Duration::ZERO)).unwrap().to_vec(),
            _ => {
                let all = real.drain_contexts(most).unwrap();
                let contexts = self.shared.contexts.lock().unwrap();
                for (event, ctx) in &all {
                    let watched = self.model.watches[event.token() as usize].ctx;
                    assert!(contexts.get(&watched).is_none_or(|held| held == ctx));
                }
                all.iter().map(|it| it.0).collect()
            }
        };
        assert_eq!(events.len(), self.model.queues[queue].events.len().min(most));
        for event in events {
            let watch = event.token() as usize;
            let (err, _) = self.model.ended(self.model.watches[watch].ctx).unwrap();
            assert_eq!(event.is_canceled(), *err == Err::Canceled);
            assert_eq!(event.is_deadline_exceeded(), *err == Err::DeadlineExceeded);
            self.model.drained(queue, watch);
        }
    }

    fn keep_group(&mut self, made: usize, group: Group) {
        let (ctx, canceler) = (group.context(), group.canceler());
        self.groups.insert(made, group);
        self.made(self.model.groups[made].ctx, ctx, Some(canceler));
    }

    fn refused(&self, group: usize, error: &libctx::Error) {
        let ended = self.model.ended(self.model.groups[group].ctx).expect("work may begin");
        assert_eq!(error.is_canceled(), ended.0 == Err::Canceled);
        self.compare_ended(error.ended().unwrap(), ended);
    }

    /// To another language, and back.
    fn hand_over(&mut self, pick: Pick, whole: bool) {
        let (i, ctx) = self.context(pick);
        // SAFETY: the handles are valid; of from_raw the reference was given out just before.
        let again = unsafe {
            if whole {
                Context::from_raw(ctx.clone().into_raw())
            } else {
                Context::clone_from_raw(ctx.as_raw())
            }
        };
        let again = again.unwrap();
        assert_eq!(again, ctx);
        self.shared.contexts.lock().unwrap().insert(i, again);
        if let Some((i, canceler)) = self.canceler(pick) {
            // SAFETY: as above.
            let again = unsafe {
                if whole {
                    Canceler::from_raw(canceler.clone().into_raw())
                } else {
                    Canceler::clone_from_raw(canceler.as_raw())
                }
            };
            self.shared.cancelers.lock().unwrap().insert(i, again.unwrap());
        }
    }

    fn turn(&mut self, number: u8) {
        if !self.virtual_time {
            let fired = self.host().dispatch().unwrap();
            let expected = self.follow().dispatch();
            assert!(self.model.ambiguous || fired == expected, "{fired} fired, not {expected}");
            return;
        }
        let (next, now) = (self.model.next(), self.model.now());
        let mut step = i64::from(number) * 62_500_000;
        if number & 1 != 0 && next != FOREVER && next > now {
            step = next - now - i64::from(number >> 1 & 1); // to what comes next, or just before it
        }
        let fired = self.host().advance(time(step)).unwrap();
        let expected = self.follow().advance(step);
        assert!(self.model.ambiguous || fired == expected, "{fired} fired, not {expected}");
    }

    // ---------------------------------------------------------------- what is compared

    fn compare(&mut self) {
        assert!(
            self.follow().log.is_empty(),
            "callbacks ran that should not: {:?}",
            self.model.log
        );
        self.model.collect();
        let contexts = self.shared.contexts.lock().unwrap().clone();
        for (&i, ctx) in &contexts {
            self.compare_context(i, ctx);
            for (&j, candidate) in &contexts {
                if let Some(expected) = self.model.ended_by(i, j) {
                    assert_eq!(ctx.ended_by(candidate), expected, "{i} and {j}");
                }
            }
        }
        self.compare_loop();
        for (&i, fd) in &self.done_fds {
            if self.model.contexts[i].kept {
                assert_eq!(readable(fd), self.model.ended(i).is_some());
            }
        }
        for (&i, queue) in &self.queues {
            let waits = !self.model.queues[i].events.is_empty();
            assert_eq!(readable(&queue.fd().unwrap()), waits);
        }
        for (&i, group) in &self.groups {
            self.compare_group(i, group);
        }
        for (&i, drops) in &self.values {
            let expected = usize::from(!self.model.contexts[i].kept);
            assert_eq!(drops.load(Ordering::Relaxed), expected, "drops of the value of {i}");
        }
        let watches = self.shared.watches.lock().unwrap();
        for (&i, drops) in &self.callbacks {
            let held = match self.model.watches[i].state {
                State::Idle => watches.contains_key(&i),
                state => state == State::Armed,
            };
            assert_eq!(drops.load(Ordering::Relaxed), usize::from(!held), "drops of callback {i}");
        }
    }

    fn compare_context(&self, i: usize, ctx: &Context) {
        let ended = self.model.ended(i);
        assert_eq!(ctx.is_done(), ended.is_some(), "{i}");
        assert_eq!(ctx.is_cancelable(), self.model.is_cancelable(i));
        match (ctx.ended(), ended) {
            (None, None) => assert!(ctx.cause().is_none() && ctx.check().is_ok()),
            (Some(real), Some(ended)) => {
                self.compare_ended(&real, ended);
                assert_eq!(ctx.cause().as_ref(), Some(real.cause()));
                assert_eq!(ctx.check().unwrap_err(), real);
            }
            (real, _) => panic!("{i}: {real:?}, not {ended:?}"),
        }
        self.compare_time(i, ctx);
        for (key, of) in KEYS.iter().enumerate() {
            let drops = self.model.found(i, Kind::Value, key).map(|at| &self.values[&at]);
            let found = ctx.value(of).map(|value| &value.0);
            assert_eq!(found.map(Arc::as_ptr), drops.map(Arc::as_ptr), "the value of {i}");
        }
        for (name, text) in NAMES.iter().enumerate() {
            let found = self.model.found(i, Kind::Text, name).map(|text| TEXTS[text]);
            assert_eq!(ctx.string(text).as_deref(), found);
        }
        let all: Vec<_> = self.model.strings(i);
        let all: Vec<_> = all.into_iter().map(|(name, text)| (NAMES[name], TEXTS[text])).collect();
        let strings = ctx.strings();
        assert!(strings.iter().map(|(name, text)| (&**name, &**text)).eq(all));
        let names: Vec<_> = self.model.names(i).into_iter().map(|name| NAMES[name]).collect();
        let text = ctx.describe();
        let told = text.split(".WithName(").skip(1).map(|rest| rest.split(')').next().unwrap());
        assert!(told.eq(names), "{text}");
    }

    fn compare_ended(&self, real: &Ended, (err, reason): &(Err, Reason)) {
        let cause = real.cause();
        assert_eq!(real.is_canceled(), *err == Err::Canceled);
        assert_eq!(real.is_deadline_exceeded(), *err == Err::DeadlineExceeded);
        let code = if real.is_canceled() { CANCELED } else { EXCEEDED };
        assert_eq!(real.code(), code);
        let plain = if real.is_canceled() { Origin::CANCELED } else { Origin::DEADLINE };
        let seen = (cause.code(), cause.origin(), cause.is_given());
        match reason {
            Reason::Plain => assert_eq!(seen, (code, plain, false)),
            Reason::LoopClosed => {
                assert_eq!(seen, (CANCELED, Origin::SHUTDOWN, true));
                assert_eq!(cause.message(), "loop closed");
            }
            Reason::Descriptor => {
                assert_eq!(seen, (i32::from(Events::IN.as_raw()), Origin::DESCRIPTOR, true));
            }
            Reason::Message(text) => {
                assert_eq!(seen, (CANCELED, Origin::CANCELED, true));
                assert_eq!(cause.message(), *text);
            }
            Reason::Given(given) => {
                assert_eq!(cause, given);
                self.compare_cause(cause);
            }
        }
    }

    /// Those of cause() differ in their messages.
    fn compare_cause(&self, cause: &Cause) {
        let exceeded = self.exceeded.contains(cause);
        let either = if exceeded { Origin::DEADLINE } else { Origin::CANCELED };
        let message = cause.message();
        let (code, origin) = match &*message {
            "a cause" => (5, either),
            "of a peer" => (-libc::EIO, Origin::PEER),
            "timed out" => (EXCEEDED, Origin::DEADLINE),
            "with data" => (7, either),
            "an error" => (CANCELED, either),
            _ => (-libc::EPIPE, either),
        };
        assert_eq!((cause.code(), cause.origin()), (code, origin), "{cause:?}");
        let has_place = matches!(&*message, "timed out" | "an error");
        assert_eq!(cause.place().is_some_and(|it| it.file == file!() && it.line > 0), has_place);
        assert_eq!(cause.data(&DATA).is_some(), message == "with data");
        let is_error = message == "an error" || code == -libc::EPIPE;
        assert_eq!(cause.get_ref().map(ToString::to_string), is_error.then(|| message.into()));
    }

    fn compare_time(&self, i: usize, ctx: &Context) {
        let deadline = self.model.contexts[self.model.node(i)].deadline;
        if deadline == FOREVER {
            assert_eq!((ctx.deadline(), ctx.remaining(), ctx.remaining_ms()), (None, None, -1));
            return;
        }
        let before = nanoseconds(self.host().now());
        let (told, left) = (ctx.deadline_on_clock().unwrap(), ctx.remaining().unwrap());
        let ms = ctx.remaining_ms();
        let after = nanoseconds(ctx.now());
        assert_eq!(nanoseconds(told), deadline, "the deadline of {i}");
        if self.virtual_time {
            assert_eq!(after, self.model.now());
        }
        let (most, least) = ((deadline - before).max(0), (deadline - after).max(0));
        assert!((least..=most).contains(&nanoseconds(left)), "{left:?} of {i}");
        let ms_of = |ns: i64| ((ns + 999_999) / 1_000_000).min(i64::from(i32::MAX));
        assert!((ms_of(least)..=ms_of(most)).contains(&i64::from(ms)), "{ms} ms of {i}");
    }

    fn compare_loop(&mut self) {
        let (told, next) = (self.host().next().map_or(FOREVER, nanoseconds), self.model.next());
        if self.virtual_time {
            assert_eq!(nanoseconds(self.host().now()), self.model.now());
        }
        if self.virtual_time || next == FOREVER {
            assert_eq!(told, next);
        } else {
            assert!(told <= next, "next work at {told}, not {next}");
            assert!(next > self.model.now() || readable(&self.host().fd().unwrap()));
        }
    }

    fn compare_group(&self, i: usize, group: &Group) {
        let (work, cause) = (self.model.groups[i].work, &self.model.groups[i].cause);
        assert_eq!(readable(&group.fd().unwrap()), work == 0);
        assert_eq!(group.cause().map(Reason::Given), *cause);
        match (group.wait_timeout(Duration::ZERO), cause) {
            (Ok(over), cause) => {
                assert_eq!(over, work == 0);
                assert!(!over || cause.is_none());
            }
            (Err(error), Some(Reason::Given(cause))) => {
                assert!(work == 0 && error.is_canceled());
                assert_eq!(error.ended().unwrap().cause(), cause);
            }
            (Err(error), _) => panic!("{error:?}"),
        }
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
