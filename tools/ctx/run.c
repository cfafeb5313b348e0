/* SPDX-License-Identifier: MIT */
/*
 * One thread waits for all: the signals that come to ctx, its child's end among them, and the loop of the context. When
 * the context ends, the command is asked to end, and when the grace is over it is made to.
 *
 * As timeout(1) does, ctx makes itself the leader of a process group, unless it is one, and the command is in that: so a
 * terminal's signals reach both, and a signal to the group reaches what the command has started. ctx blocks what it sends,
 * and takes it for what comes from elsewhere unless it sent that itself. SIGKILL ends ctx with the group.
 */
#define _GNU_SOURCE 1
#include "run.h"

#include <ctx/ctx.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guard.h"
#include "kill.h"

struct running {
  const struct run_options *options;
  ctx_loop_t *loop;
  ctx_t *ctx;
  ctx_canceler_t *canceler;
  char exported[CTX_EXPORT_SIZE];
  ctx_watch_t *watch; /* kept: so who imports in the grace still learns how the context ended */
  sigset_t signals;   /* that signal_fd takes */
  sigset_t mask;      /* that the command begins with */
  void (*broken_pipe)(int); /* what the command begins with for SIGPIPE */
  int signal_fd;
  struct guard guard;
  struct target target;
  bool asked;        /* the context has ended: the grace runs */
  bool ended;        /* for another reason than a signal */
  long long kill_at; /* CTX_FOREVER: never, or it was sent */
};

static const char *name_of(const struct running *run) { return run->options->command[0]; }

/* The context: what this process has inherited, its own deadline, and its strings. 0 or a negative errno. */
static int make_context(struct running *run) {
  const struct run_options *options = run->options;
  ctx_t *root, *ctx;
  int result = ctx_loop_new(CTX_LOOP_MANUAL, NULL, &run->loop);
  if (result < 0 || (result = ctx_loop_background(run->loop, &root)) < 0) return result;
  result = ctx_import(NULL, root, &ctx, NULL);
  if (result < 0) {
    complain("LIBCTX, which says what context this process belongs to: %s", ctx_strerror(result));
    return result;
  }
  ctx_unref(root);
  for (size_t i = 0; i < options->setting_count && result >= 0; ++i) {
    ctx_t *below;
    result = ctx_with_string(ctx, options->settings[i].name, options->settings[i].value, &below);
    if (result < 0) break;
    ctx_unref(ctx);
    ctx = below;
  }
  if (result >= 0) result = ctx_with_timeout(ctx, options->timeout_ns, &run->ctx, &run->canceler);
  if (result >= 0) ctx_unref(ctx);
  if (result >= 0) result = ctx_export(run->ctx, run->exported, sizeof run->exported, &run->watch);
  if (result < 0) complain("cannot make a context: %s", ctx_strerror(result));
  return result;
}

static void add_unless_ignored(sigset_t *set, int signal) {
  struct sigaction action;
  if (sigaction(signal, NULL, &action) == 0 && action.sa_handler != SIG_IGN) sigaddset(set, signal);
}

/* What nohup(1) or a shell has ignored stays ignored, here and in the command. */
static int take_signals(struct running *run) {
  signal(SIGCHLD, SIG_DFL);
  run->broken_pipe = signal(SIGPIPE, SIG_IGN); /* of a reader of its messages, or of the guard */
  sigemptyset(&run->signals);
  sigaddset(&run->signals, SIGCHLD);
  add_unless_ignored(&run->signals, SIGHUP);
  add_unless_ignored(&run->signals, SIGINT);
  add_unless_ignored(&run->signals, SIGQUIT);
  add_unless_ignored(&run->signals, SIGTERM);
  sigaddset(&run->signals, run->options->signal);
  sigprocmask(SIG_BLOCK, &run->signals, &run->mask);
  run->signal_fd = signalfd(-1, &run->signals, SFD_CLOEXEC | SFD_NONBLOCK);
  return run->signal_fd < 0 ? -errno : 0;
}

/* A command of another user, or in a container, cannot open what this process has open: it needs copies (ctx/process.h). */
static void let_inherit(const char *exported) {
  int state, pipe;
  if (sscanf(exported, "%*d:%*d:%d:%d:", &state, &pipe) != 2) return;
  fcntl(state, F_SETFD, 0);
  fcntl(pipe, F_SETFD, 0);
}

static void become_command(const struct running *run) {
  if (run->target.group == 0) tell_guard(&run->guard, getpid());
  let_inherit(run->exported);
  setenv("LIBCTX", run->exported, 1);
  signal(SIGTTIN, SIG_DFL);
  signal(SIGTTOU, SIG_DFL);
  signal(SIGPIPE, run->broken_pipe);
  sigprocmask(SIG_SETMASK, &run->mask, NULL);
  execvp(name_of(run), run->options->command);
  const int error = errno;
  complain("%s: %s", name_of(run), strerror(error));
  _exit(error == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN);
}

static int start_command(struct running *run) {
  if (!run->options->foreground) {
    setpgid(0, 0); /* a leader of a session is one already */
    run->target.group = getpgrp();
  }
  int result = start_guard(&run->guard, run->options, run->target.group);
  if (result < 0) return result;
  signal(SIGTTIN, SIG_IGN); /* a write to the terminal must not stop ctx */
  signal(SIGTTOU, SIG_IGN);
  run->target.command = fork();
  if (run->target.command < 0) {
    result = -errno;
    dismiss_guard(&run->guard);
    return result;
  }
  if (run->target.command == 0) become_command(run);
  return 0;
}

/* "NAME: ERROR" or "NAME: ERROR: CAUSE". */
static void say_why(const struct running *run) {
  const ctx_cause_t *cause = ctx_cause(run->ctx);
  const char *error = ctx_strerror(ctx_err(run->ctx));
  if (ctx_cause_given(cause)) {
    complain("%s: %s: %s", name_of(run), error, ctx_cause_message(cause));
  } else {
    complain("%s: %s", name_of(run), error);
  }
}

static void begin_grace(struct running *run) {
  const int64_t grace = run->options->grace_ns;
  run->asked = true;
  run->kill_at = grace == CTX_FOREVER ? CTX_FOREVER : now_ns() + grace;
}

/* A signal that came to ctx goes on to the command; the first one also ends the context. */
static void pass_on(struct running *run, const struct signalfd_siginfo *info) {
  ctx_cause_t *cause = NULL;
  char text[64];
  const int signal = (int)info->ssi_signo;
  const char *name = sigabbrev_np(signal); /* those of real time have none */
  if (name != NULL) {
    snprintf(text, sizeof text, "SIG%s from process %u", name, info->ssi_pid);
  } else {
    snprintf(text, sizeof text, "signal %d from process %u", signal, info->ssi_pid);
  }
  ctx_cause_new_at(signal, text, CTX_ORIGIN_SIGNAL, NULL, 0, NULL, NULL, NULL, NULL, &cause);
  ctx_cancel_with(run->canceler, CTX_CANCELED, cause);
  ctx_cause_unref(cause);
  if (!run->asked) begin_grace(run);
  if (!run->options->cooperative) send_signal(&run->target, signal);
}

/* The context has ended. */
static void ask(struct running *run) {
  run->ended = true;
  begin_grace(run);
  if (!run->options->cooperative) send_signal(&run->target, run->options->signal);
  say_why(run);
}

static void make_end(struct running *run) {
  run->kill_at = CTX_FOREVER;
  complain("%s: still there when its grace was over: killed", name_of(run));
  send_signal(&run->target, SIGKILL);
}

/* Takes the signals that came; true, and the child's status, if it has ended. */
static bool read_signals(struct running *run, int *status) {
  struct signalfd_siginfo info;
  while (read(run->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
    if (info.ssi_signo == SIGCHLD) {
      if (waitpid(run->target.command, status, WNOHANG) == run->target.command) return true;
    } else if (info.ssi_pid != (uint32_t)getpid()) {
      pass_on(run, &info);
    }
  }
  return false;
}

/* Waits until the command has ended; its status as waitpid(2) gives it. */
static int await_command(struct running *run) {
  struct pollfd fds[] = {{.fd = run->signal_fd, .events = POLLIN},
                         {.fd = ctx_loop_fd(run->loop), .events = POLLIN}};
  int status = 0;
  for (;;) {
    struct timespec limit = {0, 0};
    const long long left = run->kill_at == CTX_FOREVER ? 0 : run->kill_at - now_ns();
    if (left > 0) limit = (struct timespec){left / 1000000000, left % 1000000000};
    ppoll(fds, 2, run->kill_at == CTX_FOREVER ? NULL : &limit, NULL);
    ctx_loop_dispatch(run->loop);
    if (ctx_err(run->ctx) != 0 && !run->asked) ask(run);
    if (read_signals(run, &status)) return status;
    if (run->asked && run->kill_at != CTX_FOREVER && now_ns() >= run->kill_at) make_end(run);
  }
}

/* Ends as the command did, so that a shell sees the same; not with a core of its own. */
static int end_by(int signal_number) {
  const struct rlimit none = {0, 0};
  sigset_t set;
  if (setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0) {
    signal(signal_number, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, signal_number);
    raise(signal_number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
  }
  return 128 + signal_number;
}

static int status_of(const struct running *run, int status) {
  if (WIFSIGNALED(status)) {
    if (WCOREDUMP(status)) complain("%s: dumped core", name_of(run));
    if (!run->ended) return end_by(WTERMSIG(status));
    return WTERMSIG(status) == SIGKILL ? 128 + SIGKILL : STATUS_ENDED;
  }
  return run->ended ? STATUS_ENDED : WEXITSTATUS(status);
}

int run(const struct run_options *options) {
  static struct running run; /* what it holds goes with the process */
  run.options = options;
  run.kill_at = CTX_FOREVER;
  if (make_context(&run) < 0) return STATUS_FAILED;
  if (ctx_err(run.ctx) != 0) { /* what this process belongs to has ended: nothing is begun */
    say_why(&run);
    return STATUS_ENDED;
  }
  int result = take_signals(&run);
  if (result == 0) result = start_command(&run);
  if (result < 0) {
    complain("%s: %s", name_of(&run), strerror(-result));
    return STATUS_FAILED;
  }
  const int status = await_command(&run);
  dismiss_guard(&run.guard);
  return status_of(&run, status);
}
