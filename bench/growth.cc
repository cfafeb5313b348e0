// SPDX-License-Identifier: MIT
//
// How cost grows: P1, P2 and P4 with so many other contexts alive below the same parent, and with so many timers
// pending. The number counts those that are there.
#include <string>
#include <utility>

#include "trees.h"

namespace ctxbench {
namespace {

// Half an hour and more away.
struct Timers {
  explicit Timers(size_t n) : timers(n) {
    int64_t timeout_ns = kHour;
    for (auto& timer : timers) timer.emplace(ctx_background(), timeout_ns += kMillisecond);
  }
  std::vector<std::optional<Ours>> timers;
};

template <class Child>
void Derive(benchmark::State& state, size_t siblings, size_t timers) {
  typename Child::Parent parent;
  const Timers pending(timers);
  Family<Child> others(parent, siblings);
  for (auto _ : state) {
    Child child(parent);
    benchmark::DoNotOptimize(child.Cancel());
  }
}

void Callback(benchmark::State& state, size_t siblings, size_t timers) {
  OursCancel::Parent parent;
  const Timers pending(timers);
  Family<OursCancel> others(parent, siblings);
  for (auto _ : state) parent.RegisterAndStop();
}

constexpr int64_t kSteps = 500'000;  // fixed: the others are made anew for each trial run

void Register(const std::string& name, void (*run)(benchmark::State&, size_t, size_t)) {
  for (const int n : {1, 1'000, 1'000'000}) {
    benchmark::RegisterBenchmark((name + "/siblings/" + std::to_string(n)).c_str(), run, n, 0)
        ->Iterations(kSteps);
  }
}

// Only ours has timers: the others wait in another way.
void RegisterTimers(const std::string& name, void (*run)(benchmark::State&, size_t, size_t)) {
  for (const int n : {0, 100'000}) {
    benchmark::RegisterBenchmark((name + "/timers/" + std::to_string(n)).c_str(), run, 1, n)
        ->Iterations(kSteps);
  }
}

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  Trees::Each(
      []<class Child>() { Register(std::string("P1/growth/") + Child::kName, Derive<Child>); });
  Register("P2/growth/ours", Derive<OursTimeout>);
  Register("P4/growth/ours", Callback);
  RegisterTimers("P1/growth/ours", Derive<OursCancel>);
  RegisterTimers("P2/growth/ours", Derive<OursTimeout>);
  RegisterTimers("P4/growth/ours", Callback);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
