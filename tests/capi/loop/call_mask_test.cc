// SPDX-License-Identifier: MIT
//
// Rule 50: callbacks on threads of the library have the signal mask of the thread that started the loop;
// and no thread of the library blocks the signals of faults.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/time.h"

extern char** environ;

namespace ctxtest {
namespace {

bool Has(uint64_t mask, int signal) { return (mask >> (signal - 1) & 1) != 0; }

sigset_t MaskHere() {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  return mask;
}

void Block(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

TEST(CallMask, Rule50_BetweenCallbacksTheLaneBlocksAllButFaults) {
  const Scope scope = WithTimeout(ctx_background(), kMillisecond);
  Callback lane;
  lane.Arm(scope, CTX_DEFER | CTX_BLOCKING);
  ASSERT_TRUE(lane.WaitDrop());
  // The lane's thread has the callback's mask until it goes to sleep.
  EXPECT_TRUE(Soon([] {
    for (const Task& task : Tasks("ctx-lane")) {
      if (!Has(task.blocked_signals, SIGTERM)) return false;
    }
    return true;
  }));
  for (const Task& task : Tasks("ctx-lane")) EXPECT_FALSE(Has(task.blocked_signals, SIGSEGV));
}

void CallbacksHaveTheMaskOfWhoStartedTheLoop() {
  Block(SIGUSR2);
  const Scope scope = WithTimeout(ctx_background(), kMillisecond);
  for (const uint32_t flags : {CTX_DEFER, CTX_DEFER | CTX_BLOCKING}) {
    sigset_t mask;
    Callback callback([&](ctx_t*) { mask = MaskHere(); });
    callback.Arm(scope, flags);
    ASSERT_TRUE(callback.WaitDrop());
    EXPECT_EQ(sigismember(&mask, SIGUSR2), 1);
    EXPECT_EQ(sigismember(&mask, SIGTERM), 0);
    EXPECT_EQ(sigismember(&mask, SIGUSR1), 0);
  }
}
TEST(CallMask, Rule50_CallbacksHaveTheMaskOfWhoStartedTheLoop) {
  CTX_IN_NEW_PROCESS(CallbacksHaveTheMaskOfWhoStartedTheLoop());
}

// A drop has the closed mask of the thread, but the callbacks that it sets off are callbacks.
void ACallbackThatADropSetsOffHasTheMaskOfACallback() {
  static const ctx_key_t key = {"key"};
  const Scope other = WithCancel(ctx_background());
  sigset_t mask;
  Callback set_off([&](ctx_t*) { mask = MaskHere(); });
  set_off.Arm(other);
  const Pipe pipe;
  {
    const auto cancels = [](void* arg) { ctx_cancel(static_cast<ctx_canceler_t*>(arg)); };
    const Scope scope = WithFd(WithValue(ctx_background(), &key, other.canceler.get(), cancels),
                               pipe.read_end, POLLIN);
    AfterFunc(
        scope, [](ctx_t*, void*) {}, nullptr, CTX_WAKER);
  }
  pipe.Write();
  ASSERT_TRUE(set_off.WaitDrop());
  EXPECT_EQ(set_off.thread_name(), "ctx-calls");
  EXPECT_EQ(sigismember(&mask, SIGTERM), 0);
}
TEST(CallMask, Rule50_ACallbackThatADropSetsOffHasTheMaskOfACallback) {
  CTX_IN_NEW_PROCESS(ACallbackThatADropSetsOffHasTheMaskOfACallback());
}

void AChildThatACallbackStartsCanBeEnded() {
  const Scope scope = WithTimeout(ctx_background(), kMillisecond);
  pid_t child = 0;
  Callback callback([&](ctx_t*) {
    char name[] = "sleep", time[] = "600";
    char* const arguments[] = {name, time, nullptr};
    EXPECT_EQ(posix_spawnp(&child, name, nullptr, nullptr, arguments, environ), 0);
  });
  callback.Arm(scope, CTX_DEFER);
  ASSERT_TRUE(callback.WaitDrop());
  ASSERT_EQ(kill(child, SIGTERM), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}
TEST(CallMask, Rule50_AChildThatACallbackStartsCanBeEnded) {
  CTX_IN_NEW_PROCESS(AChildThatACallbackStartsCanBeEnded());
}

void SignalsThatContextsWaitForStayBlocked() {
  const Scope first =
      WithTimeout(ctx_background(), kHour);  // starts the loop, with nothing blocked
  Block(SIGUSR1);
  const int signals[] = {SIGUSR1};
  Scope waits;
  ASSERT_EQ(ctx_with_signal(ctx_background(), signals, 1, waits.ctx.out(), waits.canceler.out()),
            0);
  for (const uint32_t flags : {CTX_DEFER, CTX_DEFER | CTX_BLOCKING}) {
    const Scope scope = WithCancel(ctx_background());
    sigset_t mask;
    Callback callback([&](ctx_t*) { mask = MaskHere(); });
    callback.Arm(scope, flags);
    scope.Cancel();
    ASSERT_TRUE(callback.WaitDrop());
    EXPECT_EQ(sigismember(&mask, SIGUSR1), 1);
    EXPECT_EQ(sigismember(&mask, SIGUSR2), 0);
  }
}
TEST(CallMask, Rule50_SignalsThatContextsWaitForStayBlocked) {
  CTX_IN_NEW_PROCESS(SignalsThatContextsWaitForStayBlocked());
}

}  // namespace
}  // namespace ctxtest
