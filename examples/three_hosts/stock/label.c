// SPDX-License-Identifier: MIT
//
// label.c - the process below the service: it works until its context ends, and says why that was. The context is the
// one that the service has exported; nothing but the environment connects the two.
#define _POSIX_C_SOURCE 200809L
#include <signal.h>

#include "said.h"

int main(void) {
  ctx_t *ctx;
  ctx_canceler_t *canceler;
  signal(SIGTERM, SIG_IGN); /* it comes at the same moment, and would say less */
  if (ctx_import(NULL, ctx_background(), &ctx, &canceler) != 0) return 2;
  say_begins("child", ctx);
  while (ctx_wait(ctx, CTX_FOREVER) < 0) {
  }
  say_ended("child", ctx);
  ctx_canceler_unref(canceler);
  ctx_unref(ctx);
  return 0;
}
