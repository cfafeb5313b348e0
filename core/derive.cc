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

// Lists the node below its parent's, and ends it there if the parent is done. 0 or -ENOMEM.
int adopt(Node* above, Node* node) CTX_UNCHECKED_LOCKING {
  set_family(above);
  Shard& shard = above->children.lock_for_adding(&node->home_shard);
  const int result = shard.add(node);
  // The walk that ends the parent comes to this shard after it has set the error: it finds the node,
  // or the node finds the error.
  if (const int error = error_of(above); result == 0 && error != 0) {
    mark(node, error, ender_of(above));
  }
  shard.lock.unlock();
  return result;
}

// What every new context holds of its parent.
void hold(Context* parent) {
  if (is_carrier(parent) || !is_root(static_cast<Node*>(parent))) add_ref(parent);
}

inline int finish_node(Context* parent, Node* node, uint32_t refs, Node** ret) {
  node->stamp = stamp::make(stamp::kContext);
  node->refs.store(refs, std::memory_order_relaxed);
  if (const int result = adopt(node_of(parent), node); result < 0) return result;
  if (is_carrier(parent)) add_ref(parent);
  *ret = node;
  return 0;
}

// The cause of the deadline that a node has from an ancestor.
const Cause* inherited_cause(const Node* node) {
  const int64_t deadline = node->deadline;
  while (!is_root(node)) {
    if (node->kind == Kind::deadline && node->deadline == deadline) {
      return static_cast<const TimerNode*>(node)->deadline_cause;
    }
    node = node_of(node->parent);
  }
  return nullptr;
}

int finish_carrier(Context* parent, Carrier* carrier, Context** ret) {
  carrier->stamp = stamp::make(stamp::kContext);
  hold(parent);
  *ret = carrier;
  return 0;
}

}  // namespace

int derive_cancel(Context* parent, uint32_t refs, Node** ret) {
  const Node* above = node_of(parent);
  auto* node = make<Node>(0, Kind::cancel, parent, parent->values, above->loop, above->deadline);
  if (node == nullptr) return -ENOMEM;
  const int result = finish_node(parent, node, refs, ret);
  if (result < 0) deallocate(node);
  return result;
}

int derive_deadline(Context* parent, int64_t deadline, int64_t now, const Cause* cause,
                    uint32_t refs, Node** ret) {
  Node* const above = node_of(parent);
  if (above->deadline <= deadline) {
    const int result = derive_cancel(parent, refs, ret);
    // The parent's deadline counts. It may have passed, and the parent be ended only in a moment.
    if (result == 0 && above->deadline <= now) {
      end(*ret, kDeadlineExceeded, inherited_cause(above), Callbacks::here);
    }
    return result;
  }
  const bool timed = deadline > now && error_of(above) == 0;
  if (timed) {
    if (const int result = above->loop->start(); result < 0) return result;
  }
  auto* node = make<TimerNode>(0, parent, parent->values, above->loop, deadline, cause);
  if (node == nullptr) return -ENOMEM;
  if (timed) node->wheel.store(Loop::pick_wheel(), std::memory_order_relaxed);
  if (const int result = finish_node(parent, node, refs, ret); result < 0) {
    deallocate(node);
    return result;
  }
  ref(cause);
  if (timed) {
    above->loop->arm(node, now);
  } else if (error_of(node) == 0) {
    end(node, kDeadlineExceeded, cause, Callbacks::here);
  }
  return 0;
}

int derive_detached(Context* parent, Context** ret) {
  // What hangs on it is listed by the root of the family, which never ends.
  auto* carrier =
      make<Carrier>(0, Kind::detached, parent, parent->values, node_of(parent)->loop->root());
  return carrier == nullptr ? -ENOMEM : finish_carrier(parent, carrier, ret);
}

int derive_value(Context* parent, const Key* key, void* value, void (*drop)(void*),
                 Context** ret) {
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
