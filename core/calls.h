// SPDX-License-Identifier: MIT
// What must not run on the clock's thread: callbacks that a deadline set off or that were deferred, and
// the last release of a node, which may run a user's drop.
//
// Invariants
//  1. Both lists are guarded by lock_, and so is a watch's change between armed, queued and claimed
//     while it is going into the list or out of it.
//  2. A watch in the list is queued, or claimed by a stop that is about to withdraw it.
//  3. A node in the list has one reference left, the list's own. It was put there under its home shard's
//     lock, after the cancel that ended it was through: no walk uses its `next`, or will.
//
// Lock order: a leaf; taken with a node's shards' locks held.
#ifndef CTX_CORE_CALLS_H
#define CTX_CORE_CALLS_H

#include <atomic>
#include <cstdint>

#include "core/list.h"
#include "core/lock.h"
#include "core/thread.h"

namespace ctxcore {

struct Node;
struct Watch;

class Calls {
 public:
  constexpr Calls() = default;

  int start();  // the thread that runs them; 0 or a negative errno
  void stop();  // ends that thread, for a loop whose start failed half way

  void push(Watch* watch);      // unless a stop has claimed it meanwhile
  void withdraw(Watch* watch);  // by the stop that claimed it while it was queued
  void push_release(Node* node);

  bool run_one();  // false if there was nothing to run

 private:
  static void* run(void* self);
  void wake();
  bool take(Watch** watch, Node** node);

  Lock lock_;
  Link* watches_ CTX_GUARDED_BY(lock_) = nullptr;
  Node* nodes_ CTX_GUARDED_BY(lock_) = nullptr;
  std::atomic<uint32_t> bell_{0};  // counts pushes; the thread sleeps on it
  std::atomic<bool> stopping_{false};
  pthread_t thread_{};
};

}  // namespace ctxcore

#endif
