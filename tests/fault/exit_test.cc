// SPDX-License-Identifier: MIT
//
// Exit: a process that ends in the middle of everything ends with the status it chose. Nothing of the
// library is taken down before its threads are.
#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/require.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// Handles that nobody gives back.
struct Left {
  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
};

Left LeaveTimeout(ctx_t* parent, int64_t timeout_ns) {
  Left left;
  REQUIRE(ctx_with_timeout(parent, timeout_ns, &left.ctx, &left.canceler) == 0);
  return left;
}

void LeaveCallback(ctx_t* ctx, uint32_t flags) {
  const auto fn = [](ctx_t*, void*) {};
  REQUIRE(ctx_after_func(ctx, fn, nullptr, nullptr, flags, nullptr) >= 0);
}

void LeaveEverything() {
  const Left root = LeaveTimeout(ctx_background(), kHour);
  for (int i = 0; i < 1'000; ++i) {
    // Some of these fire before the exit, some at the same time, most never.
    const Left left = LeaveTimeout(root.ctx, i % 2 == 0 ? i * kMicrosecond : kHour + i);
    LeaveCallback(left.ctx, i % 3 == 0 ? CTX_DEFER : 0);
    if (i % 100 == 0) REQUIRE(ctx_done_fd(left.ctx) >= 0);
  }
  const auto wait = [root] { ctx_wait(root.ctx, CTX_FOREVER); };
  std::thread(wait).detach();
  std::thread(wait).detach();
}

TEST(Exit, Rule48_WithNothingEverUsed) {
  CTX_IN_NEW_PROCESS({ static_cast<void>(ctx_background()); });
}

TEST(Exit, Rule48_WithLiveContextsTimersCallbacksAndWaiters) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        LeaveEverything();
        exit(kExitStatus);
      },
      ::testing::ExitedWithCode(kExitStatus), "");
}

// Deadlines go on firing, and threads go on deriving and canceling, while static objects of the
// program are destroyed.
TEST(Exit, Rule48_WhileThreadsAreAtWork) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (int round = 0; round < 10; ++round) {
    EXPECT_EXIT(
        {
          static const Left root = LeaveTimeout(ctx_background(), kHour);
          static std::atomic<long> steps{0};
          for (int i = 0; i < 3; ++i) {
            std::thread([] {
              for (;;) {
                const Left left = LeaveTimeout(root.ctx, 20 * kMicrosecond);
                LeaveCallback(left.ctx, steps % 2 == 0 ? CTX_DEFER : 0);
                if (steps % 3 == 0) ctx_cancel(left.canceler);
                ctx_canceler_unref(left.canceler);
                ctx_unref(left.ctx);
                ++steps;
              }
            }).detach();
          }
          while (steps < 1'000) std::this_thread::yield();
          exit(kExitStatus);
        },
        ::testing::ExitedWithCode(kExitStatus), "");
  }
}

TEST(Exit, Rule48_FromACallback) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const uint32_t flags : {uint32_t{0}, CTX_DEFER}) {
    EXPECT_EXIT(
        {
          LeaveEverything();
          const Left left = LeaveTimeout(ctx_background(), kMillisecond);
          const auto leave = [](ctx_t*, void*) { exit(kExitStatus); };
          REQUIRE(ctx_after_func(left.ctx, leave, nullptr, nullptr, flags, nullptr) >= 0);
          ctx_wait(LeaveTimeout(ctx_background(), kHour).ctx, kLimit);
        },
        ::testing::ExitedWithCode(kExitStatus), "");
  }
}

// Handlers of atexit() may still use the library.
TEST(Exit, Rule48_AndUseInAnExitHandler) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        static const Left root = LeaveTimeout(ctx_background(), kHour);
        atexit([] {
          const Left late = LeaveTimeout(root.ctx, kMillisecond);
          REQUIRE(ctx_wait(late.ctx, kLimit) == 1 && ctx_cancel(root.canceler) == 1);
        });
        exit(kExitStatus);
      },
      ::testing::ExitedWithCode(kExitStatus), "");
}

}  // namespace
}  // namespace ctxtest
