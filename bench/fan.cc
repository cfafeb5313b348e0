// SPDX-License-Identifier: MIT
//
// P5: cancel a parent of many children. Only the cancel is timed; per_child is its time for each.
#include <benchmark/benchmark.h>

#include <future>
#include <string>
#include <thread>

#include "trees.h"

namespace ctxbench {
namespace {

template <class Child>
void CancelFan(benchmark::State& state, bool shuffled) {
  const auto n = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    typename Child::Parent parent;
    Family<Child> family(parent, n, shuffled);
    const double begin = ThreadSeconds();
    const bool won = parent.Cancel();
    const double end = ThreadSeconds();
    if (!won || !family[0]->Done() || !family[n - 1]->Done()) std::abort();
    state.SetIterationTime(end - begin);
  }
  state.counters["per_child"] =
      benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsIterationInvariantRate |
                                                     benchmark::Counter::kInvert);
}

// libstdc++ saves itself an atomic and a futex call for each callback while the process has never
// had a second thread, which no server can promise.
template <class Child>
void CancelFanTwoThreads(benchmark::State& state) {
  std::promise<void> finished;
  std::thread second([wait = finished.get_future()] { wait.wait(); });
  CancelFan<Child>(state, false);
  finished.set_value();
  second.join();
}

template <class Child>
void Register() {
  const std::string name = Child::kName;
  const auto fans = [](const std::string& as, auto run, int64_t n) {
    benchmark::RegisterBenchmark(as.c_str(), run)
        ->Arg(n)
        ->Iterations(n < 100'000 ? 20 : 1)
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
  };
  for (const int64_t n : {10'000, 1'000'000}) {
    fans(
        "P5/ordered/" + name, [](auto& state) { CancelFan<Child>(state, false); }, n);
    fans(
        "P5/shuffled/" + name, [](auto& state) { CancelFan<Child>(state, true); }, n);
  }
  fans("P5/two_threads/" + name, CancelFanTwoThreads<Child>, 10'000);
}

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  Trees::Each([]<class Child>() { Register<Child>(); });
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
