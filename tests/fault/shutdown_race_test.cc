// SPDX-License-Identifier: MIT
//
// Rule 51: the end of the default loop while other threads use it. A process has one such end, so each round is a
// child of its own.
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "support/callback.h"
#include "support/forked.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"
#include "support/time.h"

namespace ctxtest {
namespace {

// When all have returned, every callback that a call took or the loop had has run.
void RaceWithTheEnd(const std::function<void()>& racer) {
  for (int round = 0; round < 40; ++round) {
    InChild([&] {
      Stagger stagger(static_cast<unsigned>(round));
      const Scope scope = WithTimeout(ctx_background(), kMillisecond);
      StartLine line(3);
      std::thread other([&] {
        line.Meet();
        racer();
      });
      std::thread ends([&] {
        line.Meet();
        EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
      });
      line.Meet();
      stagger.Pass(20'000);
      EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
      other.join();
      ends.join();
      EXPECT_TRUE(Tasks("ctx-").empty());
    });
    if (testing::Test::HasFailure()) return;
  }
}

TEST(ShutdownRace, Rule51_WithCancels) {
  RaceWithTheEnd([] {
    for (int i = 0; i < 50; ++i) {
      const Scope scope = WithCancel(ctx_background());
      Callback plain, deferred, blocking, waker;
      int armed = 0, ran = 0;
      for (const auto& [callback, flags] : {std::pair<Callback*, uint32_t>{&plain, 0},
                                            {&deferred, CTX_DEFER},
                                            {&blocking, CTX_DEFER | CTX_BLOCKING},
                                            {&waker, CTX_WAKER}}) {
        armed += callback->Arm(scope, flags) >= 0;
      }
      scope.Cancel();
      for (const Callback* callback : {&plain, &deferred, &blocking, &waker}) {
        if (callback->watch() == nullptr) continue;  // -ESHUTDOWN
        EXPECT_TRUE(callback->WaitDrop());
        ran += callback->runs();
      }
      EXPECT_EQ(ran, armed);
    }
  });
}

TEST(ShutdownRace, Rule51_WithDerivationsAndDeadlines) {
  RaceWithTheEnd([] {
    for (int i = 0; i < 50; ++i) {
      Ctx ctx;
      EXPECT_EQ(ctx_with_timeout(ctx_background(), 30 * kMicrosecond, ctx.out(), nullptr), 0);
      Callback blocking, waker, deferred;
      EXPECT_GE(blocking.Arm(ctx, CTX_BLOCKING), 0);
      EXPECT_GE(waker.Arm(ctx, CTX_WAKER), 0);
      const bool armed = deferred.Arm(ctx, CTX_DEFER) >= 0;
      const Scope below = WithTimeout(ctx, kHour);
      EXPECT_TRUE(Done(ctx));
      EXPECT_TRUE(blocking.WaitDrop());
      EXPECT_TRUE(waker.WaitDrop());
      EXPECT_TRUE(!armed || deferred.WaitDrop());
    }
  });
}

TEST(ShutdownRace, Rule51_WithTheFirstUseOfTheLoop) {
  for (int round = 0; round < 40; ++round) {
    InChild([&] {
      Stagger stagger(static_cast<unsigned>(round));
      StartLine line(2);
      std::thread other([&] {
        line.Meet();
        Ctx ctx;
        EXPECT_EQ(ctx_with_timeout(ctx_background(), kHour, ctx.out(), nullptr), 0);
        EXPECT_TRUE(Done(ctx));
        EXPECT_EQ(ctx_err(ctx), CTX_CANCELED);
      });
      line.Meet();
      stagger.Pass(5'000);
      EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
      other.join();
      EXPECT_TRUE(Tasks("ctx-").empty());
    });
    if (testing::Test::HasFailure()) return;
  }
}

// The callbacks of the loop have run before any of the calls returns.
// However the clock's thread learns of the end, it first wakes whom the end wakes.
TEST(ShutdownRace, Rule51_ACallbackMayWaitForAWaker) {
  for (int round = 0; round < 60; ++round) {
    InChild([&] {
      Stagger stagger(static_cast<unsigned>(round));
      Gate begun, woken;
      const Scope first = WithCancel(ctx_background()), last = WithTimeout(ctx_background(), kHour);
      Callback waker([&](ctx_t*) { woken.Open(); });
      Callback waits([&](ctx_t*) {
        begun.Open();
        EXPECT_TRUE(woken.Wait());
      });
      waker.Arm(last, CTX_WAKER);
      waits.Arm(first, CTX_DEFER);
      first.Cancel();
      ASSERT_TRUE(begun.Wait());
      std::thread busy([&] {
        while (ctx_err(last) == 0) WithTimeout(ctx_background(), kMicrosecond);
      });
      stagger.Pass(200'000);
      EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
      busy.join();
    });
    if (testing::Test::HasFailure()) return;
  }
}

TEST(ShutdownRace, Rule51_SeveralCallsWaitForEachOthersCallbacks) {
  for (int round = 0; round < 60; ++round) {
    InChild([&] {
      constexpr int kCallbacks = 40, kThreads = 3;
      std::vector<Scope> scopes;
      Counter drops;
      for (int i = 0; i < kCallbacks; ++i) {
        scopes.push_back(WithTimeout(ctx_background(), kHour));
        ASSERT_EQ(ctx_after_func(
                      scopes.back(), [](ctx_t*, void*) {}, &drops,
                      [](void* arg) { static_cast<Counter*>(arg)->Add(); },
                      i % 4 == 0   ? CTX_WAKER
                      : i % 4 == 1 ? CTX_DEFER | CTX_BLOCKING
                                   : 0,
                      nullptr),
                  0);
      }
      StartLine line(kThreads);
      std::vector<std::thread> threads;
      for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
          line.Meet();
          EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
          EXPECT_EQ(drops.Get(), kCallbacks);
        });
      }
      for (std::thread& thread : threads) thread.join();
      EXPECT_TRUE(Tasks("ctx-").empty());
    });
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace ctxtest
