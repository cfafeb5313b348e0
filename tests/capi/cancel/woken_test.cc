// SPDX-License-Identifier: MIT
//
// Rule 6 where marking takes long: whoever polls the descriptor of a parent of very many children, and
// looks at once, sees them all done. A wait cannot show this, since it looks again before it returns.
#include <ctx/ctx.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <vector>

#include "support/handles.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(Woken, Rule06_APollerOfTheParentSeesEveryChildDone) {
  constexpr int kRounds = 60;
  constexpr size_t kChildren = 20'000;
  Scope top;
  std::vector<Ctx> children(kChildren);
  pollfd descriptor = {-1, POLLIN, 0};
  int polled = 0, live = 0;
  const auto renew = [&] {
    top = WithCancel(ctx_background());
    for (Ctx& child : children) child = WithTimeout(top, CTX_FOREVER).ctx;
    descriptor.fd = ctx_done_fd(top);
    ASSERT_GE(descriptor.fd, 0);
  };
  const auto poll_and_look = [&] {
    int ready = 0;
    while ((ready = poll(&descriptor, 1, 0)) == 0) {
    }
    polled += ready;
    for (const Ctx& child : children) live += ctx_err(child) == 0;
  };
  const int rounds = Race(kRounds, renew, {[&] { top.Cancel(); }, poll_and_look}, [] {});
  EXPECT_EQ(polled, rounds);
  EXPECT_EQ(live, 0);
}

// The cancel has begun before the descriptor is made, so it is not the cancel that makes it readable.
TEST(Woken, Rule06_ADescriptorThatIsMadeMeanwhileIsReadableWhenEveryChildIsDone) {
  constexpr int kRounds = 60;
  constexpr size_t kChildren = 20'000;
  Scope top;
  std::vector<Ctx> children(kChildren);
  int readable = 0, live = 0;
  const auto renew = [&] {
    top = WithCancel(ctx_background());
    for (Ctx& child : children) child = WithTimeout(top, CTX_FOREVER).ctx;
  };
  const auto make_and_look = [&] {
    while (ctx_err(top) == 0) {
    }
    pollfd descriptor = {ctx_done_fd(top), POLLIN, 0};
    while (poll(&descriptor, 1, 0) == 0) {
    }
    ++readable;
    for (const Ctx& child : children) live += ctx_err(child) == 0;
  };
  const int rounds = Race(kRounds, renew, {[&] { top.Cancel(); }, make_and_look}, [] {});
  EXPECT_EQ(readable, rounds);
  EXPECT_EQ(live, 0);
}

}  // namespace
}  // namespace ctxtest
