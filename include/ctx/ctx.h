/* SPDX-License-Identifier: MIT */
/**
 * @defgroup c The C functions
 * ctx/ctx.h - libctx: one tree of cancellation, deadlines and request values for a whole process.
 *
 * This header includes all the others. These rules hold for every function, unless its own comment
 * says otherwise:
 *
 *  1. Results. A function that returns int returns 0 or a positive result, or a negative errno.
 *     Results that are handed out come last, through pointers named ret...; they stay untouched when
 *     the function fails. A constructor that fails has taken nothing: it runs no drop function and
 *     keeps no reference.
 *  2. Bad arguments. Every function answers -EINVAL for a NULL handle, a canceler in place of a
 *     context, and a NULL ret; -EREMOTE for a handle made by another copy of this library in the same
 *     process; and -ECHILD as rule 7 says. The comments below name these errors only where they mean
 *     something more. Where the result is a pointer, a bad handle gives NULL; where it is a time,
 *     INT64_MIN. Every ..._unref(NULL) does nothing. The checked build (README.md) says on standard error
 *     which call and which handle it was, and also finds handles that are used after their release.
 *  3. Ownership. A handle handed out is one reference; the object's ..._unref() gives it back.
 *     Arguments are borrowed for the call; the library takes its own references to what it keeps.
 *     Strings are copied.
 *  4. Threads. Every function may be called from any thread at any time, also on shared handles. A
 *     signal handler may call ctx_err() and ctx_strerror(), load the word of ctx_err_word(), and write
 *     to a descriptor of ctx_cancel_fd(), nothing else. No function, and no wait, is a cancellation
 *     point of pthread_cancel(): to end a thread that waits here, cancel its context. Only the type
 *     PTHREAD_CANCEL_ASYNCHRONOUS could end a thread inside: such a thread must not call the library.
 *  5. User code. Callbacks and drop functions run with no lock of the library held and may call any
 *     function of the library. They must return: what follows an exception, longjmp() or
 *     pthread_exit() out of them is undefined. While they run, pthread_cancel() of their thread is held
 *     back.
 *  6. Times are int64_t nanoseconds. Absolute times are on the clock of the context's loop: CLOCK_MONOTONIC,
 *     unless the loop is virtual or was made with another clock (ctx/loop.h). CTX_FOREVER is "no deadline" and
 *     "no limit".
 *  7. Fork. A child process can still read handles made before the fork. Deriving from them, canceling,
 *     waiting, registering, driving a loop, draining a queue and asking for descriptors answer -ECHILD;
 *     their unref does nothing and runs no drop function. New contexts work in the child at once, from
 *     ctx_background() on; its default loop has threads, whatever loop the parent process has set. The child
 *     shares descriptors made before the fork with its parent process; those of loops, contexts and queues
 *     stay open in the child and are close-on-exec. If a callback or a drop function forks, and returns in
 *     the child too, the library calls nothing more there: on a thread of the library the child ends with
 *     status 0, on any other the call returns. A child of _Fork() or vfork() must not use the library, since
 *     no fork handler runs in it. 4096 forks deep, each in the child of the one before, a handle from before
 *     the first is -EREMOTE.
 *  8. Resources. A function that gets no memory, descriptor or thread answers -ENOMEM, -EMFILE or
 *     -ENFILE, and -EAGAIN; -ENOSPC at the system's limit of watched descriptors. Then nothing has changed.
 *     Canceling needs none of them.
 *  9. Versions. Every function has been there since 0.1.
 */
#ifndef CTX_CTX_H
#define CTX_CTX_H

#include <ctx/cancel.h>
#include <ctx/context.h>
#include <ctx/done.h>
#include <ctx/error.h>
#include <ctx/group.h>
#include <ctx/loop.h>
#include <ctx/poll.h>
#include <ctx/process.h>
#include <ctx/propagate.h>
#include <ctx/queue.h>
#include <ctx/types.h>
#include <ctx/value.h>
#include <ctx/version.h>

#endif
