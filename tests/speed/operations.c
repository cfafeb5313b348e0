// SPDX-License-Identifier: MIT
//
// operations <row> <times>: does the operation of a row of docs/targets.md so often, and nothing else that grows with
// the number. Its instructions are counted by instructions.py.
#include <ctx/ctx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kRequests = 1000, kFan = 1000 };
static const int64_t kSecond = 1000000000;

static ctx_t* parent;

static void check(int result) {
  if (result >= 0) return;
  fprintf(stderr, "operations: %s\n", ctx_strerror(result));
  exit(2);
}

static void end(ctx_t* ctx, ctx_canceler_t* canceler) {
  if (ctx_cancel(canceler) != 1) exit(2);
  ctx_canceler_unref(canceler);
  ctx_unref(ctx);
}

static void nothing(ctx_t* ctx, void* arg) {
  (void)ctx;
  (void)arg;
}

// P1: derive, cancel, release.
static void derive(long times) {
  while (times-- > 0) {
    ctx_t* ctx;
    ctx_canceler_t* canceler;
    check(ctx_with_cancel(parent, &ctx, &canceler));
    end(ctx, canceler);
  }
}

// P2: the same with a timeout of an hour.
static void timeout(long times) {
  while (times-- > 0) {
    ctx_t* ctx;
    ctx_canceler_t* canceler;
    check(ctx_with_timeout(parent, 3600 * kSecond, &ctx, &canceler));
    end(ctx, canceler);
  }
}

// P3: ask whether a context is done.
static void ask(long times) {
  int errors = 0;
  while (times-- > 0) errors += ctx_err(parent) != 0;
  if (errors != 0) exit(2);
}

// P4: register a callback and stop it.
static void call_back(long times) {
  while (times-- > 0) {
    ctx_watch_t* watch;
    check(ctx_after_func(parent, nothing, NULL, NULL, 0, &watch));
    check(ctx_watch_stop(watch));
    ctx_watch_unref(watch);
  }
}

// P5: a child of a fan that is canceled; derive and release it, too.
static void fan(long times) {
  static ctx_t* children[kFan];
  static ctx_canceler_t* cancelers[kFan];
  while ((times -= kFan) >= 0) {
    ctx_t* above;
    ctx_canceler_t* canceler;
    check(ctx_with_cancel(parent, &above, &canceler));
    for (int i = 0; i < kFan; ++i) check(ctx_with_cancel(above, &children[i], &cancelers[i]));
    if (ctx_cancel(canceler) != 1) exit(2);
    for (int i = 0; i < kFan; ++i) {
      ctx_canceler_unref(cancelers[i]);
      ctx_unref(children[i]);
    }
    ctx_canceler_unref(canceler);
    ctx_unref(above);
  }
}

// P17: a handler's life below one of many requests.
static void handle(long times) {
  static ctx_t* requests[kRequests];
  static ctx_canceler_t* cancelers[kRequests];
  for (int i = 0; i < kRequests; ++i) check(ctx_with_cancel(parent, &requests[i], &cancelers[i]));
  while (times-- > 0) {
    ctx_t *ctx, *named;
    ctx_canceler_t* canceler;
    check(ctx_with_timeout(requests[times * 7 % kRequests], kSecond, &ctx, &canceler));
    check(ctx_with_string(ctx, "user", "somebody", &named));
    check(ctx_after_func(named, nothing, NULL, NULL, 0, NULL));
    if (ctx_cancel(canceler) != 1) exit(2);
    ctx_unref(named);
    ctx_canceler_unref(canceler);
    ctx_unref(ctx);
  }
  for (int i = 0; i < kRequests; ++i) end(requests[i], cancelers[i]);
}

int main(int argc, char** argv) {
  static const struct {
    const char* row;
    void (*run)(long times);
  } operations[] = {{"P1", derive},    {"P2", timeout}, {"P3", ask},
                    {"P4", call_back}, {"P5", fan},     {"P17", handle}};
  ctx_canceler_t* canceler;
  check(ctx_with_cancel(ctx_background(), &parent, &canceler));
  for (size_t i = 0; argc == 3 && i < sizeof operations / sizeof *operations; ++i) {
    if (strcmp(argv[1], operations[i].row) != 0) continue;
    operations[i].run(strtol(argv[2], NULL, 10));
    end(parent, canceler);
    return 0;
  }
  fprintf(stderr, "usage: operations P1|P2|P3|P4|P5|P17 TIMES\n");
  return 2;
}
