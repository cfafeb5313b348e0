// SPDX-License-Identifier: MIT
//
// Rules 45 and 54: nested groups, each counted by its outer group; and long chains of them.
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"

namespace ctxtest {
namespace {

constexpr size_t kLongChain = 100'000;

TEST(GroupNested, Rule54_IsOnePieceOfWorkUntilItIsEmptyAndReleased) {
  for (const bool handle_first : {false, true}) {
    const Group outer = NewGroup(ctx_background());
    const int fd = ctx_group_fd(outer);
    Group inner = NewGroupBelow(outer);
    ctx_group_t* const held = inner;
    EXPECT_EQ(ctx_group_wait(outer, 0), 0) << "it may still be filled";
    EXPECT_FALSE(Readable(fd));
    ASSERT_EQ(ctx_group_begin(held), 0);
    ASSERT_EQ(ctx_group_begin(held), 0);
    EXPECT_EQ(ctx_group_end(held, nullptr), 0);
    if (handle_first) {
      inner.reset();
      EXPECT_EQ(ctx_group_wait(outer, 0), 0);
      EXPECT_EQ(ctx_group_end(held, nullptr), 0);
    } else {
      EXPECT_EQ(ctx_group_end(held, nullptr), 0);
      EXPECT_EQ(ctx_group_wait(held, 0), 1);
      EXPECT_EQ(ctx_group_wait(outer, 0), 0);
      inner.reset();
    }
    EXPECT_EQ(ctx_group_wait(outer, 0), 1);
    EXPECT_TRUE(Readable(fd));
    EXPECT_EQ(ctx_group_end(outer, nullptr), -EINVAL);
    EXPECT_EQ(ctx_group_cause(outer), nullptr);
    EXPECT_EQ(ctx_err(ctx_group_context(outer)), 0);
  }
}

TEST(GroupNested, Rule54_ItsFailureReachesTheOuterGroupWhenItIsOver) {
  const Group outer = NewGroup(ctx_background());
  Group inner = NewGroupBelow(outer);
  ctx_t* const outside = ctx_group_context(outer);
  const Cause cause = NewCause(5, "failed"), later = NewCause(6, "later");
  ASSERT_EQ(ctx_group_begin(outer), 0);
  ASSERT_EQ(ctx_group_begin(inner), 0);
  ASSERT_EQ(ctx_group_begin(inner), 0);
  EXPECT_EQ(ctx_group_end(inner, cause), 0);
  EXPECT_EQ(ctx_err(ctx_group_context(inner)), CTX_CANCELED);
  EXPECT_EQ(ctx_err(outside), 0) << "the work that has failed is not over yet";
  EXPECT_EQ(ctx_group_end(inner, later), 0);
  EXPECT_EQ(ctx_err(outside), 0);
  inner.reset();
  EXPECT_EQ(ctx_err(outside), CTX_CANCELED);
  EXPECT_EQ(ctx_cause(outside), cause.get());
  EXPECT_EQ(ctx_group_cause(outer), cause.get());
  EXPECT_EQ(ctx_group_wait(outer, 0), 0);
  EXPECT_EQ(ctx_group_end(outer, nullptr), 0);
  EXPECT_EQ(ctx_group_wait(outer, 0), 1);
}

TEST(GroupNested, Rule54_TheOuterContextEndsThatOfTheNestedGroup) {
  const Group outer = NewGroup(ctx_background());
  const Group inner = NewGroupBelow(outer);
  const Cause cause = NewCause(5, "failed");
  ASSERT_EQ(ctx_group_begin(outer), 0);
  ASSERT_EQ(ctx_group_begin(inner), 0);
  EXPECT_EQ(ctx_group_end(outer, cause), 0);
  EXPECT_EQ(ctx_cause(ctx_group_context(inner)), cause.get());
  EXPECT_EQ(ctx_group_cause(inner), nullptr) << "none of its own work has failed";
  EXPECT_EQ(ctx_group_begin(inner), CTX_CANCELED);
  EXPECT_EQ(ctx_group_end(inner, nullptr), 0);
}

TEST(GroupNested, Rule54_NoneBeginsBelowADoneContext) {
  const Group canceled = NewGroup(ctx_background());
  const Group late = NewGroup(WithTimeout(ctx_background(), 0));
  EXPECT_EQ(ctx_cancel(ctx_group_canceler(canceled)), 1);
  ctx_group_t* ret = late;
  EXPECT_EQ(ctx_group_new_below(canceled, &ret), CTX_CANCELED);
  EXPECT_EQ(ctx_group_new_below(late, &ret), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ret, late.get());
  EXPECT_EQ(ctx_group_wait(canceled, 0), 1);
  EXPECT_EQ(ctx_group_wait(late, 0), 1);
}

// When the outer group is empty, nothing is left of those nested in it.
TEST(GroupNested, Rule54_WhoFindsTheOuterGroupEmptyFindsNothingOfTheNestedOne) {
  Drop drop;
  const Group outer = NewGroup(ctx_background());
  Group inner = NewGroupBelow(outer);
  ctx_cause_t* cause = nullptr;
  const auto dropped = [](void* arg) {
    EXPECT_EQ(ctx_group_wait(static_cast<ctx_group_t*>(arg), 0), 0);
  };
  ASSERT_EQ(ctx_cause_new_data(1, "data", &kKey, outer.get(), dropped, &cause), 0);
  ASSERT_EQ(ctx_group_begin(inner), 0);
  EXPECT_EQ(ctx_group_end(inner, nullptr), 0);
  {
    const Scope below = WithCancel(ctx_group_context(inner));
    EXPECT_EQ(ctx_cancel_with(below.canceler, CTX_CANCELED, cause), 1);
    ctx_cause_unref(cause);
  }
  inner.reset();
  EXPECT_EQ(ctx_group_wait(outer, 0), 1);
}

struct LongChain {
  explicit LongChain(ctx_t* parent) {
    groups.reserve(kLongChain);
    groups.push_back(NewGroup(parent));
    while (groups.size() < kLongChain) groups.push_back(NewGroupBelow(groups.back()));
  }
  // All handles but the first; the last group has a piece of work.
  ctx_group_t* ReleaseAllButTheFirst() {
    ctx_group_t* const last = groups.back();
    EXPECT_EQ(ctx_group_begin(last), 0);
    groups.resize(1);
    return last;
  }

  std::vector<Group> groups;
};

TEST(GroupNested, Rule45_ALongChainThatEmptiesGoesUpWithoutRecursion) {
  OnSmallStack([] {
    for (const bool fails : {false, true}) {
      Drop drop;
      const Cause cause = NewCause(5, "failed");
      {
        LongChain chain(Watched(ctx_background(), &drop));
        ctx_group_t* const first = chain.groups.front();
        ctx_group_t* const last = chain.ReleaseAllButTheFirst();
        EXPECT_EQ(ctx_group_wait(first, 0), 0);
        EXPECT_EQ(ctx_group_end(last, fails ? cause.get() : nullptr), 0);
        EXPECT_EQ(ctx_group_wait(first, 0), 1);
        EXPECT_EQ(ctx_group_cause(first), fails ? cause.get() : nullptr);
        EXPECT_EQ(ctx_err(ctx_group_context(first)), fails ? CTX_CANCELED : 0);
        EXPECT_EQ(drop.count(), 0);
      }
      EXPECT_EQ(drop.count(), 1);
    }
  });
}

TEST(GroupNested, Rule45_ALongChainWithoutHandlesGoesWithItsLastWork) {
  OnSmallStack([] {
    Drop drop;
    ctx_group_t* last = nullptr;
    {
      LongChain chain(Watched(ctx_background(), &drop));
      last = chain.ReleaseAllButTheFirst();
    }
    EXPECT_EQ(drop.count(), 0);
    EXPECT_EQ(ctx_group_end(last, nullptr), 0);
    EXPECT_EQ(drop.count(), 1);
  });
}

TEST(GroupNested, Rule45_ALongChainIsCanceledAtItsTop) {
  OnSmallStack([] {
    LongChain chain(ctx_background());
    EXPECT_EQ(ctx_cancel(ctx_group_canceler(chain.groups.front())), 1);
    EXPECT_EQ(ctx_group_begin(chain.groups.back()), CTX_CANCELED);
  });
}

}  // namespace
}  // namespace ctxtest
