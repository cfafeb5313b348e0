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

// For a node that gets a child that is a proxy, or counts its first one. Counts it here, and upwards as long as it
// is a node's first: the ancestors of a node that counts already count, too.
void count_linked(Node* node) {
  for (; !is_root(node); node = node_of(node->parent)) {
    {
      Guard guard(home(node).lock);
      const uint8_t flags = node->flags.load(std::memory_order_relaxed);
      if ((flags & Node::kMergesBelow) == Node::kMergesBelow) return;
      node->flags.store(flags + Node::kOneMerge, std::memory_order_release);
      if ((flags & Node::kMergesBelow) != 0) return;
    }
    if (error_of(node) != 0) await(node, Phase::kMarked);
  }
}

// The opposite, when the proxy has been taken out; the node is held. It stops after a few levels: else merges that
// come and go at the bottom of a deep tree would each go all the way up.
void uncount_linked(Node* node) {
  constexpr int kLevels = 16;
  for (int level = 0; level < kLevels && !is_root(node); ++level) {
    Guard guard(home(node).lock);
    const uint8_t flags = node->flags.load(std::memory_order_relaxed);
    if ((flags & Node::kMergesBelow) == Node::kMergesBelow) return;
    node->flags.store(flags - Node::kOneMerge, std::memory_order_release);
    if ((flags & Node::kMergesBelow) != Node::kOneMerge) return;
    node = node_of(node->parent);
  }
}

// Lists a proxy below a parent; if the parent is done, ends the merged node, too. 0 or -ENOMEM.
int join(MergedNode* node, Node* parent) {
  if (is_root(parent)) return 0;
  auto* proxy = make<Proxy>(0, parent, node);
  if (proxy == nullptr) return -ENOMEM;
  count_linked(parent);
  set_family(parent);
  AddingPlace place(parent->children);
  Shard& shard = place.shard();
  shard.lock.assert_held();
  proxy->home_shard = place.index();
  const int result = shard.add(proxy);
  const int error = error_of(parent);
  place.release();
  if (result < 0) {
    uncount_linked(parent);
    deallocate(proxy);
    return result;
  }
  proxy->sibling = node->proxies;
  node->proxies = proxy;
  if (error != 0) {
    Guard guard(home(node).lock);
    if (error_of(node) == 0) {
      node->ended_through = proxy;
      mark(node, error, ender_of(parent));
    }
  }
  return 0;
}

}  // namespace

int derive_merged(Context* const* parents, size_t count, uint32_t refs, Node** ret) {
  int64_t earliest = kForever;
  for (size_t i = 0; i < count; ++i) {
    earliest = std::min(earliest, node_of(parents[i])->deadline);
  }
  Loop* const loop = family_loop(node_of(parents[0]));
  Carrier* const anchor = make_carrier(Kind::anchor, parents[0], loop->root());
  if (anchor == nullptr) return -ENOMEM;
  MergedNode* node = nullptr;
  int result = 0;
  {
    Guard guard(loop->merge_lock());
    result = make_node(anchor, Kind::merged, refs, &node, earliest, loop->next_birth(), count);
    for (size_t i = 0; i < count && result == 0 && error_of(node) == 0; ++i) {
      result = join(node, node_of(parents[i]));
    }
  }
  release(anchor);  // the node holds it
  if (result == 0) {
    *ret = node;
  } else if (node != nullptr) {
    give_up(node, refs);
  }
  return result;
}

Node* earliest_parent(const MergedNode* node) {
  const Proxy* proxy = node->proxies;
  while (node_of(proxy->parent)->deadline != node->deadline) proxy = proxy->sibling;
  return node_of(proxy->parent);
}

void take_out_proxies(Proxy* proxies, Proxy** owed) {
  while (Proxy* const proxy = proxies) {
    proxies = proxy->sibling;
    Node* const parent = node_of(proxy->parent);
    {
      Shard& shard = home(proxy);
      Guard guard(shard.lock);
      shard.remove(proxy);
      add_ref(parent);
    }
    uncount_linked(parent);  // it is pinned, and so still in the tree
    proxy->sibling = *owed;
    *owed = proxy;
  }
}

}  // namespace ctxcore
