// SPDX-License-Identifier: MIT
#include "core/life/ended_by.h"

#include "core/life/merge.h"
#include "core/loop/mirror_node.h"
#include "core/tree/grace_node.h"

namespace ctxcore {

namespace {

// For a node that stands for one of another loop, or the deadline above such a node (watch/mirror.h): that one; else
// nullptr.
const Node* mirrored(const Node* node) {
  const Context* const above = node->parent;
  if (node->kind == Kind::mirror) return static_cast<const MirrorNode*>(node)->followed;
  if (node->kind != Kind::deadline || above->kind != Kind::anchor) return nullptr;
  return node_of(above->parent);
}

// For a node that is done: the parent, or the root of an ended loop, through which the end came to it; nullptr
// if the node ended by itself.
const Node* ended_through(const Node* node) {
  if (node->kind == Kind::grace && has_followed(node)) {
    return static_cast<const GraceNode*>(node)->graced();
  }
  if (ender_of(node) == node) return mirrored(node);
  if (node->kind == Kind::merged) {
    const Proxy* const proxy = static_cast<const MergedNode*>(node)->ended_through;
    if (proxy != nullptr) return node_of(proxy->parent);
  }
  return node_of(node->parent);
}

}  // namespace

// Whoever sees the error of a node sees what was written of those above through which its end came: the same
// thread had marked them before, or the node was made below one that was done.
bool ended_by(const Node* node, const Node* candidate) {
  if (error_of(node) == 0) return false;
  const Node* through = ended_through(node);
  if (through == nullptr) return node == candidate;
  while (through != nullptr && !is_root(through)) {
    if (through == candidate) return true;
    through = ended_through(through);
  }
  return false;
}

}  // namespace ctxcore
