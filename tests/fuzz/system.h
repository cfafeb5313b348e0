// SPDX-License-Identifier: MIT
//
// A system in which time passes only when a harness says so, or when the thread would sleep: then the clock goes on
// to the end of the sleep. So an input does the same again on any machine, and an hour takes no time.
#ifndef CTX_TESTS_FUZZ_SYSTEM_H_
#define CTX_TESTS_FUZZ_SYSTEM_H_

#include <signal.h>

#include <cstdint>

namespace fuzz {

inline constexpr int64_t kSecond = 1'000'000'000;

// CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC by this much.
inline constexpr int64_t kSuspended = 5000 * kSecond;

int64_t RealNow();          // of CLOCK_MONOTONIC
void MoveTo(int64_t time);  // never backwards
int64_t NextRing();         // when the next timer of the system rings; INT64_MAX: none will

// The clock back to its beginning; no loop may be left.
void ResetSystem();

// The signals that contexts wait for and that harnesses send. They are blocked, as ctx_with_signal() asks for.
inline constexpr int kSignals[] = {SIGURG, SIGWINCH};
void BlockSignals();
void TakeSignals();  // that are pending: none of a context that has ended since comes to the next input

}  // namespace fuzz

#endif  // CTX_TESTS_FUZZ_SYSTEM_H_
