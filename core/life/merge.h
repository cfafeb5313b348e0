// SPDX-License-Identifier: MIT
// A node with several parents, which ends with the first of them.
//
// The merged node itself hangs on the root of the loop, by a carrier that holds the first parent for its values.
// Each parent's node lists a proxy for it among its children: a walk that comes to a proxy marks its target.
//
// With proxies the tree is a graph: two walks can reach one node, and each can meet nodes that the other has
// ended. One lock for each loop, merge_lock(), keeps that simple. A walk that ends a node above a proxy holds it
// from before the node's error is set until everything below is marked, by whichever walk. A count in each node,
// kMergesBelow, says whether there is a proxy below.
//
// Invariants
//  1. Proxies are listed, visited and taken out under merge_lock(). So a walk that finds a proxy finds its target
//     in memory.
//  2. A node counts the children that are proxies or count some themselves: from before a proxy is listed until
//     it has been taken out, all its ancestors except the roots count it. If an ancestor was ended while it counted
//     nothing, it has been marked to the bottom before the proxy is listed. So a walk without the lock never comes
//     to a proxy.
//  3. A count may be too high: a count that has reached its maximum stays there, and taking out a proxy counts
//     back only in the nodes near it. Then an end takes the lock though no proxy may be left, which costs a little
//     and is never wrong.
//  4. A proxy stays listed until its target is freed: it keeps the parent in memory, and the node that ended the
//     parent, from which the target borrows the cause.
//  5. A merged node's birth number exceeds that of every merged ancestor.
//
// Why walks never wait in a circle. A walk that holds the lock waits for the marking of walks that it met. Those
// that needed the lock had it earlier, and have marked. For the others there is no proxy below them: they wait
// only for lower walks of the same kind, none of which needs the lock. For waking, a walk waits without the lock,
// for walks that had the lock earlier, or for lower walks without proxies.
//
// Why a walk does not take the lock when it meets its first proxy, which would need no count. If two walks are
// marking, one can meet the other's root, and the other can come by a proxy to a node that the first has ended.
// Then each would wait for the other's marking.
//
// Lock order: merge_lock() before all locks of the tree.
#ifndef CTX_CORE_LIFE_MERGE_H
#define CTX_CORE_LIFE_MERGE_H

#include <cstddef>
#include <cstdint>

#include "core/tree/node.h"

namespace ctxcore {

struct Proxy;

// The node of ctx_merge. Its Link is for the walk that ended it (walk.h).
struct MergedNode : Node, Link {
  MergedNode(Context* above, Value* nearest, Loop* runner, int64_t when, uint64_t number,
             size_t parents)
      : Node(above, nearest, runner, when, Kind::merged), birth(number), count(parents) {}

  const uint64_t birth;
  const size_t count;        // of its parents, roots included
  Proxy* proxies = nullptr;  // all that stand for it
  Node* last = nullptr;      // of the nodes that its walk must visit again; the walk's own
  // Written before its error, under the same lock (ended_by.h).
  const Proxy* ended_through = nullptr;
};

// Stands for a merged node among the children of one of its parents. It is never live and never a handle: its
// error is set from the start, so that a walk takes the slow path.
struct Proxy : Node {
  Proxy(Node* above, MergedNode* merged)
      : Node(above, nullptr, above->loop, kForever, Kind::proxy), target(merged) {
    error.store(1, std::memory_order_relaxed);
  }

  MergedNode* const target;
  Proxy* sibling = nullptr;  // in the target's list, or in a chain of those taken out
};

// All parents are on one loop, but for roots (for others see watch/mirror.h). 0 or -ENOMEM.
int derive_merged(Context* const* parents, size_t count, uint32_t refs, Node** ret);

// The parent that its deadline comes from; there must be one.
Node* earliest_parent(const MergedNode* node);

// For a merged node that is out of the tree, under merge_lock(): takes its proxies out and puts them into the
// chain *owed. The parent of each is pinned; the caller releases it when it holds no lock.
void take_out_proxies(Proxy* proxies, Proxy** owed);

}  // namespace ctxcore

#endif
