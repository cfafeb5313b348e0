// SPDX-License-Identifier: MIT
//
// Cancels that cross: a parent's and a descendant's, with other causes, at every point of each
// other's way. Whoever won what, the parent's returns only when all below it is marked and woken.
#include <sched.h>

#include <array>
#include <atomic>
#include <deque>
#include <vector>

#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

const int kRounds = Rounds(kSanitized ? 150 : 600);

// A parent with nothing but one child, which has many children. So the parent's cancel is through at
// once, unless it waits for the child's that it meets.
struct Fan {
  explicit Fan(int n) {
    for (int i = 0; i < n; ++i) leaves.push_back(WithCancel(child));
  }
  Scope parent = WithCancel(ctx_background());
  Scope child = WithCancel(parent);
  std::deque<Scope> leaves;
};

TEST(Crossing, Rule05_WaitsForTheMarkingOfTheCancelThatItMeets) {
  std::deque<Fan> fan;
  int live_for_canceler = 0, live_for_waiter = 0;
  const auto count_live = [&] {
    int live = 0;
    for (const Scope& leaf : fan[0].leaves) live += ctx_err(leaf) == 0;
    return live;
  };
  Stagger stagger(1);
  Race(
      kRounds,
      [&] {
        fan.clear();
        fan.emplace_back(3'000);
      },
      {[&] {
         stagger.Pass(40'000);
         fan[0].parent.Cancel();
         live_for_canceler += count_live();
       },
       [&] { fan[0].child.Cancel(); },
       [&] {  // rule 6: nor is anybody else told before
         for (Patience wait; ctx_err(fan[0].parent) == 0;) wait.Pause();
         if (ctx_wait(fan[0].parent, 0) == 1) live_for_waiter += count_live();
       }},
      [] {});
  EXPECT_EQ(live_for_canceler, 0);
  EXPECT_EQ(live_for_waiter, 0);
}

TEST(Crossing, Rule05_WaitsForTheWakingOfTheCancelThatItMeets) {
  std::deque<Fan> fan;
  std::vector<int> fds;
  int unreadable = 0;
  Stagger stagger(2);
  Race(
      kRounds,
      [&] {
        fds.clear();
        fan.clear();
        fan.emplace_back(60);
        for (const Scope& leaf : fan[0].leaves) fds.push_back(ctx_done_fd(leaf));
      },
      {[&] {
         stagger.Pass(200'000);
         fan[0].parent.Cancel();
         for (const int fd : fds) unreadable += !Readable(fd);
       },
       [&] { fan[0].child.Cancel(); }},
      [] {});
  EXPECT_EQ(unreadable, 0);
}

// Three links of a chain, each with children, canceled at once.
TEST(Crossing, Rule09_WhatEndedALinkEndedAllThatHangsOnIt) {
  constexpr size_t kLinks = 3, kLeaves = 40;
  const std::array<Cause, kLinks> causes = {NewCause(1, "upper"), NewCause(2, "middle"),
                                            NewCause(3, "lower")};
  std::deque<Scope> links, leaves;
  std::atomic<int> wrong{0};
  std::deque<Stagger> staggers;
  const auto cancel = [&](size_t i) {
    staggers[i].Pass(1'500);
    const int result = ctx_cancel_with(links[i].canceler, CTX_CANCELED, causes[i]);
    wrong += (result == 1) != (ctx_cause(links[i]) == causes[i].get());
    wrong += result != 0 && result != 1;
  };
  for (unsigned i = 0; i < kLinks; ++i) staggers.emplace_back(i + 3);
  Race(
      kRounds,
      [&] {
        leaves.clear();
        links.clear();
        for (size_t i = 0; i < kLinks; ++i) {
          links.push_back(WithCancel(i == 0 ? ctx_background() : links.back().ctx.get()));
          for (size_t j = 0; j < kLeaves; ++j) leaves.push_back(WithCancel(links.back()));
        }
      },
      {[&] { cancel(0); }, [&] { cancel(1); }, [&] { cancel(2); }},
      [&] {
        for (size_t i = 0; i < leaves.size(); ++i) {
          wrong += ctx_cause(leaves[i]) != ctx_cause(links[i / kLeaves]);
        }
      });
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace ctxtest
