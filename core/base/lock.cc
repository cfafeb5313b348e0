// SPDX-License-Identifier: MIT
#include "core/base/lock.h"

#include "core/base/nap.h"
#include "core/system/clock.h"

namespace ctxcore {

void Lock::lock_slowly() {
  constexpr int kSpins = 100;  // about two microseconds: most sections are over by then
  for (int i = 0; i < kSpins; ++i) {
    relax();
    uint32_t seen = word_.load(std::memory_order_relaxed);
    if (seen == 0 && word_.compare_exchange_weak(seen, 1, std::memory_order_acquire,
                                                 std::memory_order_relaxed)) {
      return;
    }
  }
  for (int64_t nap = kNap; word_.exchange(2, std::memory_order_acquire) != 0;) {
    futex_wait(word_, 2, monotonic_now() + nap);
    nap = longer(nap);
  }
}

}  // namespace ctxcore
