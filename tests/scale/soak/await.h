// SPDX-License-Identifier: MIT
//
// The clocks of the soak, its sleeps, and its waits for an end that has to come.
#ifndef CTX_TESTS_SCALE_SOAK_AWAIT_H_
#define CTX_TESTS_SCALE_SOAK_AWAIT_H_

#include <ctx/ctx.h>
#include <time.h>

#include <cerrno>
#include <cstdint>

#include "support/require.h"
#include "support/time.h"

namespace ctxtest {

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

#endif  // CTX_TESTS_SCALE_SOAK_AWAIT_H_
