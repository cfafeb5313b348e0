// SPDX-License-Identifier: MIT
//! Typed keys of values.

use libctx_sys as sys;
use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::fmt;
use std::marker::PhantomData;

/// A key of values of the type `T`. Its identity is its address: make one `static` for each kind of
/// value, and keep it private to the owner of the values.
///
/// ```
/// use libctx::{Context, Key};
///
/// struct User { name: String }
/// static USER: Key<User> = Key::new(c"user");
///
/// let ctx = Context::background().with_value(&USER, User { name: "user-1".into() })?;
/// assert_eq!(ctx.value(&USER).unwrap().name, "user-1");
/// assert!(Context::background().value(&USER).is_none());
/// # Ok::<(), libctx::Error>(())
/// ```
///
/// A `const` has no address of its own, and is refused:
///
/// ```compile_fail,E0716
/// # use libctx::{Context, Key};
/// const USER: Key<u32> = Key::new(c"user");
/// let key: &'static Key<u32> = &USER;
/// ```
///
/// A type other than the key's own is refused, too, even if only a lifetime differs:
///
/// ```compile_fail,E0308
/// # use libctx::{Context, Key};
/// static NUMBER: Key<u32> = Key::new(c"number");
/// let wrong: Option<&i32> = Context::background().value(&NUMBER);
/// ```
// Two things make the address a proof of the type. The cell keeps the compiler from giving a constant a
// static place, where it might be merged with another. And T is invariant: if a Key<T> could turn into a
// Key<U> by a change of lifetimes, one could put in a T and take out a U.
#[repr(transparent)]
pub struct Key<T> {
    raw: UnsafeCell<sys::ctx_key_t>,
    _type: PhantomData<fn(T) -> T>,
}

// SAFETY: the key is never written, through the cell or otherwise; the name in it is static text; no T is
// in it.
unsafe impl<T> Sync for Key<T> {}
// SAFETY: as for Sync.
unsafe impl<T> Send for Key<T> {}

impl<T> Key<T> {
    /// A new key. The name is what [`Context::describe`](crate::Context::describe) shows.
    pub const fn new(name: &'static CStr) -> Key<T> {
        Key { raw: UnsafeCell::new(sys::ctx_key_t { name: name.as_ptr() }), _type: PhantomData }
    }

    pub(crate) fn raw(&'static self) -> *const sys::ctx_key_t {
        self.raw.get()
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: nobody writes the key, and its name is static text, from `new`.
        let name = unsafe { CStr::from_ptr((*self.raw.get()).name) };
        f.debug_tuple("Key").field(&name).finish()
    }
}
