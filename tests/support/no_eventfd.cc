// SPDX-License-Identifier: MIT
//
// A system without eventfd: linked into a test program, this eventfd() comes before that of libc,
// also for libctx.so. The case below proves that it does.
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>

#include "support/handles.h"

static std::atomic<int> refused{0};

extern "C" int eventfd(unsigned, int) noexcept {
  ++refused;
  errno = ENOSYS;
  return -1;
}

namespace ctxtest {
namespace {

TEST(NoEventfd, DoneDescriptorIsAPipe) {
  const Scope scope = WithCancel(ctx_background());
  const int fd = ctx_done_fd(scope);
  ASSERT_GE(fd, 0);
  EXPECT_GT(refused.load(), 0);

  char target[64] = {};
  ASSERT_GT(readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target - 1), 0);
  EXPECT_EQ(std::string(target).substr(0, 5), "pipe:");
}

}  // namespace
}  // namespace ctxtest
