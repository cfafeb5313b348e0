// SPDX-License-Identifier: MIT
//
// Threads: copies of one context in many threads; a cancel on one is seen by all, and wins once.
#include <atomic>
#include <thread>
#include <tuple>
#include <vector>

#include "cases.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(Threads, AllThatWaitAreWoken) {
  const auto [parent, cancel] = ctx::with_cancel(ctx::background());
  std::atomic<int> woken{0};
  Counter ready;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, ctx = ctx::with_cancel(parent).first] {
      ready.Add();
      if (ctx.wait_for(kWatchdog) && ctx.err() == std::errc::operation_canceled) ++woken;
    });
  }
  EXPECT_TRUE(ready.WaitFor(8));
  EXPECT_TRUE(cancel.cancel());
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(woken, 8);
}

TEST(Threads, OneOfManyCancelsWins) {
  ctx::derived made;
  std::atomic<int> won{0};
  const auto runner = [&] {
    const ctx::canceler mine = made.second;
    if (mine.cancel()) ++won;
  };
  Race(
      1000,
      [&] {
        made = ctx::with_cancel(ctx::background());
        won = 0;
      },
      {runner, runner, runner}, [&] { ASSERT_EQ(won, 1); });
}

TEST(Threads, ACopyMayBeDroppedWhileAnotherIsCanceled) {
  static const ctx::key<Tracked> key("tracked");
  Tracked::Log log;
  ctx::context first, second;
  ctx::canceler cancel;
  Race(
      1000,
      [&] {
        std::tie(first, cancel) =
            ctx::with_cancel(ctx::with_value(ctx::background(), key, Tracked(&log)));
        second = ctx::with_cancel(first).first;
      },
      {[&] { cancel.cancel(); }, [&] { first = {}; }, [&] { second = {}; }},
      [&] {
        cancel = {};
        ASSERT_EQ(log.live, 0);
      });
}

}  // namespace
}  // namespace ctxtest
