// SPDX-License-Identifier: MIT
//! Every function of the C API, in the order of the headers. Those say what each does; a signature that
//! differs from theirs fails `tests/header.rs`.
#![allow(missing_docs)]

use crate::*;
use core::sync::atomic::AtomicI32;

unsafe extern "C" {
    // ctx/context.h
    pub fn ctx_background() -> *mut ctx_t;
    pub fn ctx_todo() -> *mut ctx_t;
    pub fn ctx_ref(ctx: *mut ctx_t) -> *mut ctx_t;
    pub fn ctx_unref(ctx: *mut ctx_t) -> *mut ctx_t;
    pub fn ctx_unrefp(ctx: *mut *mut ctx_t);
    pub fn ctx_with_cancel(
        parent: *mut ctx_t,
        ret: *mut *mut ctx_t,
        ret_canceler: *mut *mut ctx_canceler_t,
    ) -> c_int;
    pub fn ctx_with_deadline(
        parent: *mut ctx_t,
        deadline_ns: i64,
        ret: *mut *mut ctx_t,
        ret_canceler: *mut *mut ctx_canceler_t,
    ) -> c_int;
    pub fn ctx_with_timeout(
        parent: *mut ctx_t,
        timeout_ns: i64,
        ret: *mut *mut ctx_t,
        ret_canceler: *mut *mut ctx_canceler_t,
    ) -> c_int;
    pub fn ctx_with_deadline_cause(
        parent: *mut ctx_t,
        deadline_ns: i64,
        cause: *const ctx_cause_t,
        ret: *mut *mut ctx_t,
        ret_canceler: *mut *mut ctx_canceler_t,
    ) -> c_int;
    pub fn ctx_with_timeout_cause(
        parent: *mut ctx_t,
        timeout_ns: i64,
        cause: *const ctx_cause_t,
        ret: *mut *mut ctx_t,
        ret_canceler: *mut *mut ctx_canceler_t,
    ) -> c_int;
    pub fn ctx_without_cancel(parent: *mut ctx_t, ret: *mut *mut ctx_t) -> c_int;
    pub fn ctx_with_name(parent: *mut ctx_t, name: *const c_char, ret: *mut *mut ctx_t) -> c_int;
    pub fn ctx_merge(
        parents: *const *mut ctx_t,
        n: usize,
        ret: *mut *mut ctx_t,
        ret_canceler: *mut *mut ctx_canceler_t,
    ) -> c_int;
    pub fn ctx_with_idle(
        parent: *mut ctx_t,
        idle_ns: i64,
        cause: *const ctx_cause_t,
        ret: *mut *mut ctx_t,
        ret_canceler: *mut *mut ctx_canceler_t,
    ) -> c_int;
    pub fn ctx_touch(ctx: *mut ctx_t) -> c_int;
    pub fn ctx_with_grace(
        parent: *mut ctx_t,
        grace_ns: i64,
        ret: *mut *mut ctx_t,
        ret_canceler: *mut *mut ctx_canceler_t,
    ) -> c_int;
    pub fn ctx_err(ctx: *const ctx_t) -> c_int;
    /// An atomic word; only load it.
    pub fn ctx_err_word(ctx: *const ctx_t) -> *const AtomicI32;
    pub fn ctx_cancelable(ctx: *const ctx_t) -> c_int;
    pub fn ctx_ended_by(ctx: *const ctx_t, candidate: *const ctx_t) -> c_int;
    pub fn ctx_deadline(ctx: *const ctx_t, ret_ns: *mut i64) -> c_int;
    pub fn ctx_remaining(ctx: *const ctx_t) -> i64;
    pub fn ctx_remaining_ms(ctx: *const ctx_t) -> c_int;
    pub fn ctx_now(ctx: *const ctx_t) -> i64;
    pub fn ctx_describe(ctx: *const ctx_t, buf: *mut c_char, size: usize) -> c_int;

    // ctx/cancel.h
    pub fn ctx_cancel(canceler: *mut ctx_canceler_t) -> c_int;
    pub fn ctx_cancel_with(
        canceler: *mut ctx_canceler_t,
        err: c_int,
        cause: *const ctx_cause_t,
    ) -> c_int;
    pub fn ctx_cancel_deferred(
        canceler: *mut ctx_canceler_t,
        err: c_int,
        cause: *const ctx_cause_t,
    ) -> c_int;
    pub fn ctx_canceler_ref(canceler: *mut ctx_canceler_t) -> *mut ctx_canceler_t;
    pub fn ctx_canceler_unref(canceler: *mut ctx_canceler_t) -> *mut ctx_canceler_t;
    pub fn ctx_canceler_unrefp(canceler: *mut *mut ctx_canceler_t);
    pub fn ctx_cause_new(code: c_int, message: *const c_char, ret: *mut *mut ctx_cause_t) -> c_int;
    pub fn ctx_cause_new_data(
        code: c_int,
        message: *const c_char,
        key: *const ctx_key_t,
        data: *mut c_void,
        drop: Option<ctx_drop_fn>,
        ret: *mut *mut ctx_cause_t,
    ) -> c_int;
    pub fn ctx_cause_new_at(
        code: c_int,
        message: *const c_char,
        origin: c_int,
        file: *const c_char,
        line: c_int,
        function: *const c_char,
        key: *const ctx_key_t,
        data: *mut c_void,
        drop: Option<ctx_drop_fn>,
        ret: *mut *mut ctx_cause_t,
    ) -> c_int;
    pub fn ctx_cause(ctx: *const ctx_t) -> *const ctx_cause_t;
    pub fn ctx_cause_code(cause: *const ctx_cause_t) -> c_int;
    pub fn ctx_cause_message(cause: *const ctx_cause_t) -> *const c_char;
    pub fn ctx_cause_data(cause: *const ctx_cause_t, key: *const ctx_key_t) -> *mut c_void;
    pub fn ctx_cause_given(cause: *const ctx_cause_t) -> c_int;
    pub fn ctx_cause_origin(cause: *const ctx_cause_t) -> c_int;
    pub fn ctx_cause_file(cause: *const ctx_cause_t) -> *const c_char;
    pub fn ctx_cause_line(cause: *const ctx_cause_t) -> c_int;
    pub fn ctx_cause_function(cause: *const ctx_cause_t) -> *const c_char;
    pub fn ctx_cause_ref(cause: *const ctx_cause_t) -> *const ctx_cause_t;
    pub fn ctx_cause_unref(cause: *const ctx_cause_t) -> *const ctx_cause_t;
    pub fn ctx_cause_unrefp(cause: *mut *const ctx_cause_t);

    // ctx/done.h
    pub fn ctx_done_fd(ctx: *mut ctx_t) -> c_int;
    pub fn ctx_done_fd_dup(ctx: *mut ctx_t) -> c_int;
    pub fn ctx_wait(ctx: *mut ctx_t, timeout_ns: i64) -> c_int;
    pub fn ctx_wait_any(
        ctxs: *const *mut ctx_t,
        n: usize,
        timeout_ns: i64,
        ret_index: *mut usize,
    ) -> c_int;
    pub fn ctx_poll(ctx: *mut ctx_t, fds: *mut pollfd, nfds: nfds_t, timeout_ns: i64) -> c_int;
    pub fn ctx_after_func(
        ctx: *mut ctx_t,
        f: Option<ctx_fn>,
        arg: *mut c_void,
        drop: Option<ctx_drop_fn>,
        flags: u32,
        ret: *mut *mut ctx_watch_t,
    ) -> c_int;
    pub fn ctx_watch_stop(watch: *mut ctx_watch_t) -> c_int;
    pub fn ctx_watch_stop_wait(watch: *mut ctx_watch_t) -> c_int;
    pub fn ctx_watch_unref(watch: *mut ctx_watch_t) -> *mut ctx_watch_t;
    pub fn ctx_watch_unrefp(watch: *mut *mut ctx_watch_t);

    // ctx/value.h
    pub fn ctx_with_value(
        parent: *mut ctx_t,
        key: *const ctx_key_t,
        value: *mut c_void,
        drop: Option<ctx_drop_fn>,
        ret: *mut *mut ctx_t,
    ) -> c_int;
    pub fn ctx_value(ctx: *const ctx_t, key: *const ctx_key_t) -> *mut c_void;
    pub fn ctx_with_string(
        parent: *mut ctx_t,
        name: *const c_char,
        value: *const c_char,
        ret: *mut *mut ctx_t,
    ) -> c_int;
    pub fn ctx_string(ctx: *const ctx_t, name: *const c_char) -> *const c_char;
    pub fn ctx_strings(ctx: *const ctx_t, r#fn: Option<ctx_string_fn>, arg: *mut c_void) -> c_int;

    // ctx/propagate.h
    pub fn ctx_inject(
        ctx: *const ctx_t,
        formats: *const ctx_formats_t,
        set: Option<ctx_string_fn>,
        arg: *mut c_void,
    ) -> c_int;
    pub fn ctx_extract(
        parent: *mut ctx_t,
        formats: *const ctx_formats_t,
        get: Option<ctx_get_fn>,
        arg: *mut c_void,
        ret: *mut *mut ctx_t,
        ret_canceler: *mut *mut ctx_canceler_t,
    ) -> c_int;
    pub fn ctx_require(ctx: *const ctx_t, need_ns: i64) -> c_int;
    pub fn ctx_baggage(
        ctx: *const ctx_t,
        name: *const c_char,
        buf: *mut c_char,
        size: usize,
    ) -> i64;
    pub fn ctx_with_baggage(
        parent: *mut ctx_t,
        name: *const c_char,
        value: *const c_char,
        ret: *mut *mut ctx_t,
    ) -> c_int;
    pub fn ctx_cause_encode(
        cause: *const ctx_cause_t,
        who: *const c_char,
        buf: *mut c_char,
        size: usize,
    ) -> i64;
    pub fn ctx_cause_decode(
        text: *const c_char,
        length: usize,
        ret: *mut *mut ctx_cause_t,
    ) -> c_int;
    pub fn ctx_cause_peer(cause: *const ctx_cause_t) -> *const c_char;

    // ctx/queue.h
    pub fn ctx_queue_new(ret: *mut *mut ctx_queue_t) -> c_int;
    pub fn ctx_queue_ref(queue: *mut ctx_queue_t) -> *mut ctx_queue_t;
    pub fn ctx_queue_unref(queue: *mut ctx_queue_t) -> *mut ctx_queue_t;
    pub fn ctx_queue_unrefp(queue: *mut *mut ctx_queue_t);
    pub fn ctx_queue_fd(queue: *mut ctx_queue_t) -> c_int;
    pub fn ctx_queue_add(
        queue: *mut ctx_queue_t,
        ctx: *mut ctx_t,
        token: u64,
        ret: *mut *mut ctx_watch_t,
    ) -> c_int;
    pub fn ctx_queue_drain(queue: *mut ctx_queue_t, events: *mut ctx_event_t, n: usize) -> i64;
    pub fn ctx_queue_drain_ctxs(
        queue: *mut ctx_queue_t,
        events: *mut ctx_event_t,
        ctxs: *mut *mut ctx_t,
        n: usize,
    ) -> i64;
    pub fn ctx_queue_wait(
        queue: *mut ctx_queue_t,
        events: *mut ctx_event_t,
        n: usize,
        timeout_ns: i64,
    ) -> i64;

    // ctx/group.h
    pub fn ctx_group_new(parent: *mut ctx_t, ret: *mut *mut ctx_group_t) -> c_int;
    pub fn ctx_group_new_below(outer: *mut ctx_group_t, ret: *mut *mut ctx_group_t) -> c_int;
    pub fn ctx_group_ref(group: *mut ctx_group_t) -> *mut ctx_group_t;
    pub fn ctx_group_unref(group: *mut ctx_group_t) -> *mut ctx_group_t;
    pub fn ctx_group_unrefp(group: *mut *mut ctx_group_t);
    pub fn ctx_group_context(group: *mut ctx_group_t) -> *mut ctx_t;
    pub fn ctx_group_canceler(group: *mut ctx_group_t) -> *mut ctx_canceler_t;
    pub fn ctx_group_begin(group: *mut ctx_group_t) -> c_int;
    pub fn ctx_group_end(group: *mut ctx_group_t, cause: *const ctx_cause_t) -> c_int;
    pub fn ctx_group_cause(group: *mut ctx_group_t) -> *const ctx_cause_t;
    pub fn ctx_group_wait(group: *mut ctx_group_t, timeout_ns: i64) -> c_int;
    pub fn ctx_group_fd(group: *mut ctx_group_t) -> c_int;
    pub fn ctx_group_over(group: *mut ctx_group_t, ret: *mut *mut ctx_t) -> c_int;

    // ctx/loop.h
    pub fn ctx_loop_new(
        kind: c_int,
        options: *const ctx_loop_options_t,
        ret: *mut *mut ctx_loop_t,
    ) -> c_int;
    pub fn ctx_loop_ref(r#loop: *mut ctx_loop_t) -> *mut ctx_loop_t;
    pub fn ctx_loop_unref(r#loop: *mut ctx_loop_t) -> *mut ctx_loop_t;
    pub fn ctx_loop_unrefp(r#loop: *mut *mut ctx_loop_t);
    pub fn ctx_loop_close(r#loop: *mut ctx_loop_t) -> c_int;
    pub fn ctx_loop_set_default(r#loop: *mut ctx_loop_t) -> c_int;
    pub fn ctx_loop_background(r#loop: *mut ctx_loop_t, ret: *mut *mut ctx_t) -> c_int;
    pub fn ctx_loop_fd(r#loop: *mut ctx_loop_t) -> c_int;
    pub fn ctx_loop_dispatch(r#loop: *mut ctx_loop_t) -> c_int;
    pub fn ctx_loop_advance(r#loop: *mut ctx_loop_t, ns: i64) -> c_int;
    pub fn ctx_loop_now(r#loop: *const ctx_loop_t) -> i64;
    pub fn ctx_loop_next(r#loop: *const ctx_loop_t) -> i64;
    pub fn ctx_shutdown(timeout_ns: i64) -> c_int;
    pub fn ctx_with_fd(
        parent: *mut ctx_t,
        fd: c_int,
        poll_events: u32,
        ret: *mut *mut ctx_t,
        ret_canceler: *mut *mut ctx_canceler_t,
    ) -> c_int;
    pub fn ctx_with_signal(
        parent: *mut ctx_t,
        signals: *const c_int,
        n: usize,
        ret: *mut *mut ctx_t,
        ret_canceler: *mut *mut ctx_canceler_t,
    ) -> c_int;
    pub fn ctx_cancel_fd(canceler: *mut ctx_canceler_t) -> c_int;

    // ctx/process.h
    pub fn ctx_export(
        ctx: *mut ctx_t,
        buf: *mut c_char,
        size: usize,
        ret: *mut *mut ctx_watch_t,
    ) -> c_int;
    pub fn ctx_import(
        text: *const c_char,
        parent: *mut ctx_t,
        ret: *mut *mut ctx_t,
        ret_canceler: *mut *mut ctx_canceler_t,
    ) -> c_int;

    // ctx/error.h, ctx/version.h
    pub fn ctx_strerror(err: c_int) -> *const c_char;
    pub fn ctx_version() -> u32;
    pub fn ctx_version_string() -> *const c_char;
}
