// SPDX-License-Identifier: MIT
//
// Exit: a process may end with contexts, callbacks and loops alive, also in static variables, whose
// destructors run then.
#include <cstdlib>
#include <string>
#include <thread>

#include "cases.h"

namespace ctxtest {
namespace {

constexpr int kStatus = 42;  // neither success nor what a crash gives

TEST(Exit, WithLiveContextsInStaticVariables) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        static const ctx::key<std::string> key("key");
        static const ctx::context root = ctx::with_value(ctx::background(), key, "value");
        static const ctx::derived timed = ctx::with_timeout(root, 1h);
        static const ctx::cancel_guard guard(timed.second);
        static const ctx::queue queue;
        queue.add(timed.first, 1);
        ctx::after_func(timed.first, [text = std::string("x")] {});
        for (int i = 0; i < 100; ++i) {  // some fire before the exit, some at the same time
          ctx::derived left = ctx::with_timeout(root, std::chrono::microseconds(i));
          ctx::after_func(left.first, ctx::deferred, [held = left.first] {});
        }
        std::exit(kStatus);
      },
      ::testing::ExitedWithCode(kStatus), "");
}

TEST(Exit, FromInsideACallback) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const ctx::derived made = ctx::with_timeout(ctx::background(), 1ms);
        ctx::after_func(made.first, ctx::deferred, [] { std::exit(kStatus); });
        std::this_thread::sleep_for(kWatchdog);
      },
      ::testing::ExitedWithCode(kStatus), "");
}

TEST(Exit, AndUseInAnExitHandler) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        static const ctx::derived root = ctx::with_cancel(ctx::background());
        std::atexit([] {
          const ctx::context late = ctx::with_timeout(root.first, 1ms).first;
          if (!late.wait_for(kWatchdog) || !root.second.cancel()) _exit(1);
        });
        std::exit(kStatus);
      },
      ::testing::ExitedWithCode(kStatus), "");
}

}  // namespace
}  // namespace ctxtest
