// SPDX-License-Identifier: MIT
// What a loop's clock must not do itself: callbacks that a deadline set off or that were deferred, and
// the last release of a node, which may run a user's drop. A threaded loop has a thread for them, and
// the others run them in dispatch and advance.
//
// Invariants
//  1. Both lists are guarded by lock_, and so is a callback's change between armed, queued and claimed
//     while it is going into the list or out of it.
//  2. A callback in the list is queued, or claimed by a stop that is about to withdraw it.
//  3. A node in the list has one reference left, the list's own. It was put there under its home shard's
//     lock, after the cancel that ended it was through: no walk uses its `next`, or will.
//  4. Who pushes rings the loop afterwards (Loop::ring), with no lock held.
//
// Lock order: a leaf; taken with a node's shards' locks held.
#ifndef CTX_CORE_LOOP_BACKLOG_H
#define CTX_CORE_LOOP_BACKLOG_H

#include <cstddef>

#include "core/base/list.h"
#include "core/base/lock.h"

namespace ctxcore {

struct Callback;
struct Node;

class Calls {
 public:
  constexpr Calls() = default;

  void push(Callback* callback);      // unless a stop has claimed it meanwhile
  void withdraw(Callback* callback);  // by the stop that claimed it while it was queued
  void push_release(Node* node);

  bool run_callback();  // false if there was none
  bool run_release();
  bool run_one() { return run_callback() || run_release(); }
  bool any();
  size_t callbacks();  // how many wait

 private:
  Lock lock_;
  Link* callbacks_ CTX_GUARDED_BY(lock_) = nullptr;
  Node* nodes_ CTX_GUARDED_BY(lock_) = nullptr;
  size_t waiting_ CTX_GUARDED_BY(lock_) = 0;  // callbacks
};

}  // namespace ctxcore

#endif
