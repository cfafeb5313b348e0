/* SPDX-License-Identifier: MIT */
/* said.h - what a part of the example says of its context: one line of JSON, as all of them write. hosts.py draws them. */
#ifndef SAID_H
#define SAID_H

#include <ctx/ctx.h>
#include <stdio.h>
#include <time.h>

/* CLOCK_MONOTONIC is one for all processes of a machine, so that times can be compared. */
static inline long long said_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline void say_begins(const char *who, const ctx_t *ctx) {
  printf("{\"who\":\"%s\",\"at\":%lld,\"left\":%lld}\n", who, said_now(),
         (long long)ctx_remaining(ctx));
  fflush(stdout);
}

/* The cause as text needs no more quoting: see ctx_cause_encode(). */
static inline void say_ended(const char *who, const ctx_t *ctx) {
  char cause[CTX_CAUSE_TEXT] = "";
  ctx_cause_encode(ctx_cause(ctx), NULL, cause, sizeof cause);
  printf("{\"who\":\"%s\",\"at\":%lld,\"late\":%s,\"cause\":\"%s\"}\n", who, said_now(),
         ctx_err(ctx) == CTX_DEADLINE_EXCEEDED ? "true" : "false", cause);
  fflush(stdout);
}

#endif
