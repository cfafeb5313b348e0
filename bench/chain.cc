// SPDX-License-Identifier: MIT
//
// P6: a chain of a million contexts, each the child of the one before, on a thread with a stack of
// 64 KiB: canceled at its root, and released at its end. std has no peer here: a callback that
// stops the next source nests once for each link, and needs a stack to match.
#include <benchmark/benchmark.h>
#include <pthread.h>

#include <functional>

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

enum class Timed { kCancel, kRelease };

double Seconds(int64_t n, Timed timed) {
  Ours root(ctx_background());
  ctx_t* last = ctx_ref(root.ctx);
  for (int64_t i = 1; i < n; ++i) {  // the chain is held by its last link alone
    ctx_t* next;
    ctx_canceler_t* canceler;
    Check(ctx_with_cancel(last, &next, &canceler));
    ctx_canceler_unref(canceler);
    ctx_unref(last);
    last = next;
  }
  const double begin = ThreadSeconds();
  root.Cancel();
  const double canceled = ThreadSeconds();
  if (ctx_err(last) != CTX_CANCELED) std::abort();
  ctx_unref(last);
  const double released = ThreadSeconds();
  return timed == Timed::kCancel ? canceled - begin : released - canceled;
}

void Chain(benchmark::State& state, Timed timed) {
  for (auto _ : state) {
    double seconds = 0;
    OnSmallStack([&] { seconds = Seconds(state.range(0), timed); });
    state.SetIterationTime(seconds);
  }
  state.counters["per_node"] = benchmark::Counter(
      static_cast<double>(state.range(0)),
      benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

BENCHMARK_CAPTURE(Chain, cancel, Timed::kCancel)
    ->Name("P6/cancel/ours")
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond)
    ->Arg(1'000'000)
    ->Iterations(2);
BENCHMARK_CAPTURE(Chain, release, Timed::kRelease)
    ->Name("P6/release/ours")
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond)
    ->Arg(1'000'000)
    ->Iterations(2);

}  // namespace
}  // namespace ctxbench

BENCHMARK_MAIN();
