// SPDX-License-Identifier: MIT
#include "core/loop/idle.h"

#include <algorithm>

#include "core/loop/loop.h"
#include "core/system/clock.h"

namespace ctxcore {

namespace {

constexpr int64_t kLooks = 16;                // within a limit
constexpr int64_t kShortestStep = 1'000'000;  // ns

void touch_one(IdleNode* node) {
  const Loop* const loop = node->loop;
  if (loop->drive() == Drive::virtual_time) {
    node->touched.store(loop->now(), std::memory_order_relaxed);
  } else if (node->touched.load(std::memory_order_relaxed) != IdleNode::kSinceLook) {
    // Mostly it is marked already: then this thread need not have the cache line to itself.
    node->touched.store(IdleNode::kSinceLook, std::memory_order_relaxed);
  }
}

}  // namespace

bool put_off(IdleNode* node) {
  const int64_t touched = node->touched.exchange(IdleNode::kUntouched, std::memory_order_relaxed);
  // After the exchange: what was marked before it was marked before this time. An exact time stands as it is: this
  // thread may not see yet how far the clock of a virtual loop has come.
  const int64_t now = node->loop->now();
  node->last = std::max(node->last, touched == IdleNode::kSinceLook ? now : touched);
  const int64_t end = saturating_add(node->last, node->limit);
  if (end <= now) return false;
  const int64_t step = std::max(node->limit / kLooks, kShortestStep);
  node->when =
      node->loop->drive() == Drive::virtual_time ? end : std::min(end, saturating_add(now, step));
  return true;
}

int touch(Context* context) {
  const Node* node = node_of(context);
  if (const int error = error_of(node); error != 0) return error;
  while (!is_root(node)) {
    if (node->kind == Kind::idle) touch_one(static_cast<IdleNode*>(const_cast<Node*>(node)));
    const Context* const above = node->parent;
    // The anchor of a merge or a grace hangs on the root; its parent is the (first) one whose end is followed.
    node = node_of(above->kind == Kind::anchor ? above->parent : above);
  }
  return 0;
}

}  // namespace ctxcore
