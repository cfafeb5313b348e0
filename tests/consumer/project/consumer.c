/* SPDX-License-Identifier: MIT */
/* A C99 program: derives, carries text, cancels with a cause, and looks at what came of it. */
#include <ctx/ctx.h>
#include <stdio.h>
#include <string.h>

static int failed(const char *what) {
  fprintf(stderr, "consumer.c: %s\n", what);
  return 1;
}

int main(void) {
  ctx_t *request, *ctx;
  ctx_canceler_t *canceler;
  ctx_cause_t *cause;
  const char *trace;

  if (ctx_version() != CTX_VERSION) return failed("library and headers differ");
  if (ctx_with_string(ctx_background(), "trace-id", "42", &request) < 0)
    return failed("with_string");
  if (ctx_with_timeout(request, INT64_C(3600000000000), &ctx, &canceler) < 0)
    return failed("with_timeout");
  request = ctx_unref(request);

  trace = ctx_string(ctx, "trace-id");
  if (!trace || strcmp(trace, "42") != 0) return failed("string");
  if (ctx_err(ctx) != 0) return failed("done too early");

  if (ctx_cause_new(-ECONNRESET, "client went away", &cause) < 0) return failed("cause_new");
  if (ctx_cancel_with(canceler, CTX_CANCELED, cause) != 1) return failed("cancel_with");
  ctx_cause_unref(cause);
  if (ctx_wait(ctx, CTX_FOREVER) != 1 || ctx_err(ctx) != CTX_CANCELED) return failed("not done");
  if (ctx_cause_code(ctx_cause(ctx)) != -ECONNRESET) return failed("cause");

  printf("%s: %s\n", ctx_strerror(ctx_err(ctx)), ctx_cause_message(ctx_cause(ctx)));
  ctx_canceler_unref(canceler);
  ctx_unref(ctx);
  return 0;
}
