// SPDX-License-Identifier: MIT
//
// P1 and P2: derive a context from a live parent, cancel it, release it; P2 with a timeout of an hour. One at a time;
// and with 10,000 alive, of which a random one is canceled, released and replaced at each step.
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

template <class Child>
void Register(const std::string& row) {
  benchmark::RegisterBenchmark((row + "/one/" + Child::kName).c_str(), OneAtATime<Child>);
  benchmark::RegisterBenchmark((row + "/random/" + Child::kName).c_str(), RandomRelease<Child>)
      ->Arg(10'000);
}

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  Trees::Each([]<class Child>() { Register<Child>("P1"); });
  TimedTrees::Each([]<class Child>() { Register<Child>("P2"); });
  benchmark::RegisterBenchmark("P2/clock_read", ClockRead);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
