// SPDX-License-Identifier: MIT
// A node with several parents, which ends with the first of them.
//
// The merged node itself hangs on the root of the loop, by a carrier that holds the first parent for its
// values. Each parent's node lists a proxy in its place, among its children: a walk that comes to a proxy
// marks the node it stands for.
//
// With proxies the tree is a graph: two walks can reach one node, and each can meet what the other has
// ended. What keeps that simple is one lock a loop, merge_lock(). Whoever ends a node below which a proxy
// hangs holds it from before the node's error is set until everything below is marked, whoever marked it.
// A count in each node, kMergesBelow, tells whether a proxy hangs below.
//
// Invariants
//  1. Links are listed, visited and taken out under merge_lock(). So a walk that finds a proxy finds its
//     target in memory.
//  2. A node counts its children that are proxies or count some themselves: from before a proxy is listed
//     until it has been taken out, all its ancestors but the roots count. An ancestor that was ended while it
//     counted nothing is done with marking before the proxy is listed. So no walk without the lock comes to
//     a proxy.
//  3. A count may be too high: one that has reached its end stays there, and far above a proxy that is taken
//     out nothing is counted back. Then an end takes the lock though no proxy may be left, which costs a
//     little and is never wrong.
//  4. A proxy stays listed until its target is freed: it keeps the parent, and whoever ended that, in
//     memory, for the target to borrow the cause from.
//  5. If a merged node is below another one, it has the higher birth number.
//
// Why nobody waits in a circle. A walk that holds the lock waits for the marking of those it met. If
// they needed the lock they had it earlier, and have marked. If they did not, nothing below them has a
// proxy, they wait only for walks below themselves that are like them, and none of those needs the lock.
// For waking a walk waits, without the lock, for walks that had the lock earlier, or for such below it.
//
// Why a walk does not take the lock when it meets its first proxy, which would need no count. Of two walks
// that are both marking, one can meet the other's root, and the other can come by a proxy to what the first
// has ended. Then each waits for the other's marking.
//
// Lock order: merge_lock() before all locks of the tree.
#ifndef CTX_CORE_LIFE_MERGE_H
#define CTX_CORE_LIFE_MERGE_H

#include <cstddef>
#include <cstdint>

#include "core/tree/node.h"

namespace ctxcore {

struct Proxy;

// What ctx_merge makes. As a Link it is in the walk that ended it (life/cancel.cc).
struct MergedNode : Node, Link {
  MergedNode(Context* above, Value* nearest, Loop* runner, int64_t when, uint64_t number,
             size_t parents)
      : Node(above, nearest, runner, when, Kind::merged), birth(number), count(parents) {}

  const uint64_t birth;
  const size_t count;        // as it was made; roots among the parents, too
  Proxy* proxies = nullptr;  // all that stand for it
  Node* last = nullptr;      // of the nodes that its walk has to visit again; the walk's
};

// Stands for a merged node among the children of one of its parents. Never live, never a handle: its
// error is set from the start, so that a walk looks twice.
struct Proxy : Node {
  Proxy(Node* above, MergedNode* merged)
      : Node(above, nullptr, above->loop, kForever, Kind::proxy), target(merged) {
    error.store(1, std::memory_order_relaxed);
  }

  MergedNode* const target;
  Proxy* sibling = nullptr;  // in the target's list, or in a chain of what has been taken out
};

// -EXDEV if the parents are not on one loop; -ENOMEM.
int derive_merged(Context* const* parents, size_t count, uint32_t refs, Node** ret);

// The parent that its deadline comes from; it must have one.
Node* earliest_parent(const MergedNode* node);

// For a merged node that is out of the tree, under merge_lock(): takes its proxies out and puts them into the
// chain *owed. The parent of each is pinned, and is to be released when no lock is held.
void take_out_proxies(Proxy* proxies, Proxy** owed);

}  // namespace ctxcore

#endif
