// SPDX-License-Identifier: MIT
//
// P18: cancel ancestors, each with one child. Below every child of `with` a merge was made and freed again;
// below those of `without` a plain context was. Only the cancels are timed; per_node is the time of each.
#include <benchmark/benchmark.h>

#include <optional>
#include <vector>

#include "trees.h"

namespace ctxbench {
namespace {

struct Ancestor : Ours {
  Ancestor() : Ours(ctx_background()), child(ctx) {}
  Ours child;
};

void MakeAndFree(ctx_t* parent, ctx_t* other, bool merge) {
  ctx_t* const parents[] = {parent, other};
  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
  Check(merge ? ctx_merge(parents, 2, &ctx, &canceler) : ctx_with_cancel(parent, &ctx, &canceler));
  ctx_canceler_unref(canceler);
  ctx_unref(ctx);
}

void CancelAncestors(benchmark::State& state, bool merge) {
  constexpr size_t kAncestors = 1000;
  const Ours other(ctx_background());
  for (auto _ : state) {
    std::vector<std::optional<Ancestor>> ancestors(kAncestors);
    for (auto& ancestor : ancestors) ancestor.emplace();
    for (auto& ancestor : ancestors) MakeAndFree(ancestor->child.ctx, other.ctx, merge);
    bool won = true;
    const double begin = ThreadSeconds();
    for (auto& ancestor : ancestors) won = ancestor->Cancel() && won;
    const double end = ThreadSeconds();
    if (!won || ctx_err(ancestors[0]->child.ctx) == 0) std::abort();
    state.SetIterationTime(end - begin);
  }
  state.counters["per_node"] = benchmark::Counter(
      kAncestors, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

BENCHMARK_CAPTURE(CancelAncestors, without, false)->Name("P18/without")->UseManualTime();
BENCHMARK_CAPTURE(CancelAncestors, with, true)->Name("P18/with")->UseManualTime();

}  // namespace
}  // namespace ctxbench
