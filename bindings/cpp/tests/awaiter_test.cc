// SPDX-License-Identifier: MIT
//
// `co_await ctx.done()`: resumes once, wherever the end comes from; may be destroyed before.
#include <coroutine>
#include <deque>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "cases.h"
#include "coroutine.h"
#include "counted.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

Coroutine Await(ctx::context ctx, Result* result) {
  result->why = co_await ctx.done();
  result->thread = CurrentThreadName();
  result->resumed.Add();
}
Coroutine AwaitDeferred(ctx::context ctx, Result* result) {
  result->why = co_await ctx.done(ctx::deferred);
  result->thread = CurrentThreadName();
  result->resumed.Add();
}

// As what awaits several things does: it takes them by move, and awaits them later.
template <class Awaitable>
Coroutine AwaitKept(Awaitable kept, Result* result) {
  result->why = co_await std::move(kept);
  result->thread = CurrentThreadName();
}

TEST(Awaiter, MayBeMovedUntilItIsAwaited) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Result result, deferred;
  const Coroutine task = AwaitKept(ctx.done(), &result);
  const Coroutine other = AwaitKept(ctx.done(ctx::deferred), &deferred);
  EXPECT_FALSE(task.done());
  cancel();
  ASSERT_TRUE(result.over.WaitFor(1));
  EXPECT_TRUE(task.done());
  EXPECT_EQ(result.why, std::errc::operation_canceled);
  ASSERT_TRUE(deferred.over.WaitFor(1));
  EXPECT_EQ(deferred.why, std::errc::operation_canceled);
  EXPECT_EQ(deferred.thread, "ctx-calls");  // it is moved with what it was made for
}

TEST(Awaiter, ResumesWhenTheContextIsCanceled) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Result result;
  const Coroutine task = Await(ctx, &result);
  EXPECT_EQ(result.resumed.Get(), 0);
  cancel();
  ASSERT_TRUE(result.over.WaitFor(1));
  EXPECT_EQ(result.resumed.Get(), 1);
  EXPECT_EQ(result.why, std::errc::operation_canceled);
  EXPECT_EQ(result.thread, "ctx-lane");
  EXPECT_TRUE(task.done());
}

// A deadline ends both; the callback, which came first, blocks until the coroutine has gone on.
TEST(Awaiter, IsNotBehindACallbackOfSomebodyElses) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms);
  Result result;
  Counter unblocked;
  ctx::after_func(ctx, ctx::deferred, [&] { unblocked.Add(result.resumed.WaitFor(1) ? 1 : 1000); });
  const Coroutine task = Await(ctx::with_cancel(ctx).first, &result);
  ASSERT_TRUE(unblocked.WaitFor(1));
  EXPECT_EQ(unblocked.Get(), 1);
  ASSERT_TRUE(result.over.WaitFor(1));
}

TEST(Awaiter, IsNotBehindACallbackOfTheSameCancel) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Result result;
  bool unblocked = false;
  ctx::after_func(ctx, [&] { unblocked = result.resumed.WaitFor(1); });
  const Coroutine task = Await(ctx, &result);
  cancel();
  EXPECT_TRUE(unblocked);
  ASSERT_TRUE(result.over.WaitFor(1));
}

Coroutine AwaitAndMeet(ctx::context ctx, Result* own, const Result* other, Counter* met) {
  (void)co_await ctx.done();
  own->resumed.Add();
  met->Add(other->resumed.WaitFor(1) ? 1 : 1000);
}

// And one that blocks delays no other.
TEST(Awaiter, IsNotBehindAnotherCoroutine) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Result first, second;
  Counter met;
  const Coroutine one = AwaitAndMeet(ctx, &first, &second, &met);
  const Coroutine two = AwaitAndMeet(ctx, &second, &first, &met);
  cancel();
  ASSERT_TRUE(met.WaitFor(2));
  EXPECT_EQ(met.Get(), 2);
  ASSERT_TRUE(first.over.WaitFor(1) && second.over.WaitFor(1));
}

TEST(Awaiter, OnAManualLoopResumesInADispatch) {
  const ctx::manual_loop loop;
  const auto [ctx, cancel] = ctx::with_cancel(loop.background());
  Result result;
  const Coroutine task = Await(ctx, &result);
  cancel();
  EXPECT_FALSE(task.done());
  loop.dispatch();
  EXPECT_TRUE(task.done());
}

TEST(Awaiter, GoesOnAtOnceOnADoneContext) {
  Result result;
  const Coroutine task = Await(ctx::with_timeout(ctx::background(), 0s).first, &result);
  EXPECT_TRUE(task.done());
  EXPECT_EQ(result.why, std::errc::timed_out);
}

TEST(Awaiter, ResumesOnTheDeadlineToo) {
  Result result;
  const Coroutine task = Await(ctx::with_timeout(ctx::background(), 1ms).first, &result);
  ASSERT_TRUE(result.over.WaitFor(1));
  EXPECT_EQ(result.why, std::errc::timed_out);
}

TEST(Awaiter, DeferredResumesOnTheCallbackThread) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Result result;
  const Coroutine task = AwaitDeferred(ctx, &result);
  cancel();
  ASSERT_TRUE(result.over.WaitFor(1));
  EXPECT_EQ(result.thread, "ctx-calls");
  EXPECT_EQ(result.resumed.Get(), 1);
}

TEST(Awaiter, AllocatesNothing) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Result result;
  const long before = NewCalls();
  {
    const Coroutine task = Await(ctx, &result);
    cancel();
    ASSERT_TRUE(result.over.WaitFor(1));
  }
  EXPECT_EQ(NewCalls() - before, 1);  // the frame of the coroutine
  EXPECT_EQ(result.resumed.Get(), 1);
}

TEST(Awaiter, ACoroutineThatWaitsMayBeDestroyed) {
  static const ctx::key<Tracked> key("tracked");
  Tracked::Log log;
  Result result;
  auto [ctx, cancel] = ctx::with_cancel(ctx::with_value(ctx::background(), key, Tracked(&log)));
  { const Coroutine task = Await(ctx, &result); }
  ctx = {};
  cancel = {};
  EXPECT_EQ(log.live, 0);  // nothing is armed any more, which would hold it
  std::tie(ctx, cancel) = ctx::with_cancel(ctx::background());
  { const Coroutine task = Await(ctx, &result); }
  cancel();
  EXPECT_EQ(result.resumed.Get(), 0);
}

TEST(Awaiter, OnAContextThatIsNeverDoneWaitsUntilDestroyed) {
  Result result;
  { const Coroutine task = Await(ctx::background(), &result); }
  EXPECT_EQ(result.resumed.Get(), 0);
}

TEST(Awaiter, MayLetGoOfTheLastContextWhenResumed) {
  Result result;
  std::vector<Coroutine> kept;
  const ctx::canceler cancel = [&] {
    ctx::derived made = ctx::with_cancel(ctx::background());
    kept.push_back(Await(std::move(made.first), &result));
    return made.second;
  }();
  cancel();
  ASSERT_TRUE(result.over.WaitFor(1));
  EXPECT_EQ(result.resumed.Get(), 1);
}

// The end comes while the coroutine is about to suspend.
TEST(Awaiter, NeverMissesAnEndThatComesMeanwhile) {
  ctx::derived made;
  std::unique_ptr<Result> result;
  std::vector<Coroutine> task;
  Race(
      5000,
      [&] {
        task.clear();
        made = ctx::with_cancel(ctx::background());
        result = std::make_unique<Result>();
      },
      {[&] { task.push_back(Await(made.first, result.get())); }, [&] { made.second.cancel(); }},
      [&] {
        ASSERT_TRUE(result->over.WaitFor(1));
        ASSERT_TRUE(task.front().done());
      });
}

// A coroutine that nobody holds: its frame goes as soon as it is resumed, while the thread that suspended it
// may still be on its way out.
struct Detached {
  struct promise_type {
    promise_type(ctx::context&, bool, Counter* counter) : over(counter) {}
    ~promise_type() { over->Add(); }
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { throw; }
    Counter* const over;
  };
};
Detached AwaitAlone(ctx::context ctx, bool deferred, Counter*) {
  std::error_code why;
  if (deferred) {
    why = co_await ctx.done(ctx::deferred);
  } else {
    why = co_await ctx.done();
  }
  EXPECT_EQ(why, std::errc::operation_canceled);
}

TEST(Awaiter, MayTakeItsFrameAlongWhileTheOtherThreadSuspendsIt) {
  for (const bool deferred : {false, true}) {
    ctx::derived made;
    Counter over;
    int ended = 0;
    const int rounds = Race(
        2000, [&] { made = ctx::with_cancel(ctx::background()); },
        {[&] { AwaitAlone(made.first, deferred, &over); }, [&] { made.second.cancel(); }},
        [&] { ASSERT_TRUE(over.WaitFor(++ended)); });
    ASSERT_EQ(over.Get(), rounds);
  }
}

TEST(Awaiter, AThousandOnOneCancel) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  std::deque<Result> results(1000);  // each resumes on whichever thread of the lane is free
  std::vector<Coroutine> tasks;
  for (Result& result : results) tasks.push_back(Await(ctx::with_cancel(ctx).first, &result));
  cancel();
  for (Result& result : results) ASSERT_TRUE(result.over.WaitFor(1));
}

Coroutine Throws(ctx::context ctx) {
  co_await ctx.done();
  throw std::runtime_error("nobody catches");
}

TEST(Awaiter, AnExceptionThatLeavesTheCoroutineEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const ctx::derived made = ctx::with_cancel(ctx::background());
        const Coroutine task = Throws(made.first);
        made.second.cancel();
        std::this_thread::sleep_for(kWatchdog);
      },
      "^libctx: an exception left a coroutine that co_await ctx.done\\(\\) resumed: nobody "
      "catches\n");
}

TEST(Awaiter, WhatCannotBeArmedThrowsInTheCoroutine) {
  ctx::context empty;
  (void)empty.release();
  bool thrown = false;
  [](ctx::context ctx, bool* seen) -> Coroutine {
    try {
      (void)co_await ctx.done(ctx::deferred);
    } catch (const std::system_error& e) {
      *seen = e.code() == std::errc::invalid_argument;
    }
  }(empty, &thrown);
  EXPECT_TRUE(thrown);
}

}  // namespace
}  // namespace ctxtest
