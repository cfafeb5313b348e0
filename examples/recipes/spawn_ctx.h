/* SPDX-License-Identifier: MIT */
/**
 * spawn_ctx.h - a child process that a context ends. Copy it into your program.
 *
 * The child leads a process group of its own, so that what it starts ends with it. When the context is done, the group
 * gets SIGTERM and has a grace to end; then it gets SIGKILL. The child is reaped in any case.
 *
 * Nobody else may reap it: the process must not ignore SIGCHLD, nor wait for just any child. C11 with _GNU_SOURCE.
 */
#ifndef SPAWN_CTX_H
#define SPAWN_CTX_H

#include <ctx/ctx.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/** A child that runs, or waits to be reaped. */
typedef struct spawn_child {
  pid_t pid; /**< Also the number of its group. */
  int fd;    /**< Its pidfd: readable once it has exited, such as for ctx_with_fd(). */
} spawn_child_t;

/** Sends a signal to the child's group; to the child alone if it has left that. SIGKILL always reaches the child. */
static inline void spawn_signal(const spawn_child_t *child, int signal) {
  if (kill(-child->pid, signal) != 0 || signal == SIGKILL) kill(child->pid, signal);
}

/** Waits for a child that exits, whatever it takes. */
static inline int spawn_reap(spawn_child_t *child, siginfo_t *ret) {
  int r;
  do {
    r = waitid(P_PID, (id_t)child->pid, ret, WEXITED);
  } while (r < 0 && errno == EINTR);
  if (r < 0) r = -errno;
  if (child->fd >= 0) close(child->fd);
  child->fd = -1;
  return r;
}

/**
 * Starts a program. It begins with no signal blocked, and with SIGTERM not ignored, whatever this thread does.
 * @param file    looked for in PATH, as posix_spawnp() does.
 * @param actions for its descriptors; may be NULL.
 * @param ret     receives the child, which spawn_wait_ctx() must be called for; on an error, one with the number -1.
 * @return 0; the error of ctx, if that is done: nothing was started; else what the system answered, such as -ENOENT.
 */
static inline int spawn_ctx(ctx_t *ctx, const char *file, const posix_spawn_file_actions_t *actions,
                            char *const argv[], char *const envp[], spawn_child_t *ret) {
  spawn_child_t child = {-1, -1};
  posix_spawnattr_t attr;
  siginfo_t how;
  sigset_t set;
  int r = ctx_err(ctx);
  *ret = child;
  if (r == 0) r = -posix_spawnattr_init(&attr);
  if (r != 0) return r;
  posix_spawnattr_setflags(&attr,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attr, 0);
  sigemptyset(&set);
  posix_spawnattr_setsigmask(&attr, &set);
  sigaddset(&set, SIGTERM);
  posix_spawnattr_setsigdefault(&attr, &set);
  r = -posix_spawnp(&child.pid, file, actions, &attr, argv, envp);
  posix_spawnattr_destroy(&attr);
  if (r != 0) return r;
  child.fd = (int)syscall(SYS_pidfd_open, child.pid, 0);
  if (child.fd < 0) { /* no descriptor is left: nobody could wait for the child and the context */
    r = -errno;
    spawn_signal(&child, SIGKILL);
    spawn_reap(&child, &how);
    return r;
  }
  *ret = child;
  return 0;
}

/**
 * Waits until the child has exited, or ends it if the context is done first. On return it is reaped, whatever the
 * answer. What it has started then lives on if the child exited by itself, and is killed if the context ended it.
 * @param grace_ns how long the child may take after SIGTERM; see ctx_with_grace().
 * @param ret      receives how it ended: si_code and si_status, as waitid() tells them.
 * @return 0: it exited by itself, also if the context ended meanwhile; CTX_CANCELED or CTX_DEADLINE_EXCEEDED: the
 *         context ended it; another negative errno if nobody could wait for both: then it was killed, too.
 */
static inline int spawn_wait_ctx(ctx_t *ctx, spawn_child_t *child, int64_t grace_ns,
                                 siginfo_t *ret) {
  struct pollfd exited = {child->fd, POLLIN, 0};
  siginfo_t how;
  ctx_t *grace;
  int r, reaped;
  do {
    r = ctx_poll(ctx, &exited, 1, CTX_FOREVER);
  } while (r == -EINTR);
  if (r < 0 && poll(&exited, 1, 0) != 1) {
    if (ctx_err(ctx) != 0 && /* else only the wait has failed, and a grace would not end */
        ctx_with_grace(ctx, grace_ns, &grace, NULL) == 0) {
      spawn_signal(child, SIGTERM);
      spawn_signal(child, SIGCONT); /* what is stopped could not take it */
      while (ctx_poll(grace, &exited, 1, CTX_FOREVER) == -EINTR) {
      }
      ctx_unref(grace);
    }
    spawn_signal(child, SIGKILL); /* also for what it has left behind in its group */
  } else {
    r = 0;
  }
  reaped = spawn_reap(child, &how);
  if (r == 0) r = reaped;
  if (r == 0) *ret = how;
  return r;
}

#endif
