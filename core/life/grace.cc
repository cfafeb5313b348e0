// SPDX-License-Identifier: MIT
#include "core/life/grace.h"

#include <algorithm>
#include <cerrno>

#include "core/life/derive.h"
#include "core/life/make_node.h"
#include "core/loop/loop.h"
#include "core/system/clock.h"

namespace ctxcore {

namespace {

// True if the parent will tell the node; false if it is done already.
bool observe(Node* parent, GraceNode* node) {
  set_family(parent);
  Guard guard(observers_lock(parent));
  if (error_of(parent) != 0) return false;
  parent->observers.push_back(node);
  return true;
}

}  // namespace

void GraceNode::begin() {
  const int64_t now = loop->now();
  // If a deadline ended the parent, the grace counts from that deadline, not from when the loop noticed it.
  when = std::min(saturating_add(now, grace), deadline);
  if (when == kForever) return;
  loop->arm(this, now);
  if (when <= now) loop->armed_late();
}

void GraceNode::forget_parent() {
  Node* const node = graced();
  if (is_root(node)) return;
  Guard guard(observers_lock(node));
  if (Observer::linked()) node->observers.remove(this);
}

int derive_grace(Context* parent, int64_t grace, uint32_t refs, Node** ret) {
  if (grace <= 0) return derive_cancel(parent, refs, ret);
  Node* const above = node_of(parent);
  Loop* const loop = family_loop(above);
  if (const int result = loop->start(); result < 0) return result;
  Carrier* const anchor = make_carrier(Kind::anchor, parent, loop->root());
  if (anchor == nullptr) return -ENOMEM;
  // If the parent is done, the grace counts from now; so does a deadline that has passed.
  int64_t latest = above->deadline;
  if (latest != kForever) {
    if (error_of(above) != 0) latest = std::max(latest, loop->now());
    latest = saturating_add(latest, grace);
  }
  GraceNode* node = nullptr;
  const int result = make_node(anchor, Kind::grace, refs, &node, latest, grace, loop->pick_wheel());
  release(anchor);  // the node holds it
  if (result < 0) return result;
  if (!is_root(above) && !observe(above, node)) {
    node->begin();
    loop->catch_up();
  }
  *ret = node;
  return 0;
}

}  // namespace ctxcore
