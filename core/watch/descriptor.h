// SPDX-License-Identifier: MIT
// The done descriptor of a node: an observer that is made when first asked for, stands at the head of
// the list of observers, and goes with the node. A stranger's handle to it is a plain number.
#ifndef CTX_CORE_WATCH_DESCRIPTOR_H
#define CTX_CORE_WATCH_DESCRIPTOR_H

#include "core/system/event.h"
#include "core/tree/node.h"
#include "core/tree/observer.h"

namespace ctxcore {

struct Descriptor : Observer {
  Descriptor() : Observer(Type::descriptor) {}

  // Under observers_lock(node). Asked twice when the descriptor was made while a cancel was under way.
  void signal() {
    if (!signaled) done.raise();
    signaled = true;
  }

  Event done;
  bool signaled = false;
};

// The number, or a negative errno: -ENOTSUP for a root, -ENOMEM, and what the system refuses.
int descriptor_of(Node* node);

void discard(Descriptor* descriptor);

}  // namespace ctxcore

#endif
