// SPDX-License-Identifier: MIT
//! Text to C and back: what has a NUL in it, and what is no UTF-8.

use libctx::{Cause, Context, ErrorKind, sys};
use std::ptr;

#[test]
fn each_nul_in_a_text_for_people_is_shown_where_it_was() {
    let texts = [
        ("", ""),
        ("\0", "\u{FFFD}"),
        ("\0\0", "\u{FFFD}\u{FFFD}"),
        ("\0a", "\u{FFFD}a"),
        ("a\0", "a\u{FFFD}"),
        ("a\0\0b\0ü", "a\u{FFFD}\u{FFFD}b\u{FFFD}ü"),
    ];
    for (text, shown) in texts {
        assert_eq!(Cause::new(1, text).unwrap().message(), shown);
        let (ctx, canceler) = Context::background().with_cancel().unwrap();
        assert!(canceler.cancel_because(text));
        assert_eq!(ctx.cause().unwrap().message(), shown);
        let named = Context::background().with_name(text).unwrap();
        assert_eq!(named.describe(), format!("context.Background.WithName({shown})"));
    }
}

#[test]
fn a_nul_in_a_name_or_a_value_is_refused() {
    let root = Context::background();
    let refused = [
        root.with_string("a\0b", "text"),
        root.with_string("name", "a\0b"),
        root.with_string("name", "\0"),
        root.with_string("name\0", ""),
        root.without_string("a\0b"),
    ];
    for made in refused {
        assert_eq!(made.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let ctx = root.with_string("a", "text").unwrap();
    assert_eq!(ctx.string("a\0b"), None, "and is not cut short");
}

#[test]
fn an_empty_text_is_a_text() {
    let ctx = Context::background().with_string("name", "").unwrap();
    assert_eq!(ctx.string("name").as_deref(), Some(""));
    assert_eq!(ctx.strings(), [("name".into(), "".into())]);
    assert_eq!(ctx.string(""), None);
}

#[test]
fn each_name_is_listed_once_the_nearest_first_and_none_that_is_hidden() {
    let root = Context::background();
    assert_eq!(root.strings(), []);
    let ctx = root.with_string("a", "1").unwrap().with_string("b", "2").unwrap();
    let ctx = ctx.with_string("a", "3").unwrap().with_string("c", "4").unwrap();
    let pair = |name: &'static str, text: &'static str| (name.into(), text.into());
    assert_eq!(ctx.strings(), [pair("c", "4"), pair("a", "3"), pair("b", "2")]);
    let ctx = ctx.without_string("b").unwrap();
    assert_eq!(ctx.strings(), [pair("c", "4"), pair("a", "3")]);
    assert_eq!((ctx.string("b"), ctx.string("a")), (None, Some("3".into())));
    assert_eq!(root.without_string("never").unwrap().strings(), []);
}

#[test]
fn a_list_of_text_that_is_no_utf_8_is_whole() {
    let mut made = ptr::null_mut();
    // SAFETY: the root is valid, the texts are static, and the result is ours.
    let ctx = unsafe {
        let (root, name) = (sys::ctx_background(), c"n\xe9".as_ptr());
        assert_eq!(sys::ctx_with_string(root, name, c"v\xe9".as_ptr(), &mut made), 0);
        Context::from_raw(made).unwrap()
    };
    let ctx = ctx.with_string("plain", "text").unwrap();
    let expected = [("plain".into(), "text".into()), ("n\u{FFFD}".into(), "v\u{FFFD}".into())];
    assert_eq!(ctx.strings(), expected);
}
