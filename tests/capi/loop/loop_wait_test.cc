// SPDX-License-Identifier: MIT
//
// Rules 38 and 40: waits on loops that nobody is driving. On a manual loop the waiter sees to its own
// deadline, and the callbacks stay for dispatch; on a virtual loop it waits for another thread to
// advance, and its own limit is real time.
#include <algorithm>
#include <functional>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// The three ways to wait: 1 when the context is done, 0 when the time is over.
using WaitFn = std::function<int(ctx_t*, int64_t)>;
const std::vector<WaitFn> kWaits = {
    [](ctx_t* ctx, int64_t limit) { return ctx_wait(ctx, limit); },
    [](ctx_t* ctx, int64_t limit) {
      ctx_t* const any[] = {ctx_background(), ctx};
      size_t index = 9;
      const int result = ctx_wait_any(any, 2, limit, &index);
      EXPECT_EQ(index, result == 1 ? 1u : 9u);
      return result;
    },
    [](ctx_t* ctx, int64_t limit) {
      const int result = ctx_poll(ctx, nullptr, 0, limit);
      return result < 0 && result == ctx_err(ctx) ? 1 : result;
    },
};

TEST(LoopWait, Rule38_OnAManualLoopAWaitEndsAtTheDeadlineThoughNobodyDispatches) {
  for (const WaitFn& wait : kWaits) {
    const ManualLoop manual;
    const Scope timed = WithTimeout(manual.root, 2 * kMillisecond);
    const Scope below = WithCancel(timed);
    const Ctx value = WithValue(below, &kKey, nullptr);
    EXPECT_EQ(wait(value, CTX_FOREVER), 1);
    for (ctx_t* ctx : {timed.ctx.get(), below.ctx.get(), value.get()}) {
      EXPECT_EQ(ctx_err(ctx), CTX_DEADLINE_EXCEEDED);
      EXPECT_LE(ctx_remaining(ctx), 0);
    }
  }
}

// A root never ends, and yet whoever waits for it moves its loop on.
TEST(LoopWait, Rule38_AWaitForTheRootOfAManualLoopEndsWhatIsDueThere) {
  for (const WaitFn& wait : kWaits) {
    const ManualLoop manual;
    const Scope timed = WithTimeout(manual.root, 2 * kMillisecond);
    // A wait that the system wakes late leaves the rest to others, so it may take a second one.
    EXPECT_TRUE(Soon([&] {
      EXPECT_EQ(wait(manual.root, 4 * kMillisecond), 0);
      return ctx_err(timed) == CTX_DEADLINE_EXCEEDED;
    }));
  }
}

// Nobody but the waiter can end it, and nothing else ends the wait.
TEST(LoopWait, Rule38_OnSeveralManualLoopsAWaitEndsAtTheFirstDeadline) {
  for (const size_t first : {0u, 1u, 2u}) {
    const ManualLoop manual[3];
    Scope timed[3];
    ctx_t* any[3];
    for (size_t i = 0; i < 3; ++i) {
      timed[i] = WithTimeout(manual[i].root, i == first ? 2 * kMillisecond : kHour);
      any[i] = timed[i];
    }
    size_t index = 9;
    std::thread waiter([&] { EXPECT_EQ(ctx_wait_any(any, 3, CTX_FOREVER, &index), 1); });
    const bool ended = Soon([&] { return ctx_err(timed[first]) != 0; });
    EXPECT_TRUE(ended) << first;
    timed[first].Cancel();
    waiter.join();
    EXPECT_EQ(index, first);
    if (!ended) break;
  }
}

TEST(LoopWait, Rule38_TheCallbacksStayForDispatch) {
  for (const WaitFn& wait : kWaits) {
    const ManualLoop manual;
    const Scope timed = WithTimeout(manual.root, 2 * kMillisecond);
    Callback at_once, deferred;
    at_once.Arm(timed);
    deferred.Arm(timed, CTX_DEFER);
    EXPECT_EQ(wait(timed, kLimit), 1);
    EXPECT_EQ(at_once.runs() + deferred.runs(), 0) << "on no thread but the dispatching one";
    EXPECT_TRUE(Readable(manual.Fd()));
    EXPECT_TRUE(manual.WorkWaits());
    EXPECT_EQ(manual.Dispatch(), 0) << "the waiter fired it";
    EXPECT_EQ(at_once.runs(), 1);
    EXPECT_EQ(deferred.runs(), 1);
    EXPECT_TRUE(manual.Settles());
  }
}

// What a wait has ended is no work any more, whichever wait it was, and whether the deadline came before it or meanwhile.
TEST(LoopWait, Rule38_WhatTheWaiterHasEndedIsNotNextAnyMore) {
  std::vector<WaitFn> waits = kWaits;
  waits.emplace_back([](ctx_t* ctx, int64_t limit) {
    const Group group = NewGroup(ctx);
    EXPECT_EQ(ctx_group_begin(group), 0);
    while (ctx_group_wait(group, std::min(limit, kMillisecond)) == 0 && ctx_err(ctx) == 0) {
    }
    EXPECT_EQ(ctx_group_end(group, nullptr), 0);
    return ctx_err(ctx) != 0 ? 1 : 0;
  });
  for (const WaitFn& wait : waits) {
    for (const bool passed : {false, true}) {
      for (const int64_t later : {int64_t{0}, kHour}) {
        const ManualLoop manual;
        ASSERT_GE(manual.Fd(), 0);
        const Scope timed = WithTimeout(manual.root, 2 * kMillisecond);
        const Scope other = later == 0 ? Scope() : WithTimeout(manual.root, later);
        if (passed) SleepUntil(Deadline(timed));
        EXPECT_EQ(wait(timed, kLimit), 1);
        EXPECT_FALSE(manual.WorkWaits());
        EXPECT_TRUE(later != 0 || manual.Next() == CTX_FOREVER);
        EXPECT_FALSE(Readable(manual.Fd()));
        EXPECT_EQ(manual.Dispatch(), 0);
      }
    }
  }
}

// The descriptor was asked for, and is slept on, before the deadline.
TEST(LoopWait, Rule38_AHostThatSleepsOnTheDescriptorIsWoken) {
  const ManualLoop manual;
  const int fd = manual.Fd();
  const Scope timed = WithTimeout(manual.root, 5 * kMillisecond);
  Callback callback;
  callback.Arm(timed);
  std::thread waiter([&] { EXPECT_EQ(ctx_wait(timed, CTX_FOREVER), 1); });
  waiter.join();
  EXPECT_TRUE(Readable(fd, kLimitMs));
  EXPECT_NE(manual.DriveUntil([&] { return callback.runs() == 1; }), -1);
}

TEST(LoopWait, Rule38_ADeferredCallbackMayStillBeStopped) {
  const ManualLoop manual;
  const Scope timed = WithTimeout(manual.root, 2 * kMillisecond);
  Callback stopped, kept;
  stopped.Arm(timed);
  kept.Arm(timed);
  EXPECT_TRUE(Done(timed));
  EXPECT_EQ(stopped.StopWait(), 1);
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(stopped.runs(), 0);
  EXPECT_EQ(kept.runs(), 1);
}

TEST(LoopWait, Rule38_TheWaiterMarksAndWakesAllThatIsDueOnTheLoop) {
  for (const WaitFn& wait : kWaits) {
    const ManualLoop manual;
    const Scope sooner = WithTimeout(manual.root, kMillisecond);
    const Scope timed = WithTimeout(manual.root, 5 * kMillisecond);
    const Scope far = WithTimeout(manual.root, kHour);
    const int fd = ctx_done_fd(sooner);
    Recorder recorder;
    recorder.Arm(timed, 2);
    recorder.Arm(far, 3);
    recorder.Arm(sooner, 1);
    EXPECT_EQ(wait(timed, CTX_FOREVER), 1);
    EXPECT_EQ(ctx_err(sooner), CTX_DEADLINE_EXCEEDED);
    EXPECT_TRUE(Readable(fd));
    EXPECT_EQ(ctx_err(far), 0);
    EXPECT_EQ(recorder.runs(), 0);
    EXPECT_EQ(manual.Dispatch(), 0);
    EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2})) << "rule 17";
  }
}

TEST(LoopWait, Rule40_ItsOwnLimitEndsAWaitBeforeTheDeadline) {
  const ManualLoop manual;
  const Scope timed = WithTimeout(manual.root, kHour), plain = WithCancel(manual.root);
  for (const WaitFn& wait : kWaits) {
    for (ctx_t* ctx : {timed.ctx.get(), plain.ctx.get(), manual.root.get()}) {
      const int64_t start = manual.Now();
      EXPECT_EQ(wait(ctx, 0), 0);
      EXPECT_EQ(wait(ctx, kMillisecond), 0);
      EXPECT_GE(manual.Now() - start, kMillisecond);
    }
  }
}

TEST(LoopWait, Rule38_AWaitThatOnlyLooksSeesADeadlineThatHasPassed) {
  for (const WaitFn& wait : kWaits) {
    const ManualLoop manual;
    const Scope timed = WithTimeout(manual.root, kMillisecond);
    SleepUntil(manual.Now() + 20 * kMillisecond);
    EXPECT_EQ(ctx_err(timed), 0);
    EXPECT_EQ(wait(timed, 0), 1);
    EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
  }
}

TEST(LoopWait, ACancelFromAnotherThreadEndsAWait) {
  for (const WaitFn& wait : kWaits) {
    const ManualLoop manual;
    const VirtualLoop time;
    for (ctx_t* root : {manual.root.get(), time.root.get()}) {
      for (const int64_t timeout : {kHour, CTX_FOREVER}) {
        const Scope scope = WithTimeout(root, timeout);
        std::thread other([&] { scope.Cancel(); });
        EXPECT_EQ(wait(scope, CTX_FOREVER), 1);
        other.join();
        EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
      }
    }
  }
}

TEST(LoopWait, Rule38_ManyThreadsWaitOnOneManualLoop) {
  const ManualLoop manual;
  Counter done;
  std::vector<Scope> timed;
  std::vector<std::thread> threads;
  for (int i = 0; i < 12; ++i)
    timed.push_back(WithTimeout(manual.root, (1 + i % 4) * kMillisecond));
  for (size_t i = 0; i < timed.size(); ++i) {
    threads.emplace_back([&, i] {
      if (kWaits[i % kWaits.size()](timed[i], kLimit) == 1) done.Add();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(done.Get(), 12);
}

TEST(LoopWait, Rule38_AWaitForAMergeAndForAGrace) {
  const ManualLoop manual;
  const Scope timed = WithTimeout(manual.root, 2 * kMillisecond);
  const Scope merged = Merge({WithCancel(manual.root), timed});
  const Scope graceful = WithGrace(merged, kMillisecond);
  EXPECT_EQ(ctx_wait(merged, CTX_FOREVER), 1);
  EXPECT_EQ(ctx_wait(graceful, CTX_FOREVER), 1);
  EXPECT_EQ(ctx_err(graceful), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_cause(graceful), ctx_cause(timed));
}

// The grace begins while the waiter sleeps, who knew no time to wake at: that needs a dispatch.
TEST(LoopWait, Rule38_AGraceThatBeginsDuringTheWaitEndsItByADispatch) {
  for (const WaitFn& wait : kWaits) {
    const ManualLoop manual;
    const Scope parent = WithCancel(manual.root);
    const Scope graceful = WithGrace(parent, kMillisecond), below = WithCancel(graceful);
    std::thread host([&] {
      parent.Cancel();
      while (ctx_err(graceful) == 0) EXPECT_GE(manual.Dispatch(), 0);
    });
    EXPECT_EQ(wait(below, CTX_FOREVER), 1);
    host.join();
    EXPECT_EQ(ctx_err(graceful), CTX_CANCELED);
  }
}

// One loop that runs by itself, one that nobody dispatches, one whose time stands still.
TEST(LoopWait, Rule38_OneWaitForContextsOnSeveralLoops) {
  const ManualLoop manual;
  const VirtualLoop time;
  const Scope still = WithTimeout(time.root, 1), far = WithTimeout(ctx_background(), kHour);
  const Scope soon = WithTimeout(manual.root, 2 * kMillisecond);
  ctx_t* const all[] = {still, far, soon};
  size_t index = 9;
  EXPECT_EQ(ctx_wait_any(all, 3, CTX_FOREVER, &index), 1);
  EXPECT_EQ(index, 2u);
  const ManualLoop another;
  const Scope late = WithTimeout(manual.root, kHour);
  const Scope next = WithTimeout(another.root, 3 * kMillisecond);
  ctx_t* const rest[] = {late, still, next, far};
  EXPECT_EQ(ctx_wait_any(rest, 4, CTX_FOREVER, &index), 1);
  EXPECT_EQ(index, 2u);
  EXPECT_EQ(ctx_err(still), 0);
}

TEST(LoopWait, Rule38_ACallbackMayWaitForAnotherDeadlineOfItsLoop) {
  const ManualLoop manual;
  const Scope first = WithTimeout(manual.root, kMillisecond);
  const Scope second = WithTimeout(manual.root, 30 * kMillisecond);
  int waited = 0;
  Callback callback([&](ctx_t*) { waited = ctx_wait(second, kLimit); });
  Callback on_second;
  on_second.Arm(second);
  callback.Arm(first);
  EXPECT_NE(manual.DriveUntil([&] { return callback.runs() == 1; }), -1);
  EXPECT_EQ(waited, 1);
  EXPECT_NE(manual.DriveUntil([&] { return on_second.runs() == 1; }), -1);
}

TEST(LoopWait, Rule38_ACallbackThatBlocksADispatchHoldsUpNoWaiter) {
  const ManualLoop manual;
  const Scope scope = WithCancel(manual.root);
  Gate inside, go_on;
  bool went_on = false;
  Callback callback([&](ctx_t*) {
    inside.Open();
    went_on = go_on.Wait();
  });
  callback.Arm(scope, CTX_DEFER);
  scope.Cancel();
  std::thread host([&] { EXPECT_EQ(manual.Dispatch(), 0); });
  EXPECT_TRUE(inside.Wait());
  for (const WaitFn& wait : kWaits) {
    EXPECT_EQ(wait(WithTimeout(manual.root, kMillisecond), kLimit), 1);
  }
  go_on.Open();
  host.join();
  EXPECT_TRUE(went_on);
}

TEST(LoopWait, Rule38_OnAVirtualLoopAWaitIsForAnotherThreadToAdvance) {
  for (const WaitFn& wait : kWaits) {
    const VirtualLoop time;
    const Scope timed = WithTimeout(time.root, 3);
    const Scope merged = Merge({WithCancel(time.root), timed});
    std::thread other([&] {
      int fired = 0;
      while (fired == 0) fired = time.Advance(1);
      EXPECT_EQ(fired, 1);
    });
    EXPECT_EQ(wait(merged, CTX_FOREVER), 1);
    other.join();
    EXPECT_EQ(time.Now(), 3);
  }
}

// Its clock is far below the real one, and would be past any limit if they were mixed up.
TEST(LoopWait, Rule40_AWaitsLimitIsRealTimeAlsoOnAVirtualLoop) {
  const VirtualLoop time;
  for (const int64_t now : {int64_t{0}, 2 * kMillisecond, INT64_MAX / 2, INT64_MAX - 2}) {
    time.AdvanceTo(now);
    const Scope timed = WithDeadline(time.root, now + 1);
    for (const WaitFn& wait : kWaits) {
      const int64_t start = ctx_now(ctx_background());
      EXPECT_EQ(wait(timed, 0), 0);
      EXPECT_EQ(wait(timed, 2 * kMillisecond), 0);
      EXPECT_GE(ctx_now(ctx_background()) - start, 2 * kMillisecond);
      EXPECT_EQ(wait(timed, -1), -EINVAL);
    }
    EXPECT_EQ(ctx_err(timed), 0);
    EXPECT_EQ(time.Now(), now);
  }
}

}  // namespace
}  // namespace ctxtest
