// SPDX-License-Identifier: MIT
//
// P8: the done descriptor of a context, made and given back with it. Bare is an eventfd, opened and closed.
#include <sys/eventfd.h>
#include <unistd.h>

#include "trees.h"

namespace ctxbench {
namespace {

void DoneDescriptor(benchmark::State& state) {
  OursCancel::Parent parent;
  for (auto _ : state) {
    OursCancel child(parent);
    benchmark::DoNotOptimize(Check(ctx_done_fd(child.ctx)));
  }
}

void Eventfd(benchmark::State& state) {
  for (auto _ : state) {
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    benchmark::DoNotOptimize(fd);
    if (fd < 0 || close(fd) != 0) std::abort();
  }
}

#if CTX_BENCH_GLIB
void GlibDescriptor(benchmark::State& state) {
  for (auto _ : state) {
    Glib::Parent cancellable;
    benchmark::DoNotOptimize(g_cancellable_get_fd(cancellable.object));
    g_cancellable_release_fd(cancellable.object);
  }
}
BENCHMARK(GlibDescriptor)->Name("P8/glib");
#endif

BENCHMARK(DoneDescriptor)->Name("P8/ours");
BENCHMARK(Eventfd)->Name("P8/bare");

}  // namespace
}  // namespace ctxbench
