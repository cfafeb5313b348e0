/* SPDX-License-Identifier: MIT */
/**
 * @defgroup error Errors
 * @ingroup c
 * ctx/error.h - the two errors of a context. They are plain negative errnos, so that
 * `if ((r = ctx_err(ctx)) < 0) return r;` is the whole idiom.
 * @{
 */
#ifndef CTX_ERROR_H
#define CTX_ERROR_H

#include <ctx/types.h>
#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The context was canceled. -125 on Linux, for those who call the library without a C compiler. */
#define CTX_CANCELED (-ECANCELED)

/** The context's deadline passed. -110 on Linux. */
#define CTX_DEADLINE_EXCEEDED (-ETIMEDOUT)

/**
 * The text of an error: "context canceled" and "context deadline exceeded" for the two errors of a
 * context; for any other, the system's English text for that errno; "unknown error" for a number that it
 * does not know. A positive errno reads as its negative.
 * @return static text, never NULL; safe on any thread, and in a signal handler.
 */
CTX_API const char *ctx_strerror(int err);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
