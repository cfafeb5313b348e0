// SPDX-License-Identifier: MIT
// Time: int64_t nanoseconds, with sums that saturate instead of overflowing. Waits are measured on CLOCK_MONOTONIC,
// deadlines on the clock of their loop.
#ifndef CTX_CORE_SYSTEM_CLOCK_H
#define CTX_CORE_SYSTEM_CLOCK_H

#include <cstdint>
#include <ctime>

namespace ctxcore {

constexpr int64_t kForever = INT64_MAX;  // no deadline, no limit
constexpr int64_t kSecond = 1'000'000'000;

inline int64_t now_on(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<int64_t>(now.tv_sec) * kSecond + now.tv_nsec;
}

inline int64_t monotonic_now() { return now_on(CLOCK_MONOTONIC); }

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
