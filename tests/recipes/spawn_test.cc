// SPDX-License-Identifier: MIT
//
// Children that a context ends: by SIGTERM, after a grace by SIGKILL, together with what they have started; each reaped.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn_ctx.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <thread>

#include "support/descriptor.h"
#include "support/few_descriptors.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"

extern "C" int run(ctx_t* ctx, char* const argv[]);  // of the README

namespace ctxtest {
namespace {

// A shell that writes to a pipe.
class Shell {
 public:
  explicit Shell(ctx_t* ctx, const std::string& script) : text_(script) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    output = Fd(ends[0]);
    Fd write_end(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, write_end, 1);
    char* const argv[] = {const_cast<char*>("sh"), const_cast<char*>("-c"), text_.data(), nullptr};
    started = spawn_ctx(ctx, argv[0], &actions, argv, environ, &child);
    posix_spawn_file_actions_destroy(&actions);
  }

  // What comes next, up to the end of a line; nothing once all writers are gone.
  std::string Line() const {
    std::string line;
    for (char byte; Readable(output, kLimitMs) && read(output, &byte, 1) == 1;) {
      if (byte == '\n') break;
      line += byte;
    }
    return line;
  }
  bool AllGone() const { return Line().empty() && Polled(output, POLLIN) == POLLHUP; }
  int Wait(ctx_t* ctx, int64_t grace_ns = kHour) {
    return spawn_wait_ctx(ctx, &child, grace_ns, &how);
  }

  Fd output;
  int started = 0;
  spawn_child_t child = {-1, -1};
  siginfo_t how = {};

 private:
  std::string text_;
};

// Whether this process has no child, neither alive nor to be reaped.
bool NoChildren() {
  siginfo_t info;
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1 && errno == ECHILD;
}

TEST(SpawnRecipe, ChildThatExitsInTimeTellsHow) {
  const Scope scope = WithTimeout(ctx_background(), kHour);
  Shell shell(scope, "echo here; exit 7");
  ASSERT_EQ(shell.started, 0);
  EXPECT_EQ(shell.Wait(scope), 0);
  EXPECT_EQ(shell.how.si_code, CLD_EXITED);
  EXPECT_EQ(shell.how.si_status, 7);
  EXPECT_EQ(shell.Line(), "here");
  EXPECT_TRUE(NoChildren());
}

TEST(SpawnRecipe, SignalOfOthersIsTheChildsOwnEnd) {
  const Scope scope = WithCancel(ctx_background());
  Shell shell(scope, "kill -USR1 $$");
  EXPECT_EQ(shell.Wait(scope), 0);
  EXPECT_EQ(shell.how.si_code, CLD_KILLED);
  EXPECT_EQ(shell.how.si_status, SIGUSR1);
}

TEST(SpawnRecipe, DoneContextStartsNothing) {
  const Scope scope = WithCancel(ctx_background());
  scope.Cancel();
  Shell shell(scope, "echo started");
  EXPECT_EQ(shell.started, CTX_CANCELED);
  EXPECT_EQ(shell.child.pid, -1);
  EXPECT_TRUE(shell.AllGone());
  EXPECT_TRUE(NoChildren());
}

TEST(SpawnRecipe, CancelEndsTheGroupBySigterm) {
  const Scope scope = WithCancel(ctx_background());
  Shell shell(scope,
              "trap 'wait; echo outer; exit' TERM;"
              "sh -c 'trap \"echo inner; exit\" TERM; echo ready; while :; do sleep 0.01; done' &"
              "while :; do sleep 0.01; done");
  ASSERT_EQ(shell.Line(), "ready");
  scope.Cancel();
  EXPECT_EQ(shell.Wait(scope), CTX_CANCELED);
  EXPECT_EQ(shell.Line(), "inner");
  EXPECT_EQ(shell.Line(), "outer");
  EXPECT_TRUE(shell.AllGone());
  EXPECT_TRUE(NoChildren());
}

TEST(SpawnRecipe, CancelByAnotherThreadReachesTheWait) {
  const Scope scope = WithCancel(ctx_background());
  Shell shell(scope, "exec sleep 3600");
  std::thread other([&] { scope.Cancel(); });
  EXPECT_EQ(shell.Wait(scope), CTX_CANCELED);
  other.join();
  EXPECT_TRUE(NoChildren());
}

TEST(SpawnRecipe, DeadlineEndsTheChild) {
  const Scope scope = WithTimeout(ctx_background(), 20 * kMillisecond);
  Shell shell(ctx_background(), "exec sleep 3600");
  ASSERT_EQ(shell.started, 0);
  EXPECT_EQ(shell.Wait(scope), CTX_DEADLINE_EXCEEDED);
  EXPECT_TRUE(shell.AllGone());
  EXPECT_TRUE(NoChildren());
}

TEST(SpawnRecipe, DeadlineOfALoopThatNobodyDispatchesEndsTheChild) {
  const ManualLoop loop;
  const Scope scope = WithTimeout(loop.root, 20 * kMillisecond);
  Shell shell(ctx_background(), "exec sleep 3600");
  ASSERT_EQ(shell.started, 0);
  EXPECT_EQ(shell.Wait(scope), CTX_DEADLINE_EXCEEDED);
  EXPECT_TRUE(NoChildren());
}

TEST(SpawnRecipe, ChildHasItsGrace) {
  const Scope scope = WithCancel(ctx_background());
  Shell shell(scope,
              "trap 'sleep 0.1; echo saved; exit' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_EQ(shell.Line(), "ready");
  scope.Cancel();
  EXPECT_EQ(shell.Wait(scope), CTX_CANCELED);
  EXPECT_EQ(shell.Line(), "saved");
}

TEST(SpawnRecipe, ChildThatIsStoppedEndsBySigterm) {
  const Scope scope = WithCancel(ctx_background());
  Shell shell(scope, "kill -STOP $$; sleep 3600");
  siginfo_t stopped;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(shell.child.pid), &stopped, WSTOPPED), 0);
  scope.Cancel();
  EXPECT_EQ(shell.Wait(scope), CTX_CANCELED);  // the grace is an hour
}

TEST(SpawnRecipe, AfterTheGraceItIsKilled) {
  const Scope scope = WithCancel(ctx_background());
  Shell shell(scope, "trap '' TERM; sleep 3600 & echo ready; wait");
  ASSERT_EQ(shell.Line(), "ready");
  scope.Cancel();
  const int64_t begin = Now();
  EXPECT_EQ(shell.Wait(scope, 50 * kMillisecond), CTX_CANCELED);
  EXPECT_GE(Now() - begin, 50 * kMillisecond);
  EXPECT_TRUE(shell.AllGone());
  EXPECT_TRUE(NoChildren());
}

TEST(SpawnRecipe, WithoutAGraceItIsKilledAtOnce) {
  const Scope scope = WithCancel(ctx_background());
  Shell shell(scope, "trap '' TERM; echo ready; exec sleep 3600");
  ASSERT_EQ(shell.Line(), "ready");
  scope.Cancel();
  EXPECT_EQ(shell.Wait(scope, 0), CTX_CANCELED);
  EXPECT_TRUE(NoChildren());
}

TEST(SpawnRecipe, WhatOutlivesTheChildIsKilled) {
  const Scope scope = WithCancel(ctx_background());
  Shell shell(scope, "trap exit TERM; (trap '' TERM; echo ready; exec sleep 3600) & wait");
  ASSERT_EQ(shell.Line(), "ready");
  scope.Cancel();
  EXPECT_EQ(shell.Wait(scope), CTX_CANCELED);
  EXPECT_TRUE(shell.AllGone());
}

TEST(SpawnRecipe, ExitBeforeTheEndStays) {
  const Scope scope = WithCancel(ctx_background());
  Shell shell(scope, "exit 3");
  ASSERT_TRUE(Readable(shell.child.fd, kLimitMs));
  scope.Cancel();
  EXPECT_EQ(shell.Wait(scope), 0);
  EXPECT_EQ(shell.how.si_status, 3);
}

TEST(SpawnRecipe, BlockedAndIgnoredSignalsAreNotPassedOn) {
  sigset_t term, before;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, &before);
  const auto ignored = signal(SIGTERM, SIG_IGN);
  const Scope scope = WithCancel(ctx_background());
  Shell shell(scope, "exec sleep 3600");
  signal(SIGTERM, ignored);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  scope.Cancel();
  EXPECT_EQ(shell.Wait(scope), CTX_CANCELED);  // by SIGTERM: the grace is an hour
}

TEST(SpawnRecipe, ChildThatLeavesItsGroupIsReaped) {
  const Scope scope = WithCancel(ctx_background());
  Shell shell(scope,
              "exec python3 -c 'import os, time; os.setpgid(0, os.getpgid(os.getppid())); "
              "print(\"moved\", flush=True); time.sleep(3600)'");
  if (shell.Line() != "moved") {
    shell.Wait(scope);
    GTEST_SKIP() << "python3 is missing";
  }
  scope.Cancel();
  EXPECT_EQ(shell.Wait(scope), CTX_CANCELED);
  EXPECT_TRUE(NoChildren());
}

TEST(SpawnRecipe, ProgramThatIsMissingIsSaidSo) {
  char* const argv[] = {const_cast<char*>("/no/such/program"), nullptr};
  spawn_child_t child;
  EXPECT_EQ(spawn_ctx(ctx_background(), argv[0], nullptr, argv, environ, &child), -ENOENT);
  EXPECT_TRUE(NoChildren());
}

TEST(SpawnRecipe, WithoutADescriptorNoChildStays) {
  const Scope scope = WithCancel(ctx_background());
  char* const argv[] = {const_cast<char*>("sleep"), const_cast<char*>("3600"), nullptr};
  spawn_child_t child;
  {
    const NoDescriptors none;
    EXPECT_EQ(spawn_ctx(scope, argv[0], nullptr, argv, environ, &child), -EMFILE);
  }
  EXPECT_TRUE(NoChildren());
}

TEST(SpawnRecipe, WhereNobodyCanWaitTheChildIsKilled) {
  const Scope scope = WithCancel(ctx_background());
  Shell shell(scope, "trap '' TERM; exec sleep 3600");
  {
    const NoDescriptors none;  // and the context has not been asked for its own
    EXPECT_EQ(shell.Wait(scope), -EMFILE);
  }
  EXPECT_TRUE(NoChildren());
}

TEST(SpawnRecipe, BackgroundWorkOutlivesTheRequest) {
  const Scope request = WithCancel(ctx_background());
  const Ctx detached = WithoutCancel(WithString(request, "trace-id", "8f2c"));
  request.Cancel();
  Shell shell(detached, "echo here");
  ASSERT_EQ(shell.started, 0);
  EXPECT_EQ(shell.Wait(detached), 0);
  EXPECT_EQ(shell.Line(), "here");
  EXPECT_STREQ(ctx_string(detached, "trace-id"), "8f2c");
}

TEST(SpawnRecipe, NoDescriptorStays) {
  const auto both_ways = [] {
    const Scope scope = WithCancel(ctx_background());
    Shell exits(scope, "exit"), ends(scope, "exec sleep 3600"), starts_not(scope, "exit");
    EXPECT_EQ(exits.Wait(scope), 0);
    EXPECT_EQ(starts_not.Wait(scope), 0);
    scope.Cancel();
    EXPECT_EQ(ends.Wait(scope), CTX_CANCELED);
  };
  both_ways();  // the loop takes its own
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 5; ++i) both_ways();
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_TRUE(NoChildren());
}

TEST(SpawnRecipe, LinesOfTheReadme) {
  const auto shell = [](ctx_t* ctx, const char* script) {
    char* const argv[] = {const_cast<char*>("sh"), const_cast<char*>("-c"),
                          const_cast<char*>(script), nullptr};
    return run(ctx, argv);
  };
  EXPECT_EQ(shell(ctx_background(), "exit 5"), 5);
  EXPECT_EQ(shell(ctx_background(), "kill -KILL $$"), 128 + SIGKILL);
  const Scope scope = WithTimeout(ctx_background(), 20 * kMillisecond);
  EXPECT_EQ(shell(scope, "exec sleep 3600"), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(shell(scope, "exit 5"), CTX_DEADLINE_EXCEEDED);
}

}  // namespace
}  // namespace ctxtest
