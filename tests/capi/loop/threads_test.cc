// SPDX-License-Identifier: MIT
//
// The default loop's two threads: when they come, what they are named, that no signal reaches them, and
// that a callback which blocks holds up no deadline.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/held.h"
#include "support/process.h"
#include "support/sync.h"
#include "support/time.h"

namespace ctxtest {
namespace {

// Everything but deadlines and deferred callbacks.
void UseWithoutDeadlines() {
  const Scope scope = WithCancel(ctx_background());
  const Ctx value = WithString(WithValue(scope, &kKey, nullptr), "name", "text");
  const Scope never = WithDeadline(value, CTX_FOREVER), past = WithTimeout(value, 0);
  const Ctx detached = WithoutCancel(never);
  Callback callback;
  callback.Arm(never);
  EXPECT_EQ(ctx_wait(never, kMillisecond), 0);
  EXPECT_EQ(ctx_poll(never, nullptr, 0, kMillisecond), 0);
  EXPECT_GE(ctx_done_fd(never), 0);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(callback.runs(), 1);
}

TEST(Threads, NoneBeforeTheFirstDeadline) {
  CTX_IN_NEW_PROCESS({
    const size_t at_load = Tasks("").size();
    const size_t descriptors = OpenDescriptors();
    EXPECT_EQ(Tasks("ctx-").size(), 0u);
    UseWithoutDeadlines();
    EXPECT_EQ(Tasks("ctx-").size(), 0u);
    EXPECT_EQ(Tasks("").size(), at_load);
    EXPECT_EQ(OpenDescriptors(), descriptors);
  });
}

TEST(Threads, TheFirstDeadlineStartsTwoAndNoLaterOneStartsMore) {
  CTX_IN_NEW_PROCESS({
    const Scope first = WithTimeout(ctx_background(), kHour);
    EXPECT_EQ(Tasks("ctx-loop").size(), 1u);
    EXPECT_EQ(Tasks("ctx-calls").size(), 1u);
    std::vector<Scope> more;
    for (int i = 0; i < 100; ++i) more.push_back(WithTimeout(first, kSecond));
    Callback deferred;
    deferred.Arm(first, CTX_DEFER);
    EXPECT_EQ(Tasks("ctx-").size(), 2u);
  });
}

TEST(Threads, ManyFirstDeadlinesAtOnceStartTwo) {
  CTX_IN_NEW_PROCESS({
    StartLine line(4);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        line.Meet();
        EXPECT_TRUE(Done(WithTimeout(ctx_background(), kMillisecond)));
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(Tasks("ctx-").size(), 2u);
  });
}

TEST(Threads, ADeadlineThatTheParentsCoversStartsNone) {
  CTX_IN_NEW_PROCESS({
    const Scope past = WithTimeout(ctx_background(), -kSecond);
    const Scope below = WithTimeout(past, kHour);
    EXPECT_EQ(ctx_err(below), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(Tasks("ctx-").size(), 0u);
  });
}

bool IsFault(int signal) {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
         signal == SIGTRAP || signal == SIGSYS;
}

bool BlocksAllButFaults(const Task& task) {
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;     // cannot be blocked
    if (signal >= __SIGRTMIN && signal < SIGRTMIN) continue;  // the C library's own
    const bool blocked = (task.blocked_signals >> (signal - 1) & 1) != 0;
    if (blocked == IsFault(signal)) return false;
  }
  return true;
}

// A thread that is just being made blocks all: the C library has it so.
TEST(Threads, AllSignalsButThoseOfFaultsAreBlockedInThem) {
  const Scope timed = WithTimeout(ctx_background(), kHour);
  EXPECT_GE(Tasks("ctx-").size(), 2u);
  EXPECT_TRUE(Soon([] {
    const std::vector<Task> tasks = Tasks("ctx-");
    return std::all_of(tasks.begin(), tasks.end(), BlocksAllButFaults);
  }));
}

// A signal to the process that every thread of the program blocks stays pending: no thread of the
// library takes it.
TEST(Threads, ASignalToTheProcessIsNotTakenByThem) {
  CTX_IN_NEW_PROCESS({
    const Scope timed = WithTimeout(ctx_background(), kHour);
    Callback deferred;
    deferred.Arm(timed, CTX_DEFER);
    static volatile sig_atomic_t handled = 0;
    signal(SIGUSR2, [](int) { handled = 1; });
    sigset_t usr2;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &usr2, nullptr);
    kill(getpid(), SIGUSR2);
    EXPECT_TRUE(Done(WithTimeout(ctx_background(), kMillisecond)));
    sigset_t pending;
    sigpending(&pending);
    EXPECT_EQ(sigismember(&pending, SIGUSR2), 1);
    EXPECT_EQ(handled, 0);
  });
}

TEST(Threads, TheMaskOfTheCallerIsAsItWas) {
  CTX_IN_NEW_PROCESS({
    sigset_t before;
    sigset_t after;
    pthread_sigmask(SIG_BLOCK, nullptr, &before);
    const Scope timed = WithTimeout(ctx_background(), kHour);
    pthread_sigmask(SIG_BLOCK, nullptr, &after);
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
      EXPECT_EQ(sigismember(&before, signal), sigismember(&after, signal));
    }
  });
}

TEST(Threads, ABlockedCallbackDelaysNoDeadline) {
  const Scope first = WithTimeout(ctx_background(), kMillisecond);
  HeldCallback blocked;
  blocked.Arm(first, CTX_DEFER);
  ASSERT_TRUE(blocked.begun.Wait());
  for (int i = 0; i < 5; ++i) {
    const Scope timed = WithTimeout(ctx_background(), 2 * kMillisecond);
    const Scope below = WithCancel(timed);
    const int fd = ctx_done_fd(below);
    EXPECT_TRUE(Done(timed));
    EXPECT_EQ(ctx_err(below), CTX_DEADLINE_EXCEEDED);
    EXPECT_TRUE(Readable(fd, kLimitMs));
  }
  EXPECT_EQ(blocked.runs(), 0);
  blocked.go_on.Open();
  EXPECT_TRUE(blocked.WaitRun());
}

// Nor does it hold up cancels and the callbacks that run on the canceling thread.
TEST(Threads, ABlockedCallbackDelaysNoCancel) {
  const Scope first = WithTimeout(ctx_background(), kMillisecond);
  HeldCallback blocked;
  blocked.Arm(first, CTX_DEFER);
  ASSERT_TRUE(blocked.begun.Wait());
  const Scope scope = WithTimeout(ctx_background(), kHour);
  Callback here;
  Callback queued;
  here.Arm(scope);
  queued.Arm(scope, CTX_DEFER);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(here.runs(), 1);
  EXPECT_EQ(queued.runs(), 0) << "it waits its turn behind the blocked one";
  blocked.go_on.Open();
  EXPECT_TRUE(queued.WaitRun());
}

TEST(Threads, Rule28_DeferredCallbacksRunOneAfterTheOther) {
  std::atomic<int> inside{0};
  std::atomic<int> together{0};
  std::vector<std::unique_ptr<Callback>> callbacks;
  const Scope scope = WithCancel(ctx_background());
  for (int i = 0; i < 50; ++i) {
    callbacks.push_back(std::make_unique<Callback>([&](ctx_t*) {
      together += inside++ != 0;
      std::this_thread::yield();
      --inside;
    }));
    callbacks.back()->Arm(scope, CTX_DEFER);
  }
  scope.Cancel();
  for (const auto& callback : callbacks) ASSERT_TRUE(callback->WaitDrop());
  EXPECT_EQ(together, 0);
}

}  // namespace
}  // namespace ctxtest
