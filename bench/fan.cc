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
    // The first or the last child would have won its own cancel if this had not reached it.
    if (!won || family[0]->Cancel() || family[n - 1]->Cancel()) std::abort();
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
void RegisterFans(const std::string& tree) {
  for (const bool shuffled : {false, true}) {
    for (const int64_t n : {10'000, 1'000'000}) {
      const std::string name = std::string("P5/") + (shuffled ? "shuffled/" : "ordered/") + tree;
      benchmark::RegisterBenchmark(name.c_str(), CancelFan<Child>, shuffled)
          ->Arg(n)
          ->Iterations(n < 100'000 ? 20 : 1)
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

template <class Child>
void RegisterTwoThreads(const std::string& tree) {
  benchmark::RegisterBenchmark(("P5/two_threads/" + tree).c_str(), CancelFanTwoThreads<Child>)
      ->Arg(10'000)
      ->Iterations(20)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  RegisterFans<Std>("std");
  RegisterFans<OursCancel>("ours");
  RegisterTwoThreads<Std>("std");  // last: from here on the process is one with threads
  RegisterTwoThreads<OursCancel>("ours");
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
