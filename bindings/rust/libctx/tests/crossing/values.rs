// SPDX-License-Identifier: MIT
//! Typed values, and text that every language shares.

use libctx::{Context, Key, sys};
use std::ffi::CStr;
use std::ptr;

static NUMBER: Key<u32> = Key::new(c"number");
static OTHER: Key<u32> = Key::new(c"number");
static LIST: Key<Vec<String>> = Key::new(c"list");
static MARK: Key<()> = Key::new(c"mark");

#[test]
fn the_nearest_value_of_a_key_is_found() {
    let root = Context::background();
    let outer = root.with_value(&NUMBER, 1).unwrap();
    let (middle, _canceler) = outer.with_cancel().unwrap();
    let inner = middle.with_value(&NUMBER, 2).unwrap();
    assert_eq!((root.value(&NUMBER), outer.value(&NUMBER)), (None, Some(&1)));
    assert_eq!((middle.value(&NUMBER), inner.value(&NUMBER)), (Some(&1), Some(&2)));
    assert_eq!(inner.value(&OTHER), None); // the name is not the key
    assert_eq!(inner.without_value(&NUMBER).unwrap().value(&NUMBER), None);
}

#[test]
fn a_value_is_borrowed_as_long_as_the_context_is_held() {
    let list = vec!["a".to_string(), "b".to_string()];
    let ctx = Context::background().with_value(&LIST, list).unwrap();
    let seen = ctx.value(&LIST).unwrap();
    let (child, _canceler) = ctx.with_cancel().unwrap();
    assert!(ptr::eq(seen, child.value(&LIST).unwrap()));
    assert_eq!(seen.join(""), "ab");
}

#[test]
fn a_value_without_size_is_there_all_the_same() {
    let ctx = Context::background().with_value(&MARK, ()).unwrap();
    assert!(ctx.value(&MARK).is_some());
    assert!(Context::background().value(&MARK).is_none());
}

#[test]
fn values_outlive_cancel_and_go_past_detaching() {
    let (ctx, canceler) = Context::background().with_cancel().unwrap();
    let ctx = ctx.with_value(&NUMBER, 5).unwrap();
    let detached = ctx.without_cancel().unwrap();
    canceler.cancel();
    assert_eq!((ctx.value(&NUMBER), detached.value(&NUMBER)), (Some(&5), Some(&5)));
    assert!(ctx.is_done() && !detached.is_done() && !detached.is_cancelable());
}

#[test]
fn strings_are_those_of_c() {
    let ctx = Context::background().with_string("trace-id", "ünï").unwrap();
    // SAFETY: `ctx` holds a reference, and the text lives as long.
    let seen = unsafe { CStr::from_ptr(sys::ctx_string(ctx.as_raw(), c"trace-id".as_ptr())) };
    assert_eq!(seen.to_str().unwrap(), "ünï");
    let mut made = ptr::null_mut();
    // SAFETY: `ctx` holds a reference, and the result is ours.
    let below = unsafe {
        let text = c"caf\xe9".as_ptr(); // Latin 1
        assert_eq!(sys::ctx_with_string(ctx.as_raw(), c"place".as_ptr(), text, &mut made), 0);
        Context::from_raw(made).unwrap()
    };
    assert_eq!(below.string("place").as_deref(), Some("caf\u{FFFD}"));
    assert_eq!(below.string("trace-id").as_deref(), Some("ünï"));
    assert_eq!(below.without_string("place").unwrap().string("place"), None);
    assert_eq!(below.string("no\0name"), None);
}

#[test]
fn a_description_names_keys_but_no_values() {
    let ctx = Context::background().with_value(&NUMBER, 77).unwrap();
    let (ctx, _canceler) = ctx.with_cancel().unwrap();
    assert_eq!(ctx.describe(), "context.Background.WithValue(number).WithCancel");
    assert_eq!([format!("{ctx:?}"), ctx.to_string()], [ctx.describe(), ctx.describe()]);
    let mut deep = ctx;
    for _ in 0..100 {
        deep = deep.with_value(&NUMBER, 77).unwrap();
    }
    assert_eq!(deep.describe().matches("number").count(), 101);
    for length in 0..300 {
        let name = "n".repeat(length); // the text is whole whatever room there was for it first
        let named = Context::background().with_name(&name).unwrap();
        assert_eq!(named.describe(), format!("context.Background.WithName({name})"));
    }
}
