// SPDX-License-Identifier: MIT
// Making a node of any kind and listing it below its parent's.
//
// Invariants
//  1. Everything that can fail comes before the node is visible to other threads.
//  2. A node that hangs on a carrier holds a reference to it. A node that hangs on a node keeps that in memory
//     by its place in the list there, and touches no count.
//  3. A node whose parent is done, or is the root of a closed loop, is done before it is handed out.
#ifndef CTX_CORE_LIFE_MAKE_NODE_H
#define CTX_CORE_LIFE_MAKE_NODE_H

#include <cerrno>

#include "core/base/alloc.h"
#include "core/loop/loop.h"
#include "core/loop/roots.h"
#include "core/tree/node.h"

namespace ctxcore {

// The spare memory of a shard, if it is that of a node of this kind.
inline void* take_spare(Shard& shard, Kind kind) CTX_REQUIRES(shard.lock) {
  Node* const spare = shard.spare.load(std::memory_order_relaxed);
  if (spare == nullptr || spare->kind != kind) return nullptr;
  shard.spare.store(nullptr, std::memory_order_relaxed);
  return spare;
}

// The error that children of this node are born with; 0 while it is live. Exact for a caller that has listed the
// child, else a hint.
inline int birth_error(const Node* above) {
  if (is_root(above)) [[unlikely]]
    return loop_of(above)->closed();
  return error_of(above);
}

// The node that ends a child that is born done.
inline const Node* birth_ender(const Node* above) {
  return is_root(above) ? loop_of(above)->root() : ender_of(above);
}

// Makes a T(parent, nearest value, loop, args...) with `refs` references, and lists it below its parent's node. If
// that is done, the new node is born done. 0 or -ENOMEM.
template <typename T, typename... Args>
int make_node(Context* parent, Kind kind, uint32_t refs, T** ret, Args... args) {
  Node* const above = node_of(parent);
  Loop* const loop = family_loop(above);
  set_family(above);
  AddingPlace place;
  void* memory = nullptr;
  if (above->children.may_have_spare()) {
    place.take(above->children);
    Shard& shard = place.shard();
    shard.lock.assert_held();
    memory = take_spare(shard, kind);
    if (memory == nullptr) place.release();
  }
  if (memory == nullptr) {
    memory = allocate(sizeof(T));
    if (memory == nullptr) return -ENOMEM;
    place.take(above->children);
  }
  Shard& shard = place.shard();
  shard.lock.assert_held();
  T* const node = ::new (memory) T(parent, parent->values, loop, args...);
  node->stamp = stamp::make(stamp::kContext);
  node->refs.store(refs, std::memory_order_relaxed);
  node->home_shard = place.index();
  const int result = shard.add(node);
  // The walk that ends the parent visits this shard after it has set the error: either it finds the node, or this
  // thread finds the error.
  const int error = birth_error(above);
  if (error != 0) mark(node, error, birth_ender(above));
  place.release();
  if (result < 0) {
    deallocate(memory);
    return result;
  }
  if (is_carrier(parent)) add_ref(parent);
  *ret = node;
  return 0;
}

// Gives back all references of a node that could not be finished.
inline void give_up(Node* node, uint32_t refs) {
  for (uint32_t i = 0; i < refs; ++i) release(node);
}

// Gives a new carrier its stamp, and a reference to its parent.
inline void enter(Carrier* carrier, Context* parent) {
  carrier->stamp = stamp::make(stamp::kContext);
  if (!is_static(parent)) add_ref(parent);
}

// A carrier that hangs on a node other than its parent's.
inline Carrier* make_carrier(Kind kind, Context* parent, Node* node) {
  auto* carrier = make<Carrier>(0, kind, parent, parent->values, node);
  if (carrier == nullptr) return nullptr;
  enter(carrier, parent);
  if (kind == Kind::anchor && !is_static(node)) add_ref(node);  // the root it hangs on (context.h)
  return carrier;
}

}  // namespace ctxcore

#endif
