// SPDX-License-Identifier: MIT
// Stands on its loop for a node of another loop, and ends when that one has ended (watch/mirror.h).
#ifndef CTX_CORE_LOOP_MIRROR_NODE_H
#define CTX_CORE_LOOP_MIRROR_NODE_H

#include "core/loop/sources.h"

namespace ctxcore {

// A source on the done descriptor of the node that it follows. An anchor above it keeps that node in memory.
struct MirrorNode : FdNode {
  MirrorNode(Context* above, Value* nearest, Loop* runner, int64_t when, int descriptor,
             uint32_t wanted, Node* other)
      : FdNode(above, nearest, runner, when, descriptor, wanted, nullptr, Kind::mirror),
        followed(other) {}

  Node* const followed;
};

}  // namespace ctxcore

#endif
