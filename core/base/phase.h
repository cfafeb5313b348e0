// SPDX-License-Identifier: MIT
// How far a cancel that started at a node has come, and waiting for it.
//
// Invariants
//  1. A phase only grows, and only the call that ended its node advances it.
//  2. The upper bits hold kMark for ever: a canceler's handle is the address of this word, and these bits tell
//     it from a context's handle.
//
// A waiter sets kAwaited before it sleeps. advance() is a load and a store, which can lose one wake-up, as in
// Lock; so here, too, a sleep is a nap, and naps grow.
#ifndef CTX_CORE_BASE_PHASE_H
#define CTX_CORE_BASE_PHASE_H

#include <climits>
#include <cstdint>

#include "core/base/lock.h"
#include "core/base/nap.h"
#include "core/system/atomic.h"
#include "core/system/clock.h"

namespace ctxcore {

class Phase {
 public:
  enum Step : uint32_t {
    kLive = 0,     // no cancel started here
    kMarking = 1,  // errors and causes are being written
    kMarked = 2,   // every context of the subtree is done
    kWoken = 3,    // every waiter and descriptor in it is told
  };
  static constexpr uint32_t kMark = 0xCA4CE100;

  constexpr Phase() = default;

  bool is_canceler() const { return (word_.load(std::memory_order_relaxed) & 0xFFFFFF00) == kMark; }
  bool reached(Step least) const { return step(load()) >= least; }

  // For the ending call, before the node's error is visible to anyone.
  void begin(Step first) { word_.store(kMark | first, std::memory_order_relaxed); }

  // The release pairs with the acquire in load(): a thread that sees a step sees everything it promises.
  void advance(Step next) {
    const uint32_t seen = word_.load(std::memory_order_relaxed);
    word_.store(kMark | next, std::memory_order_release);
    if ((seen & kAwaited) != 0) futex_wake(&word_, INT_MAX);
  }

  void await(Step least) {
    int64_t nap = kNap;
    for (int spins = 0;; ++spins) {
      uint32_t seen = load();
      if (step(seen) >= least) return;
      if (spins < 100) {
        relax();
      } else if ((seen & kAwaited) != 0 ||
                 word_.compare_exchange_weak(seen, seen | kAwaited, std::memory_order_relaxed)) {
        futex_wait(word_, seen | kAwaited, monotonic_now() + nap);
        nap = longer(nap);
      }
    }
  }

 private:
  static constexpr uint32_t kAwaited = 0x80;
  static Step step(uint32_t word) { return static_cast<Step>(word & 3); }
  uint32_t load() const { return word_.load(std::memory_order_acquire); }

  Atomic<uint32_t> word_{kMark | kLive};
};

}  // namespace ctxcore

#endif
