// SPDX-License-Identifier: MIT
// The node of ctx_with_grace (life/grace.h): a timer that its parent's end sets.
//
// Invariants
//  1. It observes its parent's node from before it is handed out until the parent is done or it is freed; both
//     change under the lock of those observers. So a walk that tells it finds it in memory.
//  2. `when` is written once, before it is put into its wheel.
#ifndef CTX_CORE_TREE_GRACE_NODE_H
#define CTX_CORE_TREE_GRACE_NODE_H

#include <cstdint>

#include "core/tree/node.h"
#include "core/tree/observer.h"

namespace ctxcore {

struct GraceNode : LateNode, Observer {
  GraceNode(Context* above, Value* nearest, Loop* runner, int64_t latest, int64_t length,
            uint8_t wheel)
      : LateNode(above, nearest, runner, latest, nullptr, wheel, Kind::grace),
        Observer(Type::grace),
        grace(length) {}

  // The node whose end it follows.
  Node* graced() const { return node_of(parent->parent); }

  void begin();          // the parent is done
  void forget_parent();  // before it is freed, unless it was told

  const int64_t grace;
};

}  // namespace ctxcore

#endif
