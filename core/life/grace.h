// SPDX-License-Identifier: MIT
// A node that ends some time after its parent: a timer that the parent's end sets.
//
// It hangs on the root of the loop, since a cancel of the parent does not reach it, by a carrier that
// holds the parent: so the parent's error and cause are there when the time has come. Among the parent's
// observers it is told of the end.
//
// Invariants
//  1. It is an observer of its parent's node from before it is handed out until the parent is done or it
//     is freed; both under the lock of those observers. So whoever tells it finds it in memory.
//  2. `when` is written once, before it is put into its wheel.
#ifndef CTX_CORE_LIFE_GRACE_H
#define CTX_CORE_LIFE_GRACE_H

#include <cstdint>

#include "core/tree/node.h"
#include "core/tree/observer.h"

namespace ctxcore {

struct GraceNode : TimerNode, Observer {
  GraceNode(Context* above, Value* nearest, Loop* runner, int64_t latest, int64_t length,
            uint8_t wheel)
      : TimerNode(above, nearest, runner, latest, nullptr, wheel, Kind::grace),
        Observer(Type::grace),
        grace(length) {}

  // The node whose end it follows.
  Node* graced() const { return node_of(parent->parent); }

  void begin();          // the parent is done
  void forget_parent();  // before it is freed, unless it was told

  const int64_t grace;
  int64_t when = 0;
};

// When a timer is due.
inline int64_t time_of(const TimerNode* node) {
  return node->kind == Kind::grace ? static_cast<const GraceNode*>(node)->when : node->deadline;
}

int derive_grace(Context* parent, int64_t grace, uint32_t refs, Node** ret);

}  // namespace ctxcore

#endif
