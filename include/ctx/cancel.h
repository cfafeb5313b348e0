/* SPDX-License-Identifier: MIT */
/**
 * @defgroup cancel Canceling
 * @ingroup c
 * ctx/cancel.h - to cancel a context, and to say why.
 *
 * A cancel is one event in three steps. First it marks the whole subtree: from then on ctx_err() and
 * ctx_cause() of every context in it tell the end. Then it wakes everything that waits on any of them.
 * Then it runs callbacks, on the calling thread unless their flags say otherwise: those of a parent
 * before those of its descendants, those of one context in the order of their registration. Contexts
 * below ctx_without_cancel() or ctx_with_grace() are not part of the subtree. The general rules are in
 * ctx/ctx.h.
 * @{
 */
#ifndef CTX_CANCEL_H
#define CTX_CANCEL_H

#include <ctx/types.h>

/** The origin of a cause: a caller of the library canceled. For those that no other number describes. */
#define CTX_ORIGIN_CANCELED 1
/** A deadline passed, here or elsewhere. */
#define CTX_ORIGIN_DEADLINE 2
/** A signal came; see ctx_with_signal(). */
#define CTX_ORIGIN_SIGNAL 3
/** Something came on a descriptor; see ctx_with_fd(). */
#define CTX_ORIGIN_DESCRIPTOR 4
/** The loop was closed or shut down, and everything on it ended. */
#define CTX_ORIGIN_SHUTDOWN 5
/** The other side of a connection said so, or is gone. The library never makes such a cause; callers may. */
#define CTX_ORIGIN_PEER 6
/** The process that started this one is gone, or said so; see ctx_import(). */
#define CTX_ORIGIN_PARENT_PROCESS 7
/** Somebody has too much to do, and so left this undone. The library never makes such a cause; callers may. */
#define CTX_ORIGIN_OVERLOAD 8

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Ends a context with CTX_CANCELED. Needs no memory, descriptor or thread, and cannot fail on a valid
 * handle. On return the subtree is marked and woken, and the callbacks that this call took have run.
 * Inside a callback it marks and wakes at once; the callbacks that it takes run on the same thread as
 * soon as the outer callback has returned, so that they never nest. CTX_WAKER and CTX_BLOCKING name the
 * exceptions (ctx/done.h).
 *
 * It may block while another cancel marks and wakes the same contexts, never on user code of another
 * thread.
 * @return 1: this call ended it; 0: it was done already.
 */
CTX_API int ctx_cancel(ctx_canceler_t *canceler);

/**
 * As ctx_cancel(), with an error and a cause. A bridge can so pass on a deadline that passed elsewhere.
 * @param err   CTX_CANCELED or CTX_DEADLINE_EXCEEDED, else -EINVAL.
 * @param cause borrowed (the context takes its own reference); NULL for the plain one of err.
 * @return as ctx_cancel().
 */
CTX_API int ctx_cancel_with(ctx_canceler_t *canceler, int err, const ctx_cause_t *cause);

/**
 * As ctx_cancel_with(), for callers that hold locks: it marks and wakes, and runs no user code on this
 * thread, wakers and drop functions included. All of that runs as if the context's loop had ended it: on the
 * loop's threads or its executor, or in the next dispatch or advance. So a threaded loop must run: this call
 * starts it if need be.
 * @return as ctx_cancel_with(); -EAGAIN, -EMFILE, -ENFILE, -ENOSPC or -ENOMEM if the loop could not be started:
 *         then nothing has changed. That cannot happen once the loop runs: after CTX_LOOP_START, the first
 *         deadline, or the first callback with CTX_DEFER.
 */
CTX_API int ctx_cancel_deferred(ctx_canceler_t *canceler, int err, const ctx_cause_t *cause);

/** Takes one more reference to a canceler and returns it; NULL for a bad handle. */
CTX_API ctx_canceler_t *ctx_canceler_ref(ctx_canceler_t *canceler);

/**
 * Gives one reference back; it does not cancel. A canceler keeps its context alive.
 * @return NULL, always.
 */
CTX_API ctx_canceler_t *ctx_canceler_unref(ctx_canceler_t *canceler);

/** ctx_canceler_unref(*canceler), for the cleanup attribute of gcc and clang. Leaves NULL there. */
CTX_API void ctx_canceler_unrefp(ctx_canceler_t **canceler);

/**
 * Makes a cause.
 * @param code    any number the caller likes; by custom a negative errno.
 * @param message copied; UTF-8 by custom. NULL: the text that ctx_strerror() has for the code.
 * @param ret     receives the cause; the caller owns it.
 * @return 0; -ENOMEM.
 */
CTX_API int ctx_cause_new(int code, const char *message, ctx_cause_t **ret);

/**
 * Makes a cause that carries data, such as an exception of the caller's language.
 * @param key  who may see the data: ctx_cause_data() hands it out for this key only. Not NULL.
 * @param data any pointer.
 * @param drop runs once on data, with no lock held, when the last reference goes; NULL for none.
 * @return 0; -EINVAL; -ENOMEM.
 */
CTX_API int ctx_cause_new_data(int code, const char *message, const ctx_key_t *key, void *data,
                               ctx_drop_fn drop, ctx_cause_t **ret);

/**
 * Makes a cause that also tells its origin and its place. For bindings, for those who pass on an end that came
 * from elsewhere, and for ctx_cause_here().
 * @param origin   CTX_ORIGIN_... or any other number from 1 to 255; 0 to state none, see ctx_cause_origin().
 * @param file     copied; NULL for no place: then line and function are ignored.
 * @param line     not negative; 0 if unknown.
 * @param function copied; NULL if unknown.
 * @param key      as in ctx_cause_new_data(); NULL for no data: then data and drop must be NULL, too.
 * @return 0; -EINVAL; -ENOMEM.
 */
CTX_API int ctx_cause_new_at(int code, const char *message, int origin, const char *file, int line,
                             const char *function, const ctx_key_t *key, void *data,
                             ctx_drop_fn drop, ctx_cause_t **ret);

/** As ctx_cause_new(), with the place of the call: its file, line and function. */
#define ctx_cause_here(code, message, ret) \
  ctx_cause_new_at((code), (message), 0, __FILE__, __LINE__, __func__, NULL, NULL, NULL, (ret))

/**
 * Why a context is done. If no caller gave a cause, its code is the error and its message the text of
 * ctx_strerror().
 * @return NULL while live, never NULL once done; borrowed: it lives as long as the context is held.
 */
CTX_API const ctx_cause_t *ctx_cause(const ctx_t *ctx);

/** The code of a cause; -EINVAL for NULL. */
CTX_API int ctx_cause_code(const ctx_cause_t *cause);

/** The message of a cause; borrowed: it lives as long as the cause. */
CTX_API const char *ctx_cause_message(const ctx_cause_t *cause);

/** The data, borrowed, if the cause was made with this key; else NULL. */
CTX_API void *ctx_cause_data(const ctx_cause_t *cause, const ctx_key_t *key);

/**
 * Whether a cause says more than the error of its context. A program that prints the error, and then the
 * message of the cause only if this is 1, prints nothing twice: unless the cause was made with a place or an
 * origin, and without a message.
 * @return 1 for a cause that somebody made with a message, with data, with a place, with an origin other
 *         than a cancel and a deadline, or with a code other than the two errors, and for causes of the
 *         library itself (a closed loop, a signal, the events of a descriptor); 0 for the plain cause of an
 *         error, and for one made of CTX_CANCELED or CTX_DEADLINE_EXCEEDED and nothing else.
 */
CTX_API int ctx_cause_given(const ctx_cause_t *cause);

/**
 * Who or what ended the context. If the maker of the cause stated no origin, it is CTX_ORIGIN_DEADLINE for the
 * code CTX_DEADLINE_EXCEEDED, and once the cause was given to a deadline or to a cancel with
 * CTX_DEADLINE_EXCEEDED; else it is CTX_ORIGIN_CANCELED.
 * @return CTX_ORIGIN_..., or another positive number: later versions may add some, and callers may state any;
 *         -EINVAL for NULL.
 */
CTX_API int ctx_cause_origin(const ctx_cause_t *cause);

/** The file that the cause was made in, as its maker gave it; borrowed; NULL if it gave no place. */
CTX_API const char *ctx_cause_file(const ctx_cause_t *cause);

/** The line in that file; 0 without a place, or if the maker did not know it; -EINVAL for NULL. */
CTX_API int ctx_cause_line(const ctx_cause_t *cause);

/** The function that made the cause; borrowed; NULL without a place, or if the maker did not know it. */
CTX_API const char *ctx_cause_function(const ctx_cause_t *cause);

/** Takes one more reference to a cause and returns it; NULL for a bad handle. */
CTX_API const ctx_cause_t *ctx_cause_ref(const ctx_cause_t *cause);

/** Gives one reference back; the last one runs drop on its data. @return NULL, always. */
CTX_API const ctx_cause_t *ctx_cause_unref(const ctx_cause_t *cause);

/** ctx_cause_unref(*cause), for the cleanup attribute of gcc and clang. Leaves NULL there. */
CTX_API void ctx_cause_unrefp(const ctx_cause_t **cause);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
