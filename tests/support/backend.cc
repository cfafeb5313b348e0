// SPDX-License-Identifier: MIT
//
// Whether done descriptors are made of what this program is meant to test.
#include <unistd.h>

#include <string>

#include "support/handles.h"

namespace ctxtest {
namespace {

TEST(Backend, DoneDescriptorsAreMadeOfIt) {
  const Scope scope = WithCancel(ctx_background());
  const int fd = ctx_done_fd(scope);
  ASSERT_GE(fd, 0);

  char target[64] = {};
  ASSERT_GT(readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target - 1),
            0);
  EXPECT_EQ(std::string(target).rfind(CTX_TESTS_BACKEND, 0), 0U) << target;
}

}  // namespace
}  // namespace ctxtest
