// SPDX-License-Identifier: MIT
//
// P11: one thread and more that derive, cancel and release as fast as they can: below one parent that they share,
// and below parents of their own. items_per_second is the throughput of all threads together, and the target is
// its ratio. Meaningless on a machine with one processor.
#include <string>

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

template <class Child>
void Register(const std::string& who) {
  benchmark::RegisterBenchmark(("P11/shared/" + who).c_str(), Shared<Child>)
      ->ThreadRange(1, 8)
      ->UseRealTime();
  benchmark::RegisterBenchmark(("P11/own/" + who).c_str(), Own<Child>)
      ->ThreadRange(1, 8)
      ->UseRealTime();
}

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  Trees::Each([]<class Child>() { Register<Child>(Child::kName); });
  Register<OursTimeout>("timeout");
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
