// SPDX-License-Identifier: MIT
// A lock of four bytes, for short critical sections: most take a few instructions, and none runs user code
// or waits for another thread.
//
// Invariants
//  1. The word is 0: free, 1: held, 2: held and somebody may sleep.
//  2. A sleeper sets the word to 2 before it sleeps, and sleeps only while it is 2.
//  3. Each sleep is a nap: the first of a call lasts at most kNap, and each next one at most twice as long.
//
// Why unlock is a load and a store, not an exchange. An exchange would double the cost of a section, and
// sections here take a few nanoseconds. The plain form can lose one wake-up: unlock loads 1, a sleeper writes
// 2 and falls asleep, unlock stores 0 and wakes nobody. That sleeper finds the lock free when its nap is over (3).
// Mutual exclusion does not depend on this: only the holder makes the word 0, and it leaves 0 only by an atomic
// read-modify-write.
//
// Unlock's last access to the word is that store: the next holder may free the memory around it.
#ifndef CTX_CORE_BASE_LOCK_H
#define CTX_CORE_BASE_LOCK_H

#include <cstdint>

#include "core/base/annotations.h"
#include "core/system/atomic.h"
#include "core/system/futex.h"

namespace ctxcore {

class CTX_CAPABILITY("lock") Lock {
 public:
  constexpr Lock() = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() CTX_ACQUIRE() {
    if (!try_lock()) [[unlikely]]
      lock_slowly();
  }

  bool try_lock() CTX_TRY_ACQUIRE(true) {
    uint32_t free = 0;
    return word_.compare_exchange_strong(free, 1, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }

  [[gnu::always_inline]] void unlock() CTX_RELEASE() {
    const uint32_t seen = word_.load(std::memory_order_relaxed);
    word_.store(0, std::memory_order_release);  // pairs with the acquire of the next holder
    if (seen == 2) [[unlikely]]
      futex_wake(&word_, 1);
  }

  // Tells the analysis that the lock is held, in a function where it cannot see that.
  void assert_held() const CTX_ASSERT_CAPABILITY(this) {}

 private:
  [[gnu::cold]] void lock_slowly();

  Atomic<uint32_t> word_{0};
};

class CTX_SCOPED_CAPABILITY Guard {
 public:
  explicit Guard(Lock& lock) CTX_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
  ~Guard() CTX_RELEASE() { lock_.unlock(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  Lock& lock_;
};

// Tells the processor that this is a spin loop.
inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace ctxcore

#endif
