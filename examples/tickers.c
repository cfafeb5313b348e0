// SPDX-License-Identifier: MIT
//
// tickers.c - one cancel ends a whole family. A parent context has two children, each in a thread of
// its own that ticks once a second. After three seconds the parent is canceled, and both children
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
  ctx_t *ctx;
  ctx_canceler_t *canceler;
  pthread_t thread;
  int ticks;
  int err;
};

// The wait is the ticker: it sleeps for a second, or until the context is done, whichever is first.
static void *tick(void *arg) {
  struct child *child = arg;
  while (ctx_wait(child->ctx, kSecond) == 0) {
    ++child->ticks;
    printf("child%d ticker\n", child->number);
  }
  child->err = ctx_err(child->ctx);
  printf("child%d done\n", child->number);
  return NULL;
}

static int start(struct child *child, ctx_t *parent) {
  int r = ctx_with_cancel(parent, &child->ctx, &child->canceler);
  if (r < 0) return r;
  r = -pthread_create(&child->thread, NULL, tick, child);
  if (r < 0) {
    ctx_canceler_unref(child->canceler);
    ctx_unref(child->ctx);
  }
  return r;
}

static void join(struct child *child) {
  pthread_join(child->thread, NULL);
  ctx_canceler_unref(child->canceler);
  ctx_unref(child->ctx);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);

  ctx_t *parent;
  ctx_canceler_t *canceler;
  int r = ctx_with_cancel(ctx_background(), &parent, &canceler);
  if (r < 0) {
    fprintf(stderr, "ctx_with_cancel: %s\n", ctx_strerror(r));
    return 1;
  }

  struct child children[2] = {{.number = 1}, {.number = 2}};
  int started = 0;
  while (started < 2 && (r = start(&children[started], parent)) == 0) ++started;

  if (r == 0) {
    ctx_wait(parent, 3 * kSecond);
  } else {
    fprintf(stderr, "cannot start a child: %s\n", ctx_strerror(r));
  }
  ctx_cancel(canceler);

  int failed = r < 0;
  for (int i = 0; i < started; ++i) {
    join(&children[i]);
    if (children[i].ticks < 1 || children[i].err != CTX_CANCELED) failed = 1;
  }
  ctx_canceler_unref(canceler);
  ctx_unref(parent);
  return failed;
}
