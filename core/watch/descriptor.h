// SPDX-License-Identifier: MIT
// The done descriptor of a node: a standing observer that is made when first asked for and goes with the node.
// Its users only have its number.
#ifndef CTX_CORE_WATCH_DESCRIPTOR_H
#define CTX_CORE_WATCH_DESCRIPTOR_H

#include "core/system/event.h"
#include "core/tree/node.h"
#include "core/tree/observer.h"

namespace ctxcore {

struct Descriptor : Observer {
  Descriptor() : Observer(Type::descriptor) {}

  // Under observers_lock(node). Called twice if the descriptor was made while a cancel was under way.
  void signal() {
    if (!signaled) done.raise();
    signaled = true;
  }

  Event done;
  bool signaled = false;
};

// The number, or a negative errno: -ENOTSUP for a root, -ENOMEM, or the system's.
int descriptor_of(Node* node);

void discard(Descriptor* descriptor);

}  // namespace ctxcore

#endif
