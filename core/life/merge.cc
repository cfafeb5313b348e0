// SPDX-License-Identifier: MIT
#include "core/life/merge.h"

#include <algorithm>
#include <cerrno>

#include "core/base/alloc.h"
#include "core/life/make_node.h"
#include "core/loop/loop.h"
#include "core/system/clock.h"

namespace ctxcore {

namespace {

// Flags a node and all above it. Those above a node that is flagged are.
void flag_upwards(Node* node) {
  for (; !is_root(node) && !is_linked(node); node = node_of(node->parent)) {
    {
      Guard guard(home(node).lock);
      node->flags.store(node->flags.load(std::memory_order_relaxed) | Node::kLinked,
                        std::memory_order_release);
    }
    if (error_of(node) != 0) await(node, Phase::kMarked);
  }
}

// Lists a link below a parent; if that is done, so is the merged node. 0 or -ENOMEM.
int join(MergedNode* node, Node* parent) CTX_UNCHECKED_LOCKING {
  if (is_root(parent)) return 0;
  auto* link = make<LinkNode>(0, parent, node);
  if (link == nullptr) return -ENOMEM;
  flag_upwards(parent);
  set_family(parent);
  const Children::Place place = parent->children.lock_for_adding();
  link->home_shard = place.index;
  const int result = place.shard->add(link);
  const int error = error_of(parent);
  place.shard->lock.unlock();
  if (result < 0) {
    deallocate(link);
    return result;
  }
  link->sibling = node->links;
  node->links = link;
  if (error != 0) {
    Guard guard(home(node).lock);
    if (error_of(node) == 0) mark(node, error, ender_of(parent));
  }
  return 0;
}

}  // namespace

int derive_merged(Context* const* parents, size_t count, uint32_t refs, Node** ret) {
  int64_t earliest = kForever;
  for (size_t i = 0; i < count; ++i) {
    const Node* const parent = node_of(parents[i]);
    if (loop_of(parent) != loop_of(node_of(parents[0]))) return -EXDEV;
    earliest = std::min(earliest, parent->deadline);
  }
  Loop* const loop = family_loop(node_of(parents[0]));
  Carrier* const aside = make_carrier(Kind::aside, parents[0], loop->root());
  if (aside == nullptr) return -ENOMEM;
  MergedNode* node = nullptr;
  int result = 0;
  {
    Guard guard(loop->merge_lock());
    result = make_node(aside, Kind::merged, refs, &node, earliest, loop->next_birth(), count);
    for (size_t i = 0; i < count && result == 0 && error_of(node) == 0; ++i) {
      result = join(node, node_of(parents[i]));
    }
  }
  release(aside);  // the node holds it
  if (result == 0) {
    *ret = node;
  } else if (node != nullptr) {
    give_up(node, refs);
  }
  return result;
}

Node* earliest_parent(const MergedNode* node) {
  const LinkNode* link = node->links;
  while (node_of(link->parent)->deadline != node->deadline) link = link->sibling;
  return node_of(link->parent);
}

void take_out_links(LinkNode* links, LinkNode** owed) CTX_UNCHECKED_LOCKING {
  while (LinkNode* const link = links) {
    links = link->sibling;
    Node* const parent = node_of(link->parent);
    Shard& shard = home(link);
    shard.lock.lock();
    shard.remove(link);
    const bool last = shard.count == 0 && parent->refs.load(std::memory_order_relaxed) == 0;
    if (last) add_ref(parent);
    shard.lock.unlock();
    if (last) {
      link->sibling = *owed;
      *owed = link;
    } else {
      deallocate(link);
    }
  }
}

}  // namespace ctxcore
