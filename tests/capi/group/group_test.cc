// SPDX-License-Identifier: MIT
//
// Rule 54: what a group counts, what its first failure does, and what holds it; on each kind of loop, and below
// merges and graces. Waits and the descriptor are in group_wait_test.cc.
#include <functional>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

bool IsEmpty(ctx_group_t* group) { return ctx_group_wait(group, 0) == 1; }

TEST(Group, Rule54_CountsWhatBeginsAndEnds) {
  const Group group = NewGroup(ctx_background());
  EXPECT_TRUE(IsEmpty(group)) << "nothing has begun";
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ctx_group_begin(group), 0);
    EXPECT_FALSE(IsEmpty(group));
  }
  for (int left = 2; left >= 0; --left) {
    EXPECT_EQ(ctx_group_end(group, nullptr), 0);
    EXPECT_EQ(IsEmpty(group), left == 0);
  }
  EXPECT_EQ(ctx_group_cause(group), nullptr);
  EXPECT_EQ(ctx_err(ctx_group_context(group)), 0) << "the end of the work is no end of the context";
  EXPECT_EQ(ctx_group_begin(group), 0) << "it may be filled again";
  EXPECT_FALSE(IsEmpty(group));
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_TRUE(IsEmpty(group));
}

TEST(Group, Rule54_AnEndWithoutABeginChangesNothing) {
  const Group group = NewGroup(ctx_background());
  const Cause cause = NewCause(5, "never");
  for (const ctx_cause_t* given : {static_cast<const ctx_cause_t*>(nullptr), cause.get()}) {
    EXPECT_EQ(ctx_group_end(group, given), -EINVAL);
    EXPECT_EQ(ctx_group_begin(group), 0);
    EXPECT_EQ(ctx_group_end(group, nullptr), 0);
    EXPECT_EQ(ctx_group_end(group, given), -EINVAL) << "one end too many";
    EXPECT_EQ(ctx_group_cause(group), nullptr);
    EXPECT_EQ(ctx_err(ctx_group_context(group)), 0);
    EXPECT_TRUE(IsEmpty(group));
  }
}

TEST(Group, Rule54_TheFirstFailureCancelsWithItsCause) {
  const Group group = NewGroup(ctx_background());
  ctx_t* const ctx = ctx_group_context(group);
  for (int i = 0; i < 4; ++i) ASSERT_EQ(ctx_group_begin(group), 0);
  const Scope below = WithCancel(ctx);
  const Cause first = NewCause(5, "first"), second = NewCause(6, "second");
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_EQ(ctx_err(ctx), 0);
  EXPECT_EQ(ctx_group_end(group, first), 0);
  EXPECT_EQ(ctx_err(ctx), CTX_CANCELED);
  EXPECT_EQ(ctx_err(below), CTX_CANCELED);
  EXPECT_EQ(ctx_cause(ctx), first.get());
  EXPECT_EQ(ctx_group_cause(group), first.get());
  EXPECT_FALSE(IsEmpty(group)) << "the others have been told, and have not ended yet";
  EXPECT_EQ(ctx_group_end(group, second), 0);
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_EQ(ctx_cause(ctx), first.get());
  EXPECT_EQ(ctx_group_cause(group), first.get());
  EXPECT_TRUE(IsEmpty(group));
}

// The work that fails is still counted while callbacks of its failure run.
TEST(Group, Rule54_TheFailureIsToldBeforeThePieceHasEnded) {
  const Group group = NewGroup(ctx_background());
  ASSERT_EQ(ctx_group_begin(group), 0);
  const Cause cause = NewCause(5, "failed");
  Callback callback([&](ctx_t*) {
    EXPECT_EQ(ctx_group_cause(group), cause.get());
    EXPECT_FALSE(IsEmpty(group));
  });
  ASSERT_EQ(callback.Arm(ctx_group_context(group)), 0);
  EXPECT_EQ(ctx_group_end(group, cause), 0);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_EQ(callback.thread(), std::this_thread::get_id());
  EXPECT_TRUE(IsEmpty(group));
}

// The end of the context is no failure of the work, and work that fails since it was told to stop is one.
TEST(Group, Rule54_AnEndFromOutsideStaysTheCauseOfTheContext) {
  const Cause stop = NewCause(1, "stop"), failed = NewCause(2, "failed");
  for (const bool by_parent : {false, true}) {
    const Scope parent = WithCancel(ctx_background());
    const Group group = NewGroup(parent);
    ctx_t* const ctx = ctx_group_context(group);
    ASSERT_EQ(ctx_group_begin(group), 0);
    ASSERT_EQ(ctx_group_begin(group), 0);
    ctx_canceler_t* const canceler = by_parent ? parent.canceler.get() : ctx_group_canceler(group);
    EXPECT_EQ(ctx_cancel_with(canceler, CTX_DEADLINE_EXCEEDED, stop), 1);
    EXPECT_EQ(ctx_err(ctx), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(ctx_cause(ctx), stop.get());
    EXPECT_EQ(ctx_group_cause(group), nullptr);
    EXPECT_EQ(ctx_group_end(group, nullptr), 0);
    EXPECT_EQ(ctx_group_cause(group), nullptr);
    EXPECT_EQ(ctx_group_end(group, failed), 0);
    EXPECT_EQ(ctx_group_cause(group), failed.get());
    EXPECT_EQ(ctx_cause(ctx), stop.get());
  }
}

TEST(Group, Rule54_NothingBeginsOnADoneContext) {
  const Cause failed = NewCause(2, "failed");
  const std::vector<std::pair<std::function<void(ctx_group_t*)>, int>> ends = {
      {[](ctx_group_t* group) { ctx_cancel(ctx_group_canceler(group)); }, CTX_CANCELED},
      {[](ctx_group_t* group) {
         ctx_cancel_with(ctx_group_canceler(group), CTX_DEADLINE_EXCEEDED, nullptr);
       },
       CTX_DEADLINE_EXCEEDED},
      {[&](ctx_group_t* group) { EXPECT_EQ(ctx_group_end(group, failed), 0); }, CTX_CANCELED},
  };
  for (const bool watched : {false, true}) {
    for (const auto& [end, error] : ends) {
      const Group group = NewGroup(ctx_background());
      const int fd = watched ? ctx_group_fd(group) : -1;
      ASSERT_EQ(ctx_group_begin(group), 0);
      ASSERT_EQ(ctx_group_begin(group), 0);
      end(group);
      EXPECT_EQ(ctx_group_begin(group), error);
      while (ctx_group_end(group, nullptr) == 0) {
      }
      EXPECT_EQ(ctx_group_begin(group), error) << "before anybody has waited";
      EXPECT_TRUE(IsEmpty(group));
      EXPECT_EQ(ctx_group_begin(group), error);
      EXPECT_EQ(ctx_group_end(group, nullptr), -EINVAL);
      EXPECT_TRUE(!watched || Readable(fd));
    }
  }
  const Group born_done = NewGroup(WithTimeout(ctx_background(), 0));
  EXPECT_EQ(ctx_group_begin(born_done), CTX_DEADLINE_EXCEEDED);
  EXPECT_TRUE(IsEmpty(born_done));
}

// Whoever starts work need not keep the group for it.
TEST(Group, Rule54_WorkHoldsItsGroup) {
  Drop drop;
  Group group = NewGroup(Watched(ctx_background(), &drop));
  ctx_group_t* const held = group;
  ASSERT_EQ(ctx_group_begin(held), 0);
  ASSERT_EQ(ctx_group_begin(held), 0);
  group.reset();
  EXPECT_EQ(ctx_err(ctx_group_context(held)), 0);
  EXPECT_EQ(ctx_group_begin(held), 0) << "work may begin more";
  EXPECT_EQ(ctx_group_end(held, nullptr), 0);
  EXPECT_EQ(ctx_group_end(held, nullptr), 0);
  EXPECT_EQ(drop.count(), 0);
  EXPECT_EQ(ctx_group_end(held, nullptr), 0);
  EXPECT_EQ(drop.count(), 1);
}

TEST(Group, Rule54_AHandleHoldsItsGroup) {
  Drop drop, cause_drop;
  ctx_cause_t* made = nullptr;
  ASSERT_EQ(ctx_cause_new_data(1, "data", &kKey, &cause_drop, Drop::Run, &made), 0);
  Cause cause(made);
  Group group = NewGroup(Watched(ctx_background(), &drop));
  const Group other(ctx_group_ref(group));
  EXPECT_EQ(other.get(), group.get());
  group.reset();
  ASSERT_EQ(ctx_group_begin(other), 0);
  EXPECT_EQ(ctx_group_end(other, cause), 0);
  cause.reset();
  EXPECT_EQ(ctx_cause_code(ctx_group_cause(other)), 1);
  EXPECT_EQ(drop.count() + cause_drop.count(), 0);
  const_cast<Group&>(other).reset();
  EXPECT_EQ(drop.count(), 1);
  EXPECT_EQ(cause_drop.count(), 1);
}

TEST(Group, Rule54_TheContextMayOutliveTheGroup) {
  Group group = NewGroup(ctx_background());
  const Ctx ctx(ctx_ref(ctx_group_context(group)));
  const Canceler canceler(ctx_canceler_ref(ctx_group_canceler(group)));
  group.reset();
  EXPECT_EQ(ctx_err(ctx), 0) << "a release cancels nothing";
  EXPECT_EQ(ctx_cancel(canceler), 1);
}

// In a callback of its own context, too.
TEST(Group, Rule54_WorkMayBeginAndEndInCallbacks) {
  const Group group = NewGroup(ctx_background()), cleanup = NewGroup(ctx_background());
  const Cause cause = NewCause(3, "why");
  ASSERT_EQ(ctx_group_begin(group), 0);
  ASSERT_EQ(ctx_group_begin(group), 0);
  Callback callback([&](ctx_t*) {
    EXPECT_EQ(ctx_group_begin(group), CTX_CANCELED);
    EXPECT_EQ(ctx_group_begin(cleanup), 0);
    EXPECT_EQ(ctx_group_end(cleanup, nullptr), 0);
    EXPECT_EQ(ctx_group_end(group, nullptr), 0) << "the other piece";
  });
  ASSERT_EQ(callback.Arm(ctx_group_context(group)), 0);
  EXPECT_EQ(ctx_group_end(group, cause), 0);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_TRUE(IsEmpty(group) && IsEmpty(cleanup));
}

// Its context behaves as any other below such a parent.
class GroupOn : public ::testing::TestWithParam<On> {};

TEST_P(GroupOn, Rule54_ADeadlineOfTheParentEndsTheContextAndNotTheWork) {
  const Host host(GetParam());
  const Scope timed = WithTimeout(host.root(), kMillisecond);
  const Group group = NewGroup(timed);
  ctx_t* const ctx = ctx_group_context(group);
  const bool began = ctx_group_begin(group) == 0;
  if (ctx_loop_advance(host.loop(), kMillisecond) < 0) {
    EXPECT_TRUE(host.Done(ctx));
  }
  EXPECT_EQ(ctx_err(ctx), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_group_begin(group), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_group_cause(group), nullptr);
  EXPECT_EQ(IsEmpty(group), !began);
  EXPECT_EQ(ctx_group_end(group, nullptr), began ? 0 : -EINVAL);
  EXPECT_TRUE(IsEmpty(group));
}

TEST_P(GroupOn, Rule54_BelowAMergeAndAGrace) {
  const Host host(GetParam());
  const Scope first = WithCancel(host.root()), second = WithCancel(host.root());
  const Group merged = NewGroup(Merge({first, second})), graced = NewGroup(WithGrace(first, kHour));
  const Cause cause = NewCause(3, "why");
  ASSERT_EQ(ctx_group_begin(merged), 0);
  ASSERT_EQ(ctx_group_begin(graced), 0);
  ASSERT_EQ(ctx_group_begin(graced), 0);
  EXPECT_EQ(second.Cancel(), 1);
  EXPECT_EQ(ctx_group_begin(merged), CTX_CANCELED);
  EXPECT_EQ(first.Cancel(), 1);
  EXPECT_EQ(ctx_err(ctx_group_context(graced)), 0);
  EXPECT_EQ(ctx_group_begin(graced), 0) << "work may begin during the grace";
  EXPECT_EQ(ctx_group_end(graced, cause), 0);
  EXPECT_EQ(ctx_cause(ctx_group_context(graced)), cause.get());
  for (ctx_group_t* group : {merged.get(), graced.get()}) {
    EXPECT_FALSE(IsEmpty(group));
    while (ctx_group_end(group, nullptr) == 0) {
    }
    EXPECT_TRUE(IsEmpty(group));
  }
}

TEST_P(GroupOn, Rule54_AMergeWithTheContextOfAGroupEndsWithItsFailure) {
  const Host host(GetParam());
  const Group group = NewGroup(host.root());
  const Scope other = WithCancel(host.root()), merged = Merge({other, ctx_group_context(group)});
  const Cause cause = NewCause(3, "why");
  ASSERT_EQ(ctx_group_begin(group), 0);
  EXPECT_EQ(ctx_group_end(group, cause), 0);
  EXPECT_EQ(ctx_err(merged), CTX_CANCELED);
  EXPECT_EQ(ctx_cause(merged), cause.get());
}

TEST_P(GroupOn, Rule54_AGroupKeepsItsLoop) {
  const On on = GetParam();
  if (on == On::kDefault) return;
  Group group;
  {
    const Host host(on);
    group = NewGroup(host.root());
    ASSERT_EQ(ctx_group_begin(group), 0);
    if (on == On::kThread) {
      EXPECT_EQ(ctx_loop_close(host.loop()), 0);
    }
  }  // the last handle closes the others
  EXPECT_EQ(ctx_err(ctx_group_context(group)), CTX_CANCELED);
  EXPECT_EQ(ctx_group_begin(group), CTX_CANCELED);
  EXPECT_FALSE(IsEmpty(group));
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_TRUE(IsEmpty(group));
}

INSTANTIATE_TEST_SUITE_P(, GroupOn,
                         ::testing::Values(On::kDefault, On::kThread, On::kManual, On::kVirtual),
                         [](const auto& each) { return NameOf(each.param); });

void ExpectGroupRefused(ctx_group_t* bad) {
  const Cause cause = NewCause(1, "why");
  ctx_group_t* const untouched = reinterpret_cast<ctx_group_t*>(ctx_todo());
  ctx_group_t* ret = untouched;
  EXPECT_EQ(ctx_group_new_below(bad, &ret), -EINVAL);
  EXPECT_EQ(ret, untouched);
  EXPECT_EQ(ctx_group_ref(bad), nullptr);
  EXPECT_EQ(ctx_group_unref(bad), nullptr);
  EXPECT_EQ(ctx_group_context(bad), nullptr);
  EXPECT_EQ(ctx_group_canceler(bad), nullptr);
  EXPECT_EQ(ctx_group_begin(bad), -EINVAL);
  EXPECT_EQ(ctx_group_end(bad, nullptr), -EINVAL);
  EXPECT_EQ(ctx_group_end(bad, cause), -EINVAL);
  EXPECT_EQ(ctx_group_cause(bad), nullptr);
  EXPECT_EQ(ctx_group_wait(bad, 0), -EINVAL);
  EXPECT_EQ(ctx_group_wait(bad, CTX_FOREVER), -EINVAL);
  EXPECT_EQ(ctx_group_fd(bad), -EINVAL);
  ctx_t* over = ctx_todo();
  EXPECT_EQ(ctx_group_over(bad, &over), -EINVAL);
  EXPECT_EQ(over, ctx_todo());
}

TEST(GroupBadInput, HandlesThatAreNoGroups) {
  ExpectGroupRefused(nullptr);
  const Scope scope = WithCancel(ctx_background());
  const Queue queue = NewQueue();
  ExpectGroupRefused(reinterpret_cast<ctx_group_t*>(scope.ctx.get()));
  ExpectGroupRefused(reinterpret_cast<ctx_group_t*>(queue.get()));
  EXPECT_EQ(ctx_err(scope), 0);
  ctx_group_unrefp(nullptr);
  ctx_group_t* none = nullptr;
  ctx_group_unrefp(&none);
}

TEST(GroupBadInput, OtherHandlesInTheirPlaces) {
  const Scope scope = WithCancel(ctx_background());
  const Group group = NewGroup(ctx_background());
  ctx_group_t* ret = group;
  EXPECT_EQ(ctx_group_new(nullptr, &ret), -EINVAL);
  EXPECT_EQ(ctx_group_new(reinterpret_cast<ctx_t*>(scope.canceler.get()), &ret), -EINVAL);
  EXPECT_EQ(ctx_group_new(reinterpret_cast<ctx_t*>(group.get()), &ret), -EINVAL);
  EXPECT_EQ(ret, group.get());
  EXPECT_EQ(ctx_group_new(scope, nullptr), -EINVAL);
  EXPECT_EQ(ctx_group_new_below(group, nullptr), -EINVAL);
  EXPECT_EQ(ctx_group_over(group, nullptr), -EINVAL);
  EXPECT_TRUE(IsEmpty(group));
  ASSERT_EQ(ctx_group_begin(group), 0);
  EXPECT_EQ(ctx_group_end(group, reinterpret_cast<const ctx_cause_t*>(scope.ctx.get())), -EINVAL);
  EXPECT_FALSE(IsEmpty(group)) << "nothing has ended";
  EXPECT_EQ(ctx_err(ctx_group_context(group)), 0);
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
}

TEST(GroupBadInput, TheCleanupFunctionLeavesNull) {
  Drop drop;
  ctx_group_t* group = NewGroup(Watched(ctx_background(), &drop)).release();
  ctx_group_unrefp(&group);
  EXPECT_EQ(group, nullptr);
  EXPECT_EQ(drop.count(), 1);
}

}  // namespace
}  // namespace ctxtest
