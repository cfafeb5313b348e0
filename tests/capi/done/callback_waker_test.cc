// SPDX-License-Identifier: MIT
//
// Rules 24 and 28: wakers run before all other callbacks, wherever the end comes from, and in their order.
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/held.h"
#include "support/loops.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(CallbackWaker, Rule24_WakersComeBeforeAllOtherCallbacks) {
  const Scope scope = WithCancel(ctx_background()), child = WithCancel(scope);
  Recorder recorder;
  recorder.Arm(scope, 3);
  recorder.Arm(scope, 1, CTX_WAKER);
  recorder.Arm(child, 4);
  recorder.Arm(child, 2, CTX_WAKER);
  scope.Cancel();
  EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2, 3, 4}));
}

// Carriers of values and names end as one with their context.
TEST(CallbackWaker, Rule28_WakersOfAContextComeBeforeThoseOfItsValuesAndNames) {
  for (const bool deferred : {false, true}) {
    const ManualLoop manual;
    const Scope scope = WithCancel(manual.root);
    const Ctx name = WithName(scope, "work"), value = WithString(name, "key", "text");
    Recorder recorder;
    recorder.Arm(value, 6);
    recorder.Arm(value, 3, CTX_WAKER);
    recorder.Arm(name, 5);
    recorder.Arm(name, 2, CTX_WAKER);
    recorder.Arm(scope, 4);
    recorder.Arm(scope, 1, CTX_WAKER);
    if (deferred) {
      EXPECT_EQ(ctx_cancel_deferred(scope.canceler, CTX_CANCELED, nullptr), 1);
    } else {
      scope.Cancel();
    }
    EXPECT_EQ(manual.Dispatch(), 0);
    EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2, 3, 4, 5, 6}));
  }
}

TEST(CallbackWaker, Rule24_WakersRunInDispatchAndInAdvance) {
  const VirtualLoop test;
  const Scope hour = WithTimeout(test.root, kHour);
  Callback waker, plain;
  waker.Arm(hour, CTX_WAKER);
  plain.Arm(hour, CTX_BLOCKING | CTX_DEFER);
  EXPECT_EQ(test.Advance(kHour), 1);
  EXPECT_EQ(waker.runs(), 1);
  EXPECT_EQ(plain.thread(), std::this_thread::get_id());
  const ManualLoop manual;
  const Scope soon = WithTimeout(manual.root, kMillisecond);
  Callback second;
  second.Arm(soon, CTX_WAKER);
  EXPECT_GE(manual.DriveUntilDone(soon), 0);
  EXPECT_EQ(second.runs(), 1);
}

TEST(CallbackWaker, Rule24_AWakerIsStoppedAsAnyCallback) {
  const Scope scope = WithCancel(ctx_background());
  Callback waker;
  EXPECT_EQ(waker.Arm(scope, CTX_WAKER), 0);
  EXPECT_EQ(waker.Stop(), 1);
  scope.Cancel();
  EXPECT_EQ(waker.runs(), 0);
  EXPECT_EQ(waker.drops(), 1);
  Callback late;
  EXPECT_EQ(late.Arm(scope, CTX_WAKER), 1);
  EXPECT_EQ(late.runs(), 1);
}

TEST(CallbackWaker, Rule26_AWakerIsStoppedUntilItsTurnComes) {
  for (const bool timed : {false, true}) {
    const VirtualLoop test;
    const Scope scope = WithTimeout(test.root, 1), child = WithCancel(scope);
    Callback plain, second, third, first([&](ctx_t*) {
      EXPECT_EQ(second.StopWait(), 1);
      EXPECT_EQ(third.StopWait(), 1);
    });
    plain.Arm(scope);
    first.Arm(scope, CTX_WAKER);
    second.Arm(scope, CTX_WAKER);
    third.Arm(child, CTX_WAKER);
    EXPECT_EQ(timed ? test.Advance(1) : scope.Cancel(), 1);
    EXPECT_EQ(first.runs(), 1);
    EXPECT_EQ(second.runs() + third.runs(), 0);
    EXPECT_EQ(second.drops() + third.drops(), 2);
    EXPECT_EQ(plain.runs(), 1);
  }
}

TEST(CallbackWaker, Rule26_AnotherThreadStopsAWakerWhileTheOneBeforeItRuns) {
  for (const bool by_loop : {false, true}) {
    const Pipe pipe;
    const Scope scope = WithFd(ctx_background(), pipe.read_end, POLLIN);
    Callback second;
    HeldCallback first;
    EXPECT_EQ(first.Arm(scope, CTX_WAKER), 0);
    EXPECT_EQ(second.Arm(scope, CTX_WAKER), 0);
    std::thread stopper([&] {
      EXPECT_TRUE(first.begun.Wait());
      EXPECT_EQ(second.StopWait(), 1);
      first.go_on.Open();
    });
    if (by_loop) {
      pipe.Write();
    } else {
      EXPECT_EQ(scope.Cancel(), 1);
    }
    stopper.join();
    EXPECT_TRUE(first.WaitDrop());
    EXPECT_EQ(second.runs(), 0);
  }
}

// Whoever derives or waits runs nobody's code: the host finds the wakers of what such a call has ended.
TEST(CallbackWaker, Rule38_WakersOfWhatAWaiterEndedAreLeftToTheHost) {
  const ManualLoop manual;
  EXPECT_GE(manual.Fd(), 0);
  const Scope soon = WithTimeout(manual.root, kMillisecond);
  Callback waker;
  EXPECT_EQ(waker.Arm(soon, CTX_WAKER), 0);
  EXPECT_TRUE(Done(soon));
  EXPECT_EQ(waker.runs(), 0);
  EXPECT_TRUE(manual.WorkWaits());
  ASSERT_TRUE(Readable(manual.Fd(), kLimitMs));
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(waker.runs(), 1);
  EXPECT_TRUE(manual.Settles());
}

TEST(CallbackWaker, Rule38_WakersOfWhatADerivationEndedAreLeftToTheHost) {
  const ManualLoop manual;
  const Scope soon = WithTimeout(manual.root, kMillisecond);
  Callback waker;
  EXPECT_EQ(waker.Arm(soon, CTX_WAKER), 0);
  SleepUntil(Deadline(soon));
  const Scope below = WithTimeout(soon, kHour);
  EXPECT_EQ(ctx_err(below), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(waker.runs(), 0);
  EXPECT_TRUE(manual.WorkWaits());
  ASSERT_TRUE(Readable(manual.Fd(), kLimitMs));
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(waker.runs(), 1);
}

TEST(CallbackWaker, Rule24_WakersOfWhatADerivationEndedRunOnTheClocksThread) {
  for (int round = 0; round < 200; ++round) {
    const Scope soon = WithTimeout(ctx_background(), 50 * kMicrosecond);
    Callback waker;
    const bool armed = waker.Arm(soon, CTX_WAKER) == 0;
    while (ctx_err(soon) == 0) WithTimeout(soon, kHour);
    ASSERT_TRUE(waker.WaitRun());
    EXPECT_TRUE(!armed || waker.thread_name() == "ctx-loop") << waker.thread_name();
  }
}

// The last handle of a loop that its host has ceased to drive.
TEST(CallbackWaker, Rule39_WakersThatWaitForADispatchRunWhenTheLoopIsGivenUp) {
  ManualLoop manual;
  const Scope soon = WithTimeout(manual.root, kMillisecond);
  Callback waker;
  EXPECT_EQ(waker.Arm(soon, CTX_WAKER), 0);
  EXPECT_TRUE(Done(soon));
  EXPECT_EQ(waker.runs(), 0);
  manual.loop.reset();
  EXPECT_EQ(waker.runs(), 1);
}

// Rule 30: the waker's was the last reference, and it is the clock's thread that ran it.
TEST(CallbackWaker, Rule30_AValueIsNotDroppedByTheThreadOfTheWaker) {
  Drop drop;
  Callback waker;
  const Pipe pipe;
  {
    const Ctx value = Watched(ctx_background(), &drop);
    const Scope scope = WithFd(value, pipe.read_end, POLLIN);
    const Ctx below = Watched(scope, &drop);
    EXPECT_EQ(waker.Arm(below, CTX_WAKER), 0);
  }
  pipe.Write();
  EXPECT_TRUE(drop.Wait(2));
  EXPECT_EQ(drop.thread_name(), "ctx-calls");
}

}  // namespace
}  // namespace ctxtest
