// SPDX-License-Identifier: MIT
//! Headers out of contexts and into them, the baggage, and causes as text. What a text means the core alone decides, and
//! is tested there.
#![allow(missing_docs)]

use libctx::{Cause, Context, ErrorKind, Formats, GetHeader, Group, Loop, Origin, SetHeader};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
const ALL: Formats = Formats::new().grpc_timeout().timeout_ms(c"timeout-ms");

type Headers = HashMap<String, String>;

fn root() -> Context {
    Context::background()
}

fn injected(ctx: &Context, formats: &Formats<'_>) -> Headers {
    let mut headers = Headers::new();
    ctx.inject(formats, &mut headers).unwrap();
    headers
}

fn names(headers: &Headers) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Of a clock that stands, so that what remains is known.
fn request() -> (Loop, Context) {
    let clock = Loop::virtual_time().unwrap();
    let (ctx, _canceler) =
        clock.background().unwrap().with_timeout(Duration::from_secs(2)).unwrap();
    let ctx = ctx.with_string("traceparent", TRACEPARENT).unwrap();
    let ctx = ctx.with_string("tracestate", "a=1").unwrap();
    (clock, ctx.with_string("baggage", "b=2;p").unwrap())
}

#[test]
fn a_map_takes_what_is_asked_for_and_gives_it_back() {
    let (_clock, ctx) = request();
    let all = ["baggage", "grpc-timeout", "timeout-ms", "traceparent", "tracestate"];
    let headers = injected(&ctx, &ALL);
    assert_eq!(names(&headers), all);
    assert_eq!((&*headers["timeout-ms"], &*headers["baggage"]), ("2000", "b=2;p"));
    for (formats, expected) in [
        (Formats::none(), &all[..0]),
        (Formats::none().baggage(), &all[..1]),
        (Formats::none().grpc_timeout(), &all[1..2]),
        (Formats::none().timeout_ms(c"timeout-ms"), &all[2..3]),
        (Formats::none().trace(), &all[3..]),
        (Formats::none().trace().environment(), &["TRACEPARENT", "TRACESTATE"]),
        (Formats::none().baggage().environment(), &["BAGGAGE"]),
        (Formats::none().environment(), &[]),
        (Formats::new(), &["baggage", "traceparent", "tracestate"]),
        (Formats::new().environment(), &["BAGGAGE", "TRACEPARENT", "TRACESTATE"]),
    ] {
        assert_eq!(names(&injected(&ctx, &formats)), expected, "{formats:?}");
    }
    assert_eq!(Formats::default(), Formats::new());
    let (made, canceler) = root().extract(&ALL, &headers).unwrap();
    assert_eq!(made.string("traceparent").as_deref(), Some(TRACEPARENT));
    assert_eq!(made.string("tracestate").as_deref(), Some("a=1"));
    assert_eq!(made.baggage("b").as_deref(), Some("2"));
    assert!((1..=2000).contains(&made.remaining_ms()));
    assert!(canceler.cancel() && made.is_done());
    assert_eq!(names(&injected(&root(), &ALL)), all[..0]);
}

#[test]
fn a_closure_and_any_type_do_too() {
    struct List(Vec<(String, Vec<u8>)>);
    impl SetHeader for &mut List {
        fn set_header(&mut self, name: &str, text: &str) {
            self.0.push((name.to_uppercase(), text.into()));
        }
    }
    impl GetHeader for &List {
        type Text = Vec<u8>;
        fn get_header(&mut self, name: &str) -> Option<Vec<u8>> {
            let found = self.0.iter().filter(|header| header.0.eq_ignore_ascii_case(name));
            let texts: Vec<_> = found.map(|header| &*header.1).collect();
            (!texts.is_empty()).then(|| texts.join(&b','))
        }
    }
    let (_clock, ctx) = request();
    let mut list = List(Vec::new());
    ctx.inject(&ALL, &mut list).unwrap();
    assert_eq!(list.0.len(), 5);
    list.0.push(("baggage".into(), b"c=3,\xff=4".into()));
    let (made, _canceler) = root().extract(&ALL, &list).unwrap();
    assert_eq!(made.string("baggage").as_deref(), Some("b=2;p,c=3"));

    let mut told = Vec::new();
    ctx.inject(&ALL, |name: &str, text: &str| told.push(format!("{name}: {text}"))).unwrap();
    assert_eq!(told[1..3], ["timeout-ms: 2000", &*format!("traceparent: {TRACEPARENT}")]);
    let mut asked = Vec::new();
    let get = |name: &str| {
        asked.push(name.to_owned());
        told.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let (made, _canceler) = root().extract(&ALL, get).unwrap();
    assert_eq!(asked, ["grpc-timeout", "timeout-ms", "traceparent", "tracestate", "baggage"]);
    assert_eq!(made.strings().len(), 3);
    let (made, _canceler) = root().extract(&ALL, |_: &str| None::<String>).unwrap();
    assert!(made.is_cancelable() && made.strings().is_empty() && made.deadline().is_none());
}

/// What a closure answers lives until the next call, and no longer than the call of extract.
#[test]
fn a_text_lives_while_it_is_read() {
    struct Text(Rc<RefCell<Vec<&'static str>>>, &'static str);
    impl AsRef<[u8]> for Text {
        fn as_ref(&self) -> &[u8] {
            self.1.as_bytes()
        }
    }
    impl Drop for Text {
        fn drop(&mut self) {
            self.0.borrow_mut().push(self.1);
        }
    }
    let dropped = Rc::<RefCell<Vec<_>>>::default();
    let texts = Cell::new(["b=2", "a=1", TRACEPARENT].as_slice());
    let get = |_: &str| {
        let (text, rest) = texts.get().split_last().unwrap();
        assert_eq!(dropped.borrow().len(), 1usize.saturating_sub(rest.len()), "the one before");
        texts.set(rest);
        Some(Text(dropped.clone(), text))
    };
    let (made, _canceler) = root().extract(&Formats::new(), get).unwrap();
    assert_eq!(made.strings().len(), 3);
    assert_eq!(*dropped.borrow(), [TRACEPARENT, "a=1", "b=2"]);
}

#[test]
fn limits_of_a_timeout_are_those_of_the_formats() {
    let clock = Loop::virtual_time().unwrap();
    let server = clock.background().unwrap();
    let remaining = |formats: Formats<'_>, text: Option<&str>| {
        let (made, _canceler) = server.extract(&formats, |_: &str| text).unwrap();
        made.remaining()
    };
    let timeout = Formats::new().timeout_ms(c"t");
    assert_eq!(remaining(timeout, None), None);
    assert_eq!(remaining(timeout, Some("5")), Some(5 * MS));
    assert_eq!(remaining(timeout.maximum_timeout(3 * MS), Some("5")), Some(3 * MS));
    assert_eq!(remaining(timeout.maximum_timeout(3 * MS), None), Some(3 * MS));
    assert_eq!(remaining(timeout.default_timeout(7 * MS), None), Some(7 * MS));
    assert_eq!(remaining(timeout.default_timeout(7 * MS), Some("5")), Some(5 * MS));
    // None at all is not no limit, and one that C cannot count is none.
    let least = Duration::from_nanos(1);
    assert_eq!(remaining(timeout.maximum_timeout(Duration::ZERO), Some("5")), Some(least));
    assert_eq!(remaining(timeout.default_timeout(Duration::ZERO), None), Some(least));
    assert_eq!(remaining(timeout.maximum_timeout(Duration::MAX), None), None);
    assert_eq!(remaining(timeout.default_timeout(Duration::MAX), None), None);
}

#[test]
fn what_is_wrong_is_an_error_of_its_kind() {
    let (ctx, canceler) = root().with_cancel().unwrap();
    let mut headers = Headers::new();
    let no_token = Formats::new().timeout_ms(c"time out");
    let invalid = ctx.inject(&no_token, &mut headers).unwrap_err();
    assert_eq!(invalid.kind(), ErrorKind::InvalidInput);
    let invalid = ctx.extract(&no_token, &headers).unwrap_err();
    assert_eq!(invalid.kind(), ErrorKind::InvalidInput);
    let malformed = ctx.extract(&ALL, |_: &str| Some("soon")).unwrap_err();
    assert_eq!((malformed.kind(), malformed.code()), (ErrorKind::Malformed, -libc::EBADMSG));
    canceler.cancel_because("gone");
    let ended = ctx.inject(&ALL, &mut headers).unwrap_err();
    assert_eq!(ended.ended(), ctx.ended().as_ref());
    assert!(headers.is_empty());
    assert!(ctx.extract(&ALL, &headers).unwrap().0.is_done());
}

#[test]
fn a_panic_of_a_map_goes_on_in_the_caller() {
    let (_clock, ctx) = request();
    let message = |call: &mut dyn FnMut()| {
        let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
        *panic.downcast::<&str>().unwrap()
    };
    let mut calls = 0;
    let panics = |_: &str, _: &str| {
        calls += 1;
        resume_unwind(Box::new("set"))
    };
    let mut panics = Some(panics);
    assert_eq!(message(&mut || drop(ctx.inject(&ALL, panics.take().unwrap()))), "set");
    assert_eq!(calls, 1);

    struct Bomb<'calls>(&'calls Cell<u32>);
    impl AsRef<[u8]> for Bomb<'_> {
        fn as_ref(&self) -> &[u8] {
            self.0.set(self.0.get() + 1);
            resume_unwind(Box::new("as_ref"))
        }
    }
    let calls = Cell::new(0);
    let get = |_: &str| -> Option<Bomb<'_>> {
        calls.set(calls.get() + 1);
        resume_unwind(Box::new("get"))
    };
    assert_eq!(message(&mut || drop(root().extract(&ALL, get))), "get");
    assert_eq!(calls.get(), 1, "it is not asked again");
    assert_eq!(message(&mut || drop(root().extract(&ALL, |_: &str| Some(Bomb(&calls))))), "as_ref");
    assert_eq!(calls.get(), 2);

    struct Last(bool);
    impl AsRef<[u8]> for Last {
        fn as_ref(&self) -> &[u8] {
            b"a=1"
        }
    }
    impl Drop for Last {
        fn drop(&mut self) {
            if self.0 {
                resume_unwind(Box::new("drop"));
            }
        }
    }
    // Of a text that the next one takes the place of, and of the last.
    for bad in ["traceparent", "baggage"] {
        let get = |name: &str| Some(Last(name == bad));
        let mut extract = || drop(root().extract(&Formats::new(), get));
        assert_eq!(message(&mut extract), "drop", "{bad}");
    }
}

#[test]
fn require_says_whether_there_is_time() {
    let (clock, ctx) = request();
    assert!(root().require(Duration::MAX).is_ok());
    assert!(ctx.require(2000 * MS).is_ok());
    let error = ctx.require(2001 * MS).unwrap_err();
    assert!(error.is_deadline_exceeded() && error.ended().is_none() && !ctx.is_done());
    let group = Group::new(&root()).unwrap();
    group.begin().unwrap().run(|_| Ok(ctx.require(HOUR)?));
    assert!(group.wait().unwrap_err().is_deadline_exceeded());
    clock.advance(HOUR).unwrap();
    assert_eq!(ctx.require(Duration::ZERO).unwrap_err().ended(), ctx.ended().as_ref());
}

#[test]
fn a_member_of_the_baggage_is_any_text() {
    let long = "ä, ".repeat(200);
    let ctx =
        root().with_baggage("user", "Ada\u{1F600}").unwrap().with_baggage("long", &long).unwrap();
    assert_eq!(ctx.baggage("user").as_deref(), Some("Ada\u{1F600}"));
    assert_eq!(ctx.baggage("long"), Some(long));
    for length in [126, 127, 128, 129, 255, 256, 257] {
        let value = "x".repeat(length); // around the room that the first attempt has
        assert_eq!(ctx.with_baggage("n", &value).unwrap().baggage("n"), Some(value));
    }
    assert_eq!(ctx.with_baggage("user", "").unwrap().baggage("user").as_deref(), Some(""));
    let without = ctx.without_baggage("user").unwrap();
    assert_eq!((without.baggage("user"), without.baggage("us\0er")), (None, None));
    assert!(without.baggage("long").is_some());
    let kind = |made: libctx::Result<Context>| made.unwrap_err().kind();
    assert_eq!(kind(ctx.with_baggage("no token", "")), ErrorKind::InvalidInput);
    assert_eq!(kind(ctx.with_baggage("a", "b\0c")), ErrorKind::InvalidInput);
    assert_eq!(kind(ctx.without_baggage("a\0b")), ErrorKind::InvalidInput);
    assert_eq!(kind(ctx.with_baggage("a", &"x".repeat(9000))), ErrorKind::InvalidInput);
    let others = ctx.with_string("baggage", "a=%ff%00b").unwrap(); // of another language
    assert_eq!(others.baggage("a").as_deref(), Some("\u{FFFD}\u{FFFD}b"));
}

#[test]
fn a_cause_goes_over_as_text() {
    let cause = Cause::with_origin(Origin::OVERLOAD, -11, "zu viel, \"ö\"").unwrap();
    assert_eq!(cause.peer(), None);
    let text = cause.encode("a service\0");
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%&=".contains(&byte)));
    for came in [Cause::decode(&text).unwrap(), Cause::decode(text.clone().into_bytes()).unwrap()] {
        assert_eq!((came.code(), came.origin()), (-11, Origin::OVERLOAD));
        assert_eq!(came.message(), "zu viel, \"ö\"");
        assert_eq!(came.peer().as_deref(), Some("a service\u{FFFD}"));
        assert_eq!(came.encode("another"), text, "it keeps the name that it came with");
        assert!(came.get_ref().is_none() && came.place().is_none());
    }
    let nobody = Cause::decode(cause.encode("")).unwrap();
    assert_eq!(nobody.peer().as_deref(), Some(""));
    let long = Cause::new(1, &"ö".repeat(1000)).unwrap().encode(&"x".repeat(1000));
    assert!((500..=511).contains(&long.len()));
    assert!(Cause::decode(&long).unwrap().message().chars().all(|char| char == 'ö'));
    for text in ["", "v=1", "v=1&code=x", "v=1&code=1\0", &"x".repeat(1 << 20)] {
        assert_eq!(Cause::decode(text).unwrap_err().kind(), ErrorKind::Malformed, "{text:.20}");
    }
    let ctx = root().with_cancel().unwrap();
    ctx.1.cancel_with(&nobody);
    assert_eq!(ctx.0.cause().as_ref(), Some(&nobody));
}
