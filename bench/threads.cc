// SPDX-License-Identifier: MIT
//
// P11: one thread, then two, that derive, cancel and release as fast as they can: below one parent
// that they share, and below parents of their own. items_per_second is the throughput of all threads
// together, and the target is its ratio. Meaningless on a machine with one processor.
#include <benchmark/benchmark.h>

#include "trees.h"

namespace ctxbench {
namespace {

template <class Child>
void Churn(benchmark::State& state, typename Child::Parent& parent) {
  for (auto _ : state) {
    Child child(parent);
    benchmark::DoNotOptimize(child.Cancel());
  }
  state.SetItemsProcessed(state.iterations());
}

template <class Child>
void Shared(benchmark::State& state) {
  static typename Child::Parent parent;
  Churn<Child>(state, parent);
}

template <class Child>
void Own(benchmark::State& state) {
  typename Child::Parent parent;
  Churn<Child>(state, parent);
}

BENCHMARK(Shared<Std>)->Name("P11/shared/std")->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(Shared<OursCancel>)->Name("P11/shared/cancel")->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(Shared<OursTimeout>)->Name("P11/shared/timeout")->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(Own<Std>)->Name("P11/own/std")->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(Own<OursCancel>)->Name("P11/own/cancel")->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(Own<OursTimeout>)->Name("P11/own/timeout")->ThreadRange(1, 2)->UseRealTime();

}  // namespace
}  // namespace ctxbench

BENCHMARK_MAIN();
