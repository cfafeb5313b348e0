/* SPDX-License-Identifier: MIT */
/**
 * @defgroup loop Loops
 * @ingroup c
 * ctx/loop.h - who runs the clock, and what else may cancel.
 *
 * A loop has a clock, the deadlines of its contexts, and the descriptors and signals that end some of
 * them. A family of contexts lives on the loop of its root: that of ctx_background() and ctx_todo() is
 * the process's default loop, which starts the threads `ctx-loop` and `ctx-calls` when it first needs
 * them; ctx_loop_background() is the root of any other. There are three kinds:
 *
 * - CTX_LOOP_THREAD: as the default loop, with two such threads of its own.
 * - CTX_LOOP_MANUAL: no thread. Its descriptor goes into the host's event loop, and whenever it is
 *   readable the host calls ctx_loop_dispatch(). A thread in ctx_wait(), ctx_wait_any() or ctx_poll()
 *   also ends what comes due by a time that was known when it began to wait; not so a grace that
 *   begins meanwhile, a descriptor or a signal. A thread that derives a deadline, not earlier than its
 *   parent's, from a context whose own has passed ends what is due by then.
 * - CTX_LOOP_VIRTUAL: no thread and no real time. The clock starts at 0 and moves only by
 *   ctx_loop_advance(). For tests that do not sleep.
 *
 * Contexts keep their loop alive. The general rules are in ctx/ctx.h.
 * @{
 */
#ifndef CTX_LOOP_H
#define CTX_LOOP_H

#include <ctx/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CTX_LOOP_THREAD 1  /**< A loop with threads of its own. */
#define CTX_LOOP_MANUAL 2  /**< A loop that the host drives. */
#define CTX_LOOP_VIRTUAL 3 /**< A loop whose time the host moves. */

/**
 * Makes a loop. Threads and descriptors are taken when they are first needed, not here.
 * @param kind one of the three above, else -EINVAL.
 * @param ret  receives the loop; the caller owns it.
 * @return 0; -EINVAL; -ENOMEM. Since 0.1.
 */
CTX_API int ctx_loop_new(int kind, ctx_loop_t **ret);

/** Takes one more reference to a loop and returns it; NULL for a bad handle. Since 0.1. */
CTX_API ctx_loop_t *ctx_loop_ref(ctx_loop_t *loop);

/**
 * Gives one reference back. The last one closes a manual or a virtual loop, as ctx_loop_close(), and
 * runs on this thread what was waiting for its next dispatch: nobody could drive it again. A threaded
 * loop goes on until its last context is freed, and its threads end then.
 * @return NULL, always. Since 0.1.
 */
CTX_API ctx_loop_t *ctx_loop_unref(ctx_loop_t *loop);

/**
 * Ends everything on a loop that can be cancelled, with CTX_CANCELED and the cause "loop closed"; it
 * blocks as ctx_cancel() does. What a parent's end does not reach, below ctx_without_cancel() and
 * ctx_with_grace(), ends too, its callbacks in no promised order with the parent's. From then on what
 * could be cancelled is born done there. Closing again does nothing.
 * @return 0; -EINVAL; -ECHILD; -EREMOTE. Since 0.1.
 */
CTX_API int ctx_loop_close(ctx_loop_t *loop);

/**
 * Makes a loop the one that ctx_background() and ctx_todo() live on, for good. It stays in memory for
 * the life of the process; what was said of the last reference holds.
 * @return 0; -EBUSY if the default loop was used before: somebody began to derive from one of the two
 *         roots, or a loop was set already; -EINVAL; -ECHILD; -EREMOTE. Since 0.1.
 */
CTX_API int ctx_loop_set_default(ctx_loop_t *loop);

/**
 * The root of a loop: a context that is never done, from which the loop's families are derived.
 * @param ret receives it; the caller owns it.
 * @return 0; -EINVAL; -ECHILD; -EREMOTE. Since 0.1.
 */
CTX_API int ctx_loop_background(ctx_loop_t *loop, ctx_t **ret);

/**
 * A descriptor that is readable whenever ctx_loop_dispatch() has work; now and then it is for nothing.
 * For poll, select, epoll in either mode, or any event loop; edge-triggered ones dispatch until 0.
 * Do not read, write or close it.
 * @return the descriptor, borrowed: valid while the caller holds the loop; -ENOTSUP for a loop that is
 *         not manual; -EINVAL; -EMFILE, -ENFILE, -ENOMEM; -ECHILD; -EREMOTE. Since 0.1.
 */
CTX_API int ctx_loop_fd(ctx_loop_t *loop);

/**
 * Does what is due on a manual loop, and never blocks: ends the contexts whose deadline has passed or
 * whose descriptor or signal came, and then runs, on this thread, the callbacks that wait for it.
 * Callbacks that those register with CTX_DEFER are left to the next dispatch.
 * @return how many deadlines, graces, descriptors and signals it fired; -EBUSY if another dispatch of
 *         this loop is under way, on another thread or around this callback; -ENOTSUP for a loop that
 *         is not manual; -EINVAL; -EMFILE, -ENFILE, -ENOMEM if it had no descriptor yet and got none;
 *         -ECHILD; -EREMOTE. Since 0.1.
 */
CTX_API int ctx_loop_dispatch(ctx_loop_t *loop);

/**
 * Moves the clock of a virtual loop, and fires everything that is due up to its new time, in the order
 * of the deadlines: the clock stands at each one's deadline while its callbacks run, on this thread.
 * Descriptors and signals that came are looked at on the way. 0 moves nothing but fires what is due.
 * @param ns by how much, not negative, else -EINVAL. A sum beyond INT64_MAX is INT64_MAX.
 * @return how many deadlines, graces, descriptors and signals it fired; -EBUSY if another advance of
 *         this loop is under way, on another thread or around this callback; -ENOTSUP for a loop that
 *         is not virtual; -EINVAL; -ECHILD; -EREMOTE. Since 0.1.
 */
CTX_API int ctx_loop_advance(ctx_loop_t *loop, int64_t ns);

/**
 * Has an executor of the program's own run the callbacks that the loop sets off or that are deferred: so
 * that those of one library do not wait for those of another. post(executor, run, work) is called on a
 * thread of the loop, with no lock held, for one callback after the other; it must have run(work) called
 * once, on any thread, or answer a negative number, and then the loop runs it. Callbacks of CTX_WAKER and
 * drop functions of values do not go there. What the executor runs in parallel has no order.
 * @param executor passed to post; must live until the loop's last context is freed.
 * @return 0; -EBUSY once the loop has threads; -ENOTSUP for a loop that has none; -EINVAL for a NULL post;
 *         -ECHILD; -EREMOTE. Since 0.1.
 */
CTX_API int ctx_loop_set_executor(ctx_loop_t *loop, ctx_post_fn post, void *executor);

/**
 * An orderly end of the default loop, to be called before a program's globals are destroyed: closes it as
 * ctx_loop_close(), has everything that waits run, and joins its threads and those of CTX_BLOCKING. From
 * then on contexts of the default loop are born done, and no callback of it runs. A second call waits for
 * what the first one left.
 * @param timeout_ns how long to wait for callbacks that run; CTX_FOREVER for no limit; negative is -EINVAL.
 * @return 0; -ETIMEDOUT: callbacks still run; -EDEADLK inside a callback; -EINVAL. Since 0.1.
 */
CTX_API int ctx_shutdown(int64_t timeout_ns);

/** Now, on the loop's clock; INT64_MIN for a bad handle. Since 0.1. */
CTX_API int64_t ctx_loop_now(const ctx_loop_t *loop);

/**
 * When the next ctx_loop_dispatch() or ctx_loop_advance() has something to do: for hosts that would
 * rather sleep with a time limit. A dispatch at a context's deadline ends that context. Deadlines that are set
 * later may be earlier, and descriptors and signals have no time: a host that waits for those polls
 * ctx_loop_fd().
 * @return absolute, on the loop's clock: now if work waits, INT64_MAX if there is none; else the next
 *         deadline, exactly on a virtual loop, and on a manual one if it comes within a millisecond.
 *         For one that is farther away a manual loop may tell an earlier time, never a later one: then
 *         call this again, some ten times at most for a deadline years away. INT64_MIN for a bad handle and for a
 *         threaded loop. Since 0.1.
 */
CTX_API int64_t ctx_loop_next(const ctx_loop_t *loop);

/**
 * Derives a context that also ends, with CTX_CANCELED, when poll(2) would report one of the given
 * events on a descriptor, or POLLERR or POLLHUP: such as a client that hangs up (POLLRDHUP), a child
 * that exits (POLLIN on its pidfd), a timerfd or an inotify descriptor. Nothing is read. The code of
 * its cause is the events that came; its message names descriptor and events.
 *
 * The descriptor stays the caller's, and must stay open until the context is done or freed; if it is
 * closed before, the context is not ended by it. One descriptor may serve many contexts.
 *
 * @param poll_events POLLIN, POLLPRI, POLLOUT, POLLRDHUP and so on, at least one, else -EINVAL.
 * @return 0; -EINVAL; -EBADF: not an open descriptor; -EPERM: one that cannot be watched, such as a
 *         regular file; -ENOMEM; -ENOSPC at the system's limit of watches; -EAGAIN, -EMFILE or -ENFILE
 *         if the loop could not be started; -ECHILD; -EREMOTE. Since 0.1.
 */
CTX_API int ctx_with_fd(ctx_t *parent, int fd, uint32_t poll_events, ctx_t **ret,
                        ctx_canceler_t **ret_canceler);

/**
 * Derives a context that also ends, with CTX_CANCELED, when the process is sent one of the given
 * signals. The code of its cause is the signal's number; its message names signal and sender. One
 * signal ends every context that waits for it, on all loops. It is taken: what else the process has
 * for it, handlers included, does not see it, and when no context waits for it any more it is left
 * alone again.
 *
 * No handler is changed. The signals must be blocked in every thread of the process, which is checked
 * for the calling one, and must be sent to the process, not to one of its threads. Block them before the
 * library starts threads: a callback that runs meanwhile keeps the mask that it began with.
 *
 * @param signals n signals, at least one; none of them invalid, SIGKILL, SIGSTOP or unblocked, else
 *                -EINVAL.
 * @return as ctx_with_fd(), but -EBADF and -EPERM. Since 0.1.
 */
CTX_API int ctx_with_signal(ctx_t *parent, const int *signals, size_t n, ctx_t **ret,
                            ctx_canceler_t **ret_canceler);

/**
 * A descriptor by which the context of this canceler is cancelled: writing a uint64_t 1 to it does so,
 * soon, on the context's loop. The way for signal handlers, and for other processes that were handed
 * the descriptor. It does not keep the context alive, and writing to it later harms nobody, but that
 * where the system has no eventfd the writer gets EPIPE and SIGPIPE once the context was freed. All
 * descriptors of one context have one descriptor of the library's behind them (two without eventfd).
 * @return a descriptor, non-blocking and close-on-exec, that the caller owns and closes; -EINVAL;
 *         -EMFILE, -ENFILE, -ENOMEM, -ENOSPC; -EAGAIN if the loop could not be started; -ECHILD;
 *         -EREMOTE. Since 0.1.
 */
CTX_API int ctx_cancel_fd(ctx_canceler_t *canceler);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
