// SPDX-License-Identifier: MIT
// A thread that waits for one node of several.
//
// Invariants
//  1. The waiter and its entries lie with the waiting call. An entry is linked under the lock of its
//     node's observers, while the node is live, and unlinked under the same lock by the cancel or by
//     the waiting call.
//  2. What a cancel does last to an entry and its waiter is to set `woken`; the wake-up that follows
//     uses the address alone. So a call whose only entry was woken may return at once.
#ifndef CTX_CORE_WATCH_WAIT_H
#define CTX_CORE_WATCH_WAIT_H

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/system/futex.h"
#include "core/tree/context.h"
#include "core/tree/observer.h"

namespace ctxcore {

struct Waiter {
  void wake() {
    woken.store(1, std::memory_order_release);
    futex_wake(&woken, 1);
  }

  std::atomic<uint32_t> woken{0};
};

struct WaitEntry : Observer {
  WaitEntry() : Observer(Type::waiter) {}

  Waiter* waiter = nullptr;
};

// More entries than could be had memory for.
constexpr size_t kMostWaitedFor = PTRDIFF_MAX / sizeof(WaitEntry);

// Waits until one of the contexts is done, or until `until_ns` on CLOCK_MONOTONIC. 1, with the lowest
// index of one that is done; 0; -EINTR; -ENOMEM.
int wait_any(Context* const* contexts, size_t count, int64_t until_ns, size_t* index);

}  // namespace ctxcore

#endif
