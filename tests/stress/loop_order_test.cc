// SPDX-License-Identifier: MIT
//
// Rules 17 and 38 where several threads move one manual loop on, each for its own deadline: whoever comes
// back finds every earlier one done, too.
#include <atomic>
#include <thread>
#include <vector>

#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"

namespace ctxtest {
namespace {

constexpr size_t kWaiters = 8;
constexpr int64_t kApart = 150 * kMicrosecond;  // more than a tick

TEST(LoopOrder, Rule17_WaitersOfOneManualLoopSeeEveryEarlierDeadlineDone) {
  std::atomic<int> live{0}, failed{0};
  int64_t lead = 200 * kMicrosecond;
  for (int round = 0; round < (kSanitized ? 100 : 400);) {
    const ManualLoop manual;
    const int64_t start = manual.Now() + lead;
    std::vector<Scope> timed;
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kWaiters; ++i) {
      timed.push_back(WithDeadline(manual.root, start + static_cast<int64_t>(i) * kApart));
    }
    if (manual.Now() >= start) {  // one may have been born done, while those before it wait
      lead *= 2;
      continue;
    }
    ++round;
    for (size_t i = 0; i < kWaiters; ++i) {
      threads.emplace_back([&, i] {
        failed += ctx_wait(timed[i], CTX_FOREVER) != 1;
        for (size_t earlier = 0; earlier < i; ++earlier) live += ctx_err(timed[earlier]) == 0;
      });
    }
    while (ctx_err(timed.back()) == 0) failed += manual.Dispatch() < 0;
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(live, 0);
}

}  // namespace
}  // namespace ctxtest
