// SPDX-License-Identifier: MIT
//
// Rules 26 and 27, hard case 1: to stop a callback before, while and after it runs.
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

const ctx_key_t kKey = {"key"};
constexpr int kRounds = kSanitized ? 200 : 1000;

TEST(CallbackStop, Rule26_Returns1ToTheOneCallThatPreventedIt) {
  const Scope scope = WithCancel(ctx_background());
  Callback callback;
  callback.Arm(scope);
  EXPECT_EQ(callback.Stop(), 1);
  EXPECT_EQ(callback.Stop(), 0);
  EXPECT_EQ(callback.StopWait(), 0);
  scope.Cancel();
  EXPECT_EQ(callback.runs(), 0);
  EXPECT_EQ(callback.Stop(), 0);
}

TEST(CallbackStop, Rule26_Returns0OnceItHasRun) {
  const Scope scope = WithCancel(ctx_background());
  Callback armed, inlined;
  armed.Arm(scope);
  scope.Cancel();
  inlined.Arm(scope);
  for (Callback* callback : {&armed, &inlined}) {
    EXPECT_EQ(callback->runs(), 1);
    EXPECT_EQ(callback->Stop(), 0);
    EXPECT_EQ(callback->StopWait(), 0);
  }
}

TEST(CallbackStop, Rule26_OfManyCallsAtOnceOneGets1) {
  Scope scope;
  std::unique_ptr<Callback> callback;
  std::array<int, 3> got{};
  int wrong = 0;
  Race(
      kRounds,
      [&] {
        scope = WithCancel(ctx_background());
        callback = std::make_unique<Callback>();
        callback->Arm(scope);
      },
      {[&] { got[0] = callback->Stop(); }, [&] { got[1] = callback->StopWait(); },
       [&] { got[2] = callback->Stop(); }},
      [&] {
        wrong += got[0] + got[1] + got[2] != 1;
        wrong += callback->runs() != 0 || callback->drops() != 1;
      });
  EXPECT_EQ(wrong, 0);
}

// Either it ran and no stop says that it prevented that, or one stop prevented it; drop once.
TEST(CallbackStop, Rule26_StopsThatRaceWithACancel) {
  Scope scope;
  std::unique_ptr<Callback> callback;
  std::array<int, 2> got{};
  int wrong = 0, ran = 0;
  Stagger stagger(26);
  Race(
      kRounds,
      [&] {
        scope = WithCancel(ctx_background());
        callback = std::make_unique<Callback>();
        callback->Arm(scope);
      },
      {[&] {
         stagger.Pass(512);
         scope.Cancel();
       },
       [&] { got[0] = callback->Stop(); }, [&] { got[1] = callback->StopWait(); }},
      [&] {
        wrong += callback->runs() + got[0] + got[1] != 1;
        wrong += callback->drops() != 1;
        ran += callback->runs();
      });
  EXPECT_EQ(wrong, 0);
  RecordProperty("ran", ran);
}

TEST(CallbackStop, Rule26_StopsThatRaceWithADeadline) {
  int wrong = 0;
  Stagger stagger(27);
  for (int round = 0; round < kRounds / 4; ++round) {
    const Scope timed = WithTimeout(ctx_background(), 100 * kMicrosecond);
    Callback callback;
    callback.Arm(timed, round % 2 == 0 ? 0 : CTX_DEFER);
    ctx_wait(timed, kLimit);
    stagger.Pass(4096);
    const int stopped = round % 4 < 2 ? callback.StopWait() : callback.Stop();
    wrong += !callback.WaitDrop();
    wrong += stopped + callback.runs() != 1 || callback.drops() != 1;
  }
  EXPECT_EQ(wrong, 0);
}

// Until its own turn comes it can be stopped, also while its cancel runs others.
TEST(CallbackStop, Rule26_ALaterOneCanBeStoppedByAnEarlierOneOfTheSameCancel) {
  const Scope top = WithCancel(ctx_background());
  const Scope child = WithCancel(top);
  Callback same, below, value;
  const Ctx with_value = WithValue(child, &kKey, nullptr);
  std::vector<int> results;
  Callback first([&](ctx_t*) {
    results = {same.Stop(), below.StopWait(), value.Stop(), same.Stop()};
    EXPECT_EQ(same.drops() + below.drops() + value.drops(), 3) << "dropped by the stop, here";
  });
  first.Arm(top);
  same.Arm(top);
  below.Arm(child);
  value.Arm(with_value);
  EXPECT_EQ(top.Cancel(), 1);
  EXPECT_EQ(results, (std::vector<int>{1, 1, 1, 0}));
  EXPECT_EQ(same.runs() + below.runs() + value.runs(), 0);
}

TEST(CallbackStop, Rule26_ALaterOneCanBeStoppedFromAnotherThreadMeanwhile) {
  const Scope top = WithCancel(ctx_background());
  const Scope child = WithCancel(top);
  Gate started, go_on;
  Callback first([&](ctx_t*) {
    started.Open();
    EXPECT_TRUE(go_on.Wait());
  });
  Callback later, below;
  first.Arm(top);
  later.Arm(top);
  below.Arm(child);
  std::thread canceller([&] { top.Cancel(); });
  ASSERT_TRUE(started.Wait());
  EXPECT_EQ(later.StopWait(), 1) << "neither it nor its drop runs: nothing to wait for";
  EXPECT_EQ(below.Stop(), 1);
  go_on.Open();
  canceller.join();
  EXPECT_EQ(first.runs(), 1);
  EXPECT_EQ(later.runs() + below.runs(), 0);
  EXPECT_EQ(later.drops() + below.drops(), 2);
}

TEST(CallbackStop, Rule26_ADeferredOneCanBeStoppedWhileItIsQueued) {
  const Scope scope = WithCancel(ctx_background());
  Gate started, go_on;
  Callback blocked([&](ctx_t*) {
    started.Open();
    EXPECT_TRUE(go_on.Wait());
  });
  Callback queued, waited_for, left;
  for (Callback* callback : {&blocked, &queued, &waited_for, &left})
    callback->Arm(scope, CTX_DEFER);
  scope.Cancel();
  ASSERT_TRUE(started.Wait());
  EXPECT_EQ(queued.Stop(), 1);
  EXPECT_EQ(waited_for.StopWait(), 1);
  EXPECT_EQ(queued.drops() + waited_for.drops(), 2);
  EXPECT_EQ(queued.drop().thread(), std::this_thread::get_id());
  go_on.Open();
  ASSERT_TRUE(left.WaitDrop());
  EXPECT_EQ(left.runs(), 1);
  EXPECT_EQ(queued.runs() + waited_for.runs(), 0);
}

TEST(CallbackStop, Rule26_OneThatWasBornOnItsWayCanBeStoppedWhileItIsQueued) {
  const Scope scope = WithCancel(ctx_background());
  Gate started, go_on;
  Callback blocked([&](ctx_t*) {
    started.Open();
    EXPECT_TRUE(go_on.Wait());
  });
  Callback queued;
  scope.Cancel();
  ASSERT_EQ(blocked.Arm(scope, CTX_DEFER), 1);
  ASSERT_TRUE(started.Wait());
  ASSERT_EQ(queued.Arm(scope, CTX_DEFER), 1);
  EXPECT_EQ(queued.Stop(), 1);
  go_on.Open();
  ASSERT_TRUE(blocked.WaitDrop());
  EXPECT_EQ(queued.runs(), 0);
}

TEST(CallbackStop, Rule26_StopDoesNotWaitForOneThatRuns) {
  const Scope scope = WithCancel(ctx_background());
  Gate started, go_on;
  Callback callback([&](ctx_t*) {
    started.Open();
    EXPECT_TRUE(go_on.Wait());
  });
  callback.Arm(scope);
  std::thread canceller([&] { scope.Cancel(); });
  ASSERT_TRUE(started.Wait());
  EXPECT_EQ(callback.Stop(), 0);
  EXPECT_EQ(callback.runs(), 0) << "it is still inside";
  go_on.Open();
  canceller.join();
  EXPECT_EQ(callback.runs(), 1);
}

// fn lasts until it has seen that the other thread is about to wait, and then a little longer; what
// it writes last must be there when stop_wait returns. TSan sees it, too, if that were not ordered.
TEST(CallbackStop, Rule26_StopWaitWaitsForFnAndDrop) {
  struct Run {
    Gate started;
    std::atomic<bool> waiting{false};
    int fn_over = 0, drop_over = 0;  // plain: written on one thread, read on the other
    void Linger() {
      while (!waiting) std::this_thread::yield();
      for (int i = 0; i < 50; ++i) std::this_thread::yield();
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
    std::thread canceller([&] { scope.Cancel(); });
    ASSERT_TRUE(run.started.Wait());
    run.waiting = true;
    wrong += ctx_watch_stop_wait(watch) != 0;
    wrong += run.fn_over != 1 || run.drop_over != 1;
    canceller.join();
  }
  EXPECT_EQ(wrong, 0);
}

// The owner of what a callback uses frees it after stop_wait: no use after free, whoever came first.
TEST(CallbackStop, Rule26_AfterStopWaitWhatTheCallbackUsedMayBeFreed) {
  Scope scope;
  std::unique_ptr<int> used;
  Watch watch;
  const auto fn = [](ctx_t*, void* arg) { ++*static_cast<int*>(arg); };
  const auto drop = [](void* arg) { ++*static_cast<int*>(arg); };
  Stagger stagger(28);
  Race(
      kRounds,
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

TEST(CallbackStop, Rule26_FromInsideItselfBothReturn0AtOnce) {
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

TEST(CallbackStop, Rule26_FromInsideItsDropBothReturn0AtOnce) {
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
TEST(CallbackStop, Rule26_FromBelowItselfOnTheSameThreadItReturnsAtOnce) {
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

TEST(CallbackStop, Rule27_AStopThatPreventedItDropsOnThisThread) {
  const Scope scope = WithCancel(ctx_background());
  for (uint32_t flags : {uint32_t{0}, CTX_DEFER}) {
    Callback callback;
    callback.Arm(scope, flags);
    EXPECT_EQ(callback.drops(), 0);
    EXPECT_EQ(callback.Stop(), 1);
    EXPECT_EQ(callback.drops(), 1);
    EXPECT_EQ(callback.drop().thread(), std::this_thread::get_id());
    EXPECT_EQ(callback.Stop(), 0);
    EXPECT_EQ(callback.drops(), 1);
  }
}

// stop_wait of a second thread waits for the drop that the first one's stop runs.
TEST(CallbackStop, Rule27_StopWaitWaitsForTheDropOfAnotherThreadsStop) {
  struct Slow {
    Gate started;
    std::atomic<bool> waiting{false};
    int over = 0;
  };
  const auto drop = [](void* arg) {
    auto* slow = static_cast<Slow*>(arg);
    slow->started.Open();
    while (!slow->waiting) std::this_thread::yield();
    for (int i = 0; i < 50; ++i) std::this_thread::yield();
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

TEST(CallbackStop, AWatchMayOutliveItsContext) {
  Callback fired, stopped;
  {
    const Scope scope = WithCancel(ctx_background());
    fired.Arm(scope);
    stopped.Arm(scope);
    EXPECT_EQ(stopped.Stop(), 1);
    scope.Cancel();
  }
  EXPECT_EQ(fired.Stop(), 0);
  EXPECT_EQ(fired.StopWait(), 0);
  EXPECT_EQ(stopped.StopWait(), 0);
}

}  // namespace
}  // namespace ctxtest
