// SPDX-License-Identifier: MIT
#include "core/children.h"

#include <cerrno>
#include <sched.h>

#include "core/alloc.h"
#include "core/node.h"

namespace ctxcore {

namespace {

constexpr uint32_t kFirstArray = 4;     // the capacity after 1
constexpr uint32_t kSmallArray = 64;    // never shrunk below: growing again would cost more
constexpr uint32_t kLargest = 1u << 31;

// nullptr without memory: then all stays in one shard, slower but right.
Children::PaddedShard* make_shards() {
  void* memory = allocate_lines(sizeof(Children::PaddedShard) * Children::kMore);
  return memory == nullptr ? nullptr : ::new (memory) Children::PaddedShard[Children::kMore];
}

}  // namespace

bool Shard::grow() {
  if (capacity >= kLargest) return false;
  const uint32_t larger = capacity == 1 ? kFirstArray : capacity * 2;
  void* const old = capacity == 1 ? nullptr : place.many;
  auto** const array = static_cast<Node**>(reallocate(old, larger * sizeof(Node*)));
  if (array == nullptr) return false;
  if (capacity == 1) array[0] = place.one;
  place.many = array;
  capacity = larger;
  return true;
}

void Shard::shrink() {
  // An array that cannot be shrunk stays as it is.
  void* const smaller = reallocate(place.many, capacity / 2 * sizeof(Node*));
  if (smaller == nullptr) return;
  place.many = static_cast<Node**>(smaller);
  capacity /= 2;
}

int Shard::add(Node* child) {
  if (count == capacity && !grow()) return -ENOMEM;
  slots()[count] = child;
  child->slot = count++;
  return 0;
}

void Shard::remove(Node* child) {
  Node** const array = slots();
  Node* const last = array[--count];
  array[child->slot] = last;
  last->slot = child->slot;
  if (count < capacity / 4 && capacity > kSmallArray) shrink();
}

void Shard::free_slots() CTX_UNCHECKED_LOCKING {
  if (capacity != 1) deallocate(place.many);
}

Shard& Children::lock_contended(uint8_t* index) {
  PaddedShard* const shards = more.load(std::memory_order_acquire);
  if (shards == nullptr) {
    first.lock.lock();
    if (more.load(std::memory_order_relaxed) == nullptr) {
      more.store(make_shards(), std::memory_order_release);  // pairs with the acquire above
    }
    return first;
  }
  const int processor = sched_getcpu();
  const uint32_t i = processor < 0 ? 0 : static_cast<uint32_t>(processor) % kMore;
  *index = static_cast<uint8_t>(1 + i);
  shards[i].lock.lock();
  return shards[i];
}

void Children::lock_all() {
  first.lock.lock();
  for (uint32_t i = 1; i < shards(); ++i) at(static_cast<uint8_t>(i)).lock.lock();
}

void Children::unlock_all() {
  for (uint32_t i = shards(); i-- > 1;) at(static_cast<uint8_t>(i)).lock.unlock();
  first.lock.unlock();
}

bool Children::empty() {
  uint32_t left = 0;
  for (uint32_t i = 0; i < shards(); ++i) left += at(static_cast<uint8_t>(i)).count;
  return left == 0;
}

void Children::free_all() {
  for (uint32_t i = 0; i < shards(); ++i) at(static_cast<uint8_t>(i)).free_slots();
  deallocate(more.load(std::memory_order_relaxed));
}

}  // namespace ctxcore
