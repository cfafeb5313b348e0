// SPDX-License-Identifier: MIT
//
// Cancels of families so large that another thread comes in their midst: it makes and gives back merges there, or
// closes the loop and so meets each merge that the cancel is waking.

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// Families of two below one parent; a cancel comes to the last of them first.
struct Families {
  static constexpr size_t kMany = kSanitized ? 20'000 : 60'000;

  Families() {
    for (size_t i = 0; i < kMany; ++i) {
      children.push_back(WithCancel(top).ctx);
      below.push_back(WithCancel(children.back()).ctx);
    }
  }

  Scope top = WithCancel(ctx_background());
  std::vector<Ctx> children, below;
};

// The merges are made before the cancel comes that far. As soon as it is past them they go, and their memory is used
// again, while it goes on.
TEST(MergeMeet, Rule08_MergesComeAndGoInTheMidstOfACancel) {
  std::unique_ptr<Families> families;
  const Scope other = WithCancel(ctx_background());
  int live = 0;
  Race(
      Rounds(8), [&] { families = std::make_unique<Families>(); },
      {[&] { families->top.Cancel(); },
       [&] {
         constexpr size_t kMiddle = Families::kMany / 2;
         while (ctx_err(families->top) == 0) {
         }
         std::array<Scope, 64> merged;
         for (size_t i = 0; i < merged.size(); ++i) {
           merged[i] = Merge({families->children[kMiddle + i], other});
         }
         while (ctx_err(families->below[kMiddle - 1]) == 0) {
         }
         for (Scope& scope : merged) {
           live += ctx_err(scope) == 0;
           scope.reset();
         }
         const std::string text(200, 'x');
         std::vector<Ctx> strings;
         for (int i = 0; i < 500; ++i) {
           strings.push_back(WithString(ctx_background(), "text", text.c_str() + i % 120));
         }
       }},
      [&] { families.reset(); });
  EXPECT_EQ(live, 0);
  EXPECT_EQ(ctx_err(other), 0);
}

// Very many merges of two parents. The root of their loop lists them in another order than that in which they were
// made.
struct Merged {
  static constexpr size_t kMany = kSanitized ? 4'000 : 12'000;
  static constexpr size_t kDescriptors = 600;  // telling these takes long

  Merged() {
    std::vector<Scope> older;
    for (size_t i = 0; i < kMany; ++i) older.push_back(WithCancel(root));
    for (size_t i = 0; i < kMany; ++i) {
      merged.push_back(Merge({one, two}));
      if (i < kDescriptors) fds.push_back(ctx_done_fd(merged.back()));
      const auto count = [](ctx_t*, void* ran) { ++*static_cast<std::atomic<int>*>(ran); };
      EXPECT_EQ(ctx_after_func(merged.back(), count, &calls[i], nullptr, 0, nullptr), 0);
    }
    std::shuffle(older.begin(), older.end(), std::mt19937(7));
    for (Scope& scope : older) scope.reset();  // the place of each goes to the last in the list
  }

  Loop loop = NewLoop(CTX_LOOP_MANUAL);
  Ctx root = LoopBackground(loop);
  Scope one = WithCancel(root), two = WithCancel(root);
  std::vector<Scope> merged;
  std::vector<int> fds;
  std::vector<std::atomic<int>> calls = std::vector<std::atomic<int>>(kMany);
};

TEST(MergeMeet, Rule05_ClosingTheLoopWhileACancelWakesItsMerges) {
  std::unique_ptr<Merged> all;
  int wrong = 0, unfinished = 0;
  Race(
      Rounds(12), [&] { all = std::make_unique<Merged>(); },
      {[&] { all->one.Cancel(); },
       [&] {
         while (!Readable(all->fds[0])) {
         }
         EXPECT_EQ(ctx_loop_close(all->loop), 0);
         for (const int fd : all->fds) unfinished += !Readable(fd);
       }},
      [&] {
        for (const std::atomic<int>& calls : all->calls) wrong += calls != 1;
        all.reset();
      });
  EXPECT_EQ(wrong, 0) << "callbacks that ran never or twice";
  EXPECT_EQ(unfinished, 0);
}

}  // namespace
}  // namespace ctxtest
