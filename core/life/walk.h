// SPDX-License-Identifier: MIT
// The walk of a cancel that has won, through everything below the node that it ended: mark, wake, call back. It keeps
// its notes in the nodes themselves, so it allocates nothing and does not recurse.
//
// Invariants
//  1. Only the walk that ended a node visits its children. So a child that another walk has ended is the root of
//     that walk (that walk would have ended any node between first), or a merged node. And at most one walk from
//     above meets each child and each proxy.
//  2. A walk marks its whole subtree before it waits, and waits only for walks that it met. Without proxies
//     these are below it: waiting goes down the tree and so ends. With proxies see merge.h.
//  3. Its root's phase is `marked` once everything below the root is done, and `woken` once every waiting
//     observer below has been told, by whichever walk.
//  4. Nodes that the walk must visit again are pinned and joined by `next`, ancestors first; a node that has only
//     children just until these are marked. The root is in no chain of its own walk: a walk from above may use
//     its `next` (node.h, 6).
//  5. A child that needs no further visit has it all when it is marked, and is not pinned: it has no children, is not
//     armed, and nothing observes it but entries of queues. These leave with the walk (entry.h), each with the
//     reference that keeps its context.
//  6. Locks are held for at most kChunk children at a time. Children are visited from the last to the first: a
//     removal moves only visited ones into the gap, and a child that is added meanwhile is born done.
//
// Lock order: one shard of one node at a time, and below a child's home shard the first one of its own. A proxy's
// target is visited under its home shard, with no other lock of the tree held; merge_lock() is held around all
// marking if there may be proxies (merge.h).
#ifndef CTX_CORE_LIFE_WALK_H
#define CTX_CORE_LIFE_WALK_H

#include <algorithm>
#include <cstdint>

#include "core/base/check.h"
#include "core/life/call_back.h"
#include "core/life/cancel.h"
#include "core/life/merge.h"
#include "core/loop/loop.h"
#include "core/loop/roots.h"
#include "core/loop/turn.h"
#include "core/tree/entry.h"
#include "core/tree/observer.h"

namespace ctxcore {

// cancel.cc alone includes this. Its linkage is internal, so that the compiler inlines what is done for every child.
namespace {

class Walk {
 public:
  Walk(Node* root, int error, Callbacks callbacks)
      : root_(root), error_(error), callbacks_(callbacks) {}

  // Marks everything below the root. A default loop of the caller's has the two static roots besides its own
  // (roots.h, invariant 2).
  void mark_all() {
    mark_tree(root_, later_);
    if (is_root(root_) && root_ == default_loop()->root()) {
      for (Node* other : {background(), todo()}) {
        if (other != root_) mark_tree(other, later_);
      }
    }
    mark_merged();
    await_met(Phase::kMarked);
    root_->phase.advance(Phase::kMarked);
  }

  void wake_and_call_back() {
    wake_all();
    await_met(Phase::kWoken);
    root_->phase.advance(Phase::kWoken);
    if (callbacks_ == Callbacks::here) root_loop()->catch_up();  // a grace may have begun
    if (wakers_ || pushes_ || calls_) call_back_all();
    unpin(later_.first);
    unpin(met_);
  }

 private:
  static constexpr uint32_t kChunk = 256;

  // How many children the prefetch runs ahead: of a child's first line, then of the one that has its observers, then of
  // the first observer. Each is found in the line before.
  static constexpr uint32_t kAhead = 24;
  static constexpr uint32_t kAheadOfObservers = 16;
  static constexpr uint32_t kAheadOfFirst = 8;

  struct Chain {
    void append(Node* node) {
      node->next = nullptr;
      (first == nullptr ? first : last->next) = node;
      last = node;
    }

    Node* pop() {
      Node* const node = first;
      if (node != nullptr) first = node->next;
      return node;
    }

    Node* first = nullptr;
    Node* last = nullptr;  // meaningless while the chain is empty
  };

  Loop* root_loop() const { return loop_of(root_); }

  // Wakers come first. Then those that other threads run: they must not wait for those that run here.
  void call_back_all() {
    if (callbacks_ == Callbacks::queued) return push_all(Pushed::all);
    const Turn::Kind around = Turn::current();
    if (around == Turn::Kind::wakers && root_loop()->runs_callbacks()) {
      push_all(Pushed::all);
      return root_loop()->ring();
    }
    const bool wakes = wakers_ && around != Turn::Kind::wakers;
    if (wakes) run(Which::wakers, Turn::Kind::wakers);
    if (!process_.is_ours()) return;
    const bool blocking = calls_ && around == Turn::Kind::library && root_loop()->runs_callbacks();
    if (pushes_ || blocking) {
      push_all(blocking ? Pushed::deferred_and_blocking : Pushed::deferred);
      root_loop()->ring();
    }
    if (!process_.is_ours() || (!calls_ && wakers_ == wakes)) return;
    if (around == Turn::Kind::none) return run(Which::all, Turn::Kind::program);
    leave_to_turn(root_);
    for (Node* node = later_.first; node != nullptr; node = node->next) leave_to_turn(node);
  }

  void push_all(Pushed which) {
    push_callbacks(root_, which);
    for (Node* node = later_.first; node != nullptr; node = node->next) push_callbacks(node, which);
  }

  void run(Which which, Turn::Kind kind) {
    Turn turn(kind);
    call_back(root_, which, &turn);
    for (Node* node = later_.first; node != nullptr && turn.is_ours(); node = node->next) {
      call_back(node, which, &turn);
    }
  }

  // Marks everything below a node, and appends to the chain what must be visited again.
  void mark_tree(Node* top, Chain& chain) {
    bool watched = false;
    mark_below(top, &watched);
    while (Node* node = pending_.pop()) {
      __builtin_prefetch(pending_.first);
      mark_below(node, &watched);
      if (!watched && !is_armed(node) && unpin_early(node)) continue;
      chain.append(node);
    }
  }

  // For a node that needs no more work. The last reference must wait, since it may run a user's drop. But if
  // children keep the node, it goes now: under their lock, so that the last child sees it gone.
  static bool unpin_early(Node* node) {
    if (release_shared(node)) return true;
    Guard guard(node->children.first.lock);
    uint32_t one = 1;
    return node->children.first.count() > 0 &&
           node->refs.compare_exchange_strong(one, 0, std::memory_order_acq_rel);
  }

  // Marks the targets of the proxies that were found, and everything below. Each merged node begins a chain of
  // its own, and these are sorted when all are there. A parent has the lower birth number, so every parent that
  // this walk has ended comes before its child, whichever proxy was found first.
  void mark_merged() {
    Ring<MergedNode> chains;
    for (;;) {
      while (Node* proxy = proxies_.pop()) visit_target(static_cast<Proxy*>(proxy));
      auto* const node = static_cast<MergedNode*>(merged_.pop());
      if (node == nullptr) break;
      Chain chain;
      chain.append(node);
      mark_tree(node, chain);
      node->last = chain.last;
      chains.push_back(node);
    }
    chains.sort([](const MergedNode& a, const MergedNode& b) { return a.birth < b.birth; });
    while (MergedNode* const node = chains.pop_front()) {
      (later_.first == nullptr ? later_.first : later_.last->next) = node;
      later_.last = node->last;
    }
  }

  // Marks a node's children, and sets whether it has observers.
  void mark_below(Node* node, bool* watched) {
    *watched = false;
    if (!has_family(node)) return;
    uint32_t cursor = UINT32_MAX;
    do {
      Guard guard(observers_lock(node));
      *watched = !node->observers.empty();
      cursor = mark_chunk(node->children.first, cursor);
    } while (cursor > 0);
    // Only now: threads that add to a shard made later see the error under its lock.
    for (uint32_t i = 1; i < node->children.shards(); ++i) {
      Shard& shard = node->children.at(static_cast<uint8_t>(i));
      cursor = UINT32_MAX;
      do {
        Guard guard(shard.lock);
        cursor = mark_chunk(shard, cursor);
      } while (cursor > 0);
    }
  }

  // Marks the last kChunk children before the cursor; returns how many are left before those.
  uint32_t mark_chunk(Shard& shard, uint32_t cursor) CTX_REQUIRES(shard.lock) {
    Node** const slots = shard.slots();
    cursor = std::min(cursor, shard.count());
    const uint32_t stop = cursor > kChunk ? cursor - kChunk : 0;
    while (cursor > stop) {
      --cursor;
      fetch(slots, cursor);
      visit(slots[cursor]);
    }
    return cursor;
  }

  // It takes no lock of a child's: a first observer that is not there any more costs a useless fetch.
  static void fetch(Node** slots, uint32_t cursor) CTX_UNCHECKED_LOCKING {
    if (cursor < kAhead) return;
    __builtin_prefetch(&slots[cursor - kAhead]->error, 1);
    Node* const near = slots[cursor - kAheadOfObservers];
    if (has_family(near)) __builtin_prefetch(&near->observers, 1);
    Node* const nearer = slots[cursor - kAheadOfFirst];
    if (has_family(nearer)) __builtin_prefetch(nearer->observers.hint(), 1);
  }

  // Under the lock of the child's home shard, once the child is marked. True if it needs no other visit.
  bool settle(Node* child) {
    if (is_armed(child)) return false;
    if (!has_family(child)) return true;
    if (child->kind == Kind::merged) return false;
    Guard guard(observers_lock(child));
    if (child->children.first.count() > 0 || child->children.shards() > 1) return false;
    while (Observer* const observer = child->observers.front()) {
      if (observer->type != Observer::Type::entry) return false;
      child->observers.remove(observer);
      leaving_.take(static_cast<Entry*>(observer));
    }
    return true;
  }

  // Under the lock of the child's home shard.
  void visit(Node* child) {
    if (child->error.load(std::memory_order_relaxed) == 0) {
      mark(child, error_, root_);
      if (settle(child)) return;
      add_ref(child);
      (child->kind == Kind::merged ? merged_ : pending_).append(child);
    } else if (child->kind == Kind::proxy) {
      proxies_.append(child);
    } else {
      meet(child, ender_of(child), child);
    }
  }

  // Under merge_lock().
  void visit_target(Proxy* proxy) {
    MergedNode* const target = proxy->target;
    target->loop->merge_lock().assert_held();
    Guard guard(home(target).lock);
    if (target->error.load(std::memory_order_relaxed) == 0) {
      target->ended_through = proxy;
      visit(target);
    } else {
      meet(target, ender_of(target), proxy);
    }
  }

  // A node that is done already, found itself or through a proxy. If another walk has ended it and is not through,
  // this walk waits for that one later.
  void meet(Node* node, const Node* ender, Node* found) {
    CTX_ASSERT(ender == root_ || ender == node || node->kind == Kind::merged);  // invariant 1
    if (ender == root_ || ender->phase.reached(Phase::kWoken)) return;
    // The walk that ended a merged node from above uses the node's `next`. This walk meets it elsewhere.
    if (found == node && ender != node) return;
    add_ref(node);
    found->next = met_;
    met_ = found;
  }

  static Node* target_of(Node* met) {
    return met->kind == Kind::proxy ? static_cast<Proxy*>(met)->target : met;
  }

  void await_met(Phase::Step step) {
    for (Node* met = met_; met != nullptr; met = met->next) await(target_of(met), step);
  }

  // Ancestors first: what was found on leaves comes last. Keeps the nodes to visit once more: those with callbacks, and
  // those whose last reference this is.
  void wake_all() {
    wake(root_);
    Chain awake = later_;
    later_ = Chain{};
    while (Node* node = awake.pop()) {
      __builtin_prefetch(awake.first);
      if (wake(node) || !release_shared(node)) later_.append(node);
    }
    leaving_.post();
  }

  // Callbacks wait until everything is woken.
  void note(const Callback* callback) {
    const bool waker = callback->is(Callback::kWaker);
    (callback->is(Callback::kDefer) ? pushes_ : waker ? wakers_ : calls_) = true;
  }

  // Orders a node's observers for calling back: wakers first, and each kind by rank. Standing ones stay in front.
  static uint64_t place_of(const Observer& observer) {
    if (observer.type != Observer::Type::callback) return 0;
    const auto& callback = static_cast<const Callback&>(observer);
    const bool waker = callback.is(Callback::kWaker);
    return (waker ? uint64_t{1} : uint64_t{2}) << 32 | callback.rank;
  }

  // Tells the node's observers that it is done; true if callbacks are left for later.
  bool wake(Node* node) {
    if (is_armed(node)) node->loop->disarm(node);
    Guard guard(observers_lock(node));
    bool calls = false;
    node->observers.each([&](Observer& observer) {
      observers_lock(node).assert_held();
      if (observer.type != Observer::Type::callback) return tell(node, &observer);
      note(static_cast<const Callback*>(&observer));
      calls = true;
    });
    if (calls) {
      node->observers.sort(
          [](const Observer& a, const Observer& b) { return place_of(a) < place_of(b); });
    }
    return calls;
  }

  void unpin(Node* first) {
    while (first != nullptr) {
      Node* const node = target_of(first);
      first = first->next;
      if (callbacks_ == Callbacks::here) {
        release_after_callback(node);
      } else {
        node->loop->release_later(node);
      }
    }
  }

  Node* const root_;
  const int error_;
  const Callbacks callbacks_;
  const Process process_;
  Chain pending_;        // marked, with children that may not be
  Chain later_;          // to be visited again, ancestors first
  Chain proxies_;        // found, with targets that may be live
  Chain merged_;         // marked, with children that may not be
  Leaving leaving_;      // entries of settled leaves
  bool wakers_ = false;  // there are wakers
  bool pushes_ = false;  // and deferred callbacks
  bool calls_ = false;   // and others
  Node* met_ = nullptr;  // ended by walks that were not through: their roots, or proxies
};

}  // namespace

}  // namespace ctxcore

#endif
