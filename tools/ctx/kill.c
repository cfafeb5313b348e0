/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "kill.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

static void send_one(const struct target *target, int signal) {
  /* A command may have left the group. A group that is stopped would not go on, and ctx is in it. */
  const bool apart = target->command > 0 && getpgid(target->command) != target->group;
  if (target->command > 0 && (apart || signal == SIGSTOP)) kill(target->command, signal);
  /* 0 is the own group, also of the first process of a container: -1 would be all processes. */
  const pid_t group = target->group == getpgrp() ? 0 : -target->group;
  if (target->group > 0 && signal != SIGSTOP) kill(group, signal);
}

void send_signal(const struct target *target, int signal) {
  send_one(target, signal);
  if (signal != SIGKILL && signal != SIGCONT && signal != SIGSTOP) send_one(target, SIGCONT);
}

long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}
