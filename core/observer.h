// SPDX-License-Identifier: MIT
// What wants to learn that a node is done. All observers of a node are in one list, in the order they
// came, and one walk over it serves them: a new kind is a new case in wake() (walk.cc), not a new list.
//
// Invariants
//  1. The list is guarded by observers_lock(node); so is being linked.
//  2. The descriptor, if there is one, stands first, and stays until the node is freed. Every other
//     observer leaves the list when it is told, or when it is stopped.
//  3. Nothing but a descriptor is added to a node that is done.
//  4. Callbacks are called in the order of their ranks, and of equal ranks in the order they came. The
//     rank is how many carriers there are between the node and the context that was watched: a context
//     that carries a value is its parent's descendant, though both end as one node.
#ifndef CTX_CORE_OBSERVER_H
#define CTX_CORE_OBSERVER_H

#include <cstdint>

#include "core/list.h"

namespace ctxcore {

struct Observer : Link {
  enum class Type : uint8_t { descriptor, waiter, watch };

  constexpr Observer(Type which, uint32_t carriers) : type(which), rank(carriers) {}

  const Type type;
  const uint32_t rank;
};

}  // namespace ctxcore

#endif
