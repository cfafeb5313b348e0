// SPDX-License-Identifier: MIT
//
// `co_await ctx.done(executor)`: resumes once, on the executor; may be destroyed before.
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "cases.h"
#include "coroutine.h"
#include "counted.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// An executor that is called with work, and whose work a test runs when it likes.
class ByHand {
 public:
  using Work = std::function<void()>;
  void operator()(Work work) const {
    std::lock_guard<std::mutex> lock(queue_->mutex);
    queue_->works.push_back(std::move(work));
    queue_->posted.Add();
  }
  bool WaitForWork() const { return queue_->posted.WaitFor(1); }
  std::vector<Work> Take() const {
    std::lock_guard<std::mutex> lock(queue_->mutex);
    return std::exchange(queue_->works, {});
  }
  int Run() const {
    int ran = 0;
    for (const Work& work : Take()) work(), ++ran;
    return ran;
  }

 private:
  struct Queue {
    std::mutex mutex;
    std::vector<Work> works;
    Counter posted;
  };
  std::shared_ptr<Queue> queue_ = std::make_shared<Queue>();
};

Coroutine AwaitOn(ctx::context ctx, ByHand executor, Result* result) {
  result->why = co_await ctx.done(executor);
  result->thread = CurrentThreadName();
  result->resumed.Add();
}

TEST(AwaiterOnAnExecutor, ResumesThere) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const ByHand executor;
  Result result;
  const Coroutine task = AwaitOn(ctx, executor, &result);
  EXPECT_EQ(executor.Run(), 0);
  cancel();
  EXPECT_EQ(result.resumed.Get(), 0);
  EXPECT_EQ(executor.Run(), 1);
  EXPECT_TRUE(task.done());
  EXPECT_EQ(result.why, std::errc::operation_canceled);
  EXPECT_EQ(result.thread, CurrentThreadName());
}

TEST(AwaiterOnAnExecutor, AlsoOnADoneContext) {
  const ByHand executor;
  Result result;
  const Coroutine task = AwaitOn(ctx::with_timeout(ctx::background(), 0s).first, executor, &result);
  EXPECT_FALSE(task.done());
  EXPECT_EQ(executor.Run(), 1);
  EXPECT_TRUE(task.done());
  EXPECT_EQ(result.why, std::errc::timed_out);
}

TEST(AwaiterOnAnExecutor, IsPostedBeforeAnyCallbackRuns) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms);
  const ByHand executor;
  Result result;
  Counter unblocked;
  ctx::after_func(ctx, ctx::deferred, [&] { unblocked.Add(result.resumed.WaitFor(1) ? 1 : 1000); });
  const Coroutine task = AwaitOn(ctx::with_cancel(ctx).first, executor, &result);
  ASSERT_TRUE(executor.WaitForWork());
  EXPECT_EQ(executor.Run(), 1);
  ASSERT_TRUE(unblocked.WaitFor(1));
  EXPECT_EQ(unblocked.Get(), 1);
}

TEST(AwaiterOnAnExecutor, MayBeDestroyedBeforeItIsResumed) {
  static const ctx::key<Tracked> key("tracked");
  Tracked::Log log;
  const ByHand executor;
  Result result;
  auto [ctx, cancel] = ctx::with_cancel(ctx::with_value(ctx::background(), key, Tracked(&log)));
  { const Coroutine before_the_end = AwaitOn(ctx, executor, &result); }
  {
    const Coroutine posted = AwaitOn(ctx, executor, &result);
    cancel();
  }
  EXPECT_EQ(executor.Run(), 1);
  EXPECT_EQ(result.resumed.Get(), 0);
  ctx = {};
  cancel = {};
  EXPECT_EQ(log.live, 0) << "nothing is armed any more, which would hold it";
  { const Coroutine never = AwaitOn(ctx::background(), executor, &result); }
}

TEST(AwaiterOnAnExecutor, WorkThatIsDroppedLeavesTheCoroutineWaiting) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const ByHand executor;
  Result result;
  const Coroutine task = AwaitOn(ctx, executor, &result);
  cancel();
  EXPECT_EQ(executor.Take().size(), 1u);
  EXPECT_FALSE(task.done());
}

TEST(AwaiterOnAnExecutor, LeavesNoMemoryBehind) {
  const long before = LiveNews();
  {
    const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
    const ByHand executor;
    Result result;
    const Coroutine resumed = AwaitOn(ctx, executor, &result);
    const Coroutine left = AwaitOn(ctx::with_cancel(ctx::background()).first, executor, &result);
    const Coroutine never = AwaitOn(ctx::background(), executor, &result);
    cancel();
    executor.Run();
    EXPECT_EQ(result.resumed.Get(), 1);
  }
  EXPECT_EQ(LiveNews(), before);
}

// The executor is another thread, which may resume and end the coroutine while it is being suspended.
TEST(AwaiterOnAnExecutor, MayGoOnWhileItIsSuspended) {
  ctx::derived made;
  const ByHand executor;
  std::unique_ptr<Result> result;
  std::vector<Coroutine> task;
  Race(
      2000,
      [&] {
        task.clear();
        made = ctx::with_cancel(ctx::background());
        result = std::make_unique<Result>();
      },
      {[&] { task.push_back(AwaitOn(made.first, executor, result.get())); },
       [&] {
         made.second.cancel();
         for (Patience wait; executor.Run() == 0;) wait.Pause();
       }},
      [&] { ASSERT_TRUE(task.front().done()); });
}

TEST(AwaiterOnAnExecutor, WhatCannotBeArmedThrowsInTheCoroutine) {
  ctx::context empty;
  (void)empty.release();
  bool thrown = false;
  const long before = LiveNews();
  [](ctx::context ctx, bool* seen) -> Coroutine {
    try {
      (void)co_await ctx.done(ByHand());
    } catch (const std::system_error& e) {
      *seen = e.code() == std::errc::invalid_argument;
    }
  }(empty, &thrown);
  EXPECT_TRUE(thrown);
  EXPECT_EQ(LiveNews(), before);  // nor is the executor kept
}

}  // namespace
}  // namespace ctxtest
