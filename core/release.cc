// SPDX-License-Identifier: MIT
// Giving references back, and freeing: one step at a time up the tree, never recursing.
//
// Invariants
//  1. The last reference of a node is given up only under its home shard's lock, and only if it is
//     still the last one then: who finds a node in its parent's list, or in a wheel, may therefore pin
//     it under the lock of that list.
//  2. A node with children keeps its place, its timer and its observers: its children still end with
//     it. Nobody can add a child to it any more, since nobody has a handle.
//  3. Nodes are freed, descriptors closed and users' functions called with no lock held.
#include "core/alloc.h"
#include "core/check.h"
#include "core/context.h"
#include "core/descriptor.h"
#include "core/loop.h"

namespace ctxcore {

namespace {

// What is left of a node that was taken out of the tree, to be given back with no lock held.
class Remains {
 public:
  // Under the home shard's lock, which may keep the memory in place of an older one.
  Remains(Node* node, Shard& home) : memory_(node), own_(own_cause(node)) {
    if (node->kind == Kind::deadline) deadline_ = static_cast<TimerNode*>(node)->deadline_cause;
    family_ = has_family(node);
    node->stamp = 0;  // a stale handle is told while the memory lasts
    if (kKeepSpares && !family_) {
      memory_ = home.spare.load(std::memory_order_relaxed);
      home.spare.store(node, std::memory_order_relaxed);
    }
  }

  void dispose() {
    if (family_) {
      free_descriptor(memory_);
      memory_->children.free_all();
    }
    unref(own_);
    unref(deadline_);
    deallocate(memory_);
  }

 private:
  Node* memory_;
  const Cause* own_;
  const Cause* deadline_ = nullptr;
  bool family_;
};

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
  if (node->kind == Kind::deadline && !node->loop->disarm_last(static_cast<TimerNode*>(node))) {
    return Fate::pinned;
  }
  return Fate::free;
}

// Under the home shard's lock, for a node that is nobody's any more. Returns whose reference must be
// given back next, or nullptr.
Context* take_out(Node* node, Shard& shard) CTX_REQUIRES(shard.lock) {
  Context* const parent = node->parent;
  Node* const above = node_of(parent);
  CTX_ASSERT(shard.slots()[node->slot] == node);
  shard.remove(node);
  if (is_carrier(parent)) return parent;  // which this node held by a reference
  // A parent that has lost its last handle before goes with its last child.
  if (shard.count != 0 || above->refs.load(std::memory_order_relaxed) != 0) return nullptr;
  add_ref(above);
  return above;
}

Context* release_last_of(Node* node) {
  if (is_root(node)) return nullptr;
  do {
    Shard& shard = home(node);
    shard.lock.lock();
    const bool last = node->refs.load(std::memory_order_acquire) == 1;
    const Fate fate = last ? decide(node) : Fate::pinned;
    if (fate == Fate::free) {
      Context* const next = take_out(node, shard);
      Remains remains(node, shard);
      shard.lock.unlock();
      remains.dispose();
      return next;
    }
    shard.lock.unlock();
    if (fate == Fate::kept) return nullptr;
  } while (!release_shared(node));  // a walk or the loop had pinned it
  return nullptr;
}

Context* release_last_of(Carrier* carrier) {
  Context* const next = carrier->parent;
  if (carrier->kind == Kind::value) {
    auto* value = static_cast<Value*>(carrier);
    if (value->drop != nullptr) value->drop(value->value);
  }
  deallocate(carrier);
  return next;
}

}  // namespace

void release_last(Context* context) {
  do {
    context = is_carrier(context) ? release_last_of(static_cast<Carrier*>(context))
                                  : release_last_of(static_cast<Node*>(context));
  } while (context != nullptr && !release_shared(context));
}

}  // namespace ctxcore
