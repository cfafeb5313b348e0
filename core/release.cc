// SPDX-License-Identifier: MIT
// Giving references back, and freeing: one step at a time up the tree, never recursing.
//
// Invariants
//  1. The last reference of a node is given up only under its home shard's lock, and only if it is
//     still the last one then: who finds a node in its parent's list, or in a wheel, may therefore pin
//     it under the lock of that list.
//  2. A node with children keeps its place, its timer and its observers: its children still end with
//     it. Nobody can add a child to it any more, since nobody has a handle.
//  3. Memory is freed, descriptors closed and users' functions called with no lock held.
#include "core/alloc.h"
#include "core/context.h"
#include "core/descriptor.h"
#include "core/loop.h"

namespace ctxcore {

namespace {

void destroy(Node* node) {
  if (has_family(node)) {
    free_descriptor(node);
    node->children.free_all();
  }
  if (const Cause* cause = own_cause(node); cause != nullptr) unref(cause);
  if (node->kind == Kind::deadline) unref(static_cast<TimerNode*>(node)->deadline_cause);
  deallocate(node);
}

// Under the home shard's lock, with one reference left: whether this node is nobody's any more. If so
// it is in no wheel now. If children keep it, its last reference is given up here.
enum class Fate { free, kept, pinned };

Fate decide(Node* node) {
  if (has_family(node)) {
    Children& children = node->children;
    children.lock_all();
    const bool empty = children.empty();
    uint32_t one = 1;
    // The loop may pin it meanwhile: then that pin's release decides.
    const bool last =
        empty || node->refs.compare_exchange_strong(one, 0, std::memory_order_acq_rel);
    children.unlock_all();
    if (!empty) return last ? Fate::kept : Fate::pinned;
  }
  if (node->kind == Kind::deadline &&
      !node->loop->disarm_last(static_cast<TimerNode*>(node))) {
    return Fate::pinned;
  }
  return Fate::free;
}

// Gives up the last reference but one if there are more, and tells whether it did.
bool give_up_shared(Node* node) {
  uint32_t refs = node->refs.load(std::memory_order_acquire);
  while (refs > 1) {
    if (node->refs.compare_exchange_weak(refs, refs - 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {
      return true;
    }
  }
  return false;
}

// Returns whose reference must be given back next, or nullptr.
Context* release_node(Node* node) {
  Node* const above = node_of(node->parent);
  Context* next = nullptr;
  for (;;) {
    if (give_up_shared(node)) return nullptr;
    Shard& shard = home(node);
    Guard guard(shard.lock);
    if (node->refs.load(std::memory_order_acquire) != 1) continue;
    const Fate fate = decide(node);
    if (fate == Fate::kept) return nullptr;
    if (fate == Fate::pinned) continue;
    shard.remove(node);
    // A parent that has lost its last handle before goes with its last child.
    if (shard.count == 0 && above->refs.load(std::memory_order_relaxed) == 0) {
      add_ref(above);
      next = above;
    }
    break;
  }
  if (is_carrier(node->parent)) next = node->parent;  // which this node held by a reference
  destroy(node);
  return next;
}

Context* release_carrier(Carrier* carrier) {
  // acq_rel: all uses of the carrier come before its destruction.
  if (carrier->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return nullptr;
  Context* const next = carrier->parent;
  if (carrier->kind == Kind::value) {
    auto* value = static_cast<Value*>(carrier);
    if (value->drop != nullptr) value->drop(value->value);
  }
  deallocate(carrier);
  return next;
}

}  // namespace

void release(Context* context) {
  while (context != nullptr) {
    if (is_carrier(context)) {
      context = release_carrier(static_cast<Carrier*>(context));
    } else if (is_root(static_cast<Node*>(context))) {
      context = nullptr;
    } else {
      context = release_node(static_cast<Node*>(context));
    }
  }
}

bool release_unless_last(Node* node) { return is_root(node) || give_up_shared(node); }

}  // namespace ctxcore
