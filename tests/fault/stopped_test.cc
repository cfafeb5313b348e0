// SPDX-License-Identifier: MIT
//
// A process that is stopped and goes on (SIGSTOP, SIGCONT): deadlines that passed meanwhile end at once, nothing that
// came meanwhile is lost, waits go on waiting, and what is not due stays.
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/forked.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

// What the process that is stopped has, on each of these loops.
void WorkThroughAStop(const Pipe& ready, const Pipe& data) {
  const Host by_default(On::kDefault), threaded(On::kThread), manual(On::kManual);
  const std::vector<const Host*> hosts = {&by_default, &threaded, &manual};
  std::atomic<bool> over{false};
  std::thread drives([&] {
    while (!over) {
      if (!Readable(ctx_loop_fd(manual.loop()), 10)) continue;
      EXPECT_GE(ctx_loop_dispatch(manual.loop()), 0);
    }
  });
  std::vector<Scope> due, later, from_fd, from_signal;
  std::vector<std::unique_ptr<Callback>> callbacks;
  const Queue queue = NewQueue();
  for (const Host* host : hosts) {
    due.push_back(WithTimeout(host->root(), 300 * kMillisecond));
    later.push_back(WithTimeout(host->root(), kHour));
    from_fd.push_back(WithFd(host->root(), data.read_end, POLLIN));
    from_signal.push_back(WithSignal(host->root(), {SIGUSR1}));
    for (ctx_t* ctx :
         {due.back().ctx.get(), from_fd.back().ctx.get(), from_signal.back().ctx.get()}) {
      EXPECT_EQ(ctx_queue_add(queue, ctx, 1, nullptr), 0);
      callbacks.push_back(std::make_unique<Callback>());
      EXPECT_EQ(callbacks.back()->Arm(ctx), 0);
    }
  }
  // Each kind of wait, on a thread of its own, for what comes only after the stop. No signal handler runs, so none of
  // them returns -EINTR.
  const Scope last = WithCancel(ctx_background());
  const Queue of_last = NewQueue();
  const Group group = NewGroup(ctx_background());
  EXPECT_EQ(ctx_group_begin(group), 0);
  EXPECT_EQ(ctx_queue_add(of_last, last, 7, nullptr), 0);
  ctx_t* const several[] = {later[0], last};
  const std::function<void()> waits[] = {
      [&] { EXPECT_EQ(ctx_wait(last, CTX_FOREVER), 1); },
      [&] { EXPECT_EQ(ctx_wait(last, kLimit), 1); },
      [&] { EXPECT_EQ(ctx_wait_any(several, 2, CTX_FOREVER, nullptr), 1); },
      [&] { EXPECT_EQ(ctx_poll(last, nullptr, 0, CTX_FOREVER), CTX_CANCELED); },
      [&] { EXPECT_EQ(ctx_poll(last, nullptr, 0, kLimit), CTX_CANCELED); },
      [&] { EXPECT_EQ(ctx_group_wait(group, CTX_FOREVER), 1); },
      [&] {
        ctx_event_t event;
        EXPECT_EQ(ctx_queue_wait(of_last, &event, 1, CTX_FOREVER), 1);
      }};
  std::vector<std::thread> waiters;
  for (const auto& wait : waits) {
    std::atomic<pid_t> number{0};
    waiters.emplace_back([&number, &wait] {
      number = gettid();
      wait();
    });
    EXPECT_TRUE(Soon([&] { return number != 0 && IsAsleep(number); }));
  }

  int64_t latest = 0;
  for (const Scope& scope : due) latest = std::max(latest, Deadline(scope));
  EXPECT_EQ(write(ready.write_end, &latest, sizeof latest), static_cast<ssize_t>(sizeof latest));

  for (const Scope& scope : due) {
    EXPECT_TRUE(Done(scope));
    EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
  }
  for (const Scope& scope : from_fd) EXPECT_TRUE(Done(scope));
  for (const Scope& scope : from_signal) EXPECT_TRUE(Done(scope));
  for (const auto& callback : callbacks) EXPECT_TRUE(callback->WaitRun());
  for (const Scope& scope : later) EXPECT_EQ(ctx_err(scope), 0);
  size_t events = 0;
  for (ctx_event_t event; events < callbacks.size(); ++events) {
    EXPECT_EQ(ctx_queue_wait(queue, &event, 1, kLimit), 1);
  }
  EXPECT_TRUE(Done(WithTimeout(ctx_background(), kMillisecond))) << "it goes on";
  EXPECT_EQ(last.Cancel(), 1);
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  for (std::thread& waiter : waiters) waiter.join();
  over = true;
  drives.join();
}

TEST(Stopped, Rule16_DeadlinesAndSourcesOfTheTimeBetweenComeAtOnce) {
  const BlockSignals blocked{SIGUSR1};
  for (int round = 0; round < 3; ++round) {
    const Pipe data;
    Pipe ready;
    const pid_t pid = Fork([&] { WorkThroughAStop(ready, data); });
    ASSERT_TRUE(Readable(ready.read_end, kLimitMs));
    int64_t latest = 0;
    ASSERT_EQ(read(ready.read_end, &latest, sizeof latest), static_cast<ssize_t>(sizeof latest));
    ASSERT_EQ(kill(pid, SIGSTOP), 0);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    ASSERT_TRUE(WIFSTOPPED(status));
    data.Write();
    EXPECT_EQ(kill(pid, SIGUSR1), 0);
    SleepUntil(latest + kMillisecond);
    EXPECT_EQ(kill(pid, SIGCONT), 0);
    Join(pid);
  }
}

// Stopped and continued again and again, while its threads derive, wait and cancel.
TEST(Stopped, Rule03_AgainAndAgainUnderLoad) {
  Pipe ready;
  const pid_t pid = Fork([&] {
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        while (!over) {
          const Scope scope = WithTimeout(ctx_background(), 100 * kMicrosecond),
                      below = WithCancel(scope);
          Callback callback;
          callback.Arm(below, CTX_DEFER);
          EXPECT_TRUE(Done(below));
          EXPECT_EQ(ctx_err(below), CTX_DEADLINE_EXCEEDED);
          EXPECT_TRUE(callback.WaitRun());
        }
      });
    }
    const Scope end = WithFd(ctx_background(), ready.read_end, POLLIN);
    EXPECT_TRUE(Done(end));
    over = true;
    for (std::thread& thread : threads) thread.join();
  });
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(kill(pid, SIGSTOP), 0);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    ASSERT_TRUE(WIFSTOPPED(status)) << "it ended";
    ASSERT_EQ(kill(pid, SIGCONT), 0);
    SleepUntil(Now() + 200 * kMicrosecond);
  }
  ready.Write();
  Join(pid);
}

}  // namespace
}  // namespace ctxtest
