// SPDX-License-Identifier: MIT
//
// Sequences of calls: see api/session.h.
#include <ctx/ctx.h>
#include <unistd.h>

#include "fuzz/api/session.h"
#include "fuzz/input.h"
#include "fuzz/system.h"

namespace fuzz {

ctx_loop_t* default_loop;

namespace {

int LowestFree() {
  const int fd = dup(0);
  close(fd);
  return fd;
}

}  // namespace
}  // namespace fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  fuzz::BlockSignals();
  // The default loop is one that needs no threads, for all inputs.
  REQUIRE(ctx_loop_new(CTX_LOOP_VIRTUAL, nullptr, &fuzz::default_loop) == 0);
  REQUIRE(ctx_loop_set_default(fuzz::default_loop) == 0);
  REQUIRE(ctx_version() == CTX_VERSION && ctx_version_string()[0] != '\0');
  // It keeps the descriptors that it has opened.
  ctx_t* ctx = nullptr;
  REQUIRE(ctx_with_signal(ctx_background(), fuzz::kSignals, 1, &ctx, nullptr) == 0);
  ctx_unref(ctx);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int free_before = fuzz::LowestFree();
  {
    fuzz::Session session(data, size);
    session.Run();
  }
  fuzz::TakeSignals();
  FUZZ_EQ(fuzz::LowestFree(), free_before);
  return 0;
}
