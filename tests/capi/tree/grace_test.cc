// SPDX-License-Identifier: MIT
//
// Rule 23: a context that ends some time after its parent, with the parent's error and cause; and rules 5,
// 7, 11 and 16 for it. Deadlines are in grace_deadline_test.cc, races in grace_race_test.cc.
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"

namespace ctxtest {
namespace {

TEST(Grace, Rule23_EndsItsGraceAfterItsParentWithItsErrorAndCause) {
  for (int err : {CTX_CANCELED, CTX_DEADLINE_EXCEEDED}) {
    const VirtualLoop time;
    const Cause cause = NewCause(23, "the parent's");
    const Scope parent = WithCancel(time.root), graceful = WithGrace(parent, 5);
    const Scope below = WithCancel(graceful);
    Recorder recorder;
    recorder.Arm(below, 2);
    recorder.Arm(graceful, 1);
    EXPECT_EQ(time.Advance(10), 0);
    EXPECT_EQ(ctx_cancel_with(parent.canceler, err, cause), 1);
    EXPECT_EQ(time.Next(), 15);
    EXPECT_EQ(time.Advance(4), 0);
    EXPECT_EQ(ctx_err(graceful), 0);
    EXPECT_EQ(ctx_cause(graceful), nullptr);
    EXPECT_EQ(time.Advance(1), 1);
    for (ctx_t* ctx : {graceful.ctx.get(), below.ctx.get()}) {
      EXPECT_EQ(ctx_err(ctx), err);
      EXPECT_EQ(ctx_cause(ctx), cause.get());
    }
    EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2}));
    EXPECT_EQ(recorder.clocks(), (std::vector<int64_t>{15, 15}));
    EXPECT_EQ(graceful.Cancel(), 0);
  }
}

TEST(Grace, Rule05_IsNoPartOfTheParentsSubtree) {
  const VirtualLoop time;
  const Scope top = WithCancel(time.root), parent = WithCancel(top);
  const Scope graceful = WithGrace(parent, 5), below = WithCancel(graceful);
  const Ctx value = WithValue(below, &kKey, nullptr);
  const Scope timed_below = WithDeadline(graceful, 3);
  const int fd = ctx_done_fd(below);
  Callback on_below, on_parent([&](ctx_t*) { EXPECT_EQ(ctx_err(graceful), 0); });
  on_below.Arm(value);
  on_parent.Arm(parent);
  EXPECT_EQ(top.Cancel(), 1);
  EXPECT_EQ(on_parent.runs(), 1);
  for (ctx_t* ctx : {graceful.ctx.get(), below.ctx.get(), value.get(), timed_below.ctx.get()}) {
    EXPECT_EQ(ctx_err(ctx), 0);
  }
  EXPECT_EQ(ctx_err(WithCancel(below)), 0) << "work goes on meanwhile";
  EXPECT_FALSE(Readable(fd));
  EXPECT_EQ(time.Advance(3), 1);
  EXPECT_EQ(ctx_err(timed_below), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(time.Advance(2), 1);
  EXPECT_TRUE(Readable(fd));
  EXPECT_EQ(on_below.runs(), 1);
  EXPECT_EQ(ctx_cause(value), ctx_cause(top));
}

TEST(Grace, Rule23_ItCanBeCanceledOnItsOwn) {
  const VirtualLoop time;
  const Cause cause = NewCause(23, "own");
  const Scope parent = WithCancel(time.root);
  const Scope before = WithGrace(parent, 5), meanwhile = WithGrace(parent, 5);
  EXPECT_EQ(ctx_cancel_with(before.canceler, CTX_CANCELED, cause), 1);
  EXPECT_EQ(ctx_err(parent), 0) << "rule 7";
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(time.Next(), 5);
  EXPECT_EQ(ctx_cancel_with(meanwhile.canceler, CTX_CANCELED, cause), 1);
  EXPECT_EQ(time.Next(), INT64_MAX) << "rule 14: the timer is gone";
  EXPECT_EQ(time.Advance(kHour), 0);
  EXPECT_EQ(ctx_cause(before), cause.get());
  EXPECT_EQ(ctx_cause(meanwhile), cause.get());
}

TEST(Grace, Rule23_OnAParentThatIsDoneItCountsFromTheCall) {
  const VirtualLoop time;
  const Cause cause = NewCause(23, "long ago");
  const Scope parent = WithCancel(time.root), late = WithDeadline(time.root, 20, cause);
  ctx_cancel_with(parent.canceler, CTX_CANCELED, cause);
  time.Advance(50);
  const Scope graceful = WithGrace(parent, 5), after_deadline = WithGrace(late, 6);
  const Scope born_done = WithGrace(WithTimeout(late, kHour), 7);
  for (const Scope* scope : {&graceful, &after_deadline, &born_done}) {
    EXPECT_EQ(ctx_err(*scope), 0);
    EXPECT_EQ(ctx_err(WithCancel(*scope)), 0);
  }
  Recorder recorder;
  recorder.Arm(born_done, 57);
  recorder.Arm(after_deadline, 56);
  recorder.Arm(graceful, 55);
  EXPECT_EQ(time.Advance(100), 3);
  EXPECT_EQ(recorder.clocks(), (std::vector<int64_t>{55, 56, 57}));
  EXPECT_EQ(ctx_err(graceful), CTX_CANCELED);
  EXPECT_EQ(ctx_err(after_deadline), CTX_DEADLINE_EXCEEDED);
  for (const Scope* scope : {&graceful, &after_deadline, &born_done}) {
    EXPECT_EQ(ctx_cause(*scope), cause.get());
  }
}

TEST(Grace, Rule23_NoneOrANegativeOneEndsWithTheParent) {
  const VirtualLoop time;
  const Scope parent = WithDeadline(time.root, 100);
  for (int64_t grace : {int64_t{0}, int64_t{-1}, -kHour, INT64_MIN}) {
    const Scope plain = WithCancel(time.root);
    const Scope graceful = WithGrace(plain, grace), below = WithCancel(graceful);
    const Scope timed = WithGrace(parent, grace);
    EXPECT_EQ(Deadline(timed), 100);
    EXPECT_EQ(Deadline(graceful), CTX_FOREVER);
    EXPECT_EQ(ctx_err(graceful), 0);
    Callback callback([&](ctx_t*) { EXPECT_EQ(ctx_err(below), CTX_CANCELED); });
    callback.Arm(plain);
    EXPECT_EQ(plain.Cancel(), 1);
    EXPECT_EQ(ctx_cause(graceful), ctx_cause(plain));
    EXPECT_EQ(ctx_err(WithGrace(plain, grace)), CTX_CANCELED)
        << "and is born done below a done one";
    EXPECT_EQ(timed.Cancel(), 1);
  }
}

TEST(Grace, ItsValuesAreTheParents) {
  int value = 0;
  const Ctx above = WithString(WithValue(ctx_background(), &kKey, &value), "name", "text");
  const Scope graceful = WithGrace(WithCancel(above), kHour);
  EXPECT_EQ(ctx_value(graceful, &kKey), &value);
  EXPECT_STREQ(ctx_string(WithCancel(graceful), "name"), "text");
}

TEST(Grace, Rule11_KeepsItsParentsMemoryAndItsParentDoesNotKeepIt) {
  const VirtualLoop time;
  Drop above, own;
  const Scope top = WithCancel(time.root);
  Scope parent = WithCancel(Watched(top, &above)), graceful = WithGrace(Watched(parent, &own), 5);
  parent.reset();
  EXPECT_EQ(above.count(), 0);
  graceful.reset();
  EXPECT_EQ(own.count(), 1) << "never ended, and gone all the same";
  EXPECT_EQ(above.count(), 1);
  EXPECT_EQ(top.Cancel(), 1);
  EXPECT_EQ(time.Next(), INT64_MAX);
}

TEST(Grace, Rule11_GivenBackDuringItsGraceItIsFreed) {
  const VirtualLoop time;
  Drop drop;
  const Scope parent = WithCancel(time.root);
  Scope graceful = WithGrace(Watched(parent, &drop), 5);
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(time.Next(), 5);
  graceful.reset();
  EXPECT_EQ(drop.count(), 1);
  EXPECT_EQ(time.Next(), INT64_MAX);
  EXPECT_EQ(time.Advance(10), 0);
}

TEST(Grace, Rule11_AnArmedCallbackLivesUntilItFires) {
  const VirtualLoop time;
  Drop drop;
  Callback callback;
  {
    const Scope parent = WithCancel(Watched(time.root, &drop));
    callback.Arm(WithGrace(parent, 5));
    EXPECT_EQ(parent.Cancel(), 1);
  }
  EXPECT_EQ(drop.count(), 0);
  EXPECT_EQ(time.Advance(5), 1);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_EQ(drop.count(), 1);
}

// The parent goes, live, and takes nobody along: then its grace can only end on its own.
TEST(Grace, Rule11_AParentThatNobodyHoldsCanStillEndByItsOwnParent) {
  const VirtualLoop time;
  const Scope top = WithCancel(time.root);
  Scope graceful = WithGrace(WithCancel(top), 5);
  EXPECT_EQ(top.Cancel(), 1);
  EXPECT_EQ(time.Advance(5), 1);
  EXPECT_EQ(ctx_err(graceful), CTX_CANCELED);
}

TEST(Grace, Rule16_NeverEarlyInRealTime) {
  const ManualLoop manual;
  const Scope on_manual = WithCancel(manual.root), of_default = WithCancel(ctx_background());
  const Scope first = WithGrace(on_manual, 3 * kMillisecond);
  const Scope second = WithGrace(of_default, 3 * kMillisecond);
  Callback callback;
  callback.Arm(second);
  const int64_t start = ctx_now(first);
  EXPECT_EQ(on_manual.Cancel(), 1);
  EXPECT_EQ(of_default.Cancel(), 1);
  EXPECT_EQ(manual.DriveUntilDone(first), 1);
  EXPECT_GE(ctx_now(first) - start, 3 * kMillisecond);
  ASSERT_TRUE(callback.WaitRun());
  EXPECT_GE(ctx_now(second) - start, 3 * kMillisecond);
  EXPECT_EQ(callback.thread_name(), "ctx-calls");
}

void MakeOneAndSeeWhatStarts() {
  const Scope parent = WithCancel(ctx_background());
  EXPECT_EQ(Tasks("ctx-").size(), 0u);
  const Scope graceful = WithGrace(parent, kMillisecond);
  EXPECT_EQ(Tasks("ctx-").size(), 2u);
  const size_t descriptors = OpenDescriptors();
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_TRUE(Done(graceful));
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

TEST(Grace, Rule23_WhatItNeedsLaterIsGotWhenItIsMade) {
  CTX_IN_NEW_PROCESS(MakeOneAndSeeWhatStarts());
}

TEST(Grace, ManyOnOneParentAndADeepChainOfThem) {
  constexpr int kMany = kSanitized ? 10'000 : 100'000;
  OnSmallStack([] {
    const VirtualLoop time;
    Drop drop;
    Scope top = WithCancel(Watched(time.root, &drop));
    std::vector<Scope> fan;
    for (int i = 0; i < kMany; ++i) fan.push_back(WithGrace(top, 1 + i % 1000));
    Ctx last(ctx_ref(top));
    for (int i = 0; i < kMany; ++i) last = WithGrace(last, 1).ctx;
    EXPECT_EQ(top.Cancel(), 1);
    EXPECT_EQ(ctx_err(last), 0);
    EXPECT_EQ(time.Advance(kMany - 1), 2 * kMany - 1);
    EXPECT_EQ(ctx_err(last), 0);
    EXPECT_EQ(time.Advance(1), 1);
    EXPECT_EQ(ctx_cause(last), ctx_cause(top));
    fan.clear();
    top.reset();
    EXPECT_EQ(drop.count(), 0);
    last.reset();
    EXPECT_EQ(drop.count(), 1);
  });
}

}  // namespace
}  // namespace ctxtest
