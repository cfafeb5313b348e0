// SPDX-License-Identifier: MIT
//
// A context from which threads derive at the same time keeps its children by processor. None is forgotten, on whatever
// processor it was made.
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/processors.h"

namespace ctxtest {
namespace {

// Sixteen, as many as a context has places for, and some that share those; a system that does not say which.
const std::vector<int> kAll = {0,  1,  2,  3,  4,  5,  6,  7,  8,    9,
                               10, 11, 12, 13, 14, 15, 16, 31, 1023, -1};

Scope WithCancelOn(int processor, ctx_t* parent) {
  const OnProcessor here(processor);
  return WithCancel(parent);
}

TEST(Shards, Rule05_ACancelReachesTheChildrenOfEveryProcessor) {
  for (const size_t each : {1u, 2u, 300u}) {
    const Scope parent = WithCancel(ctx_background());
    MeetAt({parent});
    std::vector<Scope> children;
    for (const int processor : kAll) {
      for (size_t i = 0; i < each; ++i) children.push_back(WithCancelOn(processor, parent));
    }
    const Scope below = WithCancel(children.back());
    EXPECT_EQ(parent.Cancel(), 1);
    size_t live = 0;
    for (const Scope& child : children) live += ctx_err(child) == 0;
    EXPECT_EQ(live, 0u) << each;
    EXPECT_EQ(ctx_err(below), CTX_CANCELED);
    for (const int processor : kAll) EXPECT_NE(ctx_err(WithCancelOn(processor, parent)), 0);
  }
}

TEST(Shards, Rule11_TheParentGoesWithTheLastChildOnWhicheverProcessor) {
  for (const int last : kAll) {
    Drop drop;
    std::vector<Scope> children;
    {
      const Scope parent = WithCancel(Watched(ctx_background(), &drop));
      MeetAt({parent});
      children.push_back(WithCancelOn(last, parent));
      for (const int processor : kAll) children.push_back(WithCancelOn(processor, parent));
    }
    while (children.size() > 1) children.pop_back();
    EXPECT_EQ(drop.count(), 0) << last;
    EXPECT_EQ(ctx_err(children[0]), 0);
    children.clear();
    EXPECT_EQ(drop.count(), 1) << last;
  }
}

// Many come and go on one processor: their array grows and shrinks there, and goes with the parent.
TEST(Shards, Rule11_ManyOnOneProcessorComeAndGo) {
  for (const int processor : {0, 7, 15}) {
    Drop drop;
    {
      const Scope parent = WithCancel(Watched(ctx_background(), &drop));
      MeetAt({parent});
      std::vector<Scope> children;
      for (const size_t most : {5u, 2'000u, 70u}) {
        while (children.size() < most) children.push_back(WithCancelOn(processor, parent));
        while (children.size() > 3) {
          children.erase(children.begin() + static_cast<long>(children.size() / 2));
          ASSERT_EQ(ctx_err(children[0]), 0);
        }
      }
      EXPECT_EQ(parent.Cancel(), 1);
      for (const Scope& child : children) EXPECT_EQ(ctx_err(child), CTX_CANCELED);
    }
    EXPECT_EQ(drop.count(), 1);
  }
}

}  // namespace
}  // namespace ctxtest
