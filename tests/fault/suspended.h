// SPDX-License-Identifier: MIT
//
// A system that is suspended now and then, as CLOCK_BOOTTIME and the timers on it show that; and whose wall clock is
// set.
#ifndef CTX_TESTS_FAULT_SUSPENDED_H_
#define CTX_TESTS_FAULT_SUSPENDED_H_

#include <cstdint>

namespace ctxtest {

// Since the process began, CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC by this much. It need not be: a system may never
// have been suspended. But so a test sees it if one is taken for the other.
inline constexpr int64_t kSuspendedBefore = 5'000'000'000'000;

// Suspends the system for so long, and resumes it.
void Suspend(int64_t ns);

// Sets the wall clock, CLOCK_REALTIME, on by so long; back if negative.
void SetWallClock(int64_t ns);

// How often libctx has asked for the wall clock or a timer on it.
int WallClockUses();

}  // namespace ctxtest

#endif  // CTX_TESTS_FAULT_SUSPENDED_H_
