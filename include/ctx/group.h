/* SPDX-License-Identifier: MIT */
/**
 * @defgroup group Groups
 * @ingroup c
 * ctx/group.h - work that is waited for together, and that ends together when a part of it fails.
 *
 * A group has a context of its own and counts pieces of work: threads, tasks, requests. Each begins and ends.
 * The first one that ends with a cause cancels the group's context with that cause, so that the others stop.
 * ctx_group_wait(), ctx_group_fd() and ctx_group_over() tell when nothing is left. The general rules are in ctx/ctx.h.
 *
 *     if (ctx_group_begin(group) == 0) start_a_thread(group);   // which works in ctx_group_context(group)
 *     ...
 *     ctx_group_end(group, failed ? cause : NULL);              // the last thing that this thread does
 *     ...
 *     ctx_group_wait(group, CTX_FOREVER);                       // all of them have ended
 *
 * While the group's context is live, a group may be empty and filled again. A program that begins work bit by
 * bit, and must not take a moment without work for the end, begins one piece of its own first and ends it last.
 * @{
 */
#ifndef CTX_GROUP_H
#define CTX_GROUP_H

#include <ctx/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Makes a group without work. Its context is derived from parent.
 * @param ret receives the group; the caller owns it.
 * @return 0; -ENOMEM.
 */
CTX_API int ctx_group_new(ctx_t *parent, ctx_group_t **ret);

/**
 * Makes a group that is nested in another: its context is derived from that of outer, and outer counts it as
 * one piece of work until it has neither work nor handles. Then that piece ends with the cause of the nested
 * group's first failure, if there was one. So a failure ends the context of outer when all work of the nested
 * group is over, and not before. A program that wants to look at the failure itself makes a group below
 * ctx_group_context() of the outer one.
 * @param ret receives the group; the caller owns it.
 * @return 0; the error of outer's context, if that is done: nothing begins there any more; -ENOMEM.
 */
CTX_API int ctx_group_new_below(ctx_group_t *outer, ctx_group_t **ret);

/** Takes one more reference to a group and returns it; NULL for a bad handle. */
CTX_API ctx_group_t *ctx_group_ref(ctx_group_t *group);

/**
 * Gives one reference back; it neither cancels nor waits. A group lives until its handles are gone and its
 * work has ended, so whoever starts work may give the handle back at once. If this ends a nested group that has
 * failed, it cancels the context of the outer one, as ctx_group_end() does.
 * @return NULL, always.
 */
CTX_API ctx_group_t *ctx_group_unref(ctx_group_t *group);

/** ctx_group_unref(*group), for the cleanup attribute of gcc and clang. Leaves NULL there. */
CTX_API void ctx_group_unrefp(ctx_group_t **group);

/**
 * The group's context, in which its work runs. It ends with the parent, with the first failure, or by
 * ctx_group_canceler(). The end of the work does not end it.
 * @return the context, borrowed: valid while the caller holds the group; NULL for a bad handle.
 */
CTX_API ctx_t *ctx_group_context(ctx_group_t *group);

/**
 * The right to cancel the group's context, with ctx_cancel() or ctx_cancel_with(): to stop all its work.
 * @return the canceler, borrowed: valid while the caller holds the group; NULL for a bad handle.
 */
CTX_API ctx_canceler_t *ctx_group_canceler(ctx_group_t *group);

/**
 * Counts one piece of work, which may then start. It holds a reference to the group until it ends. Takes a few
 * nanoseconds, no memory, and a lock only for the first piece of a group that somebody has waited for.
 * @return 0; the error of the group's context, if that is done: nothing was counted, and the work should not
 *         start.
 */
CTX_API int ctx_group_begin(ctx_group_t *group);

/**
 * Ends one piece of work. Any thread may end what another has begun. If the cause is the first that a piece of this
 * group ends with, this cancels the group's context with CTX_CANCELED and that cause, as ctx_cancel_with() does,
 * before the piece is counted as ended.
 * @param cause why the work has failed, borrowed; NULL: it has not.
 * @return 0; -EINVAL if there is no work to end, and then nothing has changed.
 */
CTX_API int ctx_group_end(ctx_group_t *group, const ctx_cause_t *cause);

/**
 * The cause that the first piece of work to fail has ended with. If the work failed because the context
 * ended, ctx_cause() of the context says why that did.
 * @return NULL while none has failed; borrowed: it lives as long as the group is held.
 */
CTX_API const ctx_cause_t *ctx_group_cause(ctx_group_t *group);

/**
 * Blocks until no work is left. It does not end the context. If the context was done when this was called, no work
 * begins after it has returned 1: all that the work used may go. To give up with another context, poll
 * ctx_group_fd() by ctx_poll().
 * @param timeout_ns limit in real time; CTX_FOREVER for none; 0 only looks; negative is -EINVAL.
 * @return 1: nothing is left, and ctx_group_cause() says whether any work has failed; 0: timed out; -EINTR: a
 *         signal handler ran on this thread meanwhile; -EINVAL.
 */
CTX_API int ctx_group_wait(ctx_group_t *group, int64_t timeout_ns);

/**
 * A descriptor that is readable exactly while no work is left, and so also before any has begun. It is made when
 * first asked for. It is non-blocking and close-on-exec. Do not read, write or close it.
 * @return the descriptor, borrowed: valid while the caller holds the group; -EMFILE, -ENFILE, -ENOMEM.
 */
CTX_API int ctx_group_fd(ctx_group_t *group);

/**
 * Makes a context that ends as soon as no work is left, or at once if none is: to be told by a callback or a
 * queue, to wait for it with other contexts, or to await it. Work that begins afterwards does not concern it. It
 * ends with CTX_CANCELED, and its callbacks run as those of a cancel by the thread that ends the last piece
 * of work. It is below the root of its loop, not below the group's context. If the loop is closed, that ends
 * it, too, and its cause says so.
 * @param ret receives the context; the caller owns it.
 * @return 0; -ENOMEM.
 */
CTX_API int ctx_group_over(ctx_group_t *group, ctx_t **ret);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
