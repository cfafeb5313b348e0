// SPDX-License-Identifier: MIT
// What a cancel does with the callbacks of a node that is done: they run here, go to the loop, or are left
// to the turn of this thread. Each is taken off the node's list under its lock, and runs without.
#ifndef CTX_CORE_LIFE_CALL_BACK_H
#define CTX_CORE_LIFE_CALL_BACK_H

#include "core/loop/turn.h"
#include "core/tree/node.h"

namespace ctxcore {

// Of a node that is done, in the order they are to run:
void push_callbacks(Node* node, bool all);  // all, or those that are deferred, go to the loop
void leave_to_turn(Node* node);             // the others go to the turn of this thread
void call_back(Node* node, Turn* turn);     // the others run here
void run_wakers(Ring<Callback>& wakers);    // claimed ones, off their lists

}  // namespace ctxcore

#endif
