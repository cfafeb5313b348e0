// SPDX-License-Identifier: MIT
//
// P3 and P4: what a worker pays to look whether it should stop, and to have a callback for a while.
#include <benchmark/benchmark.h>

#include "trees.h"

namespace ctxbench {
namespace {

void ErrCall(benchmark::State& state) {
  OursCancel::Parent parent;
  ctx_t* ctx = parent.ctx;
  benchmark::DoNotOptimize(ctx);
  for (auto _ : state) benchmark::DoNotOptimize(ctx_err(ctx));
}

void ErrWord(benchmark::State& state) {
  OursCancel::Parent parent;
  const volatile int32_t* word = ctx_err_word(parent.ctx);
  benchmark::DoNotOptimize(word);
  for (auto _ : state) benchmark::DoNotOptimize(__atomic_load_n(word, __ATOMIC_ACQUIRE));
}

// A function of the library that does nothing: the cost of any call through the linkage table.
void BareCall(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(ctx_version());
}

void StopRequested(benchmark::State& state) {
  Std::Parent parent;
  std::stop_token token = parent.source.get_token();
  benchmark::DoNotOptimize(token);
  for (auto _ : state) benchmark::DoNotOptimize(token.stop_requested());
}

void CallbackOurs(benchmark::State& state) {
  OursCancel::Parent parent;
  for (auto _ : state) {
    ctx_watch_t* watch;
    Check(ctx_after_func(
        parent.ctx, [](ctx_t*, void*) {}, nullptr, nullptr, 0, &watch));
    Check(ctx_watch_stop(watch));
    ctx_watch_unref(watch);
  }
}

void CallbackStd(benchmark::State& state) {
  Std::Parent parent;
  std::stop_token token = parent.source.get_token();
  for (auto _ : state) {
    std::stop_callback callback(token, [] {});
    benchmark::DoNotOptimize(callback);
  }
}

BENCHMARK(StopRequested)->Name("P3/std");
BENCHMARK(BareCall)->Name("P3/bare_call");
BENCHMARK(ErrCall)->Name("P3/ours_call");
BENCHMARK(ErrWord)->Name("P3/ours_word");
BENCHMARK(CallbackStd)->Name("P4/std");
BENCHMARK(CallbackOurs)->Name("P4/ours");

}  // namespace
}  // namespace ctxbench

BENCHMARK_MAIN();
