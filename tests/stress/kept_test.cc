// SPDX-License-Identifier: MIT
//
// Timed contexts that nobody holds any more, kept by their children alone: their deadlines fire while
// their parent is canceled, so that the loop and the cancel let go of the same contexts at once.
#include <ctx/ctx.h>
#include <gtest/gtest.h>

#include <vector>

#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(Kept, Rule30_EveryDropRunsThoughDeadlinesCrossTheParentsCancel) {
  constexpr int kRounds = kSanitized ? 40 : 300;
  constexpr int kFamilies = 100;
  static const ctx_key_t kKept = {"kept"};
  Counter drops;
  const auto drop = [](void* counter) { static_cast<Counter*>(counter)->Add(); };
  Stagger stagger(5);
  for (int round = 1; round <= kRounds; ++round) {
    Scope parent = WithCancel(ctx_background());
    std::vector<Scope> children;
    const int64_t deadline = ctx_now(parent) + 2 * kMillisecond;
    for (int i = 0; i < kFamilies; ++i) {
      const Ctx value = WithValue(parent, &kKept, &drops, drop);
      const Scope timed = WithDeadline(value, deadline);
      children.push_back(WithCancel(timed));
    }
    // Some are done, others come in the same moment.
    ASSERT_TRUE(Done(children[static_cast<size_t>(round % kFamilies)]));
    stagger.Pass(2'000);
    parent.Cancel();
    for (const Scope& child : children) ASSERT_NE(ctx_err(child), 0);
    children.clear();
    ASSERT_TRUE(drops.WaitFor(round * kFamilies)) << drops.Get() << " in round " << round;
  }
  EXPECT_EQ(drops.Get(), kRounds * kFamilies);
}

}  // namespace
}  // namespace ctxtest
