// SPDX-License-Identifier: MIT
//
// Variables with the cleanup attribute of gcc and clang give back what they hold.
#include "support/callback.h"
#include "support/handles.h"

namespace ctxtest {
namespace {

#define CLEANUP(function) __attribute__((cleanup(function)))

TEST(Cleanup, EveryKindOfHandleIsGivenBack) {
  Drop drop;
  static const ctx_key_t key = {"key"};
  {
    CLEANUP(ctx_unrefp) ctx_t* value = nullptr;
    CLEANUP(ctx_unrefp) ctx_t* ctx = nullptr;
    CLEANUP(ctx_canceler_unrefp) ctx_canceler_t* canceler = nullptr;
    CLEANUP(ctx_watch_unrefp) ctx_watch_t* watch = nullptr;
    CLEANUP(ctx_loop_unrefp) ctx_loop_t* loop = nullptr;
    CLEANUP(ctx_queue_unrefp) ctx_queue_t* queue = nullptr;
    CLEANUP(ctx_cause_unrefp) const ctx_cause_t* none = nullptr;
    ASSERT_EQ(ctx_with_value(ctx_background(), &key, &drop, Drop::Run, &value), 0);
    ASSERT_EQ(ctx_with_cancel(value, &ctx, &canceler), 0);
    ASSERT_EQ(ctx_queue_new(&queue), 0);
    ASSERT_EQ(ctx_queue_add(queue, ctx, 1, &watch), 0);
    ASSERT_EQ(ctx_loop_new(CTX_LOOP_MANUAL, nullptr, &loop), 0);
    EXPECT_EQ(none, nullptr);
  }
  EXPECT_EQ(drop.count(), 1);
  {
    ctx_cause_t* made = nullptr;
    ASSERT_EQ(ctx_cause_new_data(1, "why", &key, &drop, Drop::Run, &made), 0);
    CLEANUP(ctx_cause_unrefp) const ctx_cause_t* cause = made;
    EXPECT_EQ(ctx_cause_code(cause), 1);
  }
  EXPECT_EQ(drop.count(), 2);
}

TEST(Cleanup, LeavesNullAndTakesNull) {
  const Ctx kept = WithCancel(ctx_background()).ctx;
  ctx_t* ctx = ctx_ref(kept);
  for (int i = 0; i < 2; ++i) {
    ctx_unrefp(&ctx);
    EXPECT_EQ(ctx, nullptr);
  }
  ctx_unrefp(nullptr);
  ctx_canceler_unrefp(nullptr);
  ctx_cause_unrefp(nullptr);
  ctx_watch_unrefp(nullptr);
  ctx_loop_unrefp(nullptr);
  ctx_queue_unrefp(nullptr);
}

}  // namespace
}  // namespace ctxtest
