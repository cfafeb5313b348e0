// SPDX-License-Identifier: MIT
// Two copies of the library in one process are told apart by where they lie.
#include "core/base/handle.h"

#include <gtest/gtest.h>

namespace ctxcore {
namespace {

constexpr uintptr_t kPage = 4096;
constexpr uintptr_t kLargePage = uintptr_t{2} << 20;
constexpr uintptr_t kPlaces[] = {0x7FE489A87000, 0x7F0000000000, 0x7FFFFFDFF000, 0x555555554000};

TEST(CopyBits, DifferForNeighbors) {
  for (const uintptr_t place : kPlaces) {
    for (uintptr_t pages = 1; pages < 1024; ++pages) {
      EXPECT_NE(stamp::copy_bits(place), stamp::copy_bits(place - pages * kPage)) << pages;
    }
  }
}

TEST(CopyBits, DifferWhereTheSystemPlacesLargeFiles) {
  for (const uintptr_t place : kPlaces) {
    for (uintptr_t pages = 1; pages < 3500; ++pages) {  // nearly seven gibibytes
      EXPECT_NE(stamp::copy_bits(place), stamp::copy_bits(place - pages * kLargePage)) << pages;
    }
  }
}

TEST(CopyBits, TouchNoOtherBitsOfAStamp) {
  for (const uintptr_t place : kPlaces) {
    EXPECT_EQ(stamp::copy_bits(place) & ~stamp::kCopyBits, 0u);
  }
}

TEST(AfterFork, NoEarlierStampComesAgainForSixteenMillionForks) {
  const uint32_t first = stamp::copy_bits(kPlaces[2]) | 4000;
  uint32_t current = first;
  for (int forks = 1; forks < 1 << 24; ++forks) {
    current = stamp::after_fork(current);
    ASSERT_NE(current, first) << forks;
    ASSERT_EQ(current & stamp::kTypeBits, 0u);
  }
}

}  // namespace
}  // namespace ctxcore
