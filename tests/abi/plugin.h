/* SPDX-License-Identifier: MIT */
/* What a plugin hands to the program that opens it: functions of the copy of the library that it uses. */
#ifndef CTX_TESTS_ABI_PLUGIN_H
#define CTX_TESTS_ABI_PLUGIN_H

#include <ctx/ctx.h>

struct plugin {
  ctx_t *(*background)(void);
  int (*with_timeout)(ctx_t *, int64_t, ctx_t **, ctx_canceler_t **);
  int (*wait)(ctx_t *, int64_t);
  int (*err)(const ctx_t *);
  ctx_t *(*unref)(ctx_t *);
  ctx_t *soon; /* with a deadline that passes when the plugin has been closed */
  ctx_t *late; /* with one that does not */
};

/* Uses all that has threads and descriptors, and leaves nothing behind that runs code of the plugin. */
typedef int (*plugin_use_fn)(struct plugin *);

#endif
