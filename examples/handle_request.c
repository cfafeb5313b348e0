// SPDX-License-Identifier: MIT
//
// handle_request.c - the smallest use of a deadline: a request may take a second, its handler needs
// half of one. Prints
//
//   process request with 500ms
//   main context deadline exceeded
//
// Exits 0 only if the handler was done in time and the deadline then ended the context.

#define _POSIX_C_SOURCE 200809L
#include <ctx/ctx.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

static const int64_t kMs = 1000000;

struct request {
  ctx_t *ctx;
  int64_t needs_ns;
  int finished;
};

// Works for as long as the request needs, unless the context ends first. A real handler would hand
// ctx to everything it calls; here one wait stands for all of that.
static void *handle(void *arg) {
  struct request *request = arg;
  request->finished = ctx_wait(request->ctx, request->needs_ns) == 0;
  if (request->finished) {
    printf("process request with %" PRId64 "ms\n", request->needs_ns / kMs);
  } else {
    printf("handle %s\n", ctx_strerror(ctx_err(request->ctx)));
  }
  return NULL;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);

  ctx_t *ctx;
  int r = ctx_with_timeout(ctx_background(), 1000 * kMs, &ctx, NULL);
  if (r < 0) {
    fprintf(stderr, "ctx_with_timeout: %s\n", ctx_strerror(r));
    return 1;
  }

  struct request request = {.ctx = ctx, .needs_ns = 500 * kMs};
  pthread_t handler;
  if (pthread_create(&handler, NULL, handle, &request) != 0) {
    fprintf(stderr, "cannot start the handler\n");
    ctx_unref(ctx);
    return 1;
  }

  ctx_wait(ctx, CTX_FOREVER);
  int err = ctx_err(ctx);
  printf("main %s\n", ctx_strerror(err));

  pthread_join(handler, NULL);
  ctx_unref(ctx);
  return request.finished && err == CTX_DEADLINE_EXCEEDED ? 0 : 1;
}
