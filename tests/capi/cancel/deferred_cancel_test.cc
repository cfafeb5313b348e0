// SPDX-License-Identifier: MIT
//
// Rule 24: a cancel that runs no user code on its thread, for callers that hold locks.
#include <climits>
#include <mutex>
#include <thread>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"

namespace ctxtest {
namespace {

int CancelDeferred(const Scope& scope, const ctx_cause_t* cause = nullptr) {
  return ctx_cancel_deferred(scope.canceler, CTX_CANCELED, cause);
}

// Callbacks of all kinds below a context, and a value whose last reference goes with its end.
struct Watching {
  explicit Watching(ctx_t* root) : top(WithCancel(root)), child(WithTimeout(top, kHour)) {
    plain.Arm(top);
    deferred.Arm(child, CTX_DEFER);
    blocking.Arm(child, CTX_BLOCKING);
    waker.Arm(child, CTX_WAKER);
    const Scope held = WithCancel(Watched(child, &drop));  // its armed callback keeps it
    last.Arm(held);
  }
  int runs() const {
    return plain.runs() + deferred.runs() + blocking.runs() + waker.runs() + last.runs();
  }
  bool WaitAll() const {
    return plain.WaitDrop() && deferred.WaitDrop() && blocking.WaitDrop() && waker.WaitDrop() &&
           last.WaitDrop() && drop.Wait();
  }
  void ExpectRunElsewhere() const {
    const std::thread::id self = std::this_thread::get_id();
    for (const Callback* callback : {&plain, &deferred, &blocking, &waker, &last}) {
      EXPECT_NE(callback->thread(), self);
    }
    EXPECT_NE(drop.thread(), self);
  }

  Drop drop;
  Scope top, child;
  Callback plain, deferred, blocking, waker, last;
};

TEST(DeferredCancel, Rule24_ItRunsNoUserCodeOnItsThread) {
  const Loop threaded = NewLoop(CTX_LOOP_THREAD);
  for (ctx_t* root : {ctx_background(), LoopBackground(threaded).get()}) {
    Watching below(root);
    EXPECT_EQ(CancelDeferred(below.top), 1);
    EXPECT_EQ(ctx_err(below.child), CTX_CANCELED) << "marked on return";
    EXPECT_TRUE(Readable(ctx_done_fd(below.child))) << "woken on return";
    ASSERT_TRUE(below.WaitAll());
    below.ExpectRunElsewhere();
    EXPECT_EQ(CancelDeferred(below.top), 0);
  }
}

TEST(DeferredCancel, Rule24_ACallbackMayTakeTheLockOfTheCaller) {
  std::mutex mutex;
  const Scope scope = WithCancel(ctx_background());
  Callback callback([&](ctx_t*) { const std::lock_guard<std::mutex> lock(mutex); });
  callback.Arm(scope);
  {
    const std::lock_guard<std::mutex> lock(mutex);
    EXPECT_EQ(CancelDeferred(scope), 1);
  }
  EXPECT_TRUE(callback.WaitDrop());
}

TEST(DeferredCancel, Rule24_OnALoopWithoutThreadsTheHostRunsIt) {
  const ManualLoop manual;
  Watching on_manual(manual.root);
  EXPECT_EQ(CancelDeferred(on_manual.top), 1);
  EXPECT_EQ(on_manual.runs() + on_manual.drop.count(), 0);
  EXPECT_TRUE(Readable(manual.Fd()) && manual.WorkWaits());
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(on_manual.runs(), 5);
  EXPECT_EQ(on_manual.drop.count(), 1);

  const VirtualLoop time;
  Watching on_virtual(time.root);
  EXPECT_EQ(CancelDeferred(on_virtual.top), 1);
  EXPECT_EQ(on_virtual.runs() + on_virtual.drop.count(), 0);
  EXPECT_EQ(time.Next(), time.Now());
  EXPECT_EQ(time.Advance(0), 0);
  EXPECT_EQ(on_virtual.runs(), 5);
  EXPECT_EQ(on_virtual.drop.count(), 1);
}

// One kind alone, since any other would wake the host for it.
TEST(DeferredCancel, Rule38_ACallbackOfAnyKindAloneWakesTheHost) {
  for (const uint32_t flags :
       {uint32_t{0}, CTX_DEFER, CTX_BLOCKING, CTX_DEFER | CTX_BLOCKING, CTX_WAKER}) {
    const ManualLoop manual;
    const Scope scope = WithCancel(manual.root);
    Callback callback;
    callback.Arm(scope, flags);
    ASSERT_TRUE(manual.Settles());
    EXPECT_EQ(CancelDeferred(scope), 1);
    EXPECT_TRUE(Readable(manual.Fd())) << flags;
    EXPECT_TRUE(manual.WorkWaits()) << flags;
    EXPECT_EQ(callback.runs(), 0) << flags;
    EXPECT_EQ(manual.Dispatch(), 0);
    EXPECT_EQ(callback.runs(), 1) << flags;
    EXPECT_TRUE(manual.Settles()) << flags;

    const VirtualLoop time;
    const Scope timed = WithCancel(time.root);
    Callback other;
    other.Arm(timed, flags);
    EXPECT_EQ(CancelDeferred(timed), 1);
    EXPECT_EQ(time.Next(), time.Now()) << flags;
    EXPECT_EQ(time.Advance(0), 0);
    EXPECT_EQ(other.runs(), 1) << flags;
    EXPECT_EQ(time.Next(), INT64_MAX) << flags;
  }
}

TEST(DeferredCancel, Rule38_ADropAloneWakesTheHost) {
  const ManualLoop manual;
  Drop drop;
  const Scope scope = WithCancel(manual.root);
  Callback last;
  last.Arm(WithCancel(Watched(scope, &drop)), CTX_WAKER);  // it alone keeps its context
  ASSERT_TRUE(manual.Settles());
  EXPECT_EQ(CancelDeferred(scope), 1);
  EXPECT_EQ(drop.count(), 0);
  EXPECT_TRUE(Readable(manual.Fd()));
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(drop.count(), 1);
}

TEST(DeferredCancel, Rule23_AGraceBeginsWithIt) {
  const VirtualLoop time;
  const Scope parent = WithCancel(time.root), grace = WithGrace(parent, kSecond);
  time.Advance(kHour);
  EXPECT_EQ(CancelDeferred(parent), 1);
  EXPECT_EQ(time.Next(), kHour + kSecond);
  EXPECT_EQ(time.Advance(kSecond), 1);
  EXPECT_EQ(ctx_err(grace), CTX_CANCELED);
}

TEST(DeferredCancel, Rule19_ErrorAndCauseAreThoseGiven) {
  const Cause cause = NewCause(7, "under a lock");
  const Scope scope = WithCancel(ctx_background()), other = WithCancel(ctx_background());
  EXPECT_EQ(ctx_cancel_deferred(scope.canceler, CTX_DEADLINE_EXCEEDED, cause), 1);
  EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_cause(scope), cause.get());
  for (int err : {0, 1, -1, -EINVAL, INT_MAX, INT_MIN}) {
    EXPECT_EQ(ctx_cancel_deferred(other.canceler, err, cause), -EINVAL) << err;
  }
  EXPECT_EQ(ctx_cancel_deferred(nullptr, CTX_CANCELED, cause), -EINVAL);
  EXPECT_EQ(
      ctx_cancel_deferred(reinterpret_cast<ctx_canceler_t*>(other.ctx.get()), CTX_CANCELED, cause),
      -EINVAL);
  EXPECT_EQ(ctx_err(other), 0);
}

// It meets cancels and stops of other threads as any cancel does.
TEST(DeferredCancel, Rule26_OneOfStopAndCallbackWins) {
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    const Scope top = WithCancel(ctx_background()), child = WithCancel(top);
    Callback callback;
    callback.Arm(child);
    int deferred = 0, inline_one = 0, stopped = 0;
    std::thread one([&] { deferred = CancelDeferred(top); });
    std::thread two([&] { inline_one = top.Cancel(); });
    stopped = callback.StopWait();
    one.join();
    two.join();
    EXPECT_EQ(deferred + inline_one, 1);
    EXPECT_TRUE(callback.WaitDrop());
    EXPECT_EQ(callback.runs(), stopped == 1 ? 0 : 1);
  }
}

}  // namespace
}  // namespace ctxtest
