// SPDX-License-Identifier: MIT
//
// Rule 21: ctx_without_cancel keeps the values and nothing else.
#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"

namespace ctxtest {
namespace {

TEST(Detached, Rule21_KeepsValues) {
  int value = 21;
  const Scope scope = WithCancel(ctx_background());
  const Ctx with_value = WithValue(scope, &kKey, &value);
  const Ctx with_text = WithString(with_value, "trace", "abc");
  const Ctx detached = WithoutCancel(with_text);
  EXPECT_EQ(ctx_value(detached, &kKey), &value);
  EXPECT_STREQ(ctx_string(detached, "trace"), "abc");
  const Scope below = WithCancel(detached);
  EXPECT_EQ(ctx_value(below, &kKey), &value);
}

TEST(Detached, Rule21_HasNoDeadline) {
  const Scope timed = WithTimeout(ctx_background(), kHour);
  const Ctx detached = WithoutCancel(timed);
  int64_t deadline = 21;
  EXPECT_EQ(ctx_deadline(detached, &deadline), 0);
  EXPECT_EQ(deadline, 21);
  EXPECT_EQ(ctx_remaining(detached), CTX_FOREVER);
  const Scope later = WithTimeout(detached, 2 * kHour);
  EXPECT_GT(ctx_remaining(later), kHour) << "the deadline above does not count below";
}

TEST(Detached, Rule21_HasNoErrorAndNoCause) {
  const Scope scope = WithCancel(ctx_background());
  const Ctx before = WithoutCancel(scope);
  scope.Cancel();
  const Ctx after = WithoutCancel(scope);
  for (ctx_t* ctx : {before.get(), after.get()}) {
    EXPECT_EQ(ctx_err(ctx), 0);
    EXPECT_EQ(*ctx_err_word(ctx), 0);
    EXPECT_EQ(ctx_cause(ctx), nullptr);
    EXPECT_EQ(ctx_cancelable(ctx), 0);
    EXPECT_EQ(ctx_done_fd(ctx), -ENOTSUP);
    EXPECT_EQ(ctx_wait(ctx, 0), 0);
  }
}

TEST(Detached, Rule21_WhatIsBelowDoesNotEndWithTheAncestors) {
  const Scope top = WithTimeout(ctx_background(), kMillisecond);
  const Scope middle = WithCancel(top);
  const Ctx detached = WithoutCancel(middle);
  const Scope below = WithCancel(detached), timed = WithTimeout(detached, kHour);
  Callback on_below, on_timed;
  on_below.Arm(below);
  on_timed.Arm(timed);
  ASSERT_TRUE(Done(middle));
  EXPECT_EQ(ctx_err(below), 0);
  EXPECT_EQ(ctx_err(timed), 0);
  EXPECT_EQ(on_below.runs() + on_timed.runs(), 0);
  EXPECT_FALSE(Readable(ctx_done_fd(below)));
}

TEST(Detached, Rule21_WhatIsBelowEndsOnItsOwn) {
  const Scope top = WithTimeout(ctx_background(), kHour);
  const Ctx detached = WithoutCancel(top);
  const Scope below = WithCancel(detached), timed = WithTimeout(detached, kMillisecond);
  EXPECT_EQ(below.Cancel(), 1);
  ASSERT_TRUE(Done(timed));
  EXPECT_EQ(ctx_err(detached), 0);
  EXPECT_EQ(ctx_err(top), 0);
}

TEST(Detached, Rule21_OfADetachedOneAndOfARoot) {
  const Ctx detached = WithoutCancel(WithoutCancel(ctx_todo()));
  const Scope below = WithCancel(detached);
  EXPECT_EQ(ctx_cancelable(detached), 0);
  EXPECT_EQ(below.Cancel(), 1);
}

TEST(Detached, Rule21_KeepsItsParentsMemoryAndNotItsLife) {
  Drop drop;
  Ctx watched = Watched(ctx_background(), &drop);
  Scope scope = WithCancel(watched);
  Ctx detached = WithoutCancel(scope);
  watched.reset();
  scope.reset();
  EXPECT_EQ(drop.count(), 0);
  detached.reset();
  EXPECT_EQ(drop.count(), 1);
}

}  // namespace
}  // namespace ctxtest
