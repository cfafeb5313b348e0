// SPDX-License-Identifier: MIT
// Giving references back, and freeing: one step at a time up the tree, never recursing.
//
// Invariants
//  1. A node's last reference is given up only under its home shard's lock, and only if it still is the last one
//     then. So a thread that finds a node in its parent's list, or armed, may pin it under the lock of that list.
//     For a merged node, which walks also find through proxies, merge_lock() is held as well.
//  2. A node with children keeps its place, its timer and its observers: its children still end with it. Nobody
//     has a handle any more to derive from it. Only a loop's root still gets children: a thread that holds a
//     context of that loop, and so a descendant of the root, may add them.
//  3. Nodes are freed, descriptors closed and users' functions called with no lock held.
#include "core/base/alloc.h"
#include "core/base/check.h"
#include "core/base/released.h"
#include "core/life/grace.h"
#include "core/life/merge.h"
#include "core/loop/import_node.h"
#include "core/loop/loop.h"
#include "core/loop/signals.h"
#include "core/system/thread.h"
#include "core/tree/context.h"

namespace ctxcore {

namespace {

// The cause that the loop would have ended this node with; a reference, or nullptr.
const Cause* reason_of(const Node* node) {
  if (node->kind == Kind::cancel) return nullptr;
  switch (node->kind) {
    case Kind::deadline:
    case Kind::idle:
      return static_cast<const TimerNode*>(node)->reason;
    case Kind::fd:
    case Kind::imported:
      return static_cast<const FdNode*>(node)->reason;
    case Kind::signal:
      return static_cast<const SignalNode*>(node)->reason;
    default:
      return nullptr;
  }
}

// The memory of a leaf takes the place of what the shard has kept so far, which is returned to be freed.
inline Node* keep_spare(Node* node, Shard& home) {
  if (!kKeepSpares) return node;
  Node* const older = home.spare.load(std::memory_order_relaxed);
  home.spare.store(node, std::memory_order_relaxed);
  return older;
}

// The remains of a node that was taken out of the tree, to be disposed of with no lock held.
class Remains {
 public:
  Remains() = default;

  // Under the home shard's lock, which may keep the memory in place of an older one.
  Remains(Node* node, Shard& home)
      : memory_(node), own_(own_cause(node)), reason_(reason_of(node)), family_(has_family(node)) {
    if (kKeepSpares) node->stamp = 0;  // so that a stale handle is refused while the memory lasts
    if (!family_) memory_ = keep_spare(node, home);
  }

  void dispose() {
    if (family_) {
      free_standing(memory_);
      memory_->children.free_all();
      if (memory_->kind == Kind::imported) static_cast<ImportNode*>(memory_)->borrowed.close();
    }
    unref(own_);
    unref(reason_);
    if (memory_ != nullptr) free_object(memory_, &memory_->phase);
  }

 private:
  Node* memory_ = nullptr;
  const Cause* own_ = nullptr;
  const Cause* reason_ = nullptr;
  bool family_ = false;
};

enum class Fate { free, kept, pinned };

// Decides the fate of a node with one reference left, which only children, the loop and their last releases can
// still find. If children keep it, this gives up the last reference.
[[gnu::noinline]] Fate decide_family(Node* node) {
  const AllShards shards(node->children);
  if (!shards.empty()) {
    // The loop may pin it meanwhile: then that pin's release decides.
    uint32_t one = 1;
    return node->refs.compare_exchange_strong(one, 0, std::memory_order_acq_rel) ? Fate::kept
                                                                                 : Fate::pinned;
  }
  observers_lock(node).assert_held();
  // If not, it is pinned by the loop, or by another release that found it empty.
  return is_last(node) && leave_loop(node) ? Fate::free : Fate::pinned;
}

// Under the home shard's lock, with one reference left: decides whether the node is free. If so, neither the loop
// nor the node that it observes has it any more.
[[gnu::always_inline]] inline Fate decide(Node* node) {
  if (has_family(node)) {
    if (const Fate fate = decide_family(node); fate != Fate::free) return fate;
  }
  if (node->kind == Kind::cancel) return Fate::free;  // never armed
  if (node->kind == Kind::grace) static_cast<GraceNode*>(node)->forget_parent();
  return node->loop->disarm_last(node) ? Fate::free : Fate::pinned;
}

// Under the home shard's lock, for a node that is free. Returns the context whose reference must be given back
// next, or nullptr.
[[gnu::always_inline]] inline Context* take_out(Node* node, Shard& shard) CTX_REQUIRES(shard.lock) {
  Context* const parent = node->parent;
  Node* const above = node_of(parent);
  CTX_ASSERT(shard.slots()[node->slot] == node);
  shard.remove(node);
  if (is_carrier(parent)) return parent;  // this node held a reference to it
  // A parent that has no reference left goes with its last child.
  if (shard.count() != 0 || above->refs.load(std::memory_order_relaxed) != 0) return nullptr;
  add_ref(above);
  return above;
}

// For the root of a loop other than the default one: its handles are gone, and it goes with its last child.
[[gnu::noinline]] void release_last_of_root(Node* root) {
  if (is_static(root)) return;
  do {
    const Fate fate = decide_family(root);
    if (fate == Fate::free) return root->loop->root_released();
    if (fate == Fate::kept) return;
  } while (!release_shared(root));
}

// The result of giving up a last reference. For a node that is free: its remains, and the context to release next.
struct Release {
  Fate fate = Fate::pinned;
  Context* next = nullptr;
  Remains remains;
};

// Gives up a node's last reference, if it still is the last one and nothing else keeps the node.
[[gnu::always_inline]] inline Release give_up_last(Node* node) {
  Shard& shard = home(node);
  const Guard guard(shard.lock);
  if (!is_last(node)) return {};
  const Fate fate = decide(node);
  if (fate != Fate::free) return {fate, nullptr, {}};
  Context* const next = take_out(node, shard);
  return {fate, next, Remains(node, shard)};
}

Context* release_last_of(Node* node) {
  if (is_root(node)) {
    release_last_of_root(node);
    return nullptr;
  }
  for (;;) {
    Release release = give_up_last(node);
    if (release.fate == Fate::free) release.remains.dispose();
    if (release.fate != Fate::pinned || release_shared(node)) return release.next;
  }
}

// The same for a merged node. Its parents are added to *owed, each pinned.
[[gnu::noinline]] Context* release_last_of(MergedNode* node, Proxy** owed) {
  Proxy* const proxies = node->proxies;
  for (;;) {
    Release release;
    {
      const Guard guard(node->loop->merge_lock());
      release = give_up_last(node);
      if (release.fate == Fate::free) take_out_proxies(proxies, owed);
    }
    if (release.fate == Fate::free) release.remains.dispose();
    if (release.fate != Fate::pinned || release_shared(node)) return release.next;
  }
}

// Frees the first proxy, and returns its parent.
Context* pop_parent(Proxy** proxies) {
  Proxy* const proxy = *proxies;
  Context* const parent = proxy->parent;
  *proxies = proxy->sibling;
  deallocate(proxy);
  return parent;
}

Context* release_last_of(Carrier* carrier) {
  Context* const next = carrier->parent;
  if (carrier->kind == Kind::value) {
    auto* value = static_cast<Value*>(carrier);
    run_drop(value->drop, value->value);
  }
  // An anchor holds the root that it hangs on.
  if (carrier->kind == Kind::anchor && !release_shared(carrier->node)) {
    release_last_of_root(carrier->node);
  }
  free_object(carrier);
  return next;
}

void release_upwards(Context* context);

// The straight way for a plain leaf, as most contexts are: false if this turns out to be none. One with a deadline
// was canceled, or taken out to fire; then the pin that came with it shows in the count.
[[gnu::always_inline]] inline bool release_leaf(Node* node) {
  if (node->kind != Kind::cancel && node->kind != Kind::deadline) return false;
  if (has_family(node) || is_armed(node)) return false;
  Shard& shard = home(node);
  Context* next;
  Remains remains;
  {
    const Guard guard(shard.lock);
    if (!is_last(node) || has_family(node)) return false;
    next = take_out(node, shard);
    remains = Remains(node, shard);
  }
  remains.dispose();
  // In a child that the drop of a cause has forked, and returned in, the rest is the parent's.
  if (check(next) == 0 && !release_shared(next)) release_upwards(next);
  return true;
}

// The last reference of a context, and what that keeps above it.
[[gnu::noinline]] void release_upwards(Context* context) {
  const Process process;
  Proxy* owed = nullptr;  // of merged nodes that are freed: each parent is still to be released
  for (;;) {
    do {
      if (is_carrier(context)) {
        context = release_last_of(static_cast<Carrier*>(context));
      } else if (context->kind != Kind::merged) [[likely]] {
        context = release_last_of(static_cast<Node*>(context));
      } else {
        context = release_last_of(static_cast<MergedNode*>(context), &owed);
      }
      // In a child that a drop has forked, and returned in, the rest is the parent's.
      if (!process.is_ours()) return;
    } while (context != nullptr && !release_shared(context));
    do {
      if (owed == nullptr) [[likely]]
        return;
      context = pop_parent(&owed);
    } while (release_shared(context));
  }
}

}  // namespace

void release_last(Context* context) {
  if (!is_carrier(context) && release_leaf(static_cast<Node*>(context))) return;
  release_upwards(context);
}

}  // namespace ctxcore
