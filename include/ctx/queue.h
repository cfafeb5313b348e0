/* SPDX-License-Identifier: MIT */
/**
 * @defgroup queue Queues
 * @ingroup c
 * ctx/queue.h - very many contexts on one descriptor.
 *
 * A context that was added to a queue posts one event to it when it is done. Adding costs no
 * descriptor and a constant time, however many contexts there are; the queue's one descriptor is
 * readable while events wait. A context may be in many queues, and many times in one. The general
 * rules are in ctx/ctx.h.
 * @{
 */
#ifndef CTX_QUEUE_H
#define CTX_QUEUE_H

#include <ctx/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The event of a context that is done. */
typedef struct ctx_event {
  uint64_t token;    /**< The token given to ctx_queue_add(). */
  int32_t err;       /**< CTX_CANCELED or CTX_DEADLINE_EXCEEDED. */
  uint32_t reserved; /**< 0. */
} ctx_event_t;

/**
 * Makes a queue. It takes no descriptor until ctx_queue_fd() asks for one.
 * @param ret receives the queue; the caller owns it.
 * @return 0; -ENOMEM.
 */
CTX_API int ctx_queue_new(ctx_queue_t **ret);

/** Takes one more reference to a queue and returns it; NULL for a bad handle. */
CTX_API ctx_queue_t *ctx_queue_ref(ctx_queue_t *queue);

/**
 * Gives one reference back. The last one disarms everything in the queue, discards waiting events and
 * closes the descriptor; watches that were handed out remain valid handles.
 * @return NULL, always.
 */
CTX_API ctx_queue_t *ctx_queue_unref(ctx_queue_t *queue);

/** ctx_queue_unref(*queue), for the cleanup attribute of gcc and clang. Leaves NULL there. */
CTX_API void ctx_queue_unrefp(ctx_queue_t **queue);

/**
 * A descriptor that is readable exactly while events wait; made when first asked for. It is
 * non-blocking and close-on-exec. Do not read, write or close it: ctx_queue_drain() does.
 * @return the descriptor, borrowed: valid while the caller holds the queue; -EMFILE, -ENFILE, -ENOMEM.
 */
CTX_API int ctx_queue_fd(ctx_queue_t *queue);

/**
 * Adds a context: when it is done, the thread that ends it posts one event with the token. For a context
 * that is done already, the event is posted before this function returns.
 *
 * The entry holds a reference to ctx until its event is drained or it is stopped. A context that can
 * never be done is not held, and posts nothing.
 *
 * @param token any number; it comes back in the event.
 * @param ret   receives a watch, owned by the caller, for ctx_watch_stop(). Until the event is drained,
 *              that withdraws it and returns 1. May be NULL.
 * @return 0; -ENOMEM.
 */
CTX_API int ctx_queue_add(ctx_queue_t *queue, ctx_t *ctx, uint64_t token, ctx_watch_t **ret);

/**
 * Takes up to n events, in the order they were posted. It gives back the references to their contexts,
 * which may run drop functions of values on this thread. Never blocks.
 * @param events room for n; may be NULL if n is 0.
 * @return how many; 0 if none waits; -EINVAL for NULL events with an n.
 */
CTX_API int64_t ctx_queue_drain(ctx_queue_t *queue, ctx_event_t *events, size_t n);

/**
 * As ctx_queue_drain(), and hands the contexts of the events over, in place of giving them back: for the
 * cause of each end, or for values.
 * @param ctxs receives a context for each event; the caller owns them. Room for n; may be NULL if n is 0.
 * @return how many; 0 if none waits; -EINVAL for NULL events or ctxs with an n.
 */
CTX_API int64_t ctx_queue_drain_ctxs(ctx_queue_t *queue, ctx_event_t *events, ctx_t **ctxs,
                                     size_t n);

/**
 * As ctx_queue_drain(), but blocks until an event waits. It fires no deadlines: somebody else must
 * dispatch or advance the manual or virtual loops of its contexts.
 * @param n          at least 1, else -EINVAL.
 * @param timeout_ns limit in real time; CTX_FOREVER for none; 0 only looks; negative is -EINVAL.
 * @return how many, at least 1; 0: timed out; -EINTR: a signal handler ran on this thread meanwhile;
 *         -EINVAL.
 */
CTX_API int64_t ctx_queue_wait(ctx_queue_t *queue, ctx_event_t *events, size_t n,
                               int64_t timeout_ns);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
