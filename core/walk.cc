// SPDX-License-Identifier: MIT
#include "core/walk.h"

#include <algorithm>

#include "core/check.h"
#include "core/descriptor.h"
#include "core/loop.h"
#include "core/observer.h"
#include "core/wait.h"
#include "core/watch.h"

namespace ctxcore {

namespace {

class Walk {
 public:
  Walk(Node* root, int error, Callbacks callbacks)
      : root_(root), error_(error), callbacks_(callbacks) {}

  void run() {
    mark_all();
    await_met(Phase::kMarked);
    root_->phase.advance(Phase::kMarked);
    for_each([](Node* node) { wake(node); });
    await_met(Phase::kWoken);
    root_->phase.advance(Phase::kWoken);
    for_each([this](Node* node) { call_back(node, callbacks_); });
    unpin(later_.first);
    unpin(met_);
  }

 private:
  static constexpr uint32_t kChunk = 256;
  static constexpr uint32_t kAhead = 12;  // how many children the prefetch runs ahead

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
    Node* last = nullptr;  // means nothing while the chain is empty
  };

  template <typename Action>
  void for_each(Action action) {
    action(root_);
    for (Node* node = later_.first; node != nullptr; node = node->next) action(node);
  }

  void mark_all() {
    mark_below(root_);
    while (Node* node = pending_.pop()) {
      const bool watched = mark_below(node);
      // Nothing more to do for this one? The last reference has to wait: it may run a user's drop.
      if (watched || has_timer(node) || !release_shared(node)) later_.append(node);
    }
  }

  // Marks a node's children; true if it has observers.
  bool mark_below(Node* node) {
    if (!has_family(node)) return false;
    bool watched = false;
    uint32_t cursor = UINT32_MAX;
    do {
      Guard guard(observers_lock(node));
      watched = node->observers != nullptr;
      cursor = mark_chunk(node->children.first, cursor);
    } while (cursor > 0);
    // Only now: a shard made later is filled under its lock by threads that see the error.
    for (uint32_t i = 1; i < node->children.shards(); ++i) {
      Shard& shard = node->children.at(static_cast<uint8_t>(i));
      cursor = UINT32_MAX;
      do {
        Guard guard(shard.lock);
        cursor = mark_chunk(shard, cursor);
      } while (cursor > 0);
    }
    return watched;
  }

  // Marks the last kChunk children before the cursor; returns how many are left before those.
  uint32_t mark_chunk(Shard& shard, uint32_t cursor) CTX_REQUIRES(shard.lock) {
    Node** const slots = shard.slots();
    cursor = std::min<uint32_t>(cursor, shard.count);
    const uint32_t stop = cursor > kChunk ? cursor - kChunk : 0;
    while (cursor > stop) {
      --cursor;
      if (cursor >= kAhead) __builtin_prefetch(&slots[cursor - kAhead]->error, 1);
      visit(slots[cursor]);
    }
    return cursor;
  }

  // Under the lock of the child's home shard.
  void visit(Node* child) {
    if (child->error.load(std::memory_order_relaxed) == 0) {
      mark(child, error_, root_);
      if (!has_family(child) && !has_timer(child)) return;
      add_ref(child);
      pending_.append(child);
      return;
    }
    Node* const ender = ender_of(child);
    CTX_ASSERT(ender == root_ || ender == child);  // invariant 1
    if (ender != root_ && !ender->phase.reached(Phase::kWoken)) {
      add_ref(child);
      child->next = met_;
      met_ = child;
    }
  }

  void await_met(Phase::Step step) {
    for (Node* node = met_; node != nullptr; node = node->next) await(node, step);
  }

  static void wake(Node* node) {
    if (has_timer(node)) node->loop->disarm(static_cast<TimerNode*>(node));
    Guard guard(observers_lock(node));
    if (node->observers == nullptr) return;
    Link* const last = node->observers->prev;
    Link* link = node->observers;
    uint32_t rank = 0;
    bool in_order = true;
    for (bool more = true; more;) {
      more = link != last;
      Link* const following = link->next;
      auto* observer = static_cast<Observer*>(link);
      in_order = in_order && observer->rank >= rank;
      rank = observer->rank;
      switch (observer->type) {
        case Observer::Type::descriptor:
          static_cast<Descriptor*>(observer)->signal();
          break;
        case Observer::Type::waiter:
          unlink(node->observers, observer);
          static_cast<WaitEntry*>(observer)->waiter->wake();
          break;
        case Observer::Type::watch:
          break;  // its turn comes when everything is woken
      }
      link = following;
    }
    if (!in_order) {
      sort(node->observers, [](const Link* a, const Link* b) {
        return static_cast<const Observer*>(a)->rank < static_cast<const Observer*>(b)->rank;
      });
    }
  }

  void unpin(Node* node) {
    while (node != nullptr) {
      Node* const next = node->next;
      if (callbacks_ == Callbacks::here) {
        release_after_callback(node);
      } else {
        node->loop->release_later(node);
      }
      node = next;
    }
  }

  Node* const root_;
  const int error_;
  const Callbacks callbacks_;
  Chain pending_;        // marked, with children that may not be
  Chain later_;          // what must be visited again, ancestors first
  Node* met_ = nullptr;  // roots of other walks that were not through
};

// Of a node that has family: what is left to do once its own error is set.
[[gnu::noinline]] void walk(Node* node, int error, Callbacks callbacks) {
  add_ref(node);  // a callback may give back every handle there is
  Walk(node, error, callbacks).run();
  if (callbacks == Callbacks::here) {
    release_after_callback(node);
  } else {
    node->loop->release_later(node);
  }
}

}  // namespace

bool end(Node* node, int error, const Cause* cause, Callbacks callbacks) {
  const Cause* const own = cause != nullptr ? ref(cause) : plain_cause(error);
  bool won = false;
  bool family = false;
  {
    Guard guard(home(node).lock);
    if (node->error.load(std::memory_order_relaxed) == 0) {
      won = true;
      family = has_family(node);
      // Without family there is nobody to mark or to wake.
      node->phase.begin(family ? Phase::kMarking : Phase::kWoken);
      node->cause.store(reinterpret_cast<uintptr_t>(own), std::memory_order_relaxed);
      node->error.store(error, std::memory_order_release);
    }
  }
  if (!won) {
    unref(own);
    await(node, Phase::kWoken);
  } else if (family) {
    walk(node, error, callbacks);
  } else if (has_timer(node)) {
    node->loop->disarm(static_cast<TimerNode*>(node));
  }
  return won;
}

}  // namespace ctxcore
