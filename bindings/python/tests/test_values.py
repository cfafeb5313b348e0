# SPDX-License-Identifier: MIT
"""Values of typed keys, which are Python's own, and texts, which every language sees."""

import ctypes
import os

import libctx
import pytest
from libctx import Key, background, with_cancel, with_string, with_value, without_value

USER = Key[str]("user")


def test_nearest_wins() -> None:
    outer = with_value(background(), USER, "outer")
    inner = with_cancel(with_value(outer, USER, "inner")).ctx
    assert inner.value(USER) == "inner"
    assert outer.value(USER) == "outer"


def test_missing() -> None:
    assert background().value(USER) is None
    assert background().value(USER, "nobody") == "nobody"


def test_none_is_a_value() -> None:
    key = Key[int | None]("maybe")
    ctx = with_value(with_value(background(), key, 1), key, None)
    assert ctx.value(key, 5) is None


def test_a_value_can_be_hidden() -> None:
    outer = with_value(background(), USER, "outer")
    hidden = with_cancel(without_value(outer, USER)).ctx
    assert hidden.value(USER) is None
    assert hidden.value(USER, "nobody") == "nobody"
    assert with_value(hidden, USER, "inner").value(USER) == "inner"
    assert outer.value(USER) == "outer"
    with pytest.raises(TypeError):
        without_value(outer, "user")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Context"):
        without_value(None, USER)  # type: ignore[arg-type]


def test_keys_of_one_name_are_different() -> None:
    ctx = with_value(background(), USER, "x")
    assert ctx.value(Key[str]("user")) is None
    assert USER.name == "user" and "'user'" in repr(USER)


def test_the_very_object_comes_back() -> None:
    thing: list[int] = []
    key = Key[list[int]]("list")
    assert with_value(background(), key, thing).value(key) is thing


def test_values_outlive_cancel() -> None:
    ctx, cancel = with_cancel(with_value(background(), USER, "x"))
    cancel()
    assert ctx.value(USER) == "x"
    assert libctx.without_cancel(ctx).value(USER) == "x"


def test_strings() -> None:
    ctx = with_string(background(), "trace-id", "4bf92f35 é €")
    assert with_cancel(ctx).ctx.string("trace-id") == "4bf92f35 é €"
    assert ctx.string("span") is None
    assert ctx.string("span", "none") == "none"
    assert with_string(ctx, "trace-id", None).string("trace-id", "hidden") == "hidden"


def test_every_string() -> None:
    assert background().strings() == {}
    ctx = with_string(with_string(background(), "trace-id", "outer"), "user", "ada")
    ctx = with_string(with_value(ctx, Key("trace-id"), 1), "trace-id", "inner")
    assert list(with_cancel(ctx).ctx.strings().items()) == [("trace-id", "inner"), ("user", "ada")]
    assert with_string(ctx, "user", None).strings() == {"trace-id": "inner"}


def test_a_string_of_c_that_is_no_utf8() -> None:
    library = ctypes.CDLL(libctx.library_path())
    made = ctypes.c_void_p()
    root = ctypes.c_void_p(background().handle)
    assert library.ctx_with_string(root, b"raw", b"a\xff", ctypes.byref(made)) == 0
    assert made.value is not None
    ctx = libctx.Context.from_handle(made.value)
    text = ctx.string("raw")
    library.ctx_unref(made)
    assert text is not None and os.fsencode(text) == b"a\xff"
    assert ctx.strings() == {"raw": text}


def test_a_name_of_c_that_is_no_utf8() -> None:
    library = ctypes.CDLL(libctx.library_path())
    root = ctypes.c_void_p(background().handle)
    for derive, arguments in ((library.ctx_with_string, (b"n\xff", b"x")), (library.ctx_with_name, (b"n\xff",))):
        made = ctypes.c_void_p()
        assert derive(root, *arguments, ctypes.byref(made)) == 0
        assert made.value is not None
        ctx = libctx.Context.from_handle(made.value)
        library.ctx_unref(made)
        assert [os.fsencode(name) for name in ctx.strings()] == [b"n\xff"] * (derive is library.ctx_with_string)
        assert "n\N{REPLACEMENT CHARACTER}" in repr(ctx)


def test_repr_tells_how_a_context_came_to_be() -> None:
    ctx = with_cancel(with_value(background(), USER, "x")).ctx
    assert repr(ctx) == "<libctx.Context context.Background.WithValue(user).WithCancel>"
    assert repr(libctx.todo()) == "<libctx.Context context.TODO>"
