// SPDX-License-Identifier: MIT
//
// Callbacks: any callable, with or without the context; where they run; stopping; and that nothing
// they throw crosses C.
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "cases.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

int plain_runs = 0;
void Plain() { ++plain_runs; }

TEST(Callbacks, AreAnyCallable) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  int runs = 0;
  plain_runs = 0;
  ctx::context seen;
  const std::function<void()> function = [&] { ++runs; };
  ctx::after_func(ctx, [&] { ++runs; });                               // small
  ctx::after_func(ctx, [&runs, room = std::string("x")] { ++runs; });  // large
  ctx::after_func(ctx, [only = std::make_unique<int>(1), &runs] { runs += *only; });
  ctx::after_func(ctx, function);
  ctx::after_func(ctx, std::ref(function));
  ctx::after_func(ctx, Plain);
  ctx::after_func(ctx, [&](const ctx::context& done) { seen = done; });
  ctx::after_func(ctx, [n = 0, &runs]() mutable { return runs += ++n; });
  ctx::after_func(ctx, &ctx::context::describe);
  EXPECT_EQ(runs, 0);
  EXPECT_TRUE(cancel.cancel());
  EXPECT_EQ(runs, 6);
  EXPECT_EQ(plain_runs, 1);
  EXPECT_EQ(seen, ctx);
}

TEST(Callbacks, ACancelerIsOne) {
  const auto [first, cancel_first] = ctx::with_cancel(ctx::background());
  const auto [second, cancel_second] = ctx::with_cancel(ctx::background());
  ctx::after_func(first, cancel_second);
  cancel_first();
  EXPECT_TRUE(second.is_done());
}

TEST(Callbacks, RunOnTheThreadThatCancels) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  std::thread::id ran;
  std::string name;
  Gate gate;
  ctx::after_func(ctx, [&] { ran = std::this_thread::get_id(); });
  ctx::after_func(ctx, ctx::deferred, [&] {
    name = CurrentThreadName();
    gate.Open();
  });
  cancel();
  EXPECT_EQ(ran, std::this_thread::get_id());
  ASSERT_TRUE(gate.Wait());
  EXPECT_EQ(name, "ctx-calls");
}

TEST(Callbacks, OfADeadlineRunOnTheLibrarysThread) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms);
  std::string name;
  Gate gate;
  ctx::after_func(ctx, [&](const ctx::context& done) {
    name = done.err() == std::errc::timed_out ? CurrentThreadName() : "too early";
    gate.Open();
  });
  ASSERT_TRUE(gate.Wait());
  EXPECT_TRUE(name == "ctx-calls" || CurrentThreadName() == name) << name;
}

TEST(Callbacks, ThatBlockDelayNoOtherOne) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms);
  Counter other, over;
  std::string thread;
  ctx::after_func(ctx, ctx::blocking, [&] {
    thread = CurrentThreadName();
    over.Add(other.WaitFor(1) ? 1 : 1000);
  });
  ctx::after_func(ctx, [&] { other.Add(); });
  ASSERT_TRUE(over.WaitFor(1));
  EXPECT_EQ(over.Get(), 1);
  EXPECT_EQ(thread, "ctx-lane");
}

TEST(Callbacks, ThatWakeComeBeforeAllOthers) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  std::string order;
  ctx::after_func(ctx, [&] { order += "first,"; });
  ctx::after_func(ctx::with_cancel(ctx).first, ctx::waker, [&] { order += "waker,"; });
  cancel();
  EXPECT_EQ(order, "waker,first,");
}

TEST(Callbacks, AreStoppedOnce) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  int runs = 0;
  ctx::watch armed = ctx::after_func(ctx, [&] { ++runs; });
  const ctx::watch moved = std::move(armed);
  EXPECT_FALSE(armed);
  EXPECT_TRUE(moved.stop());
  EXPECT_FALSE(moved.stop());
  EXPECT_FALSE(moved.stop_wait());
  cancel();
  EXPECT_EQ(runs, 0);
}

TEST(Callbacks, AWatchThatWasMovedFromIsEmpty) {
  Tracked::Log log;
  ctx::watch first =
      ctx::after_func(ctx::background(), [tracked = Tracked(&log)] { (void)tracked; });
  ctx::watch second = ctx::after_func(ctx::background(), [] {});
  first = std::move(second);
  EXPECT_FALSE(second);
  EXPECT_TRUE(first);
  EXPECT_EQ(log.live, 0);  // what first had was given back
  ctx::watch& self = first;
  first = std::move(self);
  EXPECT_TRUE(first.stop());
  ExpectThrows(std::errc::invalid_argument, [&] { second.stop(); });
}

TEST(Callbacks, StayArmedWithoutTheWatch) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  int runs = 0;
  {
    const ctx::watch forgotten = ctx::after_func(ctx, [&] { ++runs; });
  }
  cancel();
  EXPECT_EQ(runs, 1);
}

TEST(Callbacks, EndWithAWatchGuard) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  int runs = 0;
  {
    const ctx::watch_guard guard(ctx::after_func(ctx, [&] { ++runs; }));
  }
  ctx::watch kept;
  {
    ctx::watch_guard guard(ctx::after_func(ctx, [&] { runs += 10; }));
    kept = guard.dismiss();
  }
  cancel();
  EXPECT_EQ(runs, 10);
}

TEST(Callbacks, AGuardWaitsForOneThatRuns) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Gate running, go_on;
  std::atomic<bool> over{false};
  std::thread canceling;
  {
    const ctx::watch_guard guard(ctx::after_func(ctx, [&] {
      running.Open();
      EXPECT_TRUE(go_on.Wait());
      over = true;
    }));
    canceling = std::thread([c = cancel] { c.cancel(); });
    ASSERT_TRUE(running.Wait());
    go_on.Open();
  }
  EXPECT_TRUE(over);
  canceling.join();
}

TEST(Callbacks, MayStopThemselves) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  ctx::watch self;
  bool prevented = true;
  self = ctx::after_func(ctx, [&] { prevented = self.stop_wait(); });
  cancel();
  EXPECT_FALSE(prevented);
}

TEST(Callbacks, RunInTheOrderOfTheirRegistration) {
  const auto [parent, cancel] = ctx::with_cancel(ctx::background());
  const auto [child, unused] = ctx::with_cancel(parent);
  std::string order;
  ctx::after_func(child, [&] { order += 'c'; });
  ctx::after_func(parent, [&] { order += 'a'; });
  ctx::after_func(parent, [&] { order += 'b'; });
  cancel();
  EXPECT_EQ(order, "abc");
}

// What throws below: on a live context and on a done one, small and large, known and unknown.
void CancelUnder(ctx::derived made) {
  try {
    made.second.cancel();
  } catch (...) {
    std::fputs("it crossed the C functions", stderr);
  }
}

TEST(CallbacksThatThrow, EndTheProcessAndSaySo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        ctx::derived made = ctx::with_cancel(ctx::background());
        ctx::after_func(made.first, [] { throw std::runtime_error("out of luck"); });
        CancelUnder(made);
      },
      "^libctx: an exception left a callback of ctx::after_func: out of luck\n");
}

TEST(CallbacksThatThrow, AlsoWhatIsNoStdException) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        ctx::derived made = ctx::with_cancel(ctx::background());
        ctx::after_func(made.first, [room = std::string("x")] { throw room.size(); });
        CancelUnder(made);
      },
      "^libctx: an exception left a callback of ctx::after_func\n");
}

TEST(CallbacksThatThrow, AlsoOnTheLibrarysThread) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const ctx::derived made = ctx::with_timeout(ctx::background(), 1ms);
        ctx::after_func(made.first, ctx::deferred, [] { throw std::runtime_error("later"); });
        std::this_thread::sleep_for(kWatchdog);
      },
      "^libctx: an exception left a callback of ctx::after_func: later\n");
}

TEST(CallbacksThatThrow, EndInTheHandlerOfTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        std::set_terminate([] { _exit(std::current_exception() != nullptr ? 42 : 1); });
        ctx::derived made = ctx::with_timeout(ctx::background(), 0s);
        try {
          ctx::after_func(made.first, [] { throw 1; });
        } catch (...) {
          _exit(2);
        }
      },
      ::testing::ExitedWithCode(42), "");
}

}  // namespace
TEST(Callbacks, ACancelMayLeaveThemToTheLoop) {
  std::mutex mutex;
  Counter ran;
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  ctx::after_func(ctx, [&] {
    const std::lock_guard<std::mutex> lock(mutex);
    ran.Add();
  });
  {
    const std::lock_guard<std::mutex> lock(mutex);
    EXPECT_TRUE(cancel.cancel_deferred(ctx::cause("under a lock")));
  }
  EXPECT_TRUE(ran.WaitFor(1));
  EXPECT_EQ(ctx.cause().message(), "under a lock");
  EXPECT_FALSE(cancel.cancel_deferred());
}

}  // namespace ctxtest
