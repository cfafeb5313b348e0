// SPDX-License-Identifier: MIT
// Stands for a context of another process, and ends when that one has ended, or its process (life/import.h).
#ifndef CTX_CORE_LOOP_IMPORT_NODE_H
#define CTX_CORE_LOOP_IMPORT_NODE_H

#include <poll.h>

#include "core/loop/sources.h"
#include "core/system/share.h"

namespace ctxcore {

// A source on the other process's pipe. Its cause is blank, with room for what the other process says.
struct ImportNode : FdNode {
  ImportNode(Context* above, Value* nearest, Loop* runner, int64_t when, const Borrowed& from,
             Cause* why)
      : FdNode(above, nearest, runner, when, from.pipe, POLLIN, why, Kind::imported),
        borrowed(from) {
    // So that it is freed with all it has (release.cc).
    flags.store(kFamily, std::memory_order_relaxed);
  }

  Borrowed borrowed;  // the node's own
};

}  // namespace ctxcore

#endif
