// SPDX-License-Identifier: MIT
//
// What clients do with the system around contexts: descriptors, signals, loops, children.
#include <ctx/ctx.h>
#include <ctx/poll.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "scale/soak/clients.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

void Descriptors(Servers& servers, std::mt19937& random) {
  const Ctx server = servers.Any(random);
  const Pipe pipe;
  const Scope from_fd = WithFd(server, pipe.read_end, POLLIN), canceled = WithCancel(server);
  const Fd cancel(ctx_cancel_fd(canceled.canceler));
  const Fd done(ctx_done_fd_dup(from_fd));
  REQUIRE(ctx_err(from_fd) == 0 || ctx_err(server) != 0);
  pipe.Write();
  const uint64_t one = 1;
  REQUIRE(write(cancel, &one, sizeof one) == static_cast<ssize_t>(sizeof one));
  pollfd polled = {pipe.write_end, 0, 0};
  for (int result; (result = ctx_poll(from_fd, &polled, 1, kLimit)) >= 0 || result == -EINTR;) {
    REQUIRE(result == -EINTR);
  }
  Await(from_fd);
  Await(canceled);
  REQUIRE(Readable(done, kLimitMs));  // it may follow the error by a moment
}

// Waits for the next signal, or for the end of the server.
void Signals(Servers& servers, std::mt19937& random) {
  const Scope scope = WithSignal(servers.Any(random), {SIGUSR1});
  if (random() % 2 == 0) Await(scope);
}

void Text(Servers& servers, std::mt19937& random) {
  const Ctx server = servers.Any(random);
  const Ctx traced = WithString(WithName(server, "a request"), "trace", "0123456789abcdef");
  const Ctx hidden = WithString(traced, "trace", nullptr), detached = WithoutCancel(hidden);
  REQUIRE(strcmp(ctx_string(traced, "trace"), "0123456789abcdef") == 0 &&
          ctx_string(detached, "trace") == nullptr);
  char text[300];
  const int length = ctx_describe(detached, text, sizeof text);
  REQUIRE(length > 0 && strstr(text, ".WithName(a request)") != nullptr);
  REQUIRE(ctx_err(detached) == 0);
}

// A loop that comes and goes, with some contexts.
void Loops(Servers& servers, std::mt19937& random) {
  static constexpr int kKindsOfLoops[] = {CTX_LOOP_THREAD, CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL};
  const int kind = kKindsOfLoops[random() % 3];
  ctx_loop_options_t options = LoopOptions();
  options.clock =
      kind != CTX_LOOP_VIRTUAL && random() % 2 == 0 ? CTX_CLOCK_BOOTTIME : CTX_CLOCK_MONOTONIC;
  Loop loop = NewLoop(kind, &options);
  const Ctx root = LoopBackground(loop);
  const Scope timed = WithTimeout(root, UpTo3Milliseconds(random)),
              lasting = WithTimeout(root, kHour);
  const Scope grace = WithGrace(lasting, kHour), merged = Merge({lasting, servers.Any(random)});
  Once callback;
  callback.Arm(grace, random() % 2 == 0 ? 0 : CTX_DEFER);
  if (kind == CTX_LOOP_VIRTUAL) REQUIRE(ctx_loop_advance(loop, 3 * kMillisecond) >= 1);
  if (kind != CTX_LOOP_VIRTUAL && random() % 2 == 0) Await(timed);
  if (kind == CTX_LOOP_THREAD || random() % 2 == 0) REQUIRE(ctx_loop_close(loop) == 0);
  loop.reset();
  for (ctx_t* ctx : {timed.ctx.get(), lasting.ctx.get(), grace.ctx.get(), merged.ctx.get()})
    REQUIRE(ctx_err(ctx) != 0);
  callback.ExpectOnce();
}

// A child uses what it has made itself; or it becomes another program, which finds no descriptor of this one.
void Forks(Servers& servers, std::mt19937& random) {
  const Ctx server = servers.Any(random);
  const bool becomes_another = random() % 2 == 0;
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    alarm(kLimit / kSecond);
    if (becomes_another) {
      execl("/proc/self/exe", "soak", "--open-descriptors", nullptr);
      _exit(3);
    }
    if (ctx_wait(server, 0) != -ECHILD) _exit(4);
    const Scope scope = WithTimeout(ctx_background(), kMillisecond), below = WithCancel(scope);
    Once plain, deferred;
    plain.Arm(below, 0);
    deferred.Arm(below, CTX_DEFER);
    Await(below);
    const Loop loop = NewLoop(CTX_LOOP_THREAD);
    Await(WithTimeout(LoopBackground(loop), kMillisecond));
    while (deferred.runs.load() == 0) SleepFor(kMillisecond);  // or the alarm comes
    plain.ExpectOnce();
    deferred.ExpectOnce();
    _exit(0);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) REQUIRE(errno == EINTR);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    printf("a child ended with status %#x\n", static_cast<unsigned>(status));
    BROKEN("a forked child did not do its work");
  }
}

}  // namespace

const std::vector<Step> kSurroundings = {
    {"descriptors", 8, Descriptors},
    {"signals", 2, Signals},
    {"texts", 6, Text},
    {"loops", 3, Loops},
    {"forks", 0.03, Forks},
};

}  // namespace ctxtest
