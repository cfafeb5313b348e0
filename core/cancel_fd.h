// SPDX-License-Identifier: MIT
// A descriptor that cancels a node when it is written to: an observer that stands in the node's list,
// so that it goes with the node, and a source of the loop's. The writer's end is the caller's own.
//
// Invariants
//  1. It is in the node's list from before it is a source until the node is freed.
//  2. It is no source any more once the node is done or freed.
#ifndef CTX_CORE_CANCEL_FD_H
#define CTX_CORE_CANCEL_FD_H

#include "core/observer.h"
#include "core/sources.h"

namespace ctxcore {

struct CancelFd : Observer, Source {
  CancelFd(Node* ends, int read_end);

  void close();  // what is ours
};

// The descriptor to write to, or a negative errno.
int open_cancel_fd(Node* node);

}  // namespace ctxcore

#endif
