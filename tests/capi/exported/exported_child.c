/* SPDX-License-Identifier: MIT */
/*
 * A process below a test: it imports what LIBCTX says, and tells on its standard output what it sees.
 *
 *   import         one line when it has imported, one when that context is done
 *   import PROGRAM...  the same, and between the two it starts PROGRAM, with its own export in LIBCTX
 *   export PROGRAM...  exports a context of its own, starts PROGRAM below, and waits to be ended
 *   fork PROGRAM...    as export; before it waits, it forks a process that waits for the end of standard input
 *   cancel PROGRAM...  as export, but cancels the context when a byte comes on standard input, and then waits
 */
#define _GNU_SOURCE 1
#include <ctx/ctx.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say_import(ctx_t *ctx) {
  int64_t deadline = -1;
  const char *a = ctx_string(ctx, "a");
  ctx_deadline(ctx, &deadline);
  printf("imported %" PRId64 " %s %d\n", deadline, a == NULL ? "-" : a, ctx_err(ctx));
  fflush(stdout);
}

static void say_end(ctx_t *ctx) {
  const ctx_cause_t *cause = ctx_cause(ctx);
  printf("%s|%d|%d|%s\n", ctx_strerror(ctx_err(ctx)), ctx_cause_code(cause),
         ctx_cause_origin(cause), ctx_cause_message(cause));
  fflush(stdout);
}

static void await_byte(void) {
  char byte;
  while (read(STDIN_FILENO, &byte, 1) < 0) continue;
}

/* Exports a context for good, and starts a program below. */
static void start(ctx_t *ctx, char **program) {
  char text[CTX_EXPORT_SIZE];
  if (ctx_export(ctx, text, sizeof text, NULL) < 0) exit(3);
  setenv("LIBCTX", text, 1);
  if (fork() == 0) {
    execvp(program[0], program);
    _exit(4);
  }
}

int main(int argc, char **argv) {
  ctx_t *ctx;
  if (argc < 2) return 2;
  if (strcmp(argv[1], "import") == 0) {
    const int result = ctx_import(NULL, ctx_background(), &ctx, NULL);
    if (result < 0) {
      printf("error %d\n", result);
      return 0;
    }
    say_import(ctx);
    if (argc > 2) start(ctx, argv + 2);
    ctx_wait(ctx, CTX_FOREVER);
    say_end(ctx);
    ctx_unref(ctx);
    return 0;
  }
  ctx_canceler_t *canceler;
  ctx_cause_t *cause;
  if (argc < 3 || ctx_with_cancel(ctx_background(), &ctx, &canceler) < 0) return 2;
  if (ctx_cause_new(7, "canceled above", &cause) < 0) return 2;
  start(ctx, argv + 2);
  if (strcmp(argv[1], "fork") == 0 && fork() == 0) {
    printf("forked\n");
    fflush(stdout);
    await_byte();
    _exit(0);
  }
  if (strcmp(argv[1], "cancel") == 0) {
    await_byte();
    ctx_cancel_with(canceler, CTX_CANCELED, cause);
  }
  for (;;) pause();
}
