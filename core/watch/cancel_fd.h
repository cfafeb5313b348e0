// SPDX-License-Identifier: MIT
// A descriptor that cancels a node when it is written to: the library watches one end of an event, as a source of
// the loop, and callers get copies of the other. It is a standing observer of the node, and so goes with it; a node
// has at most one, however many callers ask.
//
// Invariants
//  1. It is made, and becomes a source, under the lock of the node's observers.
//  2. Once the node is done or freed, it no longer is a source.
#ifndef CTX_CORE_WATCH_CANCEL_FD_H
#define CTX_CORE_WATCH_CANCEL_FD_H

#include "core/loop/sources.h"
#include "core/system/event.h"
#include "core/tree/observer.h"

namespace ctxcore {

struct CancelFd : Observer, Source {
  CancelFd(Node* ends, const Event& event);

  Event written;
};

void discard(CancelFd* descriptor);

// A descriptor to write to, which the caller owns; or a negative errno.
int open_cancel_fd(Node* node);

}  // namespace ctxcore

#endif
