// SPDX-License-Identifier: MIT
// Cancel: ends a node and everything below it.
//
// One call of cancel() that wins is one walk, in three steps: mark, wake, call back. What it needs to
// remember lies in the nodes themselves, so it allocates nothing and does not recurse.
//
// Invariants
//  1. A node's children are visited only by the walk that ended the node. So a child that was ended by
//     another walk is the root of that walk (anything between would have been ended first), or a merged
//     node; and each child and each proxy is met by at most one walk from above.
//  2. A walk marks its whole subtree before it waits for anybody. It waits only for walks it met. Without
//     proxies those are below it: waiting goes down the tree and so ends. With proxies: merge.h.
//  3. Its root's phase is `marked` once everything below the root is done, whoever ended it, and
//     `woken` once every observer below that waits has been told, by whichever walk.
//  4. Nodes that have to be visited again are pinned and joined by `next`, ancestors first; one that has
//     nothing but children only until those are marked. The root is in no chain of its own walk: its
//     `next` may be in use by a walk from above (node.h, 6).
//  5. Locks are held for at most kChunk children at a time. Children are visited from the last to the
//     first: a removal moves only visited ones into the gap, and one that is added is done at birth.
#ifndef CTX_CORE_LIFE_CANCEL_H
#define CTX_CORE_LIFE_CANCEL_H

#include "core/tree/cause.h"
#include "core/tree/node.h"

namespace ctxcore {

enum class Callbacks {
  here,    // on this thread
  queued,  // left to the loop's calls: the caller rings the loop
};

// True if this call ended the node. If not, returns when whoever did has marked and woken. The node
// must be held by the caller, or be an ancestor of a context that is; the cause is borrowed, nullptr for
// the plain one.
bool cancel(Node* node, int error, const Cause* cause, Callbacks callbacks);

// Ends everything on a loop, for good: its root's children, and those to come (Loop::close). Returns when
// all is marked and woken, whoever did it.
void cancel_all(Loop* loop, Callbacks callbacks);

}  // namespace ctxcore

#endif
