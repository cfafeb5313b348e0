// SPDX-License-Identifier: MIT
//
// Rule 24: no callback keeps another one waiting: deferred ones start at once, and those that may block have
// threads of their own.
#include <deque>
#include <functional>
#include <thread>

#include "support/callback.h"
#include "support/handles.h"
#include "support/held.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(CallbackLane, Rule24_ADeferredOneStartsWhileAnInlineOneOfTheSameCancelRuns) {
  const Scope scope = WithCancel(ctx_background());
  Callback deferred;
  Callback inline_one([&](ctx_t*) { EXPECT_TRUE(deferred.WaitRun()); });
  inline_one.Arm(scope);
  deferred.Arm(scope, CTX_DEFER);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(inline_one.runs(), 1);
}

TEST(CallbackLane, Rule24_ADeferredOneOfADescendantDoesNotWaitEither) {
  const Scope scope = WithCancel(ctx_background()), child = WithCancel(scope);
  Callback deferred;
  Callback inline_one([&](ctx_t*) { EXPECT_TRUE(deferred.WaitRun()); });
  inline_one.Arm(scope);
  deferred.Arm(child, CTX_DEFER);
  EXPECT_EQ(scope.Cancel(), 1);
}

TEST(CallbackLane, Rule24_BlockingOnesDoNotWaitForEachOther) {
  constexpr int kMany = 20;
  Gate gate;
  Counter running;
  const Scope scope = WithCancel(ctx_background());
  std::deque<Callback> callbacks;
  for (int i = 0; i < kMany; ++i) {
    callbacks.emplace_back([&](ctx_t*) {
      running.Add();
      EXPECT_TRUE(gate.Wait());
    });
    EXPECT_EQ(callbacks.back().Arm(scope, CTX_BLOCKING | CTX_DEFER), 0);
  }
  scope.Cancel();
  EXPECT_TRUE(running.WaitFor(kMany));  // all at once
  gate.Open();
  for (Callback& callback : callbacks) EXPECT_TRUE(callback.WaitDrop());
}

TEST(CallbackLane, Rule24_OneThatBlocksDelaysNoOther) {
  Gate gate;
  const Scope first = WithTimeout(ctx_background(), kMillisecond);
  Callback blocks([&](ctx_t*) { EXPECT_TRUE(gate.Wait()); });
  blocks.Arm(first, CTX_BLOCKING | CTX_DEFER);
  const Scope later = WithTimeout(ctx_background(), 2 * kMillisecond);
  Callback plain, deferred, blocking;  // on this thread, if the time has come already
  plain.Arm(later);
  deferred.Arm(later, CTX_DEFER);
  blocking.Arm(later, CTX_BLOCKING);
  EXPECT_TRUE(plain.WaitRun());
  EXPECT_TRUE(deferred.WaitRun());
  EXPECT_TRUE(blocking.WaitRun());
  EXPECT_EQ(blocks.runs(), 0);
  gate.Open();
  EXPECT_TRUE(blocks.WaitDrop());
}

// The lane has no thread yet: the clock's thread has to start one.
void AnotherCallbackMaySetOffOneThatBlocks() {
  const Scope first = WithCancel(ctx_background()), second = WithCancel(ctx_background());
  HeldCallback blocks;
  Callback sets_off([&](ctx_t*) { second.Cancel(); });
  blocks.Arm(second, CTX_BLOCKING | CTX_DEFER);
  sets_off.Arm(first, CTX_DEFER);
  first.Cancel();
  ASSERT_TRUE(blocks.begun.Wait());
  const Scope third = WithCancel(ctx_background());
  Callback plain;
  plain.Arm(third, CTX_DEFER);
  third.Cancel();
  EXPECT_TRUE(plain.WaitRun());
  blocks.go_on.Open();
  EXPECT_TRUE(blocks.WaitDrop());
}
TEST(CallbackLane, Rule24_AnotherCallbackMaySetOffOneThatBlocks) {
  CTX_IN_NEW_PROCESS(AnotherCallbackMaySetOffOneThatBlocks());
}

// Whichever thread of the library cancels, it leaves callbacks that may block to the lane.
TEST(CallbackLane, Rule24_BlockingOnesThatACallbackOfTheLibraryCancelsRunOnTheLane) {
  for (const uint32_t flags : {CTX_DEFER, CTX_DEFER | CTX_BLOCKING}) {
    const Scope first = WithCancel(ctx_background()), second = WithCancel(ctx_background());
    Gate gate, left;
    Callback plain, blocking([&](ctx_t*) { EXPECT_TRUE(gate.Wait()); });
    Callback cancels([&](ctx_t*) {
      EXPECT_EQ(second.Cancel(), 1);
      left.Open();
    });
    blocking.Arm(second, CTX_BLOCKING);
    plain.Arm(second);
    cancels.Arm(first, flags);
    first.Cancel();
    ASSERT_TRUE(left.Wait());
    EXPECT_TRUE(plain.WaitRun());
    EXPECT_EQ(blocking.runs(), 0);
    gate.Open();
    ASSERT_TRUE(blocking.WaitDrop());
    EXPECT_EQ(blocking.thread_name(), "ctx-lane");
  }
}

// A callback that runs inside another one, since its context is done, is on that one's thread.
TEST(CallbackLane, Rule24_BlockingOnesThatAnInnerCallbackOfTheLibraryCancelsRunOnTheLane) {
  const Scope first = WithCancel(ctx_background()), second = WithCancel(ctx_background());
  Callback blocking, inner([&](ctx_t*) { EXPECT_EQ(second.Cancel(), 1); });
  Callback outer([&](ctx_t*) { EXPECT_EQ(inner.Arm(first), 1); });
  blocking.Arm(second, CTX_BLOCKING);
  outer.Arm(first, CTX_DEFER);
  first.Cancel();
  ASSERT_TRUE(blocking.WaitDrop());
  EXPECT_TRUE(outer.WaitDrop());
  EXPECT_EQ(blocking.thread_name(), "ctx-lane");
}

// A loop that has not started has nobody to start a thread of the lane, or to post to its executor.
void OfALoopWithoutThreadsRunWhereTheyWereCanceled() {
  for (const bool posts : {false, true}) {
    const auto post = [](void*, void (*)(void*), void*) { return -EAGAIN; };
    const Loop idle = posts ? NewLoopWith(post, nullptr) : NewLoop(CTX_LOOP_THREAD);
    const Scope first = WithCancel(ctx_background()), second = WithCancel(LoopBackground(idle));
    Callback blocking, cancels([&](ctx_t*) { EXPECT_EQ(second.Cancel(), 1); });
    blocking.Arm(second, CTX_BLOCKING);
    cancels.Arm(first, CTX_DEFER);
    first.Cancel();
    ASSERT_TRUE(blocking.WaitDrop());
    EXPECT_EQ(blocking.thread(), cancels.thread());
  }
}
TEST(CallbackLane, Rule24_BlockingOnesOfALoopWithoutThreadsRunWhereTheyWereCanceled) {
  CTX_IN_NEW_PROCESS(OfALoopWithoutThreadsRunWhereTheyWereCanceled());
}

TEST(CallbackLane, Rule24_APlainOneThatBlocksDelaysNoBlockingOneAndNoWaker) {
  const Scope first = WithCancel(ctx_background());
  HeldCallback plain;
  plain.Arm(first, CTX_DEFER);
  first.Cancel();
  ASSERT_TRUE(plain.begun.Wait());
  const Scope later = WithTimeout(ctx_background(), kMillisecond);
  Callback blocking, waker;
  EXPECT_GE(blocking.Arm(later, CTX_BLOCKING | CTX_DEFER), 0);
  EXPECT_GE(waker.Arm(later, CTX_WAKER), 0);
  const Scope canceled = WithCancel(ctx_background());
  Callback deferred;
  EXPECT_EQ(deferred.Arm(canceled, CTX_BLOCKING | CTX_DEFER), 0);
  canceled.Cancel();
  EXPECT_TRUE(blocking.WaitRun());
  EXPECT_TRUE(waker.WaitRun());
  EXPECT_TRUE(deferred.WaitRun());
  EXPECT_EQ(plain.runs(), 0);
  plain.go_on.Open();
  EXPECT_TRUE(plain.WaitDrop());
}

TEST(CallbackLane, Rule24_BlockingOnesRunOnTheThreadThatCancels) {
  const Scope scope = WithCancel(ctx_background());
  Callback callback;
  callback.Arm(scope, CTX_BLOCKING);
  scope.Cancel();
  EXPECT_EQ(callback.thread(), std::this_thread::get_id());
}

TEST(CallbackLane, Rule24_ThreadsHaveTheirNames) {
  const Scope scope = WithTimeout(ctx_background(), kMillisecond);
  Callback plain, blocking, waker;
  plain.Arm(scope);
  blocking.Arm(scope, CTX_BLOCKING | CTX_DEFER);
  const bool in_time = waker.Arm(scope, CTX_WAKER) == 0;
  ASSERT_TRUE(plain.WaitRun() && blocking.WaitRun() && waker.WaitRun());
  EXPECT_EQ(blocking.thread_name(), "ctx-lane");
  if (in_time) {
    EXPECT_EQ(waker.thread_name(), "ctx-loop");
  }
}

// The loop lives as long as the callback, which was the last to know it.
TEST(CallbackLane, Rule39_TheLaneKeepsTheLoopOfWhatItRuns) {
  const size_t before = Tasks("ctx-loop").size();
  Gate begun, gate;
  Callback callback([&](ctx_t* ctx) {
    begun.Open();
    EXPECT_TRUE(gate.Wait());
    EXPECT_GE(ctx_now(ctx), 0);
    EXPECT_EQ(ctx_err(ctx), CTX_DEADLINE_EXCEEDED);
  });
  {
    const Loop loop = NewLoop(CTX_LOOP_THREAD);
    const Scope scope = WithTimeout(LoopBackground(loop), kMillisecond);
    EXPECT_GE(callback.Arm(scope, CTX_BLOCKING | CTX_DEFER), 0);
    EXPECT_TRUE(begun.Wait());
  }
  EXPECT_EQ(Tasks("ctx-loop").size(), before + 1);
  gate.Open();
  EXPECT_TRUE(callback.WaitDrop());
  EXPECT_TRUE(Soon([&] { return Tasks("ctx-loop").size() == before; }));
}

// The last handle goes inside the last callback.
TEST(CallbackLane, Rule39_ALoopMayEndInItsOwnLastCallback) {
  for (const int kind : {CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL, CTX_LOOP_THREAD}) {
    const Pipe pipe;
    Loop loop = NewLoop(kind);
    Scope scope = WithFd(LoopBackground(loop), pipe.read_end, POLLIN);
    ctx_loop_t* const raw = loop;
    Callback deferred;
    Gate armed, over;
    AfterFunc(
        scope, [](ctx_t*, void* arg) { (*static_cast<std::function<void()>*>(arg))(); },
        new std::function<void()>([&] {
          EXPECT_TRUE(armed.Wait());
          scope.reset();
          loop.reset();
        }),
        0, [](void* arg) { delete static_cast<std::function<void()>*>(arg); });
    deferred.Arm(scope, CTX_DEFER);
    armed.Open();
    pipe.Write();
    if (kind == CTX_LOOP_MANUAL) {
      while (deferred.drops() == 0 && Readable(ctx_loop_fd(raw), kLimitMs)) ctx_loop_dispatch(raw);
    } else if (kind == CTX_LOOP_VIRTUAL) {
      EXPECT_EQ(ctx_loop_advance(raw, 0), 1);
    }
    EXPECT_TRUE(deferred.WaitDrop());
    EXPECT_FALSE(loop);
  }
}

TEST(CallbackLane, Rule43_FlagsThatDoNotGoTogetherAreRefused) {
  const Scope scope = WithCancel(ctx_background());
  for (const uint32_t flags : {CTX_WAKER | CTX_DEFER, CTX_WAKER | CTX_BLOCKING, UINT32_C(8),
                               UINT32_C(128), UINT32_C(256), UINT32_C(257)}) {
    Callback callback;
    EXPECT_EQ(callback.Arm(scope, flags), -EINVAL) << flags;
    EXPECT_EQ(callback.drops(), 0);
  }
}

}  // namespace
}  // namespace ctxtest
