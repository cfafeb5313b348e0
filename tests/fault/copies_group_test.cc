// SPDX-License-Identifier: MIT
//
// Groups of two copies of the library in one process: each refuses the other's.
#include <ctx/ctx.h>

#include "support/copied.h"
#include "support/handles.h"

namespace ctxtest {
namespace {

TEST(TwoCopiesOfGroups, Rule49_AForeignGroupIsEremote) {
  const CopiedLibrary other;
  const auto background = other.Find<decltype(&ctx_background)>("ctx_background");
  const auto make = other.Find<decltype(&ctx_group_new)>("ctx_group_new");
  const auto begin = other.Find<decltype(&ctx_group_begin)>("ctx_group_begin");
  const auto end = other.Find<decltype(&ctx_group_end)>("ctx_group_end");
  const auto wait = other.Find<decltype(&ctx_group_wait)>("ctx_group_wait");
  const auto unref = other.Find<decltype(&ctx_group_unref)>("ctx_group_unref");
  const auto new_cause = other.Find<decltype(&ctx_cause_new)>("ctx_cause_new");
  const auto unref_cause = other.Find<decltype(&ctx_cause_unref)>("ctx_cause_unref");

  const Group own = NewGroup(ctx_background());
  ctx_group_t *foreign = nullptr, *ret = nullptr;
  ctx_cause_t* cause = nullptr;
  EXPECT_EQ(make(ctx_background(), &ret), -EREMOTE);
  EXPECT_EQ(ctx_group_new(background(), &ret), -EREMOTE);
  ASSERT_EQ(make(background(), &foreign), 0);
  ASSERT_EQ(new_cause(1, "foreign", &cause), 0);
  ASSERT_EQ(begin(foreign), 0);
  EXPECT_EQ(ctx_group_new_below(foreign, &ret), -EREMOTE);
  EXPECT_EQ(ret, nullptr);
  EXPECT_EQ(ctx_group_begin(foreign), -EREMOTE);
  EXPECT_EQ(ctx_group_end(foreign, nullptr), -EREMOTE);
  EXPECT_EQ(ctx_group_wait(foreign, kLimit), -EREMOTE);
  EXPECT_EQ(ctx_group_fd(foreign), -EREMOTE);
  ctx_t* over = nullptr;
  EXPECT_EQ(ctx_group_over(foreign, &over), -EREMOTE);
  EXPECT_EQ(over, nullptr);
  EXPECT_EQ(ctx_group_context(foreign), nullptr);
  EXPECT_EQ(ctx_group_canceler(foreign), nullptr);
  EXPECT_EQ(ctx_group_cause(foreign), nullptr);
  EXPECT_EQ(ctx_group_ref(foreign), nullptr);
  EXPECT_EQ(ctx_group_unref(foreign), nullptr);
  EXPECT_EQ(begin(own), -EREMOTE);
  EXPECT_EQ(wait(own, 0), -EREMOTE);

  ASSERT_EQ(ctx_group_begin(own), 0);
  EXPECT_EQ(ctx_group_end(own, cause), -EREMOTE) << "and the piece has not ended";
  EXPECT_EQ(ctx_group_end(own, nullptr), 0);
  EXPECT_EQ(ctx_group_cause(own), nullptr);

  EXPECT_EQ(wait(foreign, 0), 0) << "none of this has ended anything there";
  EXPECT_EQ(end(foreign, cause), 0);
  EXPECT_EQ(wait(foreign, 0), 1);
  unref(foreign);
  unref_cause(cause);
}

}  // namespace
}  // namespace ctxtest
