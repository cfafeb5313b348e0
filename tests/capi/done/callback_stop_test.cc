// SPDX-License-Identifier: MIT
//
// Rules 26 and 27: to stop a callback before, while and after it runs. What stop_wait waits
// for, and for what not, is in callback_wait_test.cc.
#include <array>
#include <memory>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/held.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr int kStopRounds = kSanitized ? 200 : 1000;

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
      kStopRounds,
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
      kStopRounds,
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
  for (int round = 0; round < kStopRounds / 4; ++round) {
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
  HeldCallback first;
  Callback later, below;
  first.Arm(top);
  later.Arm(top);
  below.Arm(child);
  std::thread canceler([&] { top.Cancel(); });
  ASSERT_TRUE(first.begun.Wait());
  EXPECT_EQ(later.StopWait(), 1) << "neither it nor its drop runs: nothing to wait for";
  EXPECT_EQ(below.Stop(), 1);
  first.go_on.Open();
  canceler.join();
  EXPECT_EQ(first.runs(), 1);
  EXPECT_EQ(later.runs() + below.runs(), 0);
  EXPECT_EQ(later.drops() + below.drops(), 2);
}

TEST(CallbackStop, Rule26_ADeferredOneCanBeStoppedWhileItIsQueued) {
  const Scope scope = WithCancel(ctx_background());
  HeldCallback blocked;
  Callback queued, waited_for, left;
  blocked.Arm(scope, CTX_DEFER);
  for (Callback* callback : {&queued, &waited_for, &left}) callback->Arm(scope, CTX_DEFER);
  scope.Cancel();
  ASSERT_TRUE(blocked.begun.Wait());
  EXPECT_EQ(queued.Stop(), 1);
  EXPECT_EQ(waited_for.StopWait(), 1);
  EXPECT_EQ(queued.drops() + waited_for.drops(), 2);
  EXPECT_EQ(queued.drop().thread(), std::this_thread::get_id());
  blocked.go_on.Open();
  ASSERT_TRUE(left.WaitDrop());
  EXPECT_EQ(left.runs(), 1);
  EXPECT_EQ(queued.runs() + waited_for.runs(), 0);
}

TEST(CallbackStop, Rule26_OneThatWasBornOnItsWayCanBeStoppedWhileItIsQueued) {
  const Scope scope = WithCancel(ctx_background());
  HeldCallback blocked;
  Callback queued;
  scope.Cancel();
  ASSERT_EQ(blocked.Arm(scope, CTX_DEFER), 1);
  ASSERT_TRUE(blocked.begun.Wait());
  ASSERT_EQ(queued.Arm(scope, CTX_DEFER), 1);
  EXPECT_EQ(queued.Stop(), 1);
  blocked.go_on.Open();
  ASSERT_TRUE(blocked.WaitDrop());
  EXPECT_EQ(queued.runs(), 0);
}

TEST(CallbackStop, Rule26_StopDoesNotWaitForOneThatRuns) {
  const Scope scope = WithCancel(ctx_background());
  HeldCallback callback;
  callback.Arm(scope);
  std::thread canceler([&] { scope.Cancel(); });
  ASSERT_TRUE(callback.begun.Wait());
  EXPECT_EQ(callback.Stop(), 0);
  EXPECT_EQ(callback.runs(), 0) << "it is still inside";
  callback.go_on.Open();
  canceler.join();
  EXPECT_EQ(callback.runs(), 1);
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
