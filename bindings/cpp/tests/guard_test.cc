// SPDX-License-Identifier: MIT
//
// The guard: cancels at the end of its scope, however that is left, unless it was dismissed.
#include <stdexcept>
#include <utility>

#include "cases.h"

namespace ctxtest {
namespace {

TEST(Guard, CancelsAtTheEndOfTheScope) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  {
    const ctx::cancel_guard guard(cancel);
    EXPECT_FALSE(ctx.is_done());
  }
  EXPECT_EQ(ctx.err(), std::errc::operation_canceled);
}

TEST(Guard, CancelsWhenAnExceptionLeavesTheScope) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  try {
    const ctx::cancel_guard guard(cancel);
    throw std::runtime_error("out");
  } catch (const std::runtime_error&) {
    EXPECT_TRUE(ctx.is_done());
  }
}

TEST(Guard, LeavesAnEarlierEndAlone) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 0s);
  { const ctx::cancel_guard guard(cancel); }
  EXPECT_EQ(ctx.err(), std::errc::timed_out);
}

TEST(Guard, IsDismissed) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  ctx::canceler kept;
  {
    ctx::cancel_guard guard(cancel);
    kept = guard.dismiss();
  }
  EXPECT_FALSE(ctx.is_done());
  EXPECT_TRUE(kept.cancel());
}

TEST(Guard, MovesWithItsRight) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  {
    ctx::cancel_guard inner(cancel);
    ctx::cancel_guard outer(std::move(inner));
    { const ctx::cancel_guard empty(std::move(inner)); }
    EXPECT_FALSE(ctx.is_done());
  }
  EXPECT_TRUE(ctx.is_done());
}

}  // namespace
}  // namespace ctxtest
