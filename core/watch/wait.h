// SPDX-License-Identifier: MIT
// A thread that waits for one node of several.
//
// Invariants
//  1. The waiter and its entries belong to the waiting call. An entry is linked under the lock of its node's
//     observers, while the node is live; the cancel or the waiting call unlinks it under the same lock.
//  2. The last thing that a cancel does to an entry and its waiter is to set `woken`; the wake-up that follows uses
//     only the address. So a call whose only entry was woken may return at once.
#ifndef CTX_CORE_WATCH_WAIT_H
#define CTX_CORE_WATCH_WAIT_H

#include <cstddef>
#include <cstdint>

#include "core/system/atomic.h"
#include "core/system/futex.h"
#include "core/tree/context.h"
#include "core/tree/observer.h"

namespace ctxcore {

struct Waiter {
  void wake() {
    woken.store(1, std::memory_order_release);
    futex_wake(&woken, 1);
  }

  Atomic<uint32_t> woken{0};
};

struct WaitEntry : Observer {
  WaitEntry() : Observer(Type::waiter) {}

  Waiter* waiter = nullptr;
};

// For more entries there can be no memory.
constexpr size_t kMostWaitedFor = PTRDIFF_MAX / sizeof(WaitEntry);

// When the limit of a wait is over: ends a node of a manual loop whose deadline has passed, also if much else is due
// before it.
void end_overdue(Node* node);

// Waits until one of the contexts is done, or until `until_ns` on CLOCK_MONOTONIC. 1, with the lowest
// index of one that is done; 0; -EINTR; -ENOMEM.
int wait_any(Context* const* contexts, size_t count, int64_t until_ns, size_t* index);

}  // namespace ctxcore

#endif
