/* SPDX-License-Identifier: MIT */
/**
 * @defgroup types Types
 * @ingroup c
 * ctx/types.h - the types and constants that every other header of libctx uses.
 *
 * All objects are opaque: a program holds pointers to them and never looks inside. Only four structs are
 * public: ctx_key_t here, ctx_event_t in ctx/queue.h, ctx_loop_options_t in ctx/loop.h and ctx_formats_t in
 * ctx/propagate.h.
 * @{
 */
#ifndef CTX_TYPES_H
#define CTX_TYPES_H

#include <stddef.h>
#include <stdint.h>

/** Marks what the library exports: nothing, while a static library is compiled. */
#if !defined(CTX_STATIC) && (defined(__GNUC__) || defined(__clang__))
#define CTX_API __attribute__((visibility("default")))
#else
#define CTX_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A context: read it, wait for it, derive from it. This handle does not give the right to cancel it.
 * (The tag is not ctx, since in C++ that is the namespace of ctx/ctx.hpp.)
 */
typedef struct ctx_context ctx_t;

/** The right to cancel one context. It is never the same address as the context's own handle. */
typedef struct ctx_canceler ctx_canceler_t;

/**
 * Why a context was canceled: a code, a message, an origin and, if wanted, data and a place. Immutable. (The
 * tag is not ctx_cause, since in C++ a function of that name would hide it.)
 */
typedef struct ctx_cause_object ctx_cause_t;

/** Something armed on a context: a callback, or its place in a queue. */
typedef struct ctx_watch ctx_watch_t;

/** Many contexts on one descriptor; see ctx/queue.h. */
typedef struct ctx_queue ctx_queue_t;

/** Work that is waited for together; see ctx/group.h. */
typedef struct ctx_group ctx_group_t;

/** A clock, its timers and the descriptors it watches; see ctx/loop.h. */
typedef struct ctx_loop ctx_loop_t;

/**
 * A key of ctx_with_value() and ctx_cause_new_data(). Its address identifies it: define one static key
 * for each kind of value. The key must outlive every context and cause made with it.
 */
typedef struct ctx_key {
  const char *name; /**< For ctx_describe(); static text, or NULL. */
} ctx_key_t;

/** A callback of ctx_after_func(). The context is borrowed for the length of the call. */
typedef void (*ctx_fn)(ctx_t *ctx, void *arg);

/** A user's destructor: called once, with the pointer that was handed over. */
typedef void (*ctx_drop_fn)(void *ptr);

/** What ctx_strings() calls for each string, and ctx_inject() for each header. */
typedef int (*ctx_string_fn)(const char *name, const char *value, void *arg);

/** How ctx_extract() asks a map of headers for a name; see there. */
typedef int64_t (*ctx_get_fn)(const char *name, const char **text, void *arg);

/** How an executor takes work: it must have run(work) called once; see ctx_loop_options_t. */
typedef int (*ctx_post_fn)(void *executor, void (*run)(void *work), void *work);

/** No deadline, and no limit of a wait: the largest time there is. */
#define CTX_FOREVER INT64_MAX

/** @} */

#ifdef __cplusplus
}
#endif

#endif
