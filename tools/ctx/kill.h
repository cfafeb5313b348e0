/* SPDX-License-Identifier: MIT */
/* How a command, and all that belongs to it, is sent a signal. */
#ifndef CTX_TOOLS_KILL_H
#define CTX_TOOLS_KILL_H

#include <stdbool.h>
#include <sys/types.h>

struct target {
  pid_t group;   /* the process group of ctx and the command; 0: only the command is meant */
  pid_t command; /* not reaped yet, so that the number is still its own; 0: not known */
};

/* Sends a signal; and after one that a stopped process would not see, SIGCONT. */
void send_signal(const struct target *target, int signal);

/* Of CLOCK_MONOTONIC. */
long long now_ns(void);

#endif
