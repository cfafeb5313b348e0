// SPDX-License-Identifier: MIT
//
// Contexts with as many children, merges or callbacks as fit into an array or are handled at a time, one less and one
// more. AddressSanitizer sees what is read or written past the end.
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

const std::vector<size_t> kNumbers = {0,  1,  2,   3,   4,   5,   8,   9,   15,  16,  17, 63,
                                      64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513};

TEST(TreeBorders, Rule05_ACancelOfAnyNumberOfChildren) {
  for (const size_t many : kNumbers) {
    const Scope parent = WithCancel(ctx_background());
    std::vector<Scope> children;
    for (size_t i = 0; i < many; ++i) {
      children.push_back(i % 3 == 0 ? WithTimeout(parent, kHour) : WithCancel(parent));
    }
    EXPECT_EQ(parent.Cancel(), 1);
    for (const Scope& child : children) ASSERT_EQ(ctx_err(child), CTX_CANCELED) << many;
  }
}

// The array of children grows and shrinks, and each child knows its place.
TEST(TreeBorders, Rule11_ChildrenGoInAnyOrder) {
  std::mt19937 random(11);
  for (const size_t most : {3u, 5u, 65u, 130u, 600u, 2'000u}) {
    const Scope parent = WithCancel(ctx_background());
    std::vector<Scope> children;
    for (const size_t fewest : {most / 2, most / 4, most / 8, size_t{1}, size_t{0}}) {
      while (children.size() < most) children.push_back(WithCancel(parent));
      while (children.size() > fewest) {
        std::swap(children[random() % children.size()], children.back());
        children.pop_back();
      }
      for (const Scope& child : children) ASSERT_EQ(ctx_err(child), 0);
    }
    while (children.size() < most / 3) children.push_back(WithCancel(parent));
    EXPECT_EQ(parent.Cancel(), 1);
    for (const Scope& child : children) ASSERT_EQ(ctx_err(child), CTX_CANCELED) << most;
  }
}

// A context counts the merges below it, up to a number; beyond that it only knows that there are some.
TEST(TreeBorders, Rule22_AnyNumberOfMergesComeAndGo) {
  for (const size_t many : {1u, 2u, 125u, 126u, 127u, 128u, 129u, 300u}) {
    const Scope top = WithCancel(ctx_background()), other = WithCancel(ctx_background());
    const Scope parent = WithCancel(top);
    std::vector<Scope> merged;
    for (size_t i = 0; i < many; ++i) merged.push_back(Merge({parent, other}));
    for (size_t i = 0; i + 1 < many; ++i) merged[i].reset();  // but for the last
    EXPECT_EQ(ctx_err(merged.back()), 0);
    for (size_t i = 0; i < many / 2; ++i) merged[i] = Merge({other, parent});
    const Scope below = WithCancel(merged.back());
    EXPECT_EQ(top.Cancel(), 1);
    for (size_t i = 0; i < many / 2; ++i) ASSERT_EQ(ctx_err(merged[i]), CTX_CANCELED) << many;
    EXPECT_EQ(ctx_err(below), CTX_CANCELED) << many;
    EXPECT_EQ(ctx_err(other), 0);
  }
}

// The count goes up the tree all the way, and down again for a few levels only.
TEST(TreeBorders, Rule22_AMergeAtAnyDepth) {
  for (const int depth : {1, 15, 16, 17, 18, 40}) {
    for (const int canceled : {0, depth / 2, depth - 1}) {
      std::vector<Scope> chain;
      for (int i = 0; i < depth; ++i) {
        chain.push_back(WithCancel(chain.empty() ? ctx_background() : chain.back().ctx.get()));
      }
      const Scope other = WithCancel(ctx_background());
      for (int i = 0; i < 3; ++i) Merge({chain.back(), other});  // come and go
      const Scope merged = Merge({chain.back(), other});
      EXPECT_EQ(chain[static_cast<size_t>(canceled)].Cancel(), 1);
      EXPECT_EQ(ctx_err(merged), CTX_CANCELED) << depth;
    }
  }
}

// More threads than there are lists of those that run callbacks.
TEST(TreeBorders, Rule05_CallbacksThatCancelOnManyThreadsAtOnce) {
  constexpr int kThreads = 100;
  StartLine line(kThreads);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      const Scope outer = WithCancel(ctx_background()), inner = WithCancel(ctx_background());
      std::string order;
      Callback first([&](ctx_t*) {
        line.Meet();
        wrong += inner.Cancel() != 1;
        order += "1";
      });
      Callback second([&](ctx_t*) { order += "3"; }), of_inner([&](ctx_t*) { order += "2"; });
      first.Arm(outer);
      second.Arm(outer);
      of_inner.Arm(inner);
      wrong += outer.Cancel() != 1 || order != "123";
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace ctxtest
