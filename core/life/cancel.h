// SPDX-License-Identifier: MIT
// Cancel: ends a node and everything below it.
//
// A call of cancel() that wins carries one walk out (walk.h).
//
// Invariants
//  1. A node ends under the lock of its home shard, which says who wins: error, cause and phase are written there.
//  2. Where a proxy may be below a node, merge_lock() is taken before that, and held until all below is marked.
//     Whether that is so shows only under the home shard's lock, which comes later: so that is given back and taken
//     again.
//  3. A call that has lost holds no lock while it waits for the one that won.
//
// Lock order: merge_lock(), then a home shard's. No lock is held while the walk wakes and calls back.
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
