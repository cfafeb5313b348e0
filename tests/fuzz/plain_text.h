// SPDX-License-Identifier: MIT
//
// How times read in ctx_describe(), written apart from the library.
#ifndef CTX_TESTS_FUZZ_PLAIN_TEXT_H_
#define CTX_TESTS_FUZZ_PLAIN_TEXT_H_

#include <cstdint>
#include <string>

namespace fuzz {

constexpr uint64_t kNsOfSecond = 1'000'000'000;

inline uint64_t SizeOf(int64_t ns) {
  return ns < 0 ? uint64_t{0} - static_cast<uint64_t>(ns) : static_cast<uint64_t>(ns);
}

// value / unit, a power of ten, without zeros at the end.
inline std::string DecimalText(uint64_t value, uint64_t unit) {
  std::string text = std::to_string(value / unit);
  if (value % unit == 0) return text;
  std::string fraction = std::to_string(unit + value % unit).substr(1);
  while (fraction.back() == '0') fraction.pop_back();
  return text + "." + fraction;
}

inline std::string DurationText(int64_t ns) {
  const uint64_t size = SizeOf(ns);
  std::string text = ns < 0 ? "-" : "";
  if (size == 0) return "0s";
  if (size < 1000) return text + std::to_string(size) + "ns";
  if (size < 1'000'000) return text + DecimalText(size, 1000) + "\u00b5s";
  if (size < kNsOfSecond) return text + DecimalText(size, 1'000'000) + "ms";
  if (size >= 3600 * kNsOfSecond) text += std::to_string(size / (3600 * kNsOfSecond)) + "h";
  if (size >= 60 * kNsOfSecond) text += std::to_string(size / (60 * kNsOfSecond) % 60) + "m";
  return text + DecimalText(size % (60 * kNsOfSecond), kNsOfSecond) + "s";
}

inline std::string DeadlineText(int64_t deadline, int64_t now) {
  int64_t left = 0;
  if (__builtin_sub_overflow(deadline, now, &left)) left = deadline < 0 ? INT64_MIN : INT64_MAX;
  const uint64_t size = SizeOf(deadline);
  const std::string ns = std::to_string(kNsOfSecond + size % kNsOfSecond).substr(1);
  return std::string(".WithDeadline(") + (deadline < 0 ? "-" : "") +
         std::to_string(size / kNsOfSecond) + "." + ns + "s [" + DurationText(left) + "])";
}

}  // namespace fuzz

#endif  // CTX_TESTS_FUZZ_PLAIN_TEXT_H_
