// SPDX-License-Identifier: MIT
// A node's children: arrays of pointers, in one shard or in many; each child knows its place.
//
// A child is listed from its birth until it is freed. Removal moves the last child into the gap, so adding and
// removing are O(1), and a walk over the array can prefetch, which it could not over a linked list.
//
// Invariants
//  1. shard.slots()[child.slot] is child, for the shard that child.home_shard names.
//  2. A shard's lock guards the shard, and writes to `error`, `cause` and `flags` of the nodes that it lists.
//  3. A capacity of 1 is the pointer inside the shard itself: a chain allocates no arrays.
//  4. `more` goes from null to an array once, under the first shard's lock, when a thread that adds a child
//     meets another at that lock. From then on children are added to the array, in the shard of the adding
//     thread's processor, so that threads on different processors share no cache line that they write. That
//     costs the parent a kilobyte, for good.
//  5. A shard keeps the memory of the leaf that was freed last, for the next child: a thread that starts and
//     ends one piece of work after the other below one parent calls malloc once. It is dead memory; only its
//     kind counts, which gives its size. The checked build keeps none, since that would hide a use after free.
//
// Lock order: a shard of a parent before any shard of its child.
#ifndef CTX_CORE_TREE_CHILDREN_H
#define CTX_CORE_TREE_CHILDREN_H

#include <cstdint>

#include "core/base/lock.h"
#include "core/system/atomic.h"

namespace ctxcore {

struct Node;

struct Shard {
  static constexpr uint32_t kOneChild = 32;  // in `fill`, above the five bits of the size class

  Node** slots() CTX_REQUIRES(lock) { return size_class() == 0 ? &place.one : place.many; }
  uint32_t count() const CTX_REQUIRES(lock) { return fill / kOneChild; }
  uint32_t size_class() const CTX_REQUIRES(lock) { return fill % kOneChild; }

  // Keeps a capacity of 64: growing again would cost more.
  static constexpr uint32_t kSmallestArray = 6;

  int add(Node* child) CTX_REQUIRES(lock);  // 0 or -ENOMEM; these two are inline in node.h
  void remove(Node* child) CTX_REQUIRES(lock);
  [[gnu::cold]] bool grow() CTX_REQUIRES(lock);
  [[gnu::cold]] void shrink() CTX_REQUIRES(lock);

  void free_all();  // once no other thread can reach it

  Lock lock;
  // How many children there are, and the size class: there is room for 2^class.
  uint32_t fill CTX_GUARDED_BY(lock) = 0;
  union {
    Node* one;
    Node** many;
  } place CTX_GUARDED_BY(lock) = {nullptr};
  Atomic<Node*> spare{nullptr};  // see invariant 5; changed under lock, peeked at without
};

struct Children {
  static constexpr uint32_t kMore = 16;
  struct alignas(64) PaddedShard : Shard {};

  Shard& at(uint8_t index) {
    return index == 0 ? first : more.load(std::memory_order_acquire)[index - 1];
  }

  // False if an allocation cannot be avoided.
  bool may_have_spare() const {
    return more.load(std::memory_order_relaxed) != nullptr ||
           first.spare.load(std::memory_order_relaxed) != nullptr;
  }

  // How many shards there are. Exact for a caller that holds first.lock, or has held it since the time that
  // matters to it.
  uint32_t shards() const {
    return more.load(std::memory_order_acquire) == nullptr ? 1 : 1 + kMore;
  }

  void free_all();

  Shard first;
  Atomic<PaddedShard*> more{nullptr};
};

// The shard that a thread adds a child to: locked by take(), until release() or the end of this object. Which lock
// that is turns out at run time, so users assert_held() it.
class AddingPlace {
 public:
  AddingPlace() = default;
  explicit AddingPlace(Children& children) { take(children); }
  AddingPlace(const AddingPlace&) = delete;
  AddingPlace& operator=(const AddingPlace&) = delete;
  ~AddingPlace() { release(); }

  void take(Children& children) CTX_UNCHECKED_LOCKING {
    if (children.more.load(std::memory_order_acquire) == nullptr &&
        children.first.lock.try_lock()) {
      taken_ = {&children.first, 0};
    } else {
      taken_ = take_contended(children);
    }
  }

  [[gnu::always_inline]] void release() CTX_UNCHECKED_LOCKING {
    if (taken_.shard != nullptr) taken_.shard->lock.unlock();
    taken_.shard = nullptr;
  }

  Shard& shard() const { return *taken_.shard; }
  uint8_t index() const { return taken_.index; }

 private:
  struct Taken {
    Shard* shard;
    uint8_t index;
  };

  static Taken take_contended(Children& children) CTX_UNCHECKED_LOCKING;

  Taken taken_ = {nullptr, 0};
};

// All shards, locked, to decide whether any child is left.
class AllShards {
 public:
  explicit AllShards(Children& children) CTX_UNCHECKED_LOCKING;
  AllShards(const AllShards&) = delete;
  AllShards& operator=(const AllShards&) = delete;
  ~AllShards() CTX_UNCHECKED_LOCKING;

  bool empty() const;

 private:
  Children& children_;
};

}  // namespace ctxcore

#endif
