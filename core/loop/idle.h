// SPDX-License-Identifier: MIT
// When an idle node's timer looks again, and how a touch moves that (tree/idle_node.h).
#ifndef CTX_CORE_LOOP_IDLE_H
#define CTX_CORE_LOOP_IDLE_H

#include "core/tree/idle_node.h"

namespace ctxcore {

// For a node that is in no wheel: takes in what was touched, and sets the time of the next look. False if the node was
// not touched for its limit, and so must end now.
bool put_off(IdleNode* node);

// Moves the ends of all idle nodes whose end would be this context's. Takes no lock and wakes nobody. 0, or the
// context's error.
int touch(Context* context);

}  // namespace ctxcore

#endif
