// SPDX-License-Identifier: MIT
//
// P3, P4 and P7: what a worker pays to look whether it should stop, to have a callback for a while, and to
// look for a value that is not there.
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

// Sixteen at a time: else the place of the loop in memory would decide the time of one cycle.
template <class Read>
void ManyTimes(benchmark::State& state, Read read) {
  constexpr int kBatch = 16;
  while (state.KeepRunningBatch(kBatch)) {
#pragma GCC unroll 16
    for (int i = 0; i < kBatch; ++i) benchmark::DoNotOptimize(read());
  }
}

void ErrWord(benchmark::State& state) {
  OursCancel::Parent parent;
  const volatile int32_t* word = ctx_err_word(parent.ctx);
  benchmark::DoNotOptimize(word);
  ManyTimes(state, [word] { return __atomic_load_n(word, __ATOMIC_ACQUIRE); });
}

// What it costs to ask through a call: a function of another library that loads the error.
void BareCall(benchmark::State& state) {
  Bare::Parent parent;
  const bare_node* node = parent.node;
  benchmark::DoNotOptimize(node);
  for (auto _ : state) benchmark::DoNotOptimize(bare_error(node));
}

template <class Tree>
void DoneCall(benchmark::State& state) {
  typename Tree::Parent parent;
  for (auto _ : state) benchmark::DoNotOptimize(parent.Done());
}

void StopRequested(benchmark::State& state) {
  Std::Parent parent;
  std::stop_token token = parent.source.get_token();
  benchmark::DoNotOptimize(token);
  ManyTimes(state, [&token] { return token.stop_requested(); });
}

void CallbackOurs(benchmark::State& state) {
  OursCancel::Parent parent;
  for (auto _ : state) parent.RegisterAndStop();
}

#if CTX_BENCH_GLIB
void CallbackGlib(benchmark::State& state) {
  Glib::Parent parent;
  for (auto _ : state) {
    const gulong handler = g_cancellable_connect(
        parent.object, reinterpret_cast<GCallback>(+[](GCancellable*, gpointer) {}), nullptr,
        nullptr);
    g_cancellable_disconnect(parent.object, handler);
  }
}
#endif

// Into a list behind a lock, and out of it: two calls, and memory that is at hand.
void CallbackBare(benchmark::State& state) {
  Bare::Parent parent;
  for (auto _ : state) {
    bare_watch* const watch = bare_register(
        parent.node, [](void*) {}, nullptr);
    bare_stop(watch);
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

// Below 100 cancel contexts and 4 value contexts.
void MissingValue(benchmark::State& state) {
  static const ctx_key_t keys[5] = {};
  OursCancel::Parent parent;
  ctx_t* last = ctx_ref(parent.ctx);
  for (int i = 0; i < 100; ++i) {
    ctx_t* next;
    ctx_canceler_t* canceler;
    Check(ctx_with_cancel(last, &next, &canceler));
    ctx_canceler_unref(canceler);
    ctx_unref(last);
    last = next;
    if (i % 25 != 0) continue;
    Check(ctx_with_value(last, &keys[i / 25], last, nullptr, &next));
    ctx_unref(last);
    last = next;
  }
  if (ctx_value(last, &keys[0]) == nullptr) std::abort();
  for (auto _ : state) benchmark::DoNotOptimize(ctx_value(last, &keys[4]));
  ctx_unref(last);
}

BENCHMARK(StopRequested)->Name("P3/std");
BENCHMARK(BareCall)->Name("P3/bare");
BENCHMARK(ErrCall)->Name("P3/ours");
BENCHMARK(ErrWord)->Name("P3/word/ours");
BENCHMARK(CallbackStd)->Name("P4/std");
BENCHMARK(CallbackBare)->Name("P4/bare");
BENCHMARK(CallbackOurs)->Name("P4/ours");
#if CTX_BENCH_TOKIO
BENCHMARK(DoneCall<Tokio>)->Name("P3/tokio");
#endif
#if CTX_BENCH_NSYNC
BENCHMARK(DoneCall<Nsync>)->Name("P3/nsync");
#endif
#if CTX_BENCH_GLIB
BENCHMARK(DoneCall<Glib>)->Name("P3/glib");
BENCHMARK(CallbackGlib)->Name("P4/glib");
#endif
BENCHMARK(MissingValue)->Name("P7/ours");

}  // namespace
}  // namespace ctxbench
