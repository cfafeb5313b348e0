/* SPDX-License-Identifier: MIT */
/**
 * @defgroup done Learning of the end
 * @ingroup c
 * ctx/done.h - every way to learn that a context is done: a descriptor for event loops, waits for
 * threads, callbacks for everything else.
 *
 * Nobody sees a descriptor readable, a wait return 1 or a callback run while ctx_err() of its context is
 * 0. Whoever is woken sees every descendant done as well. The other way round, ctx_err() may tell the end
 * a moment before the descriptor is readable or the queue has its event; both always follow. The general
 * rules are in ctx/ctx.h.
 * @{
 */
#ifndef CTX_DONE_H
#define CTX_DONE_H

#include <ctx/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A descriptor that polls readable for ever once the context is done. It is made when first asked for,
 * and a context has one: later calls give the same number, and so do contexts that ctx_with_value() or
 * ctx_with_string() derived from it. One epoll set refuses that number twice with EEXIST: use
 * ctx_done_fd_dup(). A level-triggered loop reports it until it is removed. It is non-blocking and
 * close-on-exec. Do not read, write or close it; a stray read takes nothing from anyone.
 * @return the descriptor, borrowed: valid while the caller holds ctx. -ENOTSUP for a context that can
 *         never be done (poll(2) ignores a negative descriptor, and so rightly waits for ever); -EMFILE,
 *         -ENFILE; -ENOMEM.
 */
CTX_API int ctx_done_fd(ctx_t *ctx);

/**
 * As ctx_done_fd(), but the descriptor is the caller's own, close-on-exec, and the caller closes it: for
 * a second epoll set, for instance. Freeing a context after its end leaves it readable. If the context
 * was freed while live, its state is unspecified.
 * @return as ctx_done_fd().
 */
CTX_API int ctx_done_fd_dup(ctx_t *ctx);

/**
 * Blocks until the context is done.
 * @param timeout_ns limit in real time; CTX_FOREVER for none; 0 only looks; negative is -EINVAL.
 * @return 1: done; 0: timed out; -EINTR: a signal handler ran on this thread meanwhile; -EINVAL.
 */
CTX_API int ctx_wait(ctx_t *ctx, int64_t timeout_ns);

/**
 * Blocks until any of n contexts is done.
 * @param n         at least 1, else -EINVAL.
 * @param ret_index receives the index of one that is done; the lowest, if several were done when the
 *                  call looked. May be NULL.
 * @return as ctx_wait(), and -ENOMEM.
 */
CTX_API int ctx_wait_any(ctx_t *const *ctxs, size_t n, int64_t timeout_ns, size_t *ret_index);

/**
 * Flag of ctx_after_func(): fn never runs inside a call that cancels. It runs on `ctx-calls`, the loop's
 * thread for callbacks, or in the dispatch or advance of a loop without threads. It starts at once, also
 * while callbacks of the same cancel run elsewhere. For callers who hold a lock that fn takes.
 */
#define CTX_DEFER UINT32_C(1)

/**
 * Flag of ctx_after_func(): fn may block, or take the lock of a language's runtime. Where a thread
 * of the library would run it, one of its own does, named `ctx-lane`: so it delays no other callback, and
 * may overlap with them. The library starts such threads on demand, 512 at most, and ends them when they
 * have been idle for a while. A loop without threads runs fn as any other callback.
 */
#define CTX_BLOCKING UINT32_C(2)

/**
 * Flag of ctx_after_func(), alone: fn only wakes somebody, such as a task or an event loop. It runs
 * before all other callbacks of its thread: the one whose call ends the context; if a loop ends it, the
 * thread of the loop's clock, which keeps signals blocked, or dispatch or advance. So fn and drop must
 * be short and must not block. They should not cancel: callbacks of such a cancel run as if the loop had
 * set them off; if the loop has no threads yet, they run on this thread as soon as fn has returned.
 */
#define CTX_WAKER UINT32_C(4)

/**
 * Arms a callback: fn(ctx, arg) runs once, when the context is done, and then drop(arg). If a stop
 * prevents fn, drop(arg) runs alone.
 *
 * Without flags fn runs on the thread whose call ended the context, before that call returns; if a
 * deadline, descriptor or signal ended it, on the loop's thread `ctx-calls`, or in the dispatch or
 * advance of a loop without threads. On a context that is done already it runs here, before this
 * function returns 1. A callback on `ctx-calls` that blocks delays the next ones there, but no deadline
 * and no waker: give it CTX_BLOCKING.
 *
 * A cancel that fn calls marks and wakes before it returns. The callbacks that it sets off run on the
 * same thread as soon as fn has returned, before any other: callbacks that cancel never nest, however
 * many there are. (Those of a waker's cancel, and those with CTX_BLOCKING on a thread of the library, run
 * where these flags say.)
 *
 * On a thread of the library fn has the signal mask of the thread that started the loop; signals that
 * ctx_with_signal() waits for stay blocked. fn must return, as rule 5 of ctx/ctx.h says. If fn or drop
 * forks on a thread of the library, and returns in the child too, the child ends with status 0.
 *
 * An armed callback holds a reference to ctx until it has run or was stopped. On a context that can
 * never be done nothing is armed: stop answers 1, and drop runs when the watch is stopped or given
 * back (without a ret: at once).
 *
 * @param fn    not NULL.
 * @param drop  NULL for none.
 * @param flags 0, CTX_DEFER, CTX_BLOCKING, these two together, or CTX_WAKER; else -EINVAL.
 * @param ret   receives the watch, owned by the caller, before fn runs; may be NULL.
 * @return 0: armed; 1: the context was done, and fn has run or, with CTX_DEFER, will run; -EINVAL; -ENOMEM;
 *         -EAGAIN, -EMFILE, -ENFILE or -ENOSPC if the callback thread could not be started; -ESHUTDOWN for
 *         CTX_DEFER where nobody would run fn: after ctx_shutdown(), and on a manual or virtual loop whose
 *         last handle was given back.
 */
CTX_API int ctx_after_func(ctx_t *ctx, ctx_fn fn, void *arg, ctx_drop_fn drop, uint32_t flags,
                           ctx_watch_t **ret);

/**
 * Prevents a callback that has not begun, and runs its drop on this thread. Does not wait for a callback
 * that runs. If a cancel is about to post the event of a queue's watch, waits until that has woken.
 * @return 1: this call prevented it; 0: it ran, runs or was stopped before.
 */
CTX_API int ctx_watch_stop(ctx_watch_t *watch);

/**
 * As ctx_watch_stop(), and on return neither fn nor drop runs any more. Inside that very fn or drop it
 * returns 0 at once. Two callbacks that wait for each other wait for ever; a build of the library with
 * its internal checks says so and traps.
 * @return as ctx_watch_stop().
 */
CTX_API int ctx_watch_stop_wait(ctx_watch_t *watch);

/** Gives the handle back; what it armed stays armed. @return NULL, always. */
CTX_API ctx_watch_t *ctx_watch_unref(ctx_watch_t *watch);

/** ctx_watch_unref(*watch), for the cleanup attribute of gcc and clang. Leaves NULL there. */
CTX_API void ctx_watch_unrefp(ctx_watch_t **watch);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
