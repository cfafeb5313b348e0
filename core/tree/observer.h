// SPDX-License-Identifier: MIT
// An observer learns that a node is done. All observers of a node are in one list, in the order they came, and
// one walk over it tells them: a new kind is a new case in tell() (watch/tell.cc), not a new list.
//
// Invariants
//  1. The list is guarded by observers_lock(node); so is being linked.
//  2. Standing observers, at most a descriptor and a cancel descriptor, are at the head of the list and stay
//     until the node is freed. Every other observer leaves the list when it is told or stopped.
//  3. Only standing observers are added to a node that is done.
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
    exported,    // export.h
  };

  constexpr explicit Observer(Type which) : type(which) {}

  bool stands() const { return type <= Type::cancel_fd; }

  const Type type;
};

// A ctx_watch_t points to one: a callback, a queue's entry, or what is exported.
struct Watch : Observer {
  using Observer::Observer;

  uint32_t stamp = 0;
};

}  // namespace ctxcore

#endif
