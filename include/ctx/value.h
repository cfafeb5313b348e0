/* SPDX-License-Identifier: MIT */
/**
 * @defgroup value Values
 * @ingroup c
 * ctx/value.h - request values: pointers that are private to the owner of a key, and text that every
 * language of the process shares.
 *
 * A value is seen by the context it was set on and by all derived from that one; the nearest wins. A
 * look-up visits the contexts that carry values and no others. Values outlive cancel. The general
 * rules are in ctx/ctx.h.
 * @{
 */
#ifndef CTX_VALUE_H
#define CTX_VALUE_H

#include <ctx/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Derives a context that carries a pointer. It ends exactly when the parent does.
 * @param key   identity is its address; must outlive the context. Not NULL.
 * @param value any pointer; NULL hides a value of the same key above.
 * @param drop  runs on value once, with no lock held, on the thread that gives back the last
 *              reference (never on the clock's thread); NULL for none.
 * @param ret   receives the context; the caller owns it.
 * @return 0; -EINVAL for a NULL key, parent or ret; -ENOMEM; -ECHILD; -EREMOTE. Since 0.1.
 */
CTX_API int ctx_with_value(ctx_t *parent, const ctx_key_t *key, void *value, ctx_drop_fn drop,
                           ctx_t **ret);

/** The nearest value of a key, borrowed; NULL if there is none, or for a NULL argument. Since 0.1. */
CTX_API void *ctx_value(const ctx_t *ctx, const ctx_key_t *key);

/**
 * Derives a context that carries text, such as a trace id, found by name from any language.
 * @param name  copied; compared by content. Not NULL.
 * @param value copied; NULL hides a string of the same name above.
 * @return as ctx_with_value(). Since 0.1.
 */
CTX_API int ctx_with_string(ctx_t *parent, const char *name, const char *value, ctx_t **ret);

/**
 * The nearest string of a name.
 * @return borrowed: it lives as long as the context is held; NULL if there is none, or for a NULL
 *         argument. Since 0.1.
 */
CTX_API const char *ctx_string(const ctx_t *ctx, const char *name);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
