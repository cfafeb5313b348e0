// SPDX-License-Identifier: MIT
#include "core/life/derive.h"

#include <cstring>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/life/cancel.h"
#include "core/life/grace.h"
#include "core/life/make_node.h"
#include "core/life/merge.h"
#include "core/loop/idle.h"
#include "core/loop/loop.h"

namespace ctxcore {

// Once in the life of a parent.
[[gnu::noinline]] void start_family(Node* node) {
  Guard guard(home(node).lock);
  node->flags.store(node->flags.load(std::memory_order_relaxed) | Node::kFamily,
                    std::memory_order_release);
}

namespace {

// The node whose timer, at this node's deadline, ends this node or takes the next step to that.
TimerNode* owner_of_deadline(Node* node) {
  for (;;) {
    switch (node->kind) {
      case Kind::deadline:
        return static_cast<TimerNode*>(node);
      case Kind::grace: {
        Node* const parent = static_cast<GraceNode*>(node)->graced();
        if (error_of(parent) != 0) return static_cast<TimerNode*>(node);
        node = parent;
        break;
      }
      case Kind::merged:
        node = earliest_parent(static_cast<MergedNode*>(node));
        break;
      default:
        node = node_of(node->parent);
    }
  }
}

int finish_carrier(Context* parent, Carrier* carrier, Context** ret) {
  enter(carrier, parent);
  *ret = carrier;
  return 0;
}

}  // namespace

void end_passed(Node* node, int64_t until_ns) {
  // A virtual clock may stand at kForever: a node without a deadline has not passed it even then.
  if (error_of(node) != 0 || node->deadline == kForever) return;
  node->loop->fire_due(node, until_ns);
  while (error_of(node) == 0) fire(owner_of_deadline(node));
  node->loop->settle();
}

const TimerNode* deadline_to_pass_on(Node* node) {
  if (node->deadline == kForever || error_of(node) != 0) return nullptr;
  const TimerNode* const owner = owner_of_deadline(node);
  return owner->kind == Kind::deadline ? owner : nullptr;
}

int derive_cancel(Context* parent, uint32_t refs, Node** ret) {
  return make_node<Node>(parent, Kind::cancel, refs, ret, node_of(parent)->deadline);
}

int derive_deadline(Context* parent, int64_t deadline, int64_t now, const Cause* cause,
                    uint32_t refs, Node** ret) {
  Node* const above = node_of(parent);
  if (above->deadline <= deadline) {
    // The parent's deadline counts.
    if (above->deadline <= now) end_passed(above, kForever);
    return derive_cancel(parent, refs, ret);
  }
  const bool timed = deadline > now && birth_error(above) == 0;
  Loop* const loop = family_loop(above);
  uint8_t wheel = kUnarmed;
  if (timed) {
    if (const int result = loop->start(); result < 0) return result;
    wheel = loop->pick_wheel();
  }
  TimerNode* node = nullptr;
  if (const int result =
          make_node(parent, Kind::deadline, refs, &node, deadline, ref(cause), wheel);
      result < 0) {
    unref(cause);
    return result;
  }
  give_to_deadline(cause);
  if (timed) {
    loop->arm(node, now);
    loop->catch_up();
  } else if (error_of(node) == 0) {
    cancel(node, kDeadlineExceeded, cause, Callbacks::here);
  }
  *ret = node;
  return 0;
}

int derive_idle(Context* parent, int64_t limit, const Cause* cause, uint32_t refs, Node** ret) {
  Node* const above = node_of(parent);
  Loop* const loop = family_loop(above);
  const int64_t now = loop->now();
  if (above->deadline <= now) end_passed(above, kForever);
  const bool timed = limit > 0 && limit != kForever && birth_error(above) == 0;
  uint8_t wheel = kUnarmed;
  if (timed) {
    if (const int result = loop->start(); result < 0) return result;
    wheel = loop->pick_wheel();
  }
  IdleNode* node = nullptr;
  if (const int result = make_node(parent, Kind::idle, refs, &node, above->deadline, limit, now,
                                   ref(cause), wheel);
      result < 0) {
    unref(cause);
    return result;
  }
  give_to_deadline(cause);
  if (timed) {
    if (!put_off(node)) node->when = now;
    loop->arm(node, now);
    loop->catch_up();
  } else if (limit <= 0 && error_of(node) == 0) {
    cancel(node, kDeadlineExceeded, cause, Callbacks::here);
  }
  *ret = node;
  return 0;
}

int derive_detached(Context* parent, Context** ret) {
  // Its children are listed by the root of the loop, which never ends.
  Carrier* const carrier =
      make_carrier(Kind::detached, parent, family_loop(node_of(parent))->root());
  if (carrier == nullptr) return -ENOMEM;
  *ret = carrier;
  return 0;
}

int derive_name(Context* parent, const char* name, Context** ret) {
  family_loop(node_of(parent));  // from now on it lives there
  const size_t size = std::strlen(name) + 1;
  auto* carrier = make<Carrier>(size, Kind::name, parent, parent->values, node_of(parent));
  if (carrier == nullptr) return -ENOMEM;
  std::memcpy(name_text(carrier), name, size);
  return finish_carrier(parent, carrier, ret);
}

int derive_value(Context* parent, const Key* key, void* value, void (*drop)(void*), Context** ret) {
  family_loop(node_of(parent));  // from now on it lives there
  auto* carrier = make<Value>(0, Kind::value, parent, node_of(parent), key, value, drop);
  return carrier == nullptr ? -ENOMEM : finish_carrier(parent, carrier, ret);
}

Value* make_string(Context* parent, const char* name, size_t room, char** ret_text) {
  family_loop(node_of(parent));
  const size_t size = std::strlen(name) + 1;
  auto* carrier =
      make<Value>(size + room, Kind::string, parent, node_of(parent), nullptr, nullptr, nullptr);
  if (carrier == nullptr) return nullptr;
  char* const text = reinterpret_cast<char*>(carrier + 1);
  carrier->key = std::memcpy(text, name, size);
  *ret_text = text + size;
  if (room > 0) carrier->value = *ret_text;
  enter(carrier, parent);
  return carrier;
}

int derive_string(Context* parent, const char* name, const char* value, Context** ret) {
  const size_t size = value == nullptr ? 0 : std::strlen(value) + 1;
  char* text = nullptr;
  Value* const carrier = make_string(parent, name, size, &text);
  if (carrier == nullptr) return -ENOMEM;
  if (value != nullptr) std::memcpy(text, value, size);
  *ret = carrier;
  return 0;
}

}  // namespace ctxcore
