// SPDX-License-Identifier: MIT
// A reference count ends the process before it wraps.
#include "core/base/count.h"

#include <gtest/gtest.h>

namespace ctxcore {
namespace {

TEST(Count, HoldsTwoToThe31stReferences) {
  ctxcore::Atomic<uint32_t> count{INT32_MAX};
  count_up(count);
  EXPECT_EQ(count.load(), uint32_t{INT32_MAX} + 1);
}

TEST(CountDeathTest, OneMoreEndsTheProcess) {
  ctxcore::Atomic<uint32_t> count{uint32_t{INT32_MAX} + 1};
  EXPECT_DEATH(count_up(count), "");
}

}  // namespace
}  // namespace ctxcore
