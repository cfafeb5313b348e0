// SPDX-License-Identifier: MIT
// The callbacks of a node that a cancel has ended: they run here, go to the loop, or wait for the turn of this
// thread. Each leaves the node's list under its lock, and runs with no lock held.
#ifndef CTX_CORE_LIFE_CALL_BACK_H
#define CTX_CORE_LIFE_CALL_BACK_H

#include "core/loop/turn.h"
#include "core/tree/node.h"

namespace ctxcore {

enum class Pushed { deferred, deferred_and_blocking, all };
enum class Which { wakers, all };

// The callbacks of a node that is done, in the order in which they must run, wakers first:
void push_callbacks(Node* node, Pushed which);        // these go to the loop
void leave_to_turn(Node* node);                       // the others go to the turn of this thread
void call_back(Node* node, Which which, Turn* turn);  // the others, or only wakers, run here

}  // namespace ctxcore

#endif
