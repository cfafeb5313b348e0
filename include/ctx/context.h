/* SPDX-License-Identifier: MIT */
/**
 * @defgroup context Contexts
 * @ingroup c
 * ctx/context.h - roots, derivation and reading of contexts.
 *
 * A context is live until it is done, and then stays done. Its canceler, its deadline or the end of its
 * parent ends it. When the last reference to a child is given back, the child is freed at once,
 * canceled or not. A parent stays in memory for as long as it has children. The general rules are in
 * ctx/ctx.h.
 *
 * Every ret_canceler may be NULL, except in ctx_with_cancel(). Without a canceler only the deadline or
 * the parent ends the context.
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
 * it do nothing. Never NULL.
 */
CTX_API ctx_t *ctx_background(void);

/**
 * A second root, different from ctx_background(), for code that does not know yet which context it
 * should use. Static and never done.
 */
CTX_API ctx_t *ctx_todo(void);

/**
 * Takes one more reference to a context and returns it; NULL for a bad handle. An object has at most
 * 2^31 references at once; one more ends the process. That holds for every ..._ref().
 */
CTX_API ctx_t *ctx_ref(ctx_t *ctx);

/**
 * Gives one reference back. The last one (canceler handles count too) frees the context and runs the
 * drop functions of its values on this thread. Never blocks on user code of another thread.
 * @return NULL, always, so that `ctx = ctx_unref(ctx)` leaves no dangling pointer.
 */
CTX_API ctx_t *ctx_unref(ctx_t *ctx);

/**
 * ctx_unref(*ctx), for the cleanup attribute of gcc and clang, which takes a function of a pointer to the
 * variable: `__attribute__((cleanup(ctx_unrefp))) ctx_t *ctx = NULL;`. Leaves NULL there. NULL does nothing.
 */
CTX_API void ctx_unrefp(ctx_t **ctx);

/**
 * Derives a context that its canceler can end. Below a parent that is done, it is born done, with the
 * parent's error and cause.
 * @param ret          receives the context; the caller owns it.
 * @param ret_canceler receives the right to cancel it; the caller owns it. Not NULL.
 * @return 0; -EINVAL; -ENOMEM.
 */
CTX_API int ctx_with_cancel(ctx_t *parent, ctx_t **ret, ctx_canceler_t **ret_canceler);

/**
 * Derives a context that also ends at a time, with CTX_DEADLINE_EXCEEDED. The earlier of its own and
 * its parent's deadline applies. With a time that has passed, the context is born done.
 *
 * The first deadline on the default loop starts the library's two threads: `ctx-loop` runs the clock,
 * and `ctx-calls` runs the callbacks that deadlines set off. While they run no callback, both block
 * every signal except those of faults (SIGSEGV and its like).
 * @param deadline_ns absolute, on the clock of ctx_now(); any value; CTX_FOREVER for none.
 * @return 0; -ENOMEM; -EAGAIN if the system refused a thread; -EMFILE, -ENFILE, -ENOSPC or another answer of
 *         the system if the loop got no descriptor.
 */
CTX_API int ctx_with_deadline(ctx_t *parent, int64_t deadline_ns, ctx_t **ret,
                              ctx_canceler_t **ret_canceler);

/**
 * As ctx_with_deadline(), at a time from now.
 * @param timeout_ns zero or negative: the context is born done. A sum beyond CTX_FOREVER is
 *        CTX_FOREVER: no deadline.
 * @return as ctx_with_deadline().
 */
CTX_API int ctx_with_timeout(ctx_t *parent, int64_t timeout_ns, ctx_t **ret,
                             ctx_canceler_t **ret_canceler);

/**
 * As ctx_with_deadline(); if this deadline is the one that fires, ctx_cause() is the given cause.
 * @param cause borrowed (the context takes its own reference); NULL for the plain one.
 * @return as ctx_with_deadline().
 */
CTX_API int ctx_with_deadline_cause(ctx_t *parent, int64_t deadline_ns, const ctx_cause_t *cause,
                                    ctx_t **ret, ctx_canceler_t **ret_canceler);

/** As ctx_with_timeout(), with a cause as in ctx_with_deadline_cause(). */
CTX_API int ctx_with_timeout_cause(ctx_t *parent, int64_t timeout_ns, const ctx_cause_t *cause,
                                   ctx_t **ret, ctx_canceler_t **ret_canceler);

/**
 * Derives a context that keeps the parent's values and nothing else: it is never done, has no
 * deadline, and the parent's end does not reach contexts derived from it. It keeps the parent in memory.
 * @return 0; -ENOMEM.
 */
CTX_API int ctx_without_cancel(ctx_t *parent, ctx_t **ret);

/**
 * Derives a context that ctx_describe() shows with a name, such as the work that it is for. It ends exactly when
 * the parent does, and differs from it in nothing else. Names are for people who look at the tree: no function
 * finds them, and they go over no wire, as strings do (ctx_with_string()).
 * @param name copied; UTF-8 by custom. Not NULL.
 * @param ret  receives the context; the caller owns it.
 * @return 0; -EINVAL; -ENOMEM.
 */
CTX_API int ctx_with_name(ctx_t *parent, const char *name, ctx_t **ret);

/**
 * Derives a context that also ends, with CTX_DEADLINE_EXCEEDED, when it was not touched for some time: for
 * reads that must make progress, heartbeats and watchdogs. Being made counts as a touch. Its deadline is its
 * parent's, since nobody knows when it will be idle.
 *
 * It never ends early. It may end late, by a sixteenth of idle_ns at most, or by 1 ms if that is more; on a virtual
 * loop it ends at the exact time. A manual loop that is dispatched late notices a touch then, and counts from then.
 * @param idle_ns on the clock of ctx_now(). Zero or negative: it is done on return. CTX_FOREVER: never.
 * @param cause   borrowed; of the end by idleness. NULL for the plain one.
 * @return as ctx_with_deadline().
 */
CTX_API int ctx_with_idle(ctx_t *parent, int64_t idle_ns, const ctx_cause_t *cause, ctx_t **ret,
                          ctx_canceler_t **ret_canceler);

/**
 * Says that there was progress: moves the ends of all contexts of ctx_with_idle() at or above this one. Above a
 * merge these are those of its first parent; those above ctx_without_cancel() stay. So code that does not know who
 * watches it may touch what it was given. It takes no lock and wakes nobody; it costs a few nanoseconds, and one or
 * two for each context in between. A touch at the very moment of the end may come too late.
 * @return 0, also if there is none; the context's error once it is done; -EINVAL; -ECHILD; -EREMOTE.
 */
CTX_API int ctx_touch(ctx_t *ctx);

/**
 * Derives a context that ends with the first of several parents that is done, with that one's error and
 * cause. Its deadline is the earliest of theirs; its values are those of the first parent.
 *
 * It lives on the loop of the first parent. A parent of another loop ends it as a descriptor does: soon, by the
 * loop's threads, or in the next dispatch or advance. The deadline of such a parent counts if the parent is live, and
 * is no grace that has begun, and both loops have the same real clock. For such a parent the loop watches its done
 * descriptor.
 *
 * It may block while another cancel on the same loop marks contexts that have merged ones below them.
 * So may every cancel above a merged context, and the merged context's last unref.
 * @param parents borrowed. The merged context keeps the first parent in memory, and of each other parent only the
 *        context that can end it.
 * @param n       at least 1, else -EINVAL.
 * @return 0; -EINVAL; -ENOMEM; for parents of several loops also as ctx_done_fd() and ctx_with_fd().
 */
CTX_API int ctx_merge(ctx_t *const *parents, size_t n, ctx_t **ret, ctx_canceler_t **ret_canceler);

/**
 * Derives a context that ends some time after its parent, with the parent's error and cause: work in
 * hand can finish after the parent's end, but must finish within the grace. The context is not part of
 * the parent's subtree: when the parent ends, it and everything below it stay live. It can be canceled
 * on its own. Its deadline is the parent's plus the grace.
 * @param grace_ns how long after the parent's end, on the clock of ctx_now(). If a deadline ended the
 *        parent, the grace counts from that deadline; if the parent is done already, from this call.
 *        Zero or negative: it ends with the parent. CTX_FOREVER: the parent's end never ends it.
 * @return as ctx_with_deadline().
 */
CTX_API int ctx_with_grace(ctx_t *parent, int64_t grace_ns, ctx_t **ret,
                           ctx_canceler_t **ret_canceler);

/**
 * Whether a context is done. Async-signal-safe; never blocks. Whoever sees its error here also sees
 * everything that was written before the cancel.
 * @return 0 while live; CTX_CANCELED or CTX_DEADLINE_EXCEEDED once done, never changing again;
 *         -EINVAL for NULL.
 */
CTX_API int ctx_err(const ctx_t *ctx);

/**
 * The address of the word that ctx_err() reads, so that a tight loop can poll it without a call. Load
 * it atomically, with acquire order if data depends on it. Never write it.
 * @return a pointer that is valid while the caller holds ctx; NULL for NULL.
 */
CTX_API const volatile int32_t *ctx_err_word(const ctx_t *ctx);

/** 1 if this context can ever be done, 0 if not. */
CTX_API int ctx_cancelable(const ctx_t *ctx);

/**
 * Whether a context ended another: which parent of a merge was first, whether a request ended on its own or
 * with its server. A context that its own cancel, deadline, descriptor or signal ended was ended by itself. Any
 * other was ended by its parent, and by whatever ended that one: by every context that the end came through.
 * A grace whose time was over was ended by its parent; a merge by one of its parents, the first that was done.
 * Contexts that carry values or a name stand for the one that they were derived from. The end of a loop comes from no
 * context. The time it takes grows with the number of contexts between the two.
 * @param candidate any context; one that is not above ctx did not end it.
 * @return 1 if the candidate ended ctx; 0 if not, and while ctx is live.
 */
CTX_API int ctx_ended_by(const ctx_t *ctx, const ctx_t *candidate);

/**
 * The effective deadline: the earlier of its own and its parent's. It never changes, also once done.
 * @param ret_ns receives it, in nanoseconds on the clock of ctx_now(); untouched without a deadline.
 * @return 1 and the time; 0 without a deadline.
 */
CTX_API int ctx_deadline(const ctx_t *ctx, int64_t *ret_ns);

/** Nanoseconds until the deadline; negative after it, at least INT64_MIN + 1; CTX_FOREVER without one. */
CTX_API int64_t ctx_remaining(const ctx_t *ctx);

/**
 * Milliseconds until the deadline, as poll(2), curl and libpq take them: rounded up, so that whoever waits so
 * long wakes when the deadline has passed, not before.
 * @return 0 after the deadline; at most INT_MAX; -1 without a deadline; for a bad handle -EINVAL, or
 *         -EREMOTE.
 */
CTX_API int ctx_remaining_ms(const ctx_t *ctx);

/** Now, on the clock of this context's deadlines. */
CTX_API int64_t ctx_now(const ctx_t *ctx);

/**
 * Writes how a context came to be, from its root on, such as
 * `context.Background.WithName(fetch user).WithDeadline(8123.500000000s [1.2s]).WithValue(user)`: the
 * deadline in seconds on its clock and, in brackets, the remaining time. As snprintf() does, it writes at most
 * size - 1 characters and a NUL, and returns the length of the whole text. The remaining time is part
 * of the text, so the length may change from call to call.
 * @param buf may be NULL if size is 0.
 * @return the length without the NUL; -EINVAL for a NULL buf with a size; -EOVERFLOW beyond INT_MAX,
 *         and then buf holds an empty text.
 */
CTX_API int ctx_describe(const ctx_t *ctx, char *buf, size_t size);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
