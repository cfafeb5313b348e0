/* SPDX-License-Identifier: MIT */
/**
 * @defgroup loop Loops
 * @ingroup c
 * ctx/loop.h - who runs the clock, and what else may cancel.
 *
 * A loop has a clock, the deadlines of its contexts, and the descriptors and signals that end some of
 * them. Contexts live on the loop of their root. ctx_background() and ctx_todo() are on the process's
 * default loop, which starts the threads `ctx-loop` and `ctx-calls` when it first needs them;
 * ctx_loop_background() is the root of any other loop. There are three kinds:
 *
 * - CTX_LOOP_THREAD: as the default loop, with two such threads of its own.
 * - CTX_LOOP_MANUAL: no thread. The host adds the loop's descriptor to its event loop and calls
 *   ctx_loop_dispatch() whenever it is readable. A thread in ctx_wait(), ctx_wait_any() or ctx_poll() also
 *   fires deadlines that were set before its wait began, but not graces that begin later, descriptors or
 *   signals. A wait whose limit is over leaves the rest to others, but ends its own context if that is due.
 *   Deriving a deadline below a parent whose own has passed fires everything due by then.
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

/** Real time in which the system is not suspended: CLOCK_MONOTONIC. */
#define CTX_CLOCK_MONOTONIC 0
/** Real time, suspended or not: CLOCK_BOOTTIME. */
#define CTX_CLOCK_BOOTTIME 1

/**
 * Starts the loop in ctx_loop_new(), and not when it first needs its threads and descriptors. So the loop's
 * threads inherit from the thread that makes it (scheduling, processors, namespaces), and callbacks run with its
 * signal mask. And nothing that needs the loop fails later because it cannot start.
 */
#define CTX_LOOP_START 1u

/**
 * Options of ctx_loop_new(). Set `size` to sizeof(ctx_loop_options_t) and leave to zero all that you do
 * not need. More members may follow in later versions; a library that does not know one accepts it only if it
 * is zero.
 *
 * An executor of the program's own runs the callbacks that a threaded loop sets off or that are deferred:
 * so those of one library do not wait for those of another. The loop calls post(executor, run, work) on one
 * of its threads, with no lock held, for one callback after the other. post must have run(work) called once,
 * on any thread, also if a stop has prevented the callback; or answer a negative number: then the loop runs
 * it. Callbacks with CTX_BLOCKING go to the executor, too; those with CTX_WAKER and drop functions of values
 * do not. Callbacks that the executor runs in parallel have no order. A forked child does not have the
 * executor of its parent process.
 */
typedef struct ctx_loop_options {
  size_t size;    /**< Of this struct, as the caller was compiled with it. */
  uint32_t flags; /**< 0 or CTX_LOOP_START. */
  uint32_t clock; /**< CTX_CLOCK_MONOTONIC, or CTX_CLOCK_BOOTTIME unless the loop is virtual. */
  /** The threads are `NAME-loop` and `NAME-calls`; 1 to 9 bytes. NULL: "ctx". Copied. */
  const char *name;
  ctx_post_fn post; /**< Of a threaded loop's executor; NULL for none. */
  void *executor;   /**< Passed to post. */
  /**
   * NULL for none. Called once as drop(executor), when nothing will be posted any more and all posted work has
   * run, though run may not have returned yet: on a thread of the loop, or on one of the executor's; if the loop
   * never had threads, on the one that frees it; for the default loop, before ctx_shutdown() returns 0. Never
   * called if ctx_loop_new() fails.
   */
  ctx_drop_fn drop;
} ctx_loop_options_t;

/**
 * Makes a loop. It takes threads and descriptors when it first needs them, unless CTX_LOOP_START is set.
 * @param kind    one of the three above, else -EINVAL.
 * @param options borrowed for the call; NULL for none.
 * @param ret     receives the loop; the caller owns it.
 * @return 0; -EINVAL: also for a size that was not set, an unknown flag or clock, a name that is empty or too
 *         long, and an executor or drop without post; -E2BIG for a member that is not zero and that this
 *         library does not know;
 *         -ENOTSUP for an executor of a loop without threads, and for CTX_CLOCK_BOOTTIME of a virtual loop;
 *         -ENOMEM; with CTX_LOOP_START also -EAGAIN, -EMFILE, -ENFILE and -ENOSPC.
 */
CTX_API int ctx_loop_new(int kind, const ctx_loop_options_t *options, ctx_loop_t **ret);

/** Takes one more reference to a loop and returns it; NULL for a bad handle. */
CTX_API ctx_loop_t *ctx_loop_ref(ctx_loop_t *loop);

/**
 * Gives one reference back. The last one closes a manual or a virtual loop, as ctx_loop_close() does,
 * and runs on this thread what waited for the next dispatch: nobody could drive the loop again. A
 * threaded loop goes on until its last context is freed; then its threads end.
 * @return NULL, always.
 */
CTX_API ctx_loop_t *ctx_loop_unref(ctx_loop_t *loop);

/** ctx_loop_unref(*loop), for the cleanup attribute of gcc and clang. Leaves NULL there. */
CTX_API void ctx_loop_unrefp(ctx_loop_t **loop);

/**
 * Ends everything on a loop that can be canceled, with CTX_CANCELED and the cause "loop closed". It
 * blocks as ctx_cancel() does. It also ends what a parent's end does not reach, below
 * ctx_without_cancel() and ctx_with_grace(); the order of those callbacks and the parent's is not
 * promised. From then on, contexts that could be canceled are born done there. Closing again does
 * nothing.
 * @return 0.
 */
CTX_API int ctx_loop_close(ctx_loop_t *loop);

/**
 * Makes a loop, for good, the one that ctx_background() and ctx_todo() live on. It stays in memory for
 * the life of the process; dropping your last handle still closes a manual or virtual loop.
 * @return 0; -EBUSY if the default loop was used before: somebody derived, or began to, from one of the
 *         two roots, or a loop was set already.
 */
CTX_API int ctx_loop_set_default(ctx_loop_t *loop);

/**
 * The root of a loop: a context that is never done. Derive from it to make contexts on this loop.
 * @param ret receives it; the caller owns it.
 * @return 0.
 */
CTX_API int ctx_loop_background(ctx_loop_t *loop, ctx_t **ret);

/**
 * A descriptor that is readable whenever ctx_loop_dispatch() has work; it may be readable spuriously.
 * For poll, select, epoll in either mode, or any event loop; an edge-triggered one dispatches until 0.
 * Do not read, write or close it.
 * @return the descriptor, borrowed: valid while the caller holds the loop; -ENOTSUP for a loop that is
 *         not manual; -EMFILE, -ENFILE, -ENOSPC, -ENOMEM.
 */
CTX_API int ctx_loop_fd(ctx_loop_t *loop);

/**
 * Fires everything due on a manual loop, and never blocks: it ends the contexts whose deadline has
 * passed or whose descriptor or signal came, and then runs, on this thread, the callbacks that wait for
 * it. A callback that one of these defers waits for the next dispatch.
 * @return how many deadlines, graces, descriptors and signals it fired; -EBUSY if another dispatch of
 *         this loop is under way, on another thread or around this callback; -ENOTSUP for a loop that
 *         is not manual; -EMFILE, -ENFILE, -ENOSPC, -ENOMEM if it had no descriptor yet and got none.
 */
CTX_API int ctx_loop_dispatch(ctx_loop_t *loop);

/**
 * Moves the clock of a virtual loop, and fires everything that is due up to its new time, in the order
 * of the deadlines. While the callbacks of a deadline run, on this thread, the clock stands at that
 * deadline. Descriptors and signals that came end their contexts on the way. With 0 it moves nothing,
 * and fires everything that is due.
 * @param ns by how much, not negative, else -EINVAL. A sum beyond INT64_MAX is INT64_MAX.
 * @return how many deadlines, graces, descriptors and signals it fired; -EBUSY if another advance of
 *         this loop is under way, on another thread or around this callback; -ENOTSUP for a loop that
 *         is not virtual; -EINVAL.
 */
CTX_API int ctx_loop_advance(ctx_loop_t *loop, int64_t ns);

/**
 * An orderly end of the default loop; call it before a program's globals are destroyed. It closes the
 * loop as ctx_loop_close() does, runs everything that waits, and joins the loop's threads and those of
 * CTX_BLOCKING; if the loop has an executor, that has run everything by then. From then on contexts of
 * the default loop are born done, and its callbacks run only inside calls of the program. After
 * -ETIMEDOUT, a second call goes on waiting. Calls at the same time wait for each other.
 * @param timeout_ns how long to wait for callbacks that run; CTX_FOREVER for no limit; negative is -EINVAL.
 * @return 0; -ETIMEDOUT: callbacks still run; -EDEADLK inside a callback, or inside the drop of the loop's
 *         executor; -EINVAL.
 */
CTX_API int ctx_shutdown(int64_t timeout_ns);

/** Now, on the loop's clock. */
CTX_API int64_t ctx_loop_now(const ctx_loop_t *loop);

/**
 * When the next ctx_loop_dispatch() or ctx_loop_advance() has work: for hosts that sleep with a time
 * limit. A dispatch at a context's deadline ends that context. Deadlines set later may be earlier, and
 * descriptors and signals have no time: a host that waits for those polls ctx_loop_fd().
 * @return absolute, on the loop's clock: now if work waits; INT64_MAX if there is none; else the next
 *         deadline. It is exact on a virtual loop, and on a manual one within a millisecond of the
 *         deadline. For a later deadline a manual loop may return an earlier time, never a later one:
 *         call this again then; some ten calls suffice for a deadline years away. INT64_MIN for a bad
 *         handle, one made before a fork, and a threaded loop.
 */
CTX_API int64_t ctx_loop_next(const ctx_loop_t *loop);

/**
 * Derives a context that also ends, with CTX_CANCELED, when poll(2) would report one of the given
 * events on a descriptor, or POLLERR or POLLHUP: such as a client that hangs up (POLLRDHUP), a child
 * that exits (POLLIN on its pidfd), a timerfd or an inotify descriptor. Nothing is read. The code of
 * its cause is the events that came; its message names descriptor and events.
 *
 * The descriptor stays the caller's, and must stay open until the context is done or freed; once closed,
 * it no longer ends the context. One descriptor may serve many contexts.
 *
 * @param poll_events POLLIN, POLLPRI, POLLOUT, POLLRDHUP and so on, at least one, else -EINVAL.
 * @return 0; -EINVAL; -EBADF: not an open descriptor; -EPERM: one that cannot be watched, such as a
 *         regular file; -ENOMEM; -ENOSPC at the system's limit of watches; -ELOOP for an epoll descriptor
 *         that is nested too deeply; -EAGAIN, -EMFILE or -ENFILE if the loop could not be started.
 */
CTX_API int ctx_with_fd(ctx_t *parent, int fd, uint32_t poll_events, ctx_t **ret,
                        ctx_canceler_t **ret_canceler);

/**
 * Derives a context that also ends, with CTX_CANCELED, when the process is sent one of the given
 * signals. The code of its cause is the signal's number; its message names signal and sender. One
 * signal ends every context that waits for it, on all loops.
 *
 * The library consumes the signal: your handlers do not run, and sigwait() does not see it. Once no
 * context waits for a signal, the library leaves it alone. No handler is changed.
 *
 * Block the signals in every thread of the process; the library checks the calling one. Block them
 * before the library starts threads: a callback that runs meanwhile keeps the mask that it began with.
 * Send them to the process, not to one of its threads.
 *
 * @param signals n signals, at least one; none of them invalid, SIGKILL, SIGSTOP or unblocked, else
 *                -EINVAL.
 * @return as ctx_with_fd(), except -EBADF and -EPERM.
 */
CTX_API int ctx_with_signal(ctx_t *parent, const int *signals, size_t n, ctx_t **ret,
                            ctx_canceler_t **ret_canceler);

/**
 * A descriptor that cancels the context of this canceler: write a uint64_t 1 to it, and the context's
 * loop soon cancels. For signal handlers, and for other processes that were handed the descriptor. It
 * does not keep the context alive. Later writes are harmless; without eventfd they fail with EPIPE and
 * raise SIGPIPE once the context is freed. All descriptors of one context share one descriptor of the
 * library (two without eventfd).
 * @return a descriptor, non-blocking and close-on-exec, that the caller owns and closes; -EMFILE,
 *         -ENFILE, -ENOMEM, -ENOSPC; -EAGAIN if the loop could not be started.
 */
CTX_API int ctx_cancel_fd(ctx_canceler_t *canceler);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
