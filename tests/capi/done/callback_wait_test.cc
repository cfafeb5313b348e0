// SPDX-License-Identifier: MIT
//
// Rules 26 and 27: ctx_watch_stop_wait waits for fn and drop, and never for itself.
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr std::chrono::microseconds kLittleLonger{100};  // so that the other thread begins to wait

// fn lasts until it has seen that the other thread is about to wait, and then a little longer; what
// it writes last must be there when stop_wait returns. TSan sees it, too, if that were not ordered.
TEST(CallbackWait, Rule26_StopWaitWaitsForFnAndDrop) {
  struct Run {
    Gate started;
    std::atomic<bool> waiting{false};
    int fn_over = 0, drop_over = 0;  // plain: written on one thread, read on the other
    void Linger() {
      while (!waiting) std::this_thread::yield();
      std::this_thread::sleep_for(kLittleLonger);
    }
  };
  const auto fn = [](ctx_t*, void* arg) {
    auto* run = static_cast<Run*>(arg);
    run->started.Open();
    run->Linger();
    run->fn_over = 1;
  };
  const auto drop = [](void* arg) {
    auto* run = static_cast<Run*>(arg);
    run->Linger();
    run->drop_over = 1;
  };
  int wrong = 0;
  for (int round = 0; round < 200; ++round) {
    Run run;
    const Scope scope = WithCancel(ctx_background());
    const Watch watch = AfterFunc(scope, fn, &run, round % 2 == 0 ? 0 : CTX_DEFER, drop);
    std::thread canceler([&] { scope.Cancel(); });
    ASSERT_TRUE(run.started.Wait());
    run.waiting = true;
    wrong += ctx_watch_stop_wait(watch) != 0;
    wrong += run.fn_over != 1 || run.drop_over != 1;
    canceler.join();
  }
  EXPECT_EQ(wrong, 0);
}

// The owner of what a callback uses frees it after stop_wait: no use after free, whoever came first.
TEST(CallbackWait, Rule26_AfterStopWaitWhatTheCallbackUsedMayBeFreed) {
  Scope scope;
  std::unique_ptr<int> used;
  Watch watch;
  const auto fn = [](ctx_t*, void* arg) { ++*static_cast<int*>(arg); };
  const auto drop = [](void* arg) { ++*static_cast<int*>(arg); };
  Stagger stagger(28);
  Race(
      kSanitized ? 200 : 1000,
      [&] {
        scope = WithCancel(ctx_background());
        used = std::make_unique<int>(0);
        watch = AfterFunc(scope, fn, used.get(), 0, drop);
      },
      {[&] {
         stagger.Pass(512);
         scope.Cancel();
       },
       [&] {
         ctx_watch_stop_wait(watch);
         used.reset();
       }},
      [&] { watch.reset(); });
}

// stop_wait of a second thread waits for the drop that the first one's stop runs.
TEST(CallbackWait, Rule27_StopWaitWaitsForTheDropOfAnotherThreadsStop) {
  struct Slow {
    Gate started;
    std::atomic<bool> waiting{false};
    int over = 0;
  };
  const auto drop = [](void* arg) {
    auto* slow = static_cast<Slow*>(arg);
    slow->started.Open();
    while (!slow->waiting) std::this_thread::yield();
    std::this_thread::sleep_for(kLittleLonger);
    slow->over = 1;
  };
  int wrong = 0;
  for (int round = 0; round < 100; ++round) {
    Slow slow;
    const Scope scope = WithCancel(ctx_background());
    const Watch watch = AfterFunc(
        scope, [](ctx_t*, void*) {}, &slow, 0, drop);
    std::thread stopper([&] { wrong += ctx_watch_stop(watch) != 1; });
    ASSERT_TRUE(slow.started.Wait());
    slow.waiting = true;
    const int stopped = ctx_watch_stop_wait(watch);
    const int over = slow.over;
    stopper.join();
    wrong += stopped != 0 || over != 1;
  }
  EXPECT_EQ(wrong, 0);
}

TEST(CallbackWait, Rule26_FromInsideItselfBothReturn0AtOnce) {
  for (uint32_t flags : {uint32_t{0}, CTX_DEFER}) {
    for (bool done_before : {false, true}) {
      const Scope scope = WithCancel(ctx_background());
      std::vector<int> results;
      Callback callback([&](ctx_t*) { results = {callback.Stop(), callback.StopWait()}; });
      if (done_before) scope.Cancel();
      EXPECT_EQ(callback.Arm(scope, flags), done_before ? 1 : 0);
      scope.Cancel();
      ASSERT_TRUE(callback.WaitDrop());
      EXPECT_EQ(results, (std::vector<int>{0, 0}));
      EXPECT_EQ(callback.runs(), 1);
    }
  }
}

TEST(CallbackWait, Rule26_FromInsideItsDropBothReturn0AtOnce) {
  for (bool by_stop : {false, true}) {
    struct Stopped {
      ctx_watch_t* watch = nullptr;
      std::vector<int> results;
    } stopped;
    const Scope scope = WithCancel(ctx_background());
    const auto drop = [](void* arg) {
      auto* self = static_cast<Stopped*>(arg);
      self->results = {ctx_watch_stop(self->watch), ctx_watch_stop_wait(self->watch)};
    };
    ASSERT_EQ(ctx_after_func(
                  scope, [](ctx_t*, void*) {}, &stopped, drop, 0, &stopped.watch),
              0);
    if (by_stop) {
      EXPECT_EQ(ctx_watch_stop_wait(stopped.watch), 1);
    } else {
      scope.Cancel();
    }
    EXPECT_EQ(stopped.results, (std::vector<int>{0, 0}));
    ctx_watch_unref(stopped.watch);
  }
}

// From anywhere below the callback on the same thread: here out of another's callback that its cancel
// runs, and out of that one's drop.
TEST(CallbackWait, Rule26_FromBelowItselfOnTheSameThreadItReturnsAtOnce) {
  const Scope outer = WithCancel(ctx_background()), inner = WithCancel(ctx_background());
  std::vector<int> results;
  Callback running([&](ctx_t*) { inner.Cancel(); });
  Callback nested([&](ctx_t*) { results.push_back(running.StopWait()); });
  struct Nested {
    Callback* running;
    std::vector<int>* results;
  } dropped{&running, &results};
  const auto drop = [](void* arg) {
    auto* self = static_cast<Nested*>(arg);
    self->results->push_back(self->running->StopWait());
  };
  running.Arm(outer);
  nested.Arm(inner);
  const Watch third = AfterFunc(
      inner, [](ctx_t*, void*) {}, &dropped, 0, drop);
  EXPECT_EQ(outer.Cancel(), 1);
  EXPECT_EQ(results, (std::vector<int>{0, 0}));
}

#if defined(CTX_TESTS_CHECKED)
// Each of two callbacks waits for the other's end. The checked build says so instead of hanging.
void WaitForEachOther() {
  struct Side {
    Scope scope = WithCancel(ctx_background());
    Watch watch;
    Gate started;
    Side* other = nullptr;
  };
  const auto fn = [](ctx_t*, void* arg) {
    auto* side = static_cast<Side*>(arg);
    side->started.Open();
    EXPECT_TRUE(side->other->started.Wait());
    ctx_watch_stop_wait(side->other->watch);
  };
  Side sides[2];
  for (int i : {0, 1}) {
    sides[i].other = &sides[1 - i];
    sides[i].watch = AfterFunc(sides[i].scope, fn, &sides[i]);
  }
  std::thread second([&] { sides[1].scope.Cancel(); });
  sides[0].scope.Cancel();
  second.join();
}

TEST(CallbackWaitDeathTest, ACircleIsReported) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(WaitForEachOther(), "callbacks wait for each other's end, in a circle");
}
#endif

}  // namespace
}  // namespace ctxtest
