/* SPDX-License-Identifier: MIT */
/* ctx run: a command that ends with a context. */
#ifndef CTX_TOOLS_RUN_H
#define CTX_TOOLS_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses, as timeout(1) has them. */
#define STATUS_ENDED 124      /* the context ended the command */
#define STATUS_FAILED 125     /* ctx itself failed */
#define STATUS_CANNOT_RUN 126 /* the command is there, and cannot be run */
#define STATUS_NOT_FOUND 127

struct setting {
  const char *name;
  const char *value;
};

struct run_options {
  int64_t timeout_ns; /* CTX_FOREVER: none */
  int64_t grace_ns;   /* from the end to SIGKILL; CTX_FOREVER: never */
  int signal;         /* what the end sends */
  bool foreground;    /* only the command itself is sent signals, and it may use the terminal */
  bool cooperative;   /* nothing is sent before the grace is over */
  const struct setting *settings;
  size_t setting_count;
  char **command;
};

/* Returns the status to exit with. */
int run(const struct run_options *options);

/* Writes "ctx: ..." and a line's end to standard error. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

#endif
