// SPDX-License-Identifier: MIT
//
// P25: begin a piece of work and end it; and the same in a group that has a descriptor, which is cleared and set each
// time. Bare is what the promise needs: an atomic operation each, with as many calls through the linkage table.
#include <atomic>
#include <cstdint>

#include "peers/peers.h"

namespace ctxbench {
namespace {

struct Group {
  Group() { Check(ctx_group_new(ctx_background(), &group)); }
  ~Group() { ctx_group_unref(group); }

  ctx_group_t* group = nullptr;
};

void BeginAndEnd(benchmark::State& state, bool with_descriptor) {
  const Group made;
  if (with_descriptor) Check(ctx_group_fd(made.group));
  for (auto _ : state) {
    benchmark::DoNotOptimize(ctx_group_begin(made.group));
    benchmark::DoNotOptimize(ctx_group_end(made.group, nullptr));
  }
}

void Bare(benchmark::State& state) {
  std::atomic<uint64_t> word{0};
  for (auto _ : state) {
    benchmark::DoNotOptimize(ctx_version());
    word.fetch_add(1);
    benchmark::DoNotOptimize(ctx_version());
    word.fetch_sub(1);
  }
}

BENCHMARK(Bare)->Name("P25/bare");
BENCHMARK_CAPTURE(BeginAndEnd, ours, false)->Name("P25/ours");
BENCHMARK_CAPTURE(BeginAndEnd, descriptor, true)->Name("P25/descriptor");

}  // namespace
}  // namespace ctxbench
