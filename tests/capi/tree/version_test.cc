// SPDX-License-Identifier: MIT
//
// version.h: the library that runs is the one of these headers.
#include <string>

#include "support/handles.h"

namespace ctxtest {
namespace {

TEST(Version, LibraryAndHeadersAreOfOneVersion) {
  EXPECT_EQ(ctx_version(), CTX_VERSION);
  EXPECT_EQ(CTX_VERSION, uint32_t{CTX_VERSION_MAJOR} << 16 | uint32_t{CTX_VERSION_MINOR} << 8 |
                             uint32_t{CTX_VERSION_PATCH});
}

TEST(Version, TextSaysTheSame) {
  const std::string expected = std::to_string(CTX_VERSION_MAJOR) + "." +
                               std::to_string(CTX_VERSION_MINOR) + "." +
                               std::to_string(CTX_VERSION_PATCH);
  ASSERT_NE(ctx_version_string(), nullptr);
  EXPECT_EQ(ctx_version_string(), expected);
}

}  // namespace
}  // namespace ctxtest
