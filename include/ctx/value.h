/* SPDX-License-Identifier: MIT */
/**
 * @defgroup value Values
 * @ingroup c
 * ctx/value.h - request values: pointers that only the owner of a key sees, and text that every
 * language of the process shares.
 *
 * The context that carries a value and all contexts derived from it see the value; the nearest wins. A
 * look-up visits only contexts that carry values. A canceled context keeps its values. The general rules
 * are in ctx/ctx.h.
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
 * @param key   identified by its address; must outlive the context. Not NULL.
 * @param value any pointer; NULL hides a value of the same key above.
 * @param drop  runs on value once, with no lock held, on the thread that gives back the last reference;
 *              if that is a loop's clock, on `ctx-calls`. NULL for none.
 * @param ret   receives the context; the caller owns it.
 * @return 0; -EINVAL; -ENOMEM.
 */
CTX_API int ctx_with_value(ctx_t *parent, const ctx_key_t *key, void *value, ctx_drop_fn drop,
                           ctx_t **ret);

/** The nearest value of a key, borrowed; NULL if there is none, or for a NULL argument. */
CTX_API void *ctx_value(const ctx_t *ctx, const ctx_key_t *key);

/**
 * Derives a context that carries text, such as a trace id, found by name from any language.
 * @param name  copied; compared by content. Not NULL.
 * @param value copied; NULL hides a string of the same name above.
 * @return as ctx_with_value().
 */
CTX_API int ctx_with_string(ctx_t *parent, const char *name, const char *value, ctx_t **ret);

/**
 * The nearest string of a name.
 * @return borrowed: it lives as long as the context is held; NULL if there is none, or for a NULL
 *         argument.
 */
CTX_API const char *ctx_string(const ctx_t *ctx, const char *name);

/**
 * Calls fn(name, value, arg) on this thread for each name that ctx_string() finds, once, with its nearest
 * string; the nearest come first. For those who write them to a wire. The time it takes grows with the
 * square of the number of strings.
 * @param fn answers 0 to go on, any other number to stop. Name and value are borrowed, as the answer of
 *           ctx_string().
 * @return 0; or what fn answered to stop; -EINVAL for a NULL fn.
 */
CTX_API int ctx_strings(const ctx_t *ctx, ctx_string_fn fn, void *arg);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
