// SPDX-License-Identifier: MIT
//
// Rule 8: what is derived from a done context is done on return, with the same error and cause.
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"

namespace ctxtest {
namespace {

// One of each derivation below parent.
struct Derived {
  explicit Derived(ctx_t* parent, const ctx_cause_t* own = nullptr)
      : cancel(WithCancel(parent)),
        later(WithTimeout(parent, kHour, own)),
        past(WithDeadline(parent, 0, own)),
        never(WithDeadline(parent, CTX_FOREVER, own)),
        value(WithValue(parent, &kKey, nullptr)),
        text(WithString(parent, "name", "text")),
        below(WithCancel(value)) {}

  std::vector<ctx_t*> All() const { return {cancel, later, past, never, value, text, below}; }

  Scope cancel, later, past, never;
  Ctx value, text;
  Scope below;
};

TEST(DeriveDone, Rule08_BelowACanceledParentAllIsDoneWithItsErrorAndCause) {
  const Scope parent = WithCancel(ctx_background());
  const Cause cause = NewCause(8, "over"), own = NewCause(9, "own");
  ASSERT_EQ(ctx_cancel_with(parent.canceler, CTX_CANCELED, cause), 1);
  const Derived derived(parent, own);
  for (ctx_t* ctx : derived.All()) {
    EXPECT_EQ(ctx_err(ctx), CTX_CANCELED) << "also where an own deadline is past";
    EXPECT_EQ(*ctx_err_word(ctx), CTX_CANCELED);
    EXPECT_EQ(ctx_cause(ctx), cause.get());
  }
}

TEST(DeriveDone, Rule08_BelowAParentWhoseDeadlinePassed) {
  const Cause cause = NewCause(8, "late");
  const Scope parent = WithTimeout(ctx_background(), kMillisecond, cause);
  ASSERT_TRUE(Done(parent));
  const Derived derived(parent);
  for (ctx_t* ctx : derived.All()) {
    EXPECT_EQ(ctx_err(ctx), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(ctx_cause(ctx), cause.get());
  }
}

TEST(DeriveDone, Rule08_EveryWayToLearnOfItTellsAtOnce) {
  const Scope parent = WithCancel(ctx_background());
  parent.Cancel();
  const Derived derived(parent);
  for (ctx_t* ctx : derived.All()) {
    EXPECT_EQ(ctx_wait(ctx, 0), 1);
    EXPECT_EQ(ctx_poll(ctx, nullptr, 0, 0), CTX_CANCELED);
    EXPECT_TRUE(Readable(ctx_done_fd(ctx)));
    const int fd = ctx_done_fd_dup(ctx);
    EXPECT_TRUE(Readable(fd));
    close(fd);
    Callback callback;
    EXPECT_EQ(callback.Arm(ctx), 1);
    EXPECT_EQ(callback.runs(), 1);
  }
}

TEST(DeriveDone, Rule08_ItsCancelerEndsNothingMore) {
  const Scope parent = WithCancel(ctx_background());
  parent.Cancel();
  const Derived derived(parent);
  EXPECT_EQ(derived.cancel.Cancel(), 0);
  EXPECT_EQ(derived.later.Cancel(), 0);
  EXPECT_EQ(derived.past.Cancel(), 0);
  EXPECT_EQ(derived.below.Cancel(), 0);
}

TEST(DeriveDone, Rule08_ExceptWithoutCancel) {
  const Scope parent = WithCancel(ctx_background());
  parent.Cancel();
  const Ctx detached = WithoutCancel(parent);
  EXPECT_EQ(ctx_err(detached), 0);
  const Scope below = WithCancel(detached);
  EXPECT_EQ(ctx_err(below), 0);
  EXPECT_EQ(below.Cancel(), 1);
}

TEST(DeriveDone, Rule08_AnyNumberOfLevelsBelow) {
  const Scope parent = WithCancel(ctx_background());
  const Cause cause = NewCause(8, "deep");
  ASSERT_EQ(ctx_cancel_with(parent.canceler, CTX_DEADLINE_EXCEEDED, cause), 1);
  Ctx ctx(ctx_ref(parent));
  for (int level = 0; level < 1000; ++level) {
    ctx = level % 3 == 0 ? WithValue(ctx, &kKey, nullptr) : WithCancel(ctx).ctx;
    ASSERT_EQ(ctx_err(ctx), CTX_DEADLINE_EXCEEDED);
    ASSERT_EQ(ctx_cause(ctx), cause.get());
  }
}

// What is born done holds on to nothing but its parent.
TEST(DeriveDone, Rule08_WhatIsBornDoneIsFreedAsAnyOther) {
  Drop drop;
  {
    const Scope parent = WithCancel(ctx_background());
    parent.Cancel();
    const Ctx watched = Watched(parent, &drop);
    const Derived derived(watched);
    EXPECT_EQ(ctx_err(watched), CTX_CANCELED);
    EXPECT_EQ(drop.count(), 0);
  }
  EXPECT_EQ(drop.count(), 1);
}

// Nobody drives the loop, and the deadline has only just passed.
TEST(DeriveDone, Rule13_AMomentAfterTheParentsDeadline) {
  Loop loop = NewLoop(CTX_LOOP_MANUAL);
  const Ctx root = LoopBackground(loop);
  const auto derive = [](ctx_t* parent, int kind) {
    switch (kind) {
      case 0:
        return WithTimeout(parent, kHour);
      case 1:
        return WithDeadline(parent, CTX_FOREVER);
      case 2:
        return WithTimeout(WithValue(parent, &kKey, nullptr), kHour);
      default:
        return WithIdle(parent, kHour);
    }
  };
  for (int i = 0; i < 200; ++i) {
    const int64_t deadline = ctx_now(root) + 60 * kMicrosecond;
    const Scope parent = WithDeadline(root, deadline);
    while (ctx_now(root) < deadline) {
    }
    const Scope child = derive(parent, i % 4);
    ASSERT_EQ(ctx_err(child), CTX_DEADLINE_EXCEEDED) << i;
    ASSERT_EQ(ctx_err(parent), CTX_DEADLINE_EXCEEDED) << i;
  }
}

}  // namespace
}  // namespace ctxtest
