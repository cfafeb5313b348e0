// SPDX-License-Identifier: MIT
//
// What the fuzzers have in common: how bytes become choices, how a call is printed, and how a mistake ends the run.
//
//   CTX_FUZZ_PRINT=1 <harness> <input>   prints the calls that the input stands for, one a line
#ifndef CTX_TESTS_FUZZ_INPUT_H_
#define CTX_TESTS_FUZZ_INPUT_H_

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "support/require.h"

namespace fuzz {

// Reads from the first byte to the last, so that a byte which is inserted or removed changes little else. Past the
// end all is zero.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

  bool empty() const { return at_ == end_; }
  uint8_t Byte() { return empty() ? uint8_t{0} : *at_++; }
  size_t Pick(size_t n) { return n <= 1 ? 0 : Byte() % n; }
  uint64_t Number(unsigned bytes) {
    uint64_t number = 0;
    for (unsigned i = 0; i < bytes; ++i) number |= uint64_t{Byte()} << (8 * i);
    return number;
  }
  // Up to `most` bytes, none of them 0.
  std::string Text(size_t most) {
    std::string text(Pick(most + 1), ' ');
    for (char& c : text) {
      c = static_cast<char>(Byte());
      if (c == '\0') c = '0';
    }
    return text;
  }

 private:
  const uint8_t* at_;
  const uint8_t* const end_;
};

inline const bool kPrints = std::getenv("CTX_FUZZ_PRINT") != nullptr;

[[gnu::format(printf, 1, 2)]] inline void Say(const char* format, ...) {
  if (!kPrints) return;
  va_list list;
  va_start(list, format);
  std::vfprintf(stderr, format, list);
  va_end(list);
  std::fputc('\n', stderr);
}

#define FUZZ_EQ(is, must_be)                                                             \
  do {                                                                                   \
    const auto fuzz_is = static_cast<long long>(is);                                     \
    const auto fuzz_must_be = static_cast<long long>(must_be);                           \
    if (fuzz_is != fuzz_must_be) {                                                       \
      std::fprintf(stderr, "%s is %lld and must be %lld\n", #is, fuzz_is, fuzz_must_be); \
      BROKEN("the library and the reference differ");                                    \
    }                                                                                    \
  } while (false)

}  // namespace fuzz

#endif  // CTX_TESTS_FUZZ_INPUT_H_
