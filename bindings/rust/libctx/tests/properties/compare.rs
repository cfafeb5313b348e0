// SPDX-License-Identifier: MIT
//! All that can be seen of the binding's objects, beside what the reference says.

use super::*;

impl Machine {
    pub(super) fn compare(&mut self) {
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

    pub(super) fn compare_ended(&self, real: &Ended, (err, reason): &(Err, Reason)) {
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
        assert_eq!(cause.place().is_some_and(|it| it.file == PLACE && it.line > 0), has_place);
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
}
