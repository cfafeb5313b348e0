// SPDX-License-Identifier: MIT
// Taking a reference. A count that wraps would free an object in use, unseen, so the process ends before
// that. Half the range is left for threads that count up at the same moment.
#ifndef CTX_CORE_BASE_COUNT_H
#define CTX_CORE_BASE_COUNT_H

#include <cstdint>

#include "core/system/atomic.h"

namespace ctxcore {

// relaxed: the caller holds a reference, so the object cannot go meanwhile.
inline void count_up(Atomic<uint32_t>& count) {
  if (count.fetch_add(1, std::memory_order_relaxed) > INT32_MAX) [[unlikely]]
    __builtin_trap();
}

}  // namespace ctxcore

#endif
