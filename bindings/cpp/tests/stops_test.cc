// SPDX-License-Identifier: MIT
//
// What stopping a callback waits for: stop() for nothing, stop_wait(), a guard and a done_callback for one that runs.
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <utility>

#include "cases.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// A callback that runs until the thread that waits for it sleeps; it is there when Begin() returns.
class UntilAsleep {
 public:
  explicit UntilAsleep(const ctx::context& ctx) {
    watch_ = ctx::after_func(ctx, [this, waits = static_cast<pid_t>(syscall(SYS_gettid))] {
      running_.Open();
      EXPECT_TRUE(Soon([&] { return (begun_ && IsAsleep(waits)) || let_go; }));
      over = true;
    });
  }
  ~UntilAsleep() { thread_.join(); }
  void Begin(const ctx::canceler& cancel) {
    thread_ = std::thread([cancel] { cancel.cancel(); });
    ASSERT_TRUE(running_.Wait());
    begun_ = true;
  }
  ctx::watch Take() { return std::move(watch_); }

  std::atomic<bool> over{false};
  std::atomic<bool> let_go{false};

 private:
  ctx::watch watch_;
  Gate running_;
  std::atomic<bool> begun_{false};  // from here on the waiting thread sleeps for the callback alone
  std::thread thread_;
};

TEST(Stops, AStopDoesNotWaitForOneThatRuns) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Gate running, stopped;
  const ctx::watch armed = ctx::after_func(ctx, [&] {
    running.Open();
    EXPECT_TRUE(stopped.Wait());
  });
  std::thread thread([right = cancel] { right.cancel(); });
  EXPECT_TRUE(running.Wait());
  EXPECT_FALSE(armed.stop());
  stopped.Open();
  thread.join();
}

TEST(Stops, AStopWaitWaitsForOneThatRuns) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  UntilAsleep callback(ctx);
  const ctx::watch armed = callback.Take();
  callback.Begin(cancel);
  EXPECT_FALSE(armed.stop_wait());
  EXPECT_TRUE(callback.over);
  callback.let_go = true;
}

TEST(Stops, AGuardWaitsForOneThatRuns) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  UntilAsleep callback(ctx);
  {
    ctx::watch_guard first(callback.Take());
    const ctx::watch_guard guard(std::move(first));
    callback.Begin(cancel);
  }
  EXPECT_TRUE(callback.over);
  callback.let_go = true;
}

TEST(Stops, ADoneCallbackWaitsForOneThatRuns) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const auto waits = static_cast<pid_t>(syscall(SYS_gettid));
  std::atomic<bool> begun{false}, over{false}, let_go{false};
  Gate running;
  std::thread thread;
  {
    const ctx::done_callback callback(ctx::done_token(ctx), [&] {
      running.Open();
      EXPECT_TRUE(Soon([&] { return (begun && IsAsleep(waits)) || let_go; }));
      over = true;
    });
    thread = std::thread([right = cancel] { right.cancel(); });
    EXPECT_TRUE(running.Wait());
    begun = true;
  }
  EXPECT_TRUE(over);
  let_go = true;
  thread.join();
}

TEST(Stops, AGuardThatWasMovedFromStopsNothing) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  int runs = 0;
  const ctx::watch_guard second = [&runs, &watched = ctx] {
    ctx::watch_guard first(ctx::after_func(watched, [&runs] { ++runs; }));
    return ctx::watch_guard(std::move(first));
  }();
  cancel();
  EXPECT_EQ(runs, 1);
}

TEST(Stops, AWatchThatGetsAnotherStopsNothing) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  int runs = 0;
  ctx::watch armed = ctx::after_func(ctx, [&] { ++runs; });
  armed = ctx::after_func(ctx, [&] { runs += 10; });
  armed = {};
  cancel();
  EXPECT_EQ(runs, 11);
}

}  // namespace
}  // namespace ctxtest
