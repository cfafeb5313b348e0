// SPDX-License-Identifier: MIT
// Cancel: ends a node and everything below it.
//
// A call of cancel() that wins is one walk, in three steps: mark, wake, call back. It keeps its notes in the
// nodes themselves, so it allocates nothing and does not recurse.
//
// Invariants
//  1. Only the walk that ended a node visits its children. So a child that another walk has ended is the root of
//     that walk (that walk would have ended any node between first), or a merged node. And at most one walk from
//     above meets each child and each proxy.
//  2. A walk marks its whole subtree before it waits, and waits only for walks that it met. Without proxies
//     these are below it: waiting goes down the tree and so ends. With proxies see merge.h.
//  3. Its root's phase is `marked` once everything below the root is done, and `woken` once every waiting
//     observer below has been told, by whichever walk.
//  4. Nodes that the walk must visit again are pinned and joined by `next`, ancestors first; a node that has only
//     children just until these are marked. The root is in no chain of its own walk: a walk from above may use
//     its `next` (node.h, 6).
//  5. Locks are held for at most kChunk children at a time. Children are visited from the last to the first: a
//     removal moves only visited ones into the gap, and a child that is added meanwhile is born done.
#ifndef CTX_CORE_LIFE_CANCEL_H
#define CTX_CORE_LIFE_CANCEL_H

#include "core/tree/cause.h"
#include "core/tree/node.h"

namespace ctxcore {

enum class Callbacks {
  here,    // on this thread
  queued,  // left to the loop's backlog: the caller rings the loop
};

// True if this call ended the node. Else it returns when the call that did has marked and woken. The caller
// must hold the node or a context below it. The cause is borrowed; nullptr for the plain one. `followed` is
// kFollowed for a grace that ends because its parent has ended.
bool cancel(Node* node, int error, const Cause* cause, Callbacks callbacks, uintptr_t followed = 0);

// As cancel() and ring, for a caller that holds locks of its own: leaves all users' code to the loop, which it starts
// if nobody would run that. 1: this call ended the node; 0; or a negative errno with nothing changed.
int cancel_deferred(Node* node, int error, const Cause* cause);

// Ends everything on a loop, for good: its root's children, and those to come (ctx_loop_close). Returns when all
// is marked and woken, by whichever call.
void cancel_all(Loop* loop, Callbacks callbacks);

}  // namespace ctxcore

#endif
