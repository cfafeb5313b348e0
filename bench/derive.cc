// SPDX-License-Identifier: MIT
//
// P1 and P2: derive a context from a live parent, cancel it, release it. One at a time; and with
// 10,000 alive, of which a random one is canceled, released and replaced at each step.
#include <benchmark/benchmark.h>
#include <time.h>

#include "trees.h"

namespace ctxbench {
namespace {

template <class Child>
void OneAtATime(benchmark::State& state) {
  typename Child::Parent parent;
  for (auto _ : state) {
    Child child(parent);
    benchmark::DoNotOptimize(child.Cancel());
  }
}

template <class Child>
void RandomRelease(benchmark::State& state) {
  const auto alive = static_cast<size_t>(state.range(0));
  typename Child::Parent parent;
  Family<Child> family(parent, alive);

  std::vector<uint32_t> picks(1 << 16);
  std::mt19937 random(1);
  for (auto& pick : picks) pick = static_cast<uint32_t>(random() % alive);

  size_t step = 0;
  for (auto _ : state) {
    auto& child = family[picks[step++ % picks.size()]];
    benchmark::DoNotOptimize(child->Cancel());
    child.emplace(parent);
  }
}

// The cost of every relative timeout.
void ClockRead(benchmark::State& state) {
  for (auto _ : state) {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    benchmark::DoNotOptimize(now);
  }
}

// The peers come first: a process that has never had a second thread is std's best case.
BENCHMARK(OneAtATime<Std>)->Name("P1/one/std");
BENCHMARK(RandomRelease<Std>)->Name("P1/random/std")->Arg(10'000);
BENCHMARK(ClockRead)->Name("P2/clock_read");
BENCHMARK(OneAtATime<OursCancel>)->Name("P1/one/ours");
BENCHMARK(RandomRelease<OursCancel>)->Name("P1/random/ours")->Arg(10'000);
BENCHMARK(OneAtATime<OursTimeout>)->Name("P2/one/ours");
BENCHMARK(RandomRelease<OursTimeout>)->Name("P2/random/ours")->Arg(10'000);

}  // namespace
}  // namespace ctxbench

BENCHMARK_MAIN();
