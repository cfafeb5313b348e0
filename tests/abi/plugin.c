/* SPDX-License-Identifier: MIT */
/* A plugin that uses libctx, of which it links the shared or the static library. */
#include "plugin.h"

#include <poll.h>
#include <stdlib.h>

#define MILLISECOND INT64_C(1000000)
#define LIMIT (60000 * MILLISECOND)
#define MUST(condition) ((condition) ? (void)0 : abort())

static int runs;

static void count(ctx_t *ctx, void *arg) {
  (void)ctx;
  (void)arg;
  __atomic_add_fetch(&runs, 1, __ATOMIC_SEQ_CST);
}

/* A deadline that runs a callback on each kind of thread. */
static void use_threads(ctx_t *root) {
  static const uint32_t flags[] = {0, CTX_DEFER, CTX_BLOCKING, CTX_DEFER | CTX_BLOCKING, CTX_WAKER};
  enum { KINDS = sizeof flags / sizeof *flags };
  ctx_watch_t *watches[KINDS];
  const int before = __atomic_load_n(&runs, __ATOMIC_SEQ_CST);
  ctx_t *ctx = NULL;
  int i;
  MUST(ctx_with_timeout(root, MILLISECOND, &ctx, NULL) == 0);
  for (i = 0; i < KINDS; ++i)
    MUST(ctx_after_func(ctx, count, NULL, NULL, flags[i], &watches[i]) >= 0);
  MUST(ctx_wait(ctx, LIMIT) == 1);
  while (__atomic_load_n(&runs, __ATOMIC_SEQ_CST) < before + KINDS) poll(NULL, 0, 1);
  for (i = 0; i < KINDS; ++i) {
    ctx_watch_stop_wait(watches[i]); /* until the callback has left the plugin */
    ctx_watch_unref(watches[i]);
  }
  ctx_unref(ctx);
}

static void use_loop(void) {
  ctx_loop_t *loop = NULL;
  ctx_t *root = NULL;
  MUST(ctx_loop_new(CTX_LOOP_THREAD, NULL, &loop) == 0 && ctx_loop_background(loop, &root) == 0);
  use_threads(root);
  MUST(ctx_loop_close(loop) == 0);
  ctx_unref(root);
  ctx_loop_unref(loop);
}

static void use_descriptors(void) {
  ctx_t *ctx = NULL;
  ctx_canceler_t *canceler = NULL;
  ctx_queue_t *queue = NULL;
  ctx_event_t event;
  MUST(ctx_with_cancel(ctx_background(), &ctx, &canceler) == 0 && ctx_queue_new(&queue) == 0);
  MUST(ctx_done_fd(ctx) >= 0 && ctx_queue_fd(queue) >= 0 &&
       ctx_queue_add(queue, ctx, 1, NULL) == 0);
  MUST(ctx_cancel(canceler) == 1 && ctx_queue_wait(queue, &event, 1, LIMIT) == 1);
  ctx_queue_unref(queue);
  ctx_canceler_unref(canceler);
  ctx_unref(ctx);
}

__attribute__((visibility("default"))) int plugin_use(struct plugin *ret) {
  use_threads(ctx_background());
  use_loop();
  use_descriptors();
  ret->background = ctx_background;
  ret->with_timeout = ctx_with_timeout;
  ret->wait = ctx_wait;
  ret->err = ctx_err;
  ret->unref = ctx_unref;
  MUST(ctx_with_timeout(ctx_background(), 20 * MILLISECOND, &ret->soon, NULL) == 0);
  MUST(ctx_with_timeout(ctx_background(), 60 * LIMIT, &ret->late, NULL) == 0);
  return 0;
}
