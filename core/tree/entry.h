// SPDX-License-Identifier: MIT
// The shape of a queue's entry: armed on a context, and posted to its queue when that is done (watch/queue.h). And how
// a walk posts very many of them.
//
// Invariants
//  1. Entries in a Leaving were taken off nodes that are done, by the walk that ended them, and nobody else touches
//     their links: who wants to stop one waits until that walk has woken all.
//  2. `ahead` leads to an entry that was taken kJump later, if to anything. It may have been freed since: it is for
//     prefetching alone.
#ifndef CTX_CORE_TREE_ENTRY_H
#define CTX_CORE_TREE_ENTRY_H

#include <cstdint>

#include "core/tree/observer.h"

namespace ctxcore {

struct Context;
class Queue;

// The queue's lock guards all of it except the Link, what never changes, and `ahead` while the entry is leaving.
struct Entry : Watch {
  enum State : uint8_t { unused, idle, armed, posted, over };

  Entry() : Watch(Type::entry) {}

  void post();  // by the walk that ended the node, once the entry is off the node's list

  // Far away by more than this can say: nothing is prefetched.
  void lead_to(const Entry* other) {
    const intptr_t steps =
        (reinterpret_cast<intptr_t>(other) - reinterpret_cast<intptr_t>(this)) / kStep;
    ahead = static_cast<int32_t>(steps) == steps ? static_cast<int32_t>(steps) : 0;
  }
  void prefetch_ahead() const {
    __builtin_prefetch(reinterpret_cast<void*>(reinterpret_cast<intptr_t>(this) + ahead * kStep),
                       1);
  }

  static constexpr intptr_t kStep = alignof(void*);

  State state = unused;
  bool has_handle = false;
  uint16_t index = 0;  // in its slab
  int32_t ahead = 0;   // in steps
  Queue* queue = nullptr;
  uint64_t token = 0;
  Context* context = nullptr;
};

// The entries that a walk takes off its leaves while it marks, and posts when it wakes: those of one queue are posted
// together, by one change of its list.
//
// Why entries lead ahead. A list in random order in memory costs a cache miss an entry, one after the other, since each
// has to be read to find the next. Here the walk meets them all, so it can note in each where the one is that comes
// kJump later; and who drains the queue prefetches that.
class Leaving {
 public:
  void take(Entry* entry) {
    Entry*& before = latest_[taken_++ % kJump];
    if (before != nullptr) before->lead_to(entry);
    before = entry;
    if (queue_ == nullptr) queue_ = entry->queue;
    (entry->queue == queue_ ? of_queue_ : others_).push_back(entry);
  }

  void post();  // watch/queue.cc

 private:
  static constexpr unsigned kJump = 12;

  Queue* queue_ = nullptr;  // of the first
  Ring<Entry> of_queue_;
  Ring<Entry> others_;
  Entry* latest_[kJump] = {};
  unsigned taken_ = 0;
};

}  // namespace ctxcore

#endif
