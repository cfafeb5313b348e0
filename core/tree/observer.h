// SPDX-License-Identifier: MIT
// What wants to learn that a node is done. All observers of a node are in one list, in the order they
// came, and one walk over it serves them: a new kind is a new case in tell() (watch/tell.cc), not a new list.
//
// Invariants
//  1. The list is guarded by observers_lock(node); so is being linked.
//  2. What stands at the head of the list, a descriptor and a cancel descriptor at most, stays until the
//     node is freed. Every other observer leaves the list when it is told, or when it is stopped.
//  3. Nothing but what stands is added to a node that is done.
//  4. Callbacks are called in the order of their ranks, and of equal ranks in the order they came. The
//     rank is how many carriers there are between the node and the context that was watched: a context
//     that carries a value is its parent's descendant, though both end as one node.
#ifndef CTX_CORE_TREE_OBSERVER_H
#define CTX_CORE_TREE_OBSERVER_H

#include <cstdint>

#include "core/base/list.h"

namespace ctxcore {

struct Observer : Link {
  enum class Type : uint8_t {
    descriptor,  // descriptor.h; stands
    cancel_fd,   // cancel_fd.h; stands
    waiter,      // wait.h
    callback,    // callback.h
    entry,       // queue.h
    grace,       // grace.h
  };

  constexpr explicit Observer(Type which, uint32_t carriers = 0) : type(which), rank(carriers) {}

  bool stands() const { return type <= Type::cancel_fd; }

  const Type type;
  const uint32_t rank;
};

// What a ctx_watch_t points to: a callback, or a queue's entry.
struct Watch : Observer {
  using Observer::Observer;

  uint32_t stamp = 0;
};

}  // namespace ctxcore

#endif
