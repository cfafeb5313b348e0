// SPDX-License-Identifier: MIT
// What cancels a node when it is written to: an event of which the library watches the one end, as a
// source of the loop's, and callers get copies of the other. It is an observer that stands in the node's
// list, and so goes with the node; a node has one at most, however many callers ask.
//
// Invariants
//  1. It is made, and becomes a source, under the lock of the node's observers.
//  2. It is no source any more once the node is done or freed.
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

// A descriptor to write to, the caller's own; or a negative errno.
int open_cancel_fd(Node* node);

}  // namespace ctxcore

#endif
