// SPDX-License-Identifier: MIT
//
// What the soak requires at each step: the first promise that is broken ends it.
#ifndef CTX_TESTS_SCALE_SOAK_REQUIRE_H_
#define CTX_TESTS_SCALE_SOAK_REQUIRE_H_

#include <ctx/ctx.h>
#include <time.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "support/time.h"

namespace ctxtest {

[[noreturn]] inline void Broken(const char* promise, int line) {
  fprintf(stdout, "soak: FAILED, this does not hold: %s (line %d)\n", promise, line);
  fflush(stdout);
  abort();
}
#define REQUIRE(condition)                          \
  do {                                              \
    if (!(condition)) Broken(#condition, __LINE__); \
  } while (0)

inline int64_t Clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

inline void SleepFor(int64_t ns) {
  const timespec span = {ns / kSecond, ns % kSecond};
  nanosleep(&span, nullptr);
}

// Waits for an end that will come.
inline void Await(ctx_t* ctx) {
  for (int result; (result = ctx_wait(ctx, kLimit)) != 1;) REQUIRE(result == -EINTR);
  REQUIRE(ctx_err(ctx) != 0 && ctx_cause(ctx) != nullptr);
}

}  // namespace ctxtest

#endif  // CTX_TESTS_SCALE_SOAK_REQUIRE_H_
