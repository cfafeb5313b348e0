// SPDX-License-Identifier: MIT
//
// Rule 53: a context that ends when nobody touches it.
#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"

namespace ctxtest {
namespace {

constexpr int64_t kIdle = 16 * kSecond;

void ExpectIdle(const Scope& scope, const ctx_cause_t* cause) {
  EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_cause(scope), cause);
}

TEST(Idle, Rule53_EndsWhenItWasNotTouchedForItsTime) {
  const VirtualLoop time;
  const Cause cause = NewCause(7, "no byte came");
  const Scope scope = WithIdle(time.root, kIdle, cause);
  EXPECT_EQ(time.Next(), kIdle);
  EXPECT_EQ(time.Advance(kIdle - 1), 0);
  EXPECT_EQ(ctx_err(scope), 0);
  EXPECT_EQ(time.Advance(1), 1);
  ExpectIdle(scope, cause);
  EXPECT_EQ(ctx_touch(scope), CTX_DEADLINE_EXCEEDED);
}

TEST(Idle, Rule53_ATouchMovesItsEnd) {
  const VirtualLoop time;
  const Scope scope = WithIdle(time.root, kIdle);
  for (int i = 0; i < 100; ++i) {
    time.Advance(kIdle - 1);
    EXPECT_EQ(ctx_touch(scope), 0);
    EXPECT_EQ(time.Next(), time.Now() + kIdle) << "the exact time";
  }
  time.Advance(1);
  EXPECT_EQ(ctx_err(scope), 0);
  EXPECT_EQ(time.Advance(kIdle - 2), 0);
  EXPECT_EQ(time.Advance(1), 1);
  EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
}

// One step that goes over the time of the first look and of the end that the touch has set.
TEST(Idle, Rule37_AdvanceEndsItOnTheWayAtItsTime) {
  const VirtualLoop time;
  const Scope touched = WithIdle(time.root, kIdle), other = WithIdle(time.root, kIdle + 3);
  Recorder recorder;
  recorder.Arm(touched, 1);
  recorder.Arm(other, 2);
  time.Advance(5);
  EXPECT_EQ(ctx_touch(touched), 0);
  EXPECT_EQ(time.Advance(kHour), 2);
  EXPECT_EQ(recorder.order(), (std::vector<int>{2, 1}));
  EXPECT_EQ(recorder.clocks(), (std::vector<int64_t>{kIdle + 3, kIdle + 5}));
}

TEST(Idle, Rule12_ItsDeadlineIsItsParents) {
  const VirtualLoop time;
  const Scope timed = WithTimeout(time.root, kHour), idle = WithIdle(timed, kIdle);
  int64_t deadline = 0;
  EXPECT_EQ(ctx_deadline(idle, &deadline), 1);
  EXPECT_EQ(deadline, kHour);
  EXPECT_EQ(ctx_deadline(WithIdle(time.root, kIdle), &deadline), 0);
  while (ctx_err(idle) == 0) {
    ctx_touch(idle);
    time.Advance(kIdle / 2);
  }
  EXPECT_EQ(time.Now(), kHour) << "touched or not";
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
}

TEST(Idle, Rule40_TimesAtTheBorders) {
  for (int kind : kLoopKinds) {
    const Loop loop = NewLoop(kind);
    const Ctx root = LoopBackground(loop);
    const Cause cause = NewCause(7, "none left");
    for (int64_t limit : {INT64_MIN, int64_t{-1}, int64_t{0}}) {
      const Scope over = WithIdle(root, limit, cause);
      ExpectIdle(over, cause);
    }
    for (int64_t limit : {CTX_FOREVER, CTX_FOREVER - 1}) {
      const Scope never = WithIdle(root, limit, cause);
      EXPECT_EQ(ctx_touch(never), 0);
      EXPECT_EQ(ctx_err(never), 0);
      EXPECT_EQ(never.Cancel(), 1);
    }
  }
}

TEST(Idle, Rule08_BelowADoneContextItIsDone) {
  const VirtualLoop time;
  const Scope parent = WithCancel(time.root);
  const Cause cause = NewCause(7, "above");
  ctx_cancel_with(parent.canceler, CTX_CANCELED, cause);
  const Scope idle = WithIdle(parent, kIdle), over = WithIdle(parent, 0);
  for (const Scope* scope : {&idle, &over}) {
    EXPECT_EQ(ctx_err(*scope), CTX_CANCELED);
    EXPECT_EQ(ctx_cause(*scope), cause.get());
  }
  EXPECT_EQ(time.Next(), INT64_MAX);
}

TEST(Idle, Rule13_BelowADeadlineThatHasPassedItIsDone) {
  const ManualLoop manual;
  const Scope parent = WithTimeout(manual.root, 1);
  SleepUntil(ctx_now(parent) + kPast);
  EXPECT_EQ(ctx_err(WithIdle(parent, kHour)), CTX_DEADLINE_EXCEEDED);
}

// The clock stands where a time that never comes is kept: contexts without a deadline live on.
TEST(Idle, Rule13_AtTheEndOfAVirtualClockWhatHasNoDeadlineLives) {
  const VirtualLoop time;
  const Scope parent = WithCancel(time.root);
  EXPECT_EQ(time.Advance(INT64_MAX), 0);
  EXPECT_EQ(ctx_err(WithIdle(time.root, CTX_FOREVER)), 0);
  EXPECT_EQ(ctx_err(WithIdle(parent, CTX_FOREVER)), 0);
  EXPECT_EQ(ctx_wait(parent, 0), 0);
  EXPECT_EQ(ctx_err(WithIdle(parent, kIdle)), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(parent), 0);
}

TEST(Idle, Rule14_ACanceledOneHasNoTimer) {
  const VirtualLoop time;
  Drop drop;
  {
    const Scope scope = WithIdle(Watched(time.root, &drop), kIdle);
    ctx_touch(scope);
    EXPECT_EQ(scope.Cancel(), 1);
    EXPECT_EQ(time.Next(), INT64_MAX);
    EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  }
  EXPECT_EQ(drop.count(), 1);
  { const Scope forgotten = WithIdle(Watched(time.root, &drop), kIdle); }
  EXPECT_EQ(drop.count(), 2);
  EXPECT_EQ(time.Next(), INT64_MAX);
}

// Touches from below reach all that would end the touched one, and nothing else.
TEST(Idle, Rule53_ATouchGoesUp) {
  const VirtualLoop time;
  const Scope outer = WithIdle(time.root, kIdle), inner = WithIdle(outer, kIdle);
  const Scope beside = WithIdle(outer, kIdle), below = WithIdle(inner, kIdle);
  const Ctx name = WithString(inner, "name", "value");
  const Scope child = WithTimeout(name, kHour);
  time.Advance(kIdle - 1);
  EXPECT_EQ(ctx_touch(child), 0);
  time.Advance(1);
  EXPECT_EQ(ctx_err(outer), 0);
  EXPECT_EQ(ctx_err(inner), 0);
  EXPECT_EQ(ctx_err(child), 0);
  EXPECT_EQ(ctx_err(beside), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(below), CTX_DEADLINE_EXCEEDED);
  time.Advance(kIdle);
  EXPECT_EQ(ctx_err(outer), CTX_DEADLINE_EXCEEDED);
}

TEST(Idle, Rule53_ATouchGoesThroughGracesAndTheFirstParent) {
  const VirtualLoop time;
  const Scope first = WithIdle(time.root, kIdle), second = WithIdle(time.root, kIdle);
  const Scope merged = Merge({first, second}), grace = WithGrace(first, kHour);
  time.Advance(kIdle - 1);
  EXPECT_EQ(ctx_touch(WithCancel(grace)), 0);
  time.Advance(1);
  EXPECT_EQ(ctx_err(first), 0);
  EXPECT_EQ(ctx_err(second), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(merged), CTX_DEADLINE_EXCEEDED) << "by its second parent";

  const Scope third = WithIdle(time.root, kIdle), both = Merge({first, third});
  time.Advance(kIdle - 2);
  EXPECT_EQ(ctx_touch(both), 0);
  time.Advance(1);
  EXPECT_EQ(ctx_err(first), 0);
  EXPECT_EQ(ctx_err(third), 0);
  time.Advance(1);
  EXPECT_EQ(ctx_err(first), 0);
  EXPECT_EQ(ctx_err(third), CTX_DEADLINE_EXCEEDED);
}

TEST(Idle, Rule53_ATouchStopsWhereNoEndComesThrough) {
  const VirtualLoop time;
  const Scope idle = WithIdle(time.root, kIdle);
  const Ctx detached = WithoutCancel(idle);
  const Scope below = WithCancel(WithString(detached, "name", "value"));
  time.Advance(kIdle - 1);
  for (ctx_t* ctx :
       {detached.get(), below.ctx.get(), time.root.get(), ctx_background(), ctx_todo()}) {
    EXPECT_EQ(ctx_touch(ctx), 0);
  }
  time.Advance(1);
  EXPECT_EQ(ctx_err(idle), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(below), 0);
}

TEST(Idle, Rule23_AGraceCountsFromItsEnd) {
  const VirtualLoop time;
  const Scope idle = WithIdle(time.root, kIdle), grace = WithGrace(idle, kSecond);
  time.Advance(5);
  ctx_touch(idle);
  time.Advance(kIdle);
  EXPECT_EQ(ctx_err(idle), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(grace), 0);
  EXPECT_EQ(time.Advance(kSecond), 1);
  EXPECT_EQ(ctx_err(grace), CTX_DEADLINE_EXCEEDED);
}

TEST(Idle, BadInput) {
  ctx_t* untouched = ctx_todo();
  EXPECT_EQ(ctx_with_idle(nullptr, kIdle, nullptr, &untouched, nullptr), -EINVAL);
  EXPECT_EQ(ctx_with_idle(ctx_background(), kIdle, nullptr, nullptr, nullptr), -EINVAL);
  const Scope scope = WithCancel(ctx_background());
  EXPECT_EQ(
      ctx_with_idle(ctx_background(), kIdle, reinterpret_cast<const ctx_cause_t*>(scope.ctx.get()),
                    &untouched, nullptr),
      -EINVAL);
  EXPECT_EQ(untouched, ctx_todo());
  EXPECT_EQ(ctx_touch(nullptr), -EINVAL);
  EXPECT_EQ(ctx_touch(reinterpret_cast<ctx_t*>(scope.canceler.get())), -EINVAL);
}

constexpr int64_t kLimits[] = {1, kMillisecond, 20 * kMillisecond, 50 * kMillisecond};

TEST(Idle, Rule16_NotEarlyOnALoopWithThreads) {
  for (const int64_t limit : kLimits) {
    const int64_t before = ctx_now(ctx_background());
    const Scope scope = WithIdle(ctx_background(), limit);
    EXPECT_EQ(ctx_wait(scope, CTX_FOREVER), 1);
    EXPECT_GE(ctx_now(scope), before + limit);
    EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
  }
}

// On a loop that only this thread drives, no touch comes at the very moment of the end.
TEST(Idle, Rule16_NotEarlyAfterATouch) {
  for (const int64_t limit : kLimits) {
    const ManualLoop manual;
    const Scope scope = WithIdle(manual.root, limit);
    int64_t touched = ctx_now(scope);
    for (const int64_t until = touched + 2 * limit; ctx_now(scope) < until;) {
      const int64_t now = ctx_now(scope);
      if (ctx_touch(scope) == 0) touched = now;
      EXPECT_GE(manual.Dispatch(), 0);
    }
    EXPECT_EQ(ctx_wait(scope, CTX_FOREVER), 1);
    EXPECT_GE(ctx_now(scope), touched + limit);
    EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
  }
}

TEST(Idle, Rule38_AHostIsToldWhenToLook) {
  const ManualLoop manual;
  const Scope idle = WithIdle(manual.root, 20 * kMillisecond), later = WithIdle(manual.root, kHour);
  EXPECT_EQ(ctx_touch(idle), 0);
  EXPECT_LE(manual.Next(), manual.Now() + 20 * kMillisecond);
  EXPECT_EQ(manual.DriveUntilDone(idle), 1);
  EXPECT_EQ(ctx_err(later), 0);
}

// Threads touch, cancel, derive below and give back while the loop looks.
TEST(Idle, Rule02_AnyThreadAnyTime) {
  constexpr int kContexts = 60;
  for (int kind : kLoopKinds) {
    const Loop loop = NewLoop(kind);
    const Ctx root = LoopBackground(loop);
    std::atomic<bool> over{false};
    std::atomic<int> failed{0};
    std::thread driver([&] {
      while (!over) {
        ctx_loop_dispatch(loop);
        ctx_loop_advance(loop, kMillisecond / 4);
        std::this_thread::yield();
      }
    });
    Drop drop;
    {
      const Ctx watched = Watched(root, &drop);
      std::vector<std::thread> threads;
      for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&, t] {
          for (int i = 0; i < kContexts; ++i) {
            const Scope outer = WithIdle(watched, kMillisecond * (1 + i % 3));
            const Scope inner = WithIdle(outer, kMillisecond * 2);
            const Scope below = WithCancel(inner);
            for (int n = 0; n < 50 * (i % 5); ++n) {
              failed += ctx_touch(n % 2 == 0 ? below : inner) == -EINVAL;
            }
            if ((i + t) % 4 == 0) inner.Cancel();
            if ((i + t) % 4 == 1) failed += ctx_wait(outer, CTX_FOREVER) != 1;
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
    }
    over = true;
    driver.join();
    EXPECT_EQ(failed, 0);
    if (kind != CTX_LOOP_THREAD) {
      ctx_loop_dispatch(loop);
      ctx_loop_advance(loop, 0);
    }
    EXPECT_TRUE(drop.Wait());
  }
}

}  // namespace
}  // namespace ctxtest
