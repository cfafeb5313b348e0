// SPDX-License-Identifier: MIT
//
// P13: bytes a context takes with 1,000,000 alive below one parent, for the allocator in use
// (mallinfo2) and for the system (resident pages), whichever is more. Each kind is measured in a
// process of its own, so that none finds the room that another left. Prints `name value` lines.
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "trees.h"
#include "usage.h"

namespace ctxbench {
namespace {

constexpr size_t kAlive = 1'000'000;
constexpr ctx_key_t kKey = {"bench"};

struct Handles {
  ctx_t* ctx;
  ctx_canceler_t* canceler;
};

void Report(const char* kind,
            const std::function<void(ctx_t* parent, size_t i, Handles*)>& derive) {
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    Ours parent(ctx_background());
    Handles warm = {};  // the first of a kind may start a thread
    derive(parent.ctx, 0, &warm);
    std::vector<Handles> handles(kAlive);
    std::memset(handles.data(), 1, handles.size() * sizeof(Handles));

    const Usage before = MeasureMemory();
    for (size_t i = 0; i < kAlive; ++i) derive(parent.ctx, i, &handles[i]);
    const Usage after = MeasureMemory();
    if (ctx_err(handles[kAlive - 1].ctx) != 0) std::abort();

    const Usage each = PerObject(before, after, kAlive);
    std::printf("P13/%s/allocated %.1f\nP13/%s/resident %.1f\nP13/%s %.1f\n", kind, each.allocated,
                kind, each.resident, kind, std::max(each.allocated, each.resident));
    std::fflush(stdout);
    _exit(0);
  }
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) std::abort();
}

}  // namespace
}  // namespace ctxbench

int main() {
  using namespace ctxbench;
  Report("cancel", [](ctx_t* parent, size_t, Handles* ret) {
    Check(ctx_with_cancel(parent, &ret->ctx, &ret->canceler));
  });
  Report("timeout", [](ctx_t* parent, size_t i, Handles* ret) {
    const int64_t timeout_ns = kHour + static_cast<int64_t>(i) * 1'000;
    Check(ctx_with_timeout(parent, timeout_ns, &ret->ctx, &ret->canceler));
  });
  Report("value", [](ctx_t* parent, size_t, Handles* ret) {
    Check(ctx_with_value(parent, &kKey, ret, nullptr, &ret->ctx));
  });
}
