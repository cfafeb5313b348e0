/* SPDX-License-Identifier: MIT */
/*
 * unload PLUGIN STAYS: opens a plugin, uses it, closes it and opens it again. Of it only what uses libctx, STAYS, may
 * remain: libctx.so, or a plugin that has libctx linked in. The threads there go on, and so does whoever has kept
 * handles and functions of it, also in a forked child. With BESIDE the program has a libctx of its own, too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin.h"

#define MILLISECOND INT64_C(1000000)
#define LIMIT (60000 * MILLISECOND)
#define MUST(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

__attribute__((noreturn)) static void fail(const char *condition, int line) {
  fprintf(stderr, "line %d: not so: %s\n", line, condition);
  _exit(1);
}

static int is_loaded(const char *file) {
  void *library = dlopen(file, RTLD_NOW | RTLD_NOLOAD);
  if (library) dlclose(library);
  return library != NULL;
}

static struct plugin use_and_close(const char *file) {
  struct plugin kept;
  plugin_use_fn use;
  void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (!library) fprintf(stderr, "%s\n", dlerror());
  MUST(library);
  *(void **)&use = dlsym(library, "plugin_use");
  MUST(use && use(&kept) == 0);
  MUST(dlclose(library) == 0);
  return kept;
}

/* A deadline of each copy that is there. */
static void expect_deadlines(const struct plugin *kept) {
  ctx_t *ctx = NULL;
  MUST(kept->with_timeout(kept->background(), MILLISECOND, &ctx, NULL) == 0);
  MUST(kept->wait(ctx, LIMIT) == 1 && kept->err(ctx) == CTX_DEADLINE_EXCEEDED);
#ifdef BESIDE
  MUST(ctx_err(ctx) == -EREMOTE);
#endif
  kept->unref(ctx);
#ifdef BESIDE
  MUST(kept->background() != ctx_background());
  MUST(ctx_with_timeout(ctx_background(), MILLISECOND, &ctx, NULL) == 0);
  MUST(ctx_wait(ctx, LIMIT) == 1 && kept->err(ctx) == -EREMOTE);
  ctx_unref(ctx);
#endif
}

static void expect_forks(const struct plugin *kept) {
  int status;
  const pid_t pid = fork();
  MUST(pid >= 0);
  if (pid == 0) {
    alarm(60);
    MUST(kept->wait(kept->late, LIMIT) == -ECHILD); /* its fork handler has run */
    expect_deadlines(kept);
    exit(0);
  }
  MUST(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(int argc, char **argv) {
  struct plugin first, second;
  MUST(argc == 3);
  alarm(120);

  first = use_and_close(argv[1]);
  MUST(is_loaded(argv[1]) == (strcmp(argv[1], argv[2]) == 0));
  MUST(is_loaded(argv[2]));
  MUST(first.wait(first.soon, LIMIT) == 1 && first.err(first.soon) == CTX_DEADLINE_EXCEEDED);
  expect_deadlines(&first);
  expect_forks(&first);

  second = use_and_close(argv[1]);
  MUST(second.background() == first.background()); /* it is the same copy */
  MUST(first.err(first.late) == 0 && second.wait(second.soon, LIMIT) == 1);
  expect_deadlines(&second);
  expect_forks(&second);

  first.unref(first.late);
  first.unref(first.soon);
  second.unref(second.late);
  second.unref(second.soon);
  return 0; /* with its threads at work */
}
