/* SPDX-License-Identifier: MIT */
/**
 * @defgroup context Contexts
 * @ingroup c
 * ctx/context.h - roots, derivation and reading of contexts.
 *
 * A context is live until it is done, and once done stays so. It ends by its canceler, by its
 * deadline, or with its parent. A child whose last handle is given back is freed at once, cancelled
 * or not; a parent's memory stays for as long as it has children. The general rules are in
 * ctx/ctx.h.
 *
 * Every ret_canceler may be NULL, but for that of ctx_with_cancel(): then the context ends by its
 * deadline or its parent alone.
 * @{
 */
#ifndef CTX_CONTEXT_H
#define CTX_CONTEXT_H

#include <ctx/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The root of all contexts: never done, no deadline, no values. Static: ctx_ref() and ctx_unref() on
 * it do nothing. Never NULL. Since 0.1.
 */
CTX_API ctx_t *ctx_background(void);

/**
 * A second root, different from ctx_background(), for code that does not know yet which context it
 * should use. Static and never done. Since 0.1.
 */
CTX_API ctx_t *ctx_todo(void);

/**
 * Takes one more reference to a context and returns it; NULL for a bad handle. At most 2^31
 * references may exist at once, to this as to any other object: one more ends the process. Since 0.1.
 */
CTX_API ctx_t *ctx_ref(ctx_t *ctx);

/**
 * Gives one reference back. With the last one (canceler handles count too) the context is freed,
 * and drop functions of its values run on this thread. Never blocks on user code. Since 0.1.
 * @return NULL, always, so that `ctx = ctx_unref(ctx)` leaves no dangling pointer.
 */
CTX_API ctx_t *ctx_unref(ctx_t *ctx);

/**
 * Derives a context that its canceler can end. Below a parent that is done it is done already, with
 * the parent's error and cause.
 * @param ret          receives the context; the caller owns it.
 * @param ret_canceler receives the right to cancel it; the caller owns it. Not NULL.
 * @return 0; -EINVAL for a NULL argument; -ENOMEM; -ECHILD; -EREMOTE. Since 0.1.
 */
CTX_API int ctx_with_cancel(ctx_t *parent, ctx_t **ret, ctx_canceler_t **ret_canceler);

/**
 * Derives a context that also ends at a time, with CTX_DEADLINE_EXCEEDED. Where the parent's deadline
 * is not later, that one counts. A time that is past makes a context that is done on return.
 * The first deadline of a process starts the library's two threads, all signals blocked:
 * `ctx-loop`, which runs the clock, and `ctx-calls`, which runs the callbacks that deadlines set off.
 * @param deadline_ns absolute, on the clock of ctx_now(); any value; CTX_FOREVER for none.
 * @return 0; -EINVAL; -ENOMEM; -EAGAIN if a thread was refused; -EMFILE, -ENFILE or what else the system
 *         answers if the loop had no descriptor; -ECHILD; -EREMOTE. Since 0.1.
 */
CTX_API int ctx_with_deadline(ctx_t *parent, int64_t deadline_ns, ctx_t **ret,
                              ctx_canceler_t **ret_canceler);

/**
 * As ctx_with_deadline(), at a time from now.
 * @param timeout_ns zero or negative: done on return. A sum beyond CTX_FOREVER is CTX_FOREVER, which
 *        is no deadline.
 * @return as ctx_with_deadline(). Since 0.1.
 */
CTX_API int ctx_with_timeout(ctx_t *parent, int64_t timeout_ns, ctx_t **ret,
                             ctx_canceler_t **ret_canceler);

/**
 * As ctx_with_deadline(), and if this deadline is the one that fires, ctx_cause() is the given cause.
 * @param cause borrowed (the context takes its own reference); NULL for the plain one.
 * @return as ctx_with_deadline(). Since 0.1.
 */
CTX_API int ctx_with_deadline_cause(ctx_t *parent, int64_t deadline_ns, const ctx_cause_t *cause,
                                    ctx_t **ret, ctx_canceler_t **ret_canceler);

/** As ctx_with_timeout(), with a cause as in ctx_with_deadline_cause(). Since 0.1. */
CTX_API int ctx_with_timeout_cause(ctx_t *parent, int64_t timeout_ns, const ctx_cause_t *cause,
                                   ctx_t **ret, ctx_canceler_t **ret_canceler);

/**
 * Derives a context that keeps the parent's values and nothing else: it is never done, has no
 * deadline, and what is derived from it does not end with the parent. It keeps the parent's memory.
 * @return 0; -EINVAL; -ENOMEM; -ECHILD; -EREMOTE. Since 0.1.
 */
CTX_API int ctx_without_cancel(ctx_t *parent, ctx_t **ret);

/**
 * Derives a context that ends with the first of several parents that is done, with that one's error and
 * cause. Its deadline is the earliest of theirs; its values are those of the first parent.
 * @param parents borrowed; all on one loop, else -EXDEV. The first is kept in memory, and of the
 *        others what they end with.
 * @param n       at least 1, else -EINVAL.
 * @return 0; -EINVAL; -EXDEV; -ENOMEM; -ECHILD; -EREMOTE. It may block, as every cancel above
 *         it and its last unref may, while another cancel on the same loop marks contexts that merged
 *         ones are below. Since 0.1.
 */
CTX_API int ctx_merge(ctx_t *const *parents, size_t n, ctx_t **ret, ctx_canceler_t **ret_canceler);

/**
 * Derives a context that ends some time after its parent, with the parent's error and cause: so that
 * work may be finished in order when the parent is done, and is ended when it is not. It is not part
 * of the parent's subtree: it and what is below it are live when the parent is done. It can be
 * cancelled on its own; its deadline is the parent's plus the grace.
 * @param grace_ns how long after the parent's end, on the clock of ctx_now(); after this call if the
 *        parent is done already. Zero or negative: it ends with the parent. CTX_FOREVER: never by it.
 * @return as ctx_with_deadline(). Since 0.1.
 */
CTX_API int ctx_with_grace(ctx_t *parent, int64_t grace_ns, ctx_t **ret,
                           ctx_canceler_t **ret_canceler);

/**
 * Whether a context is done. Async-signal-safe; never blocks. What was written before the cancel is
 * visible to whoever sees its error here.
 * @return 0 while live; CTX_CANCELED or CTX_DEADLINE_EXCEEDED once done, never changing again;
 *         -EINVAL for NULL. Since 0.1.
 */
CTX_API int ctx_err(const ctx_t *ctx);

/**
 * The address of the word that ctx_err() reads, to poll it without a call from a tight loop. Load it
 * atomically, with acquire order if data depends on it. Never write it.
 * @return a pointer that is valid while the caller holds ctx; NULL for NULL. Since 0.1.
 */
CTX_API const volatile int32_t *ctx_err_word(const ctx_t *ctx);

/** 1 if this context can ever be done, 0 if not, -EINVAL for NULL. Since 0.1. */
CTX_API int ctx_cancelable(const ctx_t *ctx);

/**
 * The effective deadline: the earlier of its own and its parent's; the same for ever, also once done.
 * @param ret_ns receives it, in nanoseconds on the clock of ctx_now(); untouched without a deadline.
 * @return 1 and the time; 0 without a deadline; -EINVAL for a NULL argument. Since 0.1.
 */
CTX_API int ctx_deadline(const ctx_t *ctx, int64_t *ret_ns);

/**
 * Nanoseconds until the deadline; negative after it; CTX_FOREVER without one; INT64_MIN for NULL.
 * Since 0.1.
 */
CTX_API int64_t ctx_remaining(const ctx_t *ctx);

/** Now, on the clock that this context's deadlines are on; INT64_MIN for NULL. Since 0.1. */
CTX_API int64_t ctx_now(const ctx_t *ctx);

/**
 * Writes how a context came to be, from its root on, such as
 * `context.Background.WithCancel.WithDeadline(8123.500000000s [1.2s]).WithValue(user)`: the deadline in
 * seconds on its clock and, in brackets, what remains. As snprintf() does, it writes at most
 * size - 1 characters and a NUL, and tells the length of the whole. Since the remaining time is part
 * of the text, that length may change from call to call.
 * @param buf may be NULL if size is 0.
 * @return the length without the NUL; -EINVAL for a NULL context, or a NULL buf with a size;
 *         -EOVERFLOW beyond INT_MAX. Since 0.1.
 */
CTX_API int ctx_describe(const ctx_t *ctx, char *buf, size_t size);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
