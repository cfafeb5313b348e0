/* SPDX-License-Identifier: MIT */
/**
 * @defgroup c The C functions
 * ctx/ctx.h - libctx: one tree of cancellation, deadlines and request values for a whole process.
 *
 * This header includes all the others. What holds for every function of the library, unless its
 * own comment says otherwise:
 *
 *  1. Results. A function that returns int returns 0 or a positive result, or a negative errno. What
 *     it hands out comes last, through pointers named ret..., which stay untouched when it fails. A
 *     constructor that fails has taken nothing: no drop function runs, no reference is kept.
 *  2. Bad handles. NULL is -EINVAL, never a crash; where the result is a pointer it is NULL, where it
 *     is a time it is INT64_MIN. Every ..._unref(NULL) does nothing. A canceler passed where a context
 *     is wanted is -EINVAL too; a handle made by another copy of this library in the same process is
 *     -EREMOTE.
 *  3. Ownership. A handle handed out is one reference, given back by the object's ..._unref().
 *     Arguments are borrowed for the call; what the library keeps it references itself. Strings are
 *     copied.
 *  4. Threads. Every function may be called from any thread at any time, also on shared handles.
 *     Only ctx_err(), ctx_strerror(), loads through ctx_err_word() and a write to a descriptor of
 *     ctx_cancel_fd() are for signal handlers.
 *     No function is a cancellation point of pthread_cancel(), nor is a wait: a thread that waits here is
 *     ended by canceling its context.
 *  5. User code (callbacks, drop functions) runs with no lock of the library held and may call any
 *     function of the library. It must not throw and must not leave by longjmp; a drop function must not
 *     fork and return in the child.
 *  6. Times are int64_t nanoseconds; absolute times are on CLOCK_MONOTONIC, but for those of a virtual
 *     loop (ctx/loop.h), which are on its own clock. CTX_FOREVER is "no deadline" and "no limit".
 *  7. Fork. In a child process, handles made before the fork can still be read. To derive from them,
 *     cancel, wait, register or ask for descriptors answers -ECHILD; their unref does nothing and
 *     runs no drop function. New contexts work in the child at once, from ctx_background() on.
 *     A descriptor made before the fork is shared with the parent process; those of the library's own
 *     that stay open in the child (of loops, contexts and queues) are close-on-exec. Who forks inside a callback
 *     and returns from it in the child gets nothing else called there.
 *  8. Memory, descriptors and threads that cannot be had are -ENOMEM, -EMFILE or -ENFILE, and
 *     -EAGAIN; nothing has changed then. To cancel needs none of them.
 */
#ifndef CTX_CTX_H
#define CTX_CTX_H

#include <ctx/cancel.h>
#include <ctx/context.h>
#include <ctx/done.h>
#include <ctx/error.h>
#include <ctx/loop.h>
#include <ctx/queue.h>
#include <ctx/types.h>
#include <ctx/value.h>
#include <ctx/version.h>

#endif
