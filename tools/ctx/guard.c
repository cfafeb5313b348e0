/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "guard.h"

#include <ctx/types.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kill.h"

/* The command of a guard that watches no group, by a descriptor: its number may be another process's later. */
static int command_fd = -1;

static void send(pid_t group, int signal) {
  const struct target target = {group, 0};
  if (group > 0) {
    send_signal(&target, signal);
  } else if (command_fd >= 0) {
    syscall(SYS_pidfd_send_signal, command_fd, signal, NULL, 0);
    if (signal != SIGKILL && signal != SIGCONT) {
      syscall(SYS_pidfd_send_signal, command_fd, SIGCONT, NULL, 0);
    }
  }
}

static int is_there(pid_t group) {
  if (group > 0) return kill(-group, 0) == 0 || errno == EPERM;
  return command_fd >= 0 && syscall(SYS_pidfd_send_signal, command_fd, 0, NULL, 0) == 0;
}

/* ctx is gone: does what it would have done at its context's end. */
static void end_command(const struct run_options *options, pid_t group) {
  const struct timespec moment = {0, 20 * 1000000};
  const long long begin = now_ns();
  if (!options->cooperative) send(group, options->signal);
  if (!options->cooperative && options->signal == SIGKILL) return;
  if (options->grace_ns == CTX_FOREVER) return;
  /* Nobody tells when a group is empty. Its number is looked at so often that no other can have it meanwhile. */
  while (is_there(group)) {
    if (now_ns() - begin >= options->grace_ns) {
      send(group, SIGKILL);
      return;
    }
    nanosleep(&moment, NULL);
  }
}

static void keep_guard(int pipe, const struct run_options *options, pid_t group) {
  sigset_t all;
  pid_t number = 0;
  ssize_t size;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  setpgid(0, 0);
  dup2(pipe, STDIN_FILENO);
  syscall(SYS_close_range, 1u, ~0u, 0u);
  while ((size = read(STDIN_FILENO, &number, sizeof number)) != 0) {
    if (size < 0 && errno == EINTR) continue;
    if (size != sizeof number || number == 0) _exit(0);
    command_fd = (int)syscall(SYS_pidfd_open, number, 0);
  }
  end_command(options, group);
  _exit(0);
}

int start_guard(struct guard *guard, const struct run_options *options, pid_t group) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
  guard->process = fork();
  if (guard->process < 0) {
    const int error = errno;
    close(ends[0]);
    close(ends[1]);
    return -error;
  }
  if (guard->process == 0) {
    close(ends[1]);
    keep_guard(ends[0], options, group);
  }
  close(ends[0]);
  guard->pipe = ends[1];
  return 0;
}

void tell_guard(const struct guard *guard, pid_t command) {
  while (write(guard->pipe, &command, sizeof command) < 0 && errno == EINTR) continue;
}

void dismiss_guard(const struct guard *guard) {
  tell_guard(guard, 0);
  close(guard->pipe);
  while (waitpid(guard->process, NULL, 0) < 0 && errno == EINTR) continue;
}
