// SPDX-License-Identifier: MIT
//! One step: the binding does it, and then the reference.

use super::*;

impl Machine {
    fn made(&mut self, made: usize, ctx: Context, canceler: Option<Canceler>) {
        assert_eq!(self.model.contexts[made].canceler, canceler.is_some());
        if !self.virtual_time {
            self.adopt_grace(made, &ctx);
        }
        self.shared.contexts.lock().unwrap().insert(made, ctx);
        let mut cancelers = self.shared.cancelers.lock().unwrap();
        cancelers.extend(canceler.map(|canceler| (made, canceler)));
    }

    /// On a clock of real time some nanoseconds have passed.
    fn adopt_grace(&mut self, made: usize, ctx: &Context) {
        if self.model.contexts[made].kind == Kind::Grace {
            let told = ctx.deadline_on_clock().map_or(FOREVER, nanoseconds);
            let expected = self.model.contexts[made].deadline;
            let passed = self.model.now() - self.before;
            let earliest = if expected == FOREVER { FOREVER } else { expected - passed };
            assert!((earliest..=expected).contains(&told), "{expected} and {told}");
            self.model.adopt_deadline(made, told);
        }
    }

    /// The reference makes what the binding has made with a timeout. On a clock of real time nobody knows from when that
    /// was counted; and if the parent's deadline is so near, not whose came first: it is as it was told.
    fn timed(&mut self, parent: usize, length: i64, cause: Option<Cause>, ctx: &Context) -> usize {
        let (now, above) = (self.model.now(), self.model.deadline_of(parent));
        let mut when = now.saturating_add(length);
        if !self.virtual_time {
            let told = ctx.deadline_on_clock().map_or(FOREVER, nanoseconds);
            let earliest = self.before.saturating_add(length).min(above);
            assert!((earliest..=when.min(above)).contains(&told), "{told} of {length}");
            when = if told < above { told } else { when.max(above) };
        }
        self.model.with_timeout(parent, length, when, cause.map(Reason::Given))
    }

    pub(super) fn run(&mut self, op: &Op) {
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
                let made = self.timed(i, length, cause, &ctx);
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
                let made = self.timed(i, length, cause, &ctx);
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
        let made = self.timed(i, nanoseconds(soon), cause, &ctx);
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
}
