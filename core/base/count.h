// SPDX-License-Identifier: MIT
// Taking a reference. A count that wrapped would free what is in use, and nobody could see it coming:
// so the process ends first. Half the range is left for threads that take theirs at the same moment.
#ifndef CTX_CORE_BASE_COUNT_H
#define CTX_CORE_BASE_COUNT_H

#include <atomic>
#include <cstdint>

namespace ctxcore {

// relaxed: whoever counts up holds a reference, so the object cannot go meanwhile.
inline void count_up(std::atomic<uint32_t>& count) {
  if (count.fetch_add(1, std::memory_order_relaxed) > INT32_MAX) [[unlikely]]
    __builtin_trap();
}

}  // namespace ctxcore

#endif
