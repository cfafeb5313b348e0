// SPDX-License-Identifier: MIT
//
// P13: bytes a context takes with 1,000,000 alive below one parent, for the allocator in use
// (mallinfo2) and for the system (resident pages), whichever is more. Each kind is measured in a
// process of its own, so that none finds the room that another left. Prints `name value` lines.
#include <unistd.h>

#include <cstring>

#include "plain.h"
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

// In a process of its own, as each name of this program is.
template <class Derive>
void Report(const char* kind, Derive derive) {
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
  std::printf("P13/%s/allocated %.1f\nP13/%s/resident %.1f\nP13/%s/ours %.1f\n", kind,
              each.allocated, kind, each.resident, kind, std::max(each.allocated, each.resident));
  std::fflush(stdout);
  _exit(0);  // a million releases would take their time
}

void Cancel() {
  Report("cancel", [](ctx_t* parent, size_t, Handles* ret) {
    Check(ctx_with_cancel(parent, &ret->ctx, &ret->canceler));
  });
}

void Timeout() {
  Report("timeout", [](ctx_t* parent, size_t i, Handles* ret) {
    const int64_t timeout_ns = kHour + static_cast<int64_t>(i) * 1'000;
    Check(ctx_with_timeout(parent, timeout_ns, &ret->ctx, &ret->canceler));
  });
}

void Value() {
  Report("value", [](ctx_t* parent, size_t, Handles* ret) {
    Check(ctx_with_value(parent, &kKey, ret, nullptr, &ret->ctx));
  });
}

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  return RunPlain(argc, argv,
                  {{"P13/cancel", Cancel}, {"P13/timeout", Timeout}, {"P13/value", Value}});
}
