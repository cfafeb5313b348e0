// SPDX-License-Identifier: MIT
//
// Spans of time, in nanoseconds as the library counts them; the one limit of all waits; and a wait for a
// condition that nobody announces.
#ifndef CTX_TESTS_SUPPORT_TIME_H_
#define CTX_TESTS_SUPPORT_TIME_H_

#include <poll.h>

#include <cstdint>

namespace ctxtest {

inline constexpr int64_t kMicrosecond = 1'000;
inline constexpr int64_t kMillisecond = 1'000'000;
inline constexpr int64_t kSecond = 1'000'000'000;
inline constexpr int64_t kHour = 3'600 * kSecond;

// No test passes or fails by a time being short: every wait is for a condition, and this only ends
// a run that has gone wrong.
inline constexpr int64_t kLimit = 60 * kSecond;
inline constexpr int kLimitMs = static_cast<int>(kLimit / kMillisecond);  // as poll(2) wants it

// Waits for a condition that nobody announces; true if it has come true.
template <class Condition>
[[nodiscard]] bool Soon(const Condition& condition) {
  for (int i = 0; i < kLimitMs; ++i) {
    if (condition()) return true;
    poll(nullptr, 0, 1);
  }
  return condition();
}

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_TIME_H_
