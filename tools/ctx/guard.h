/* SPDX-License-Identifier: MIT */
/*
 * A process that ends the command if ctx dies, kill -9 included. It has no part in anything else: it is in no group that
 * is sent a signal, blocks all signals, and has one descriptor, the read end of a pipe from ctx.
 *
 *   a process number on the pipe   the command's, if only that is to be sent signals
 *   0                              the command has ended: there is nothing to guard
 *   end of file without that       ctx is gone
 */
#ifndef CTX_TOOLS_GUARD_H
#define CTX_TOOLS_GUARD_H

#include <sys/types.h>

#include "run.h"

struct guard {
  pid_t process;
  int pipe; /* close-on-exec; the command writes its own number to it before it runs its program */
};

/* 0, or a negative errno. `group` as in kill.h. Before any thread is started. */
int start_guard(struct guard *guard, const struct run_options *options, pid_t group);

void tell_guard(const struct guard *guard, pid_t command);
void dismiss_guard(const struct guard *guard);

#endif
