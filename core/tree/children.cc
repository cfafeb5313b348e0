// SPDX-License-Identifier: MIT
#include "core/tree/children.h"

#include <cerrno>

#include "core/base/alloc.h"
#include "core/system/thread.h"
#include "core/tree/node.h"

namespace ctxcore {

namespace {

constexpr uint32_t kFirstArray = 2;  // size classes: room for 4 after room for 1;
constexpr uint32_t kLargest = 26;    // and at most 67 million children in a shard

// nullptr without memory: then all children stay in one shard, slower but right.
Children::PaddedShard* make_shards() {
  void* memory = allocate_lines(sizeof(Children::PaddedShard) * Children::kMore);
  return memory == nullptr ? nullptr : ::new (memory) Children::PaddedShard[Children::kMore];
}

}  // namespace

bool Shard::grow() {
  const uint32_t old_class = size_class();
  if (old_class == kLargest) return false;
  const uint32_t larger = old_class == 0 ? kFirstArray : old_class + 1;
  void* const old = old_class == 0 ? nullptr : place.many;
  auto** const array = static_cast<Node**>(reallocate(old, sizeof(Node*) << larger));
  if (array == nullptr) return false;
  if (old_class == 0) array[0] = place.one;
  place.many = array;
  fill += larger - old_class;
  return true;
}

void Shard::shrink() {
  // An array that cannot be shrunk stays as it is.
  void* const smaller = reallocate(place.many, sizeof(Node*) << (size_class() - 1));
  if (smaller == nullptr) return;
  place.many = static_cast<Node**>(smaller);
  --fill;
}

void Shard::free_all() CTX_UNCHECKED_LOCKING {
  if (size_class() != 0) deallocate(place.many);
  deallocate(spare.load(std::memory_order_relaxed));
}

AddingPlace::Taken AddingPlace::take_contended(Children& children) {
  Children::PaddedShard* const shards = children.more.load(std::memory_order_acquire);
  if (shards == nullptr) {
    children.first.lock.lock();
    if (children.more.load(std::memory_order_relaxed) == nullptr) {
      children.more.store(make_shards(),
                          std::memory_order_release);  // pairs with the acquire above
    }
    return {&children.first, 0};
  }
  const int processor = this_processor();
  const uint32_t i = processor < 0 ? 0 : static_cast<uint32_t>(processor) % Children::kMore;
  shards[i].lock.lock();
  return {&shards[i], static_cast<uint8_t>(1 + i)};
}

AllShards::AllShards(Children& children) : children_(children) {
  children.first.lock.lock();
  for (uint32_t i = 1; i < children.shards(); ++i) {
    children.at(static_cast<uint8_t>(i)).lock.lock();
  }
}

AllShards::~AllShards() {
  for (uint32_t i = children_.shards(); i-- > 1;) {
    children_.at(static_cast<uint8_t>(i)).lock.unlock();
  }
  children_.first.lock.unlock();
}

bool AllShards::empty() const {
  uint32_t left = 0;
  for (uint32_t i = 0; i < children_.shards(); ++i) {
    Shard& shard = children_.at(static_cast<uint8_t>(i));
    shard.lock.assert_held();
    left += shard.count();
  }
  return left == 0;
}

void Children::free_all() {
  for (uint32_t i = 0; i < shards(); ++i) at(static_cast<uint8_t>(i)).free_all();
  deallocate(more.load(std::memory_order_relaxed));
}

}  // namespace ctxcore
