// SPDX-License-Identifier: MIT
//
// Threads that do anything to one family with merges and graces, on a loop of each kind, in random order,
// and close the loop while they are at it. random_graph.h says what must hold. episodes.h says how to run them longer.
#include "stress/random_graph.h"

#include <gtest/gtest.h>

#include <deque>
#include <thread>
#include <vector>

#include "stress/episodes.h"
#include "support/process.h"

namespace ctxtest {
namespace {

using random_graph::Call;
using random_graph::Family;
using random_graph::Worker;

constexpr size_t kThreads = 4;
constexpr int kSteps = 1'500;  // of each thread in one episode
constexpr int kEpisodes = kSanitized ? 9 : 45;

void RunEpisode(uint64_t seed) {
  Family family(kLoopKinds[seed % 3]);
  std::vector<std::deque<Call>> calls(kThreads);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      Worker worker(family, seed * kThreads + i);
      for (int step = 0; step < kSteps; ++step) {
        if (i == 0 && step == kSteps * 9 / 10) ctx_loop_close(family.loop);
        worker.Step(&calls[i]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  End(family, calls);
  Require(Soon([&] { return family.dropped.count.load() == 1 || complaints.count() > 0; }) &&
              family.dropped.count.load() == 1,
          "the family was not freed");
}

TEST(RandomGraph, EverythingAtOnce) {
  const size_t descriptors = OpenDescriptors();
  RunEpisodes(kEpisodes, RunEpisode);
  EXPECT_TRUE(Soon([&] { return OpenDescriptors() == descriptors; })) << OpenDescriptors();
}

}  // namespace
}  // namespace ctxtest
