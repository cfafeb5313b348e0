// SPDX-License-Identifier: MIT
//
// tickers.c - one cancel ends a whole family, and a group waits for it. A parent context has two children, each
// in a thread of its own that ticks once a second. After three seconds the parent is canceled, and both children
// stop themselves: nobody keeps a list of them, and nobody sets a flag for each. Prints, again and again,
//
//   child1 ticker
//   child2 ticker
//
// and at the end
//
//   child1 done
//   child2 done
//
// Exits 0 only if both children ticked and were then done with CTX_CANCELED.

#define _POSIX_C_SOURCE 200809L
#include <ctx/ctx.h>
#include <pthread.h>
#include <stdio.h>

static const int64_t kSecond = 1000000000;

struct child {
  int number;
  ctx_group_t *group;
  ctx_t *ctx;
};

// The wait is the ticker: it sleeps for a second, or until the context is done, whichever is first.
static void *tick(void *arg) {
  struct child *child = arg;
  int ticks = 0;
  while (ctx_wait(child->ctx, kSecond) == 0) {
    ++ticks;
    printf("child%d ticker\n", child->number);
  }
  printf("child%d done\n", child->number);

  ctx_cause_t *wrong = NULL;
  if (ticks < 1 || ctx_err(child->ctx) != CTX_CANCELED) ctx_cause_new(-EPROTO, NULL, &wrong);
  ctx_unref(child->ctx);
  ctx_group_end(child->group, wrong);
  ctx_cause_unref(wrong);
  return NULL;
}

// A child of the group's context, and its thread, which nobody has to join.
static int start(struct child *child) {
  ctx_canceler_t *canceler;
  int r = ctx_with_cancel(ctx_group_context(child->group), &child->ctx, &canceler);
  if (r < 0) return r;
  ctx_canceler_unref(canceler); /* it ends with its parent alone */

  r = ctx_group_begin(child->group);
  if (r == 0) {
    pthread_t thread;
    r = -pthread_create(&thread, NULL, tick, child);
    if (r == 0) {
      pthread_detach(thread);
      return 0;
    }
    ctx_group_end(child->group, NULL);
  }
  ctx_unref(child->ctx);
  return r;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);

  ctx_group_t *group;
  int r = ctx_group_new(ctx_background(), &group);
  if (r < 0) {
    fprintf(stderr, "ctx_group_new: %s\n", ctx_strerror(r));
    return 1;
  }

  struct child children[] = {{.number = 1, .group = group}, {.number = 2, .group = group}};
  for (int i = 0; i < 2 && r == 0; ++i) r = start(&children[i]);

  if (r == 0) {
    ctx_wait(ctx_group_context(group), 3 * kSecond);
  } else {
    fprintf(stderr, "cannot start a child: %s\n", ctx_strerror(r));
  }
  ctx_cancel(ctx_group_canceler(group));
  while (ctx_group_wait(group, CTX_FOREVER) != 1) { /* a signal handler ran */
  }

  const int failed = r < 0 || ctx_group_cause(group) != NULL;
  ctx_group_unref(group);
  return failed;
}
