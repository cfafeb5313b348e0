// SPDX-License-Identifier: MIT
//
// How often a random test runs, and what it starts from:
//
//   CTX_STRESS_SEED     what to start from; every run prints its own
//   CTX_STRESS_SECONDS  how long; without it a number of episodes
#ifndef CTX_TESTS_STRESS_EPISODES_H_
#define CTX_TESTS_STRESS_EPISODES_H_

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "stress/model.h"

namespace ctxtest {

// Runs episodes, each from a seed of its own, until one has complaints.
inline void RunEpisodes(int episodes, void (*run)(uint64_t seed)) {
  const char* const given = std::getenv("CTX_STRESS_SEED");
  const char* const seconds = std::getenv("CTX_STRESS_SECONDS");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  std::printf("CTX_STRESS_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);

  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::seconds(seconds != nullptr ? std::atol(seconds) : 0);
  int episode = 0;
  for (; seconds != nullptr ? Clock::now() < end : episode < episodes; ++episode) {
    run(seed + static_cast<uint64_t>(episode));
    if (complaints.count() > 0) break;
  }
  EXPECT_EQ(complaints.count(), 0) << "in episode " << episode << ", first: " << complaints.first();
}

}  // namespace ctxtest

#endif  // CTX_TESTS_STRESS_EPISODES_H_
