// SPDX-License-Identifier: MIT
// Invariants
//  1. All that can fail comes before the context is visible to any other thread.
//  2. A node that hangs on a carrier holds a reference to it; one that hangs on a node is kept by being
//     listed there, and touches no count.
//  3. A node whose parent is done is done before it is handed out.
#include "core/derive.h"

#include <cstring>

#include "core/alloc.h"
#include "core/error.h"
#include "core/loop.h"
#include "core/walk.h"

namespace ctxcore {

// Once in the life of a parent.
[[gnu::noinline]] void start_family(Node* node) {
  Guard guard(home(node).lock);
  node->flags.store(Node::kFamily, std::memory_order_release);
}

namespace {

// The spare memory of a shard, if it is that of a node of this kind.
void* take_spare(Shard& shard, Kind kind) CTX_REQUIRES(shard.lock) {
  Node* const spare = shard.spare.load(std::memory_order_relaxed);
  if (spare == nullptr || spare->kind != kind) return nullptr;
  shard.spare.store(nullptr, std::memory_order_relaxed);
  return spare;
}

// Makes a node and lists it below its parent's; ended at once if the parent is done. 0 or -ENOMEM.
template <typename T, typename... Args>
int make_node(Context* parent, Kind kind, uint32_t refs, T** ret,
              Args... args) CTX_UNCHECKED_LOCKING {
  Node* const above = node_of(parent);
  set_family(above);
  Children::Place place{nullptr, 0};
  void* memory = nullptr;
  if (above->children.may_have_spare()) {
    place = above->children.lock_for_adding();
    memory = take_spare(*place.shard, kind);
    if (memory == nullptr) place.shard->lock.unlock();
  }
  if (memory == nullptr) {
    memory = allocate(sizeof(T));
    if (memory == nullptr) return -ENOMEM;
    place = above->children.lock_for_adding();
  }
  T* const node = ::new (memory) T(parent, parent->values, above->loop, args...);
  node->stamp = stamp::make(stamp::kContext);
  node->refs.store(refs, std::memory_order_relaxed);
  node->home_shard = place.index;
  const int result = place.shard->add(node);
  // The walk that ends the parent comes to this shard after it has set the error: it finds the node,
  // or the node finds the error.
  const int error = error_of(above);
  if (error != 0) mark(node, error, ender_of(above));
  place.shard->lock.unlock();
  if (result < 0) {
    deallocate(memory);
    return result;
  }
  if (is_carrier(parent)) add_ref(parent);
  *ret = node;
  return 0;
}

// What every new context holds of its parent.
void hold(Context* parent) {
  if (is_carrier(parent) || !is_root(static_cast<Node*>(parent))) add_ref(parent);
}

// The node's deadline has passed, and the loop has not come to it yet: fires it here, at the ancestor it
// belongs to, so that no child is done before its parent. The callbacks run where they always do.
void fire_passed_deadline(Node* node) {
  while (node->kind != Kind::deadline) node = node_of(node->parent);
  end(node, kDeadlineExceeded, static_cast<TimerNode*>(node)->deadline_cause, Callbacks::queued);
}

int finish_carrier(Context* parent, Carrier* carrier, Context** ret) {
  carrier->stamp = stamp::make(stamp::kContext);
  hold(parent);
  *ret = carrier;
  return 0;
}

}  // namespace

int derive_cancel(Context* parent, uint32_t refs, Node** ret) {
  return make_node<Node>(parent, Kind::cancel, refs, ret, node_of(parent)->deadline);
}

int derive_deadline(Context* parent, int64_t deadline, int64_t now, const Cause* cause,
                    uint32_t refs, Node** ret) {
  Node* const above = node_of(parent);
  if (above->deadline <= deadline) {
    // The parent's deadline counts.
    if (above->deadline <= now && error_of(above) == 0) fire_passed_deadline(above);
    return derive_cancel(parent, refs, ret);
  }
  const bool timed = deadline > now && error_of(above) == 0;
  uint8_t wheel = kNoWheel;
  if (timed) {
    if (const int result = above->loop->start(); result < 0) return result;
    wheel = Loop::pick_wheel();
  }
  TimerNode* node = nullptr;
  if (const int result =
          make_node(parent, Kind::deadline, refs, &node, deadline, ref(cause), wheel);
      result < 0) {
    unref(cause);
    return result;
  }
  if (timed) {
    above->loop->arm(node, now);
  } else if (error_of(node) == 0) {
    end(node, kDeadlineExceeded, cause, Callbacks::here);
  }
  *ret = node;
  return 0;
}

int derive_detached(Context* parent, Context** ret) {
  // What hangs on it is listed by the root of the family, which never ends.
  auto* carrier =
      make<Carrier>(0, Kind::detached, parent, parent->values, node_of(parent)->loop->root());
  return carrier == nullptr ? -ENOMEM : finish_carrier(parent, carrier, ret);
}

int derive_value(Context* parent, const Key* key, void* value, void (*drop)(void*), Context** ret) {
  auto* carrier = make<Value>(0, Kind::value, parent, node_of(parent), key, value, drop);
  return carrier == nullptr ? -ENOMEM : finish_carrier(parent, carrier, ret);
}

int derive_string(Context* parent, const char* name, const char* value, Context** ret) {
  const size_t name_size = std::strlen(name) + 1;
  const size_t value_size = value == nullptr ? 0 : std::strlen(value) + 1;
  auto* carrier = make<Value>(name_size + value_size, Kind::string, parent, node_of(parent),
                              nullptr, nullptr, nullptr);
  if (carrier == nullptr) return -ENOMEM;
  char* text = reinterpret_cast<char*>(carrier + 1);
  carrier->key = std::memcpy(text, name, name_size);
  if (value != nullptr) carrier->value = std::memcpy(text + name_size, value, value_size);
  return finish_carrier(parent, carrier, ret);
}

}  // namespace ctxcore
