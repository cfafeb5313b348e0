// SPDX-License-Identifier: MIT
//
// How cost grows: P1, P2 and P4 alone, with 1,000,000 other contexts below the same parent, and with
// 100,000 timers pending.
#include <benchmark/benchmark.h>

#include <string>
#include <utility>

#include "trees.h"

namespace ctxbench {
namespace {

enum class Crowd { kNone, kSiblings, kTimers };

// What else is alive while the benchmark runs.
struct Others {
  Others(OursCancel::Parent& parent, Crowd crowd)
      : siblings(parent, crowd == Crowd::kSiblings ? 1'000'000 : 0),
        timers(crowd == Crowd::kTimers ? 100'000 : 0) {
    int64_t timeout_ns = kHour;
    for (auto& timer : timers) timer.emplace(ctx_background(), timeout_ns += kMillisecond);
  }
  Family<OursCancel> siblings;
  std::vector<std::optional<Ours>> timers;
};

template <class Child>
void Derive(benchmark::State& state, Crowd crowd) {
  OursCancel::Parent parent;
  Others others(parent, crowd);
  for (auto _ : state) {
    Child child(parent);
    benchmark::DoNotOptimize(child.Cancel());
  }
}

void Callback(benchmark::State& state, Crowd crowd) {
  OursCancel::Parent parent;
  Others others(parent, crowd);
  for (auto _ : state) {
    ctx_watch_t* watch;
    Check(ctx_after_func(
        parent.ctx, [](ctx_t*, void*) {}, nullptr, nullptr, 0, &watch));
    Check(ctx_watch_stop(watch));
    ctx_watch_unref(watch);
  }
}

constexpr int64_t kSteps = 500'000;  // fixed: the crowd is made anew for each trial run

void Register(const std::string& name, void (*function)(benchmark::State&, Crowd)) {
  const std::pair<const char*, Crowd> crowds[] = {
      {"/alone", Crowd::kNone}, {"/siblings", Crowd::kSiblings}, {"/timers", Crowd::kTimers}};
  for (const auto& [suffix, crowd] : crowds) {
    benchmark::RegisterBenchmark((name + suffix).c_str(), function, crowd)->Iterations(kSteps);
  }
}

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  Register("P1/growth", Derive<OursCancel>);
  Register("P2/growth", Derive<OursTimeout>);
  Register("P4/growth", Callback);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
