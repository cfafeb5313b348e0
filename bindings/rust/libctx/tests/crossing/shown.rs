// SPDX-License-Identifier: MIT
//! What Debug and Display show, for logs and for people.

use libctx::{
    Canceler, Cause, Context, Done, Error, Event, Events, Group, Key, Loop, LoopClock, Origin,
    PollFd, Queue, sys,
};
use std::fmt::Debug;
use std::os::fd::AsRawFd;
use std::time::Duration;
use std::{io, ptr};

fn debug(it: &dyn Debug) -> String {
    format!("{it:?}")
}

#[test]
fn a_context_shows_how_it_came_to_be() {
    let ctx = Context::todo().with_name("a").unwrap();
    assert_eq!(debug(&ctx), ctx.describe());
    assert_eq!(ctx.to_string(), "context.TODO.WithName(a)");
    assert_eq!(format!("{ctx:>26}|{ctx:<26}|"), format!("  {ctx}|{ctx}  |"), "padded as text is");
    assert_eq!(Context::default(), Context::background());
    assert_eq!(debug(&Context::default()), "context.Background");
}

#[test]
fn a_handle_shows_which_it_is() {
    let (_ctx, canceler) = Context::background().with_cancel().unwrap();
    assert_eq!(debug(&canceler), format!("Canceler({:?})", canceler.as_raw()));
    let shown = debug(&canceler.clone().guard());
    assert!(shown.contains(&debug(&canceler)), "{shown}");
    let (queue, group, host) =
        (Queue::new().unwrap(), Group::new(&Context::background()), Loop::manual().unwrap());
    let group = group.unwrap();
    assert_eq!(debug(&queue), format!("Queue({:?})", queue.as_raw()));
    assert_eq!(debug(&group), format!("Group({:?})", group.as_raw()));
    assert_eq!(debug(&host), format!("Loop({:?})", host.as_raw()));
    let fd = host.fd().unwrap();
    assert_eq!(debug(&fd), format!("Descriptor {{ owner: {host:?}, fd: {} }}", fd.as_raw_fd()));
    let done: Done = Context::background().done();
    assert_eq!(debug(&done), "Done { ctx: context.Background, armed: None }");
}

#[test]
fn a_key_shows_its_name() {
    static KEY: Key<*mut u8> = Key::new(c"user");
    assert_eq!(debug(&KEY), r#"Key("user")"#);
}

#[test]
fn a_cause_shows_its_code_its_message_and_its_place() {
    let cause = Cause::new(-32, "gone").unwrap();
    assert_eq!(debug(&cause), r#"Cause { code: -32, message: "gone" }"#);
    assert_eq!(cause.to_string(), "gone");
    let (line, cause) = (line!(), Cause::here(7, "here").unwrap());
    let expected = format!(r#"Cause {{ code: 7, message: "here", place: {}:{line} }}"#, file!());
    assert_eq!(debug(&cause), expected);
}

#[test]
fn an_error_shows_its_kind_its_code_and_its_cause() {
    let error = Context::merge([]).unwrap_err();
    let shown = format!("Error {{ kind: InvalidInput, code: {} }}", -libc::EINVAL);
    assert_eq!(debug(&error), shown);
    assert_eq!(
        error.to_string(),
        io::Error::from_raw_os_error(libc::EINVAL).to_string().split(" (").next().unwrap()
    );
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    canceler.cancel_because("why");
    let ended = ctx.ended().unwrap();
    let cause = r#"Cause { code: -125, message: "why" }"#;
    assert_eq!(debug(&ended), format!("Canceled({cause})"));
    let error = Error::from(ended);
    assert_eq!(debug(&error), format!("Error {{ kind: Canceled, code: -125, cause: {cause} }}"));
    assert_eq!(
        (error.to_string(), format!("{error:#}")),
        ("context canceled".into(), "context canceled: why".into())
    );
    let (late, _canceler) = Context::background().with_timeout(Duration::ZERO).unwrap();
    assert!(debug(&late.ended().unwrap()).starts_with("DeadlineExceeded(Cause { code: -110,"));
}

#[test]
fn every_origin_has_its_number_and_its_name() {
    let all = [
        (Origin::CANCELED, sys::CTX_ORIGIN_CANCELED, "CANCELED"),
        (Origin::DEADLINE, sys::CTX_ORIGIN_DEADLINE, "DEADLINE"),
        (Origin::SIGNAL, sys::CTX_ORIGIN_SIGNAL, "SIGNAL"),
        (Origin::DESCRIPTOR, sys::CTX_ORIGIN_DESCRIPTOR, "DESCRIPTOR"),
        (Origin::SHUTDOWN, sys::CTX_ORIGIN_SHUTDOWN, "SHUTDOWN"),
        (Origin::PEER, sys::CTX_ORIGIN_PEER, "PEER"),
        (Origin::PARENT_PROCESS, sys::CTX_ORIGIN_PARENT_PROCESS, "PARENT_PROCESS"),
        (Origin::OVERLOAD, sys::CTX_ORIGIN_OVERLOAD, "OVERLOAD"),
    ];
    for (origin, number, name) in all {
        assert_eq!((i32::from(origin.as_raw()), &*debug(&origin)), (number, name));
        assert_eq!(Origin::from_raw(origin.as_raw()), Some(origin));
        assert_eq!(Cause::with_origin(origin, 0, "").unwrap().origin(), origin);
    }
    assert_eq!(debug(&Origin::from_raw(255).unwrap()), "Origin(255)");
    assert_eq!(Origin::from_raw(1), Some(Origin::CANCELED));
}

#[test]
fn a_set_of_events_shows_each_and_what_has_no_name() {
    let all = [
        (Events::IN, libc::POLLIN, "IN"),
        (Events::PRI, libc::POLLPRI, "PRI"),
        (Events::OUT, libc::POLLOUT, "OUT"),
        (Events::RDHUP, libc::POLLRDHUP, "RDHUP"),
        (Events::ERR, libc::POLLERR, "ERR"),
        (Events::HUP, libc::POLLHUP, "HUP"),
        (Events::NVAL, libc::POLLNVAL, "NVAL"),
        (Events::NONE, 0, "NONE"),
        (Events::from_raw(0x400), 0x400, "0x400"),
    ];
    for (events, number, name) in all {
        assert_eq!((events.as_raw(), &*debug(&events)), (number, name));
        assert_eq!(Events::from_raw(number), events);
        assert_eq!(events.is_empty(), number == 0);
    }
    let mixed = Events::from_raw(0x400) | Events::OUT | Events::IN;
    assert_eq!(debug(&mixed), "IN | OUT | 0x400");
    assert_eq!(debug(&Events::from_raw(i16::MIN)), "0x8000");
    assert_eq!(Events::default(), Events::NONE);
}

#[test]
fn a_set_of_events_is_a_set() {
    let (both, other) = (Events::IN | Events::OUT, Events::OUT | Events::HUP);
    assert!(both.contains(Events::IN) && both.contains(both) && both.contains(Events::NONE));
    assert!(!Events::IN.contains(both) && !both.contains(other));
    assert!(both.intersects(other) && !Events::IN.intersects(other));
    assert!(!both.intersects(Events::NONE));
    assert_eq!(both & other, Events::OUT);
    assert_eq!(both | other, Events::IN | Events::OUT | Events::HUP);
    assert_eq!(both | both, both);
    let mut grows = Events::IN;
    grows |= Events::IN;
    assert_eq!(grows, Events::IN);
    grows |= Events::HUP;
    assert_eq!(grows, Events::IN | Events::HUP);
}

#[test]
fn what_is_polled_shows_what_is_asked_and_what_came() {
    let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
    io::Write::write_all(&mut far, b"x").unwrap();
    let mut fds = [PollFd::new(&near, Events::IN | Events::PRI)];
    let fd = near.as_raw_fd();
    let shown = |ready: &str| format!("PollFd {{ fd: {fd}, events: IN | PRI, ready: {ready} }}");
    assert_eq!(debug(&fds[0]), shown("NONE"));
    assert_eq!(Context::background().poll(&mut fds, None).unwrap(), 1);
    assert_eq!((fds[0].events(), fds[0].ready()), (Events::IN | Events::PRI, Events::IN));
    assert_eq!(debug(&fds[0]), shown("IN"));
}

#[test]
fn an_event_shows_its_token_and_its_end() {
    assert_eq!((Event::default().token(), Event::default()), (0, Event::default()));
    assert!(!Event::default().is_canceled() && !Event::default().is_deadline_exceeded());
    let queue = Queue::new().unwrap();
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    canceler.cancel();
    queue.add(&ctx, u64::MAX).unwrap();
    let mut room = [Event::default()];
    let taken = queue.drain(&mut room).unwrap();
    assert_eq!(
        debug(&taken[0]),
        format!("Event {{ token: {}, err: \"context canceled\" }}", u64::MAX)
    );
    assert_ne!(taken[0], Event::default());
}

#[test]
fn a_builder_shows_its_options() {
    let builder = Loop::builder();
    assert_eq!(debug(&builder), r#"LoopBuilder { name: "", clock: Monotonic, .. }"#);
    let builder = builder.name("web").clock(LoopClock::Boottime);
    assert_eq!(debug(&builder), r#"LoopBuilder { name: "web", clock: Boottime, .. }"#);
}

#[test]
fn the_version_is_that_of_the_library() {
    let number = |part: &str| part.parse::<u32>().unwrap();
    let parts: Vec<_> = libctx::version().split('.').map(number).collect();
    // SAFETY: it takes nothing and only reads a constant.
    let version = unsafe { sys::ctx_version() };
    assert_eq!(parts, [version >> 16, version >> 8 & 255, version & 255]);
}

/// C may name a function, and know a file without a line.
#[test]
fn a_place_that_c_made_has_all_that_c_knows() {
    let made = |file: *const _, line, function: *const _| {
        let mut cause = ptr::null_mut();
        // SAFETY: the texts are static or null, and the result is written to `cause`, and ours.
        unsafe {
            let none = ptr::null_mut();
            let error = sys::ctx_cause_new_at(
                -5,
                c"why".as_ptr(),
                0,
                file,
                line,
                function,
                ptr::null(),
                none,
                None,
                &mut cause,
            );
            assert_eq!(error, 0);
            Cause::from_raw(cause).unwrap()
        }
    };
    let cause = made(c"caf\xe9.c".as_ptr(), 12, c"main".as_ptr());
    let place = cause.place().unwrap();
    assert_eq!((&*place.file, place.line), ("caf\u{FFFD}.c", 12));
    assert_eq!(place.function.as_deref(), Some("main"));
    assert_eq!(place.to_string(), "caf\u{FFFD}.c:12");
    let cause = made(c"a.c".as_ptr(), 0, ptr::null());
    assert_eq!((cause.place().unwrap().line, cause.place().unwrap().function), (0, None));
    assert_eq!(made(ptr::null(), 0, ptr::null()).place(), None);
}

#[test]
fn a_message_that_is_no_utf_8_is_shown_with_a_replacement() {
    let mut cause = ptr::null_mut();
    // SAFETY: the text is static, and the result is written to `cause`, and ours.
    let cause = unsafe {
        assert_eq!(sys::ctx_cause_new(1, c"caf\xe9".as_ptr(), &mut cause), 0);
        Cause::from_raw(cause).unwrap()
    };
    assert_eq!((cause.message(), cause.to_string()), ("caf\u{FFFD}".into(), "caf\u{FFFD}".into()));
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    assert!(Canceler::cancel_with(&canceler, &cause));
    assert_eq!(format!("{:#}", ctx.ended().unwrap()), "context canceled: caf\u{FFFD}");
}
