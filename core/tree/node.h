// SPDX-License-Identifier: MIT
// A node of the cancel tree.
//
// Invariants
//  1. A node is listed by its parent's node from birth until it is freed, done or not. So a parent's
//     memory outlives its children's, and with it everything that a child borrows from above.
//  2. error goes from 0 to an error once. cause is set before it, and both under the lock of the home
//     shard, where the parent lists this node: the first end wins, error and cause together.
//  3. If its cause is a Cause, a cancel ended this node itself; else the same call ended it as the ancestor that
//     its cause names. That ancestor's phase says how far the call has come. kFollowed beside a Cause marks a
//     grace that its loop ended because its parent had ended.
//  4. kFamily is set, under the lock of the home shard, before the first child or observer is added. So a thread
//     that sets error sees, under the same lock, whether there may be any; and a thread that adds one later
//     sees the error.
//  5. refs becomes 0 only while there are children, under the lock of a shard that lists one. It rises
//     again when a walk, or the loop that holds the node armed, pins it under the lock of a list that it is in;
//     when a call that came up from a held descendant ends it; or when the last child of a shard goes, whose
//     release then goes on here.
//  6. `next` joins the nodes below the root of a walk, for that walk, from marking to the end. That of the root
//     belongs to a walk from above that met it (life/walk.h), until that walk has ended; then, with the last
//     reference, to a loop's backlog (backlog.h).
//  7. kMergesBelow counts the children that are proxies of a merged node (merge.h), or have one below them. It
//     changes under the lock of the home shard. Every ancestor that is not a root counts a proxy from before it
//     is listed until it has been taken out.
//  8. The roots of the default loop are static, have no loop and are never freed. Nobody adds to their count, and
//     so nobody can take from it: who gives one back need not know which it is. The root of any other loop lives as
//     long as the loop: it is counted, and the loop ends with it.
//
// Lock order: home shard, own shards, then the place that holds an armed node, or the loop's backlog. Two nodes'
// shards are locked together only in the order ancestor, descendant.
#ifndef CTX_CORE_TREE_NODE_H
#define CTX_CORE_TREE_NODE_H

#include <cstdint>

#include "core/base/list.h"
#include "core/base/phase.h"
#include "core/system/atomic.h"
#include "core/tree/cause.h"
#include "core/tree/children.h"
#include "core/tree/context.h"
#include "core/tree/observer.h"

namespace ctxcore {

class Loop;

struct Node : Context {
  static constexpr uint8_t kFamily = 1;
  static constexpr uint8_t kMergesBelow = 0xFE;  // a count in steps of kOneMerge
  static constexpr uint8_t kOneMerge = 2;
  static constexpr uintptr_t kFollowed = 2;  // in `cause`

  constexpr Node(Context* above, Value* nearest, Loop* runner, int64_t when,
                 Kind which = Kind::cancel, uint8_t initial_flags = 0)
      : Context(which, above, nearest, initial_flags), deadline(when), loop(runner) {}

  // A Cause, perhaps with kFollowed; or the address of the ending node plus 1.
  Atomic<uintptr_t> cause{0};
  Phase phase;             // its address is the canceler's handle
  uint32_t slot = 0;       // place in the home shard; guarded by its lock
  const int64_t deadline;  // the effective one; kForever for none
  Loop* const loop;        // one for the whole family; ask loop_of()
  Children children;
  Ring<Observer> observers CTX_GUARDED_BY(children.first.lock);  // observer.h
  Node* next = nullptr;
};

// A node that ends at a time of its own. As a Link it is in a wheel, or in a list of due timers.
struct TimerNode : Node, Link {
  TimerNode(Context* above, Value* nearest, Loop* runner, int64_t when, const Cause* why,
            uint8_t wheel, Kind which = Kind::deadline)
      : Node(above, nearest, runner, when, which), reason(why) {
    armed.store(wheel, std::memory_order_relaxed);
  }

  const Cause* const reason;  // of its deadline; a reference, or nullptr; the node's for life
};

// A timer whose time is not its deadline: that of a grace, or of an idle context.
struct LateNode : TimerNode {
  using TimerNode::TimerNode;

  int64_t when = 0;
};

// When a timer is due.
inline int64_t time_of(const TimerNode* node) {
  return node->kind == Kind::deadline ? node->deadline : static_cast<const LateNode*>(node)->when;
}

// glibc has chunks of 128 and 144 bytes for these: one more field, and every context costs 16 bytes more.
static_assert(sizeof(void*) != 8 || sizeof(Node) <= 120);
static_assert(sizeof(void*) != 8 || sizeof(TimerNode) <= 136);
static_assert(alignof(Cause) > Node::kFollowed && alignof(Node) > 1);

inline Node* node_of(const Context* context) {
  return is_carrier(context) ? static_cast<const Carrier*>(context)->node
                             : const_cast<Node*>(static_cast<const Node*>(context));
}

// A root can never be done.
inline bool is_root(const Node* node) { return node->parent == nullptr; }

// One of the two that ctx_ref() and ctx_unref() ignore.
inline bool is_static(const Context* context) {
  return context->parent == nullptr && static_cast<const Node*>(context)->loop == nullptr;
}

Loop* default_loop();  // drive/process.cc
inline Loop* loop_of(const Node* node) {
  return node->loop != nullptr ? node->loop : default_loop();
}

// False for ever once a timer has been taken out, to fire or because its node has ended.
inline bool is_armed(const Node* node) {
  return node->armed.load(std::memory_order_acquire) != kUnarmed;
}

// The shard whose lock guards this node's end; not for a root, which has none.
inline Shard& home(Node* node) { return node_of(node->parent)->children.at(node->home_shard); }

inline Lock& observers_lock(Node* node) CTX_LOCK_RETURNED(node->children.first.lock) {
  return node->children.first.lock;
}

// watch/ defines these, for the layers below it: what observers other than callbacks do.
void tell(Node* node, Observer* observer) CTX_REQUIRES(observers_lock(node));  // its node is done
Observer* find_standing(Node* node, Observer::Type type) CTX_REQUIRES(observers_lock(node));
bool leave_loop(Node* node) CTX_REQUIRES(observers_lock(node));  // false if the loop has pinned it
void free_standing(Node* node);  // of a node that nobody can reach any more

// 0 while live. The acquire pairs with the release in mark(): a thread that sees the error sees its cause.
inline int error_of(const Node* node) { return node->error.load(std::memory_order_acquire); }

// For a node that is done: the node whose cancel ended it, possibly itself.
inline Node* ender_of(const Node* node) {
  const uintptr_t word = node->cause.load(std::memory_order_relaxed);
  return (word & 1) != 0 ? reinterpret_cast<Node*>(word - 1) : const_cast<Node*>(node);
}

// The cause of a cancel that ended this node itself; nullptr if it is live or was ended from above.
inline const Cause* own_cause(const Node* node) {
  const uintptr_t word = node->cause.load(std::memory_order_relaxed);
  return (word & 1) != 0 ? nullptr : reinterpret_cast<const Cause*>(word & ~Node::kFollowed);
}

// For a grace that is done: whether it ended because its parent had ended.
inline bool has_followed(const Node* node) {
  const uintptr_t word = node->cause.load(std::memory_order_relaxed);
  return (word & 1) == 0 && (word & Node::kFollowed) != 0;
}

inline const Cause* cause_of(const Node* node) {
  return error_of(node) == 0 ? nullptr : own_cause(ender_of(node));
}

// Under the home shard's lock, for a live node: ends it on behalf of a node above, whose cause it
// borrows.
inline void mark(Node* node, int error, const Node* ender) {
  node->cause.store(reinterpret_cast<uintptr_t>(ender) + 1, std::memory_order_relaxed);
  node->error.store(error, std::memory_order_release);
}

inline bool has_family(const Node* node) {
  return (node->flags.load(std::memory_order_acquire) & Node::kFamily) != 0;
}

// Before the first child or observer is added. The acquire in has_family() pairs with the release
// here, so that a thread that finds the flag set by another also sees an error set before it.
void start_family(Node* node);
inline void set_family(Node* node) {
  if (!has_family(node)) [[unlikely]]
    start_family(node);
}

// Waits until every context below the cancel that ended this node is marked, or also woken.
inline void await(const Node* node, Phase::Step step) { ender_of(node)->phase.await(step); }

inline int Shard::add(Node* child) {
  if (count() >> size_class() != 0 && !grow()) [[unlikely]]
    return -ENOMEM;
  const uint32_t n = count();
  slots()[n] = child;
  child->slot = n;
  fill += kOneChild;
  return 0;
}

inline void Shard::remove(Node* child) {
  Node** const array = slots();
  fill -= kOneChild;
  Node* const last = array[count()];
  array[child->slot] = last;
  last->slot = child->slot;
  if (size_class() > kSmallestArray && count() < 1u << size_class() >> 2) [[unlikely]]
    shrink();
}

}  // namespace ctxcore

#endif
