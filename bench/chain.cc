// SPDX-License-Identifier: MIT
//
// P6: a chain of a million contexts, each the child of the one before, on a thread with a stack of
// 64 KiB: canceled at its root, and released at its end. std has no peer here: a callback that
// stops the next source nests once for each link, and needs a stack to match.
#include <benchmark/benchmark.h>
#include <pthread.h>

#include <functional>
#include <string>
#include <utility>

#include "trees.h"

namespace ctxbench {
namespace {

void OnSmallStack(std::function<void()> work) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  pthread_t thread;
  const int result = pthread_create(
      &thread, &attributes,
      [](void* arg) -> void* {
        (*static_cast<std::function<void()>*>(arg))();
        return nullptr;
      },
      &work);
  pthread_attr_destroy(&attributes);
  Check(-result);
  pthread_join(thread, nullptr);
}

enum class Timed { kCancel, kLeafFirst, kRootFirst };

template <class Child>
double Seconds(size_t n, Timed timed) {
  typename Child::Parent parent;
  std::vector<std::optional<Child>> links(n);
  links[0].emplace(parent);
  for (size_t i = 1; i < n; ++i) links[i].emplace(*links[i - 1]);
  const double begin = ThreadSeconds();
  parent.Cancel();
  const double canceled = ThreadSeconds();
  if (!links[n - 1]->Done()) std::abort();
  if (timed == Timed::kLeafFirst) {
    for (size_t i = n; i-- > 0;) links[i].reset();
  } else {
    for (auto& link : links) link.reset();
  }
  const double released = ThreadSeconds();
  return timed == Timed::kCancel ? canceled - begin : released - canceled;
}

template <class Child>
void Chain(benchmark::State& state, Timed timed) {
  for (auto _ : state) {
    double seconds = 0;
    OnSmallStack([&] { seconds = Seconds<Child>(static_cast<size_t>(state.range(0)), timed); });
    state.SetIterationTime(seconds);
  }
  state.counters["per_node"] = benchmark::Counter(
      static_cast<double>(state.range(0)),
      benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

template <class Child>
void Register() {
  const std::pair<const char*, Timed> timed[] = {{"P6/cancel/", Timed::kCancel},
                                                 {"P6/leaf_first/", Timed::kLeafFirst},
                                                 {"P6/root_first/", Timed::kRootFirst}};
  for (const auto& [name, what] : timed) {
    benchmark::RegisterBenchmark((std::string(name) + Child::kName).c_str(), Chain<Child>, what)
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond)
        ->Arg(1'000'000)
        ->Iterations(2);
  }
}

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  DeepTrees::Each([]<class Child>() { Register<Child>(); });
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
