// SPDX-License-Identifier: MIT
//
// Groups on a system that refuses: making one needs memory, its descriptor a descriptor, and nothing else needs
// anything.
#include <gtest/gtest.h>

#include <vector>

#include "fault/refusals.h"

namespace ctxtest {
namespace {

void ExpectAGroup(Stage& s) {
  EXPECT_EQ(ctx_group_begin(s.ret_group), 0);
  EXPECT_EQ(s.parent.Cancel(), 1);
  EXPECT_EQ(ctx_err(ctx_group_context(s.ret_group)), CTX_CANCELED);
  EXPECT_EQ(ctx_group_wait(s.ret_group, 0), 0);
  EXPECT_EQ(ctx_group_end(s.ret_group, nullptr), 0);
  EXPECT_EQ(ctx_group_wait(s.ret_group, 0), 1);
}

const Construction kGroupCases[] = {
    {"GroupNew", On::kDefault, kMem, kNothing,
     [](Stage& s) { return ctx_group_new(s.parent, &s.ret_group); }, ExpectAGroup},
    {"GroupNew", On::kManual, kMem, kNothing,
     [](Stage& s) { return ctx_group_new(s.parent, &s.ret_group); }, ExpectAGroup},
};

class RefusedGroup : public ::testing::TestWithParam<Construction> {};

TEST_P(RefusedGroup, Rule46_EachCallInTurn) { Refusals(GetParam()).EachInTurn(); }

TEST_P(RefusedGroup, Rule46_NothingLeaks) { Refusals(GetParam()).NothingLeaks(); }

INSTANTIATE_TEST_SUITE_P(, RefusedGroup, ::testing::ValuesIn(kGroupCases),
                         [](const auto& each) { return NameOf(each.param); });

TEST(RefusedNestedGroup, Rule46_TheOuterGroupCountsNoneThatWasNotMade) {
  const Group outer = NewGroup(ctx_background());
  std::vector<Scope> spare;  // what the library has kept for later is used up
  for (int i = 0; i < 200; ++i) spare.push_back(WithCancel(ctx_group_context(outer)));
  int failures = 0, first = 0, result = 0;
  do {
    Group inner;
    {
      Faults faults(Resource::kMemory, ENOMEM, first++);
      result = ctx_group_new_below(outer, inner.out());
    }
    EXPECT_EQ(ctx_group_wait(outer, 0), result == 0 ? 0 : 1);
    if (result == 0) break;
    EXPECT_EQ(result, -ENOMEM);
    EXPECT_EQ(inner.get(), nullptr);
    ++failures;
  } while (first < 100);
  EXPECT_EQ(result, 0);
  EXPECT_GT(failures, 0);
  EXPECT_EQ(ctx_group_wait(outer, 0), 1);
}

TEST(RefusedGroupOver, Rule46_NothingIsLeftBehind) {
  const Group group = NewGroup(ctx_background());
  std::vector<Scope> spare;
  for (int i = 0; i < 200; ++i) spare.push_back(WithCancel(ctx_background()));
  ASSERT_EQ(ctx_group_begin(group), 0);
  int failures = 0, first = 0, result = 0;
  Ctx over;
  do {
    Faults faults(Resource::kMemory, ENOMEM, first++);
    result = ctx_group_over(group, over.out());
    failures += result == -ENOMEM;
  } while (result == -ENOMEM && first < 100);
  EXPECT_EQ(result, 0);
  EXPECT_GT(failures, 0);
  EXPECT_EQ(ctx_err(over), 0);
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_EQ(ctx_err(over), CTX_CANCELED);
}

TEST(RefusedGroupFd, Rule46_AGroupGoesOnWithoutItsDescriptor) {
  const Group group = NewGroup(ctx_background());
  ASSERT_EQ(ctx_group_begin(group), 0);
  {
    Faults faults(Resource::kDescriptor, EMFILE);
    EXPECT_EQ(ctx_group_fd(group), -EMFILE);
    EXPECT_EQ(ctx_group_begin(group), 0);
    EXPECT_EQ(ctx_group_end(group, nullptr), 0);
    EXPECT_EQ(ctx_group_fd(group), -EMFILE);
  }
  const int fd = ctx_group_fd(group);
  EXPECT_GE(fd, 0);
  EXPECT_FALSE(Readable(fd));
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_TRUE(Readable(fd));
}

TEST(NeedsNothing, Rule46_ToBeginEndWaitForAndReleaseWork) {
  const Cause cause = NewCause(1, "failed");
  for (const bool with_fd : {false, true}) {
    Group outer = NewGroup(ctx_background()), inner = NewGroupBelow(outer);
    if (with_fd) {
      EXPECT_GE(ctx_group_fd(outer), 0);
    }
    int asked = 0, result = 0;
    EXPECT_EQ(ctx_group_begin(outer), 0);
    std::vector<Ctx> overs(3);
    for (Ctx& over : overs) EXPECT_EQ(ctx_group_over(outer, over.out()), 0);
    {
      Faults faults(Resource::kMemory, ENOMEM);
      for (int i = 0; i < 100; ++i) {
        result |= ctx_group_begin(outer) | ctx_group_begin(inner);
        result |= ctx_group_end(outer, nullptr);
        result |= ctx_group_wait(outer, 1);
      }
      for (int i = 0; i < 100; ++i) result |= ctx_group_end(inner, cause);
      inner.reset();
      result |= ctx_group_end(outer, nullptr);
      result |= ctx_group_wait(outer, CTX_FOREVER) - 1;
      outer.reset();
      asked = faults.count(Resource::kMemory) + faults.count(Resource::kThread) +
              faults.count(Resource::kDescriptor) + faults.count(Resource::kWatch);
    }
    EXPECT_EQ(asked, 0);
    EXPECT_EQ(result, 0);
    for (const Ctx& over : overs) EXPECT_EQ(ctx_err(over), CTX_CANCELED);
  }
}

}  // namespace
}  // namespace ctxtest
