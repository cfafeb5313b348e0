// SPDX-License-Identifier: MIT
// Sleeping on a word of memory. Only this file knows how the system does it.
#ifndef CTX_CORE_SYSTEM_FUTEX_H
#define CTX_CORE_SYSTEM_FUTEX_H

#include <cstdint>

#include "core/system/atomic.h"

namespace ctxcore {

// Sleeps while *word is `expected`, until woken or until `until_ns` on CLOCK_MONOTONIC (INT64_MAX: for
// ever). 0: woken, possibly spuriously; -EAGAIN: the word had another value; -ETIMEDOUT; -EINTR: a signal
// handler ran, installed with SA_RESTART or without.
int futex_wait(const Atomic<uint32_t>& word, uint32_t expected, int64_t until_ns);

// Wakes up to `count` sleepers. It uses only the address: the word may be freed by now. The next owner of that
// memory then sees at worst a spurious wake-up, which every sleeper on a futex must expect.
[[gnu::cold]] void futex_wake(const Atomic<uint32_t>* word, int count);

}  // namespace ctxcore

#endif
