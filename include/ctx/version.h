/* SPDX-License-Identifier: MIT */
/**
 * @defgroup version Versions
 * @ingroup c
 * ctx/version.h - the version of the headers, and that of the library found at run time.
 * @{
 */
#ifndef CTX_VERSION_H
#define CTX_VERSION_H

#include <ctx/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CTX_VERSION_MAJOR 0 /**< The first number of the version of these headers. */
#define CTX_VERSION_MINOR 1 /**< The second. */
#define CTX_VERSION_PATCH 0 /**< The third. */

/** The version of these headers: major, minor and patch, each in one byte from bit 16 down. */
#define CTX_VERSION                                                       \
  ((uint32_t)CTX_VERSION_MAJOR << 16 | (uint32_t)CTX_VERSION_MINOR << 8 | \
   (uint32_t)CTX_VERSION_PATCH)

/** The version of the library that is running, as CTX_VERSION. */
CTX_API uint32_t ctx_version(void);

/** The same as text, such as "0.1.0"; static. */
CTX_API const char *ctx_version_string(void);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
