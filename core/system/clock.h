// SPDX-License-Identifier: MIT
// Time: int64_t nanoseconds on CLOCK_MONOTONIC, with sums that saturate instead of overflowing.
#ifndef CTX_CORE_SYSTEM_CLOCK_H
#define CTX_CORE_SYSTEM_CLOCK_H

#include <cstdint>
#include <ctime>

namespace ctxcore {

constexpr int64_t kForever = INT64_MAX;  // no deadline, no limit
constexpr int64_t kSecond = 1'000'000'000;

inline int64_t monotonic_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * kSecond + now.tv_nsec;
}

// a + b, kept within the range of int64_t.
constexpr int64_t saturating_add(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a > 0 ? INT64_MAX : INT64_MIN;
}

// a - b, kept within the range of int64_t.
constexpr int64_t saturating_sub(int64_t a, int64_t b) {
  int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return a > 0 ? INT64_MAX : INT64_MIN;
}

// A non-negative time as the system wants it.
constexpr timespec to_timespec(int64_t ns) {
  timespec time{};
  time.tv_sec = static_cast<time_t>(ns / kSecond);
  time.tv_nsec = static_cast<long>(ns % kSecond);
  return time;
}

}  // namespace ctxcore

#endif
