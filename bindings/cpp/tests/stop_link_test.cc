// SPDX-License-Identifier: MIT
//
// The link from a std::stop_token to a context: what it costs, what it holds and for how long.
#include <cerrno>
#include <memory>
#include <stop_token>
#include <utility>

#include "calls.h"
#include "cases.h"
#include "counted.h"

namespace ctxtest {
namespace {

// The link from a std::stop_token is not made for a token that never stops.
TEST(StopLink, ATokenThatNeverStopsCostsNothing) {
  const long before = NewCalls();
  { const auto [ctx, cancel] = ctx::with_stop_token(ctx::background(), std::stop_token()); }
  EXPECT_EQ(NewCalls(), before);
}

TEST(StopLink, AStopEndsTheContextBeforeItReturns) {
  std::stop_source source;
  const ctx::derived made = ctx::with_stop_token(ctx::background(), source.get_token());
  bool called = false;
  ctx::after_func(made.first, [&] { called = true; });
  source.request_stop();
  EXPECT_TRUE(called);
  EXPECT_EQ(made.first.cause().code(), CTX_CANCELED);
  EXPECT_FALSE(made.second.cancel());
}

TEST(StopLink, ACanceledContextLeavesTheTokenAlone) {
  std::stop_source source;
  const ctx::derived made = ctx::with_stop_token(ctx::background(), source.get_token());
  EXPECT_TRUE(made.second.cancel());
  EXPECT_FALSE(source.stop_requested());
}

// The canceler and the cause of a link live until its cancel is over, also if a callback lets the link go.
TEST(StopLink, WhatItCancelsWithLivesUntilItIsOver) {
  const long before = Handles();
  long inside = 0;
  std::stop_source source;
  auto held =
      std::make_unique<ctx::derived>(ctx::with_stop_token(ctx::background(), source.get_token()));
  ctx::after_func(held->first, [&] {
    held.reset();
    inside = Handles() - before;
  });
  source.request_stop();
  EXPECT_GE(inside, 2) << "a canceler and a cause";
  EXPECT_EQ(Handles(), before);
}

// If C refuses it, the link goes, and the token has no callback left.
TEST(StopLink, WhatIsRefusedLeavesNothing) {
  const long live = LiveNews();
  std::stop_source source;
  const long with_source = LiveNews();
  {
    const Answer<ctx_with_value> refuses(
        [](ctx_t*, const ctx_key_t*, void*, ctx_drop_fn, ctx_t**) { return -ENOMEM; });
    ExpectThrows(std::errc::not_enough_memory, [&] {
      static_cast<void>(ctx::with_stop_token(ctx::background(), source.get_token()));
    });
  }
  EXPECT_EQ(LiveNews(), with_source);
  EXPECT_LT(live, with_source);
  source.request_stop();
}

}  // namespace
}  // namespace ctxtest
