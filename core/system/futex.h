// SPDX-License-Identifier: MIT
// Sleeping on a word of memory: the one file that knows how this system does it.
#ifndef CTX_CORE_SYSTEM_FUTEX_H
#define CTX_CORE_SYSTEM_FUTEX_H

#include <atomic>
#include <cstdint>

namespace ctxcore {

// Sleeps while *word is `expected`, until woken or until `until_ns` on CLOCK_MONOTONIC (INT64_MAX: for
// ever). 0: woken, possibly for nothing; -EAGAIN: the word was another; -ETIMEDOUT; -EINTR: a signal
// handler ran, be it installed with SA_RESTART or not.
int futex_wait(const std::atomic<uint32_t>& word, uint32_t expected, int64_t until_ns);

// Wakes up to `count` sleepers. Uses the address alone: the word may be gone by now, and whoever owns
// that memory then sees at worst a wake-up for nothing, which every sleeper on a futex must expect.
[[gnu::cold]] void futex_wake(const std::atomic<uint32_t>* word, int count);

}  // namespace ctxcore

#endif
