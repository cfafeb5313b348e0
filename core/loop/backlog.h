// SPDX-License-Identifier: MIT
// Users' code that waits for a thread that may run it: callbacks that a loop set off or that were deferred, and
// last releases, which may run a user's drop. A threaded loop has a thread for its backlog; the others run it in
// dispatch and advance. Wakers wait in it for the thread that drives the loop, which runs them with no lock held.
//
// Invariants
//  1. lock_ guards all lists, and a callback's change between armed, queued and claimed while it goes into a list
//     or out of it.
//  2. A callback in the lists is queued, or claimed by a stop that is about to withdraw it. A dispatch runs those that
//     waited when it began: they are its batch, and come before all others. One thread at a time has a batch.
//  3. Wakers have a list of their own. A spent callback is finished, and has the last reference to its context and
//     one to itself.
//  4. A node in the list has one reference left, the list's own. It was put there under its home shard's lock, after
//     the cancel that ended it was through: no walk uses its `next`, or will.
//  5. A thread that pushes rings the loop afterwards (Loop::ring), with no lock held.
//
// Lock order: a leaf; taken with a node's shards' locks held.
#ifndef CTX_CORE_LOOP_BACKLOG_H
#define CTX_CORE_LOOP_BACKLOG_H

#include <cstddef>
#include <cstdint>

#include "core/base/list.h"
#include "core/base/lock.h"
#include "core/tree/callback.h"

namespace ctxcore {

class Backlog {
 public:
  constexpr Backlog() = default;

  void push(Callback* callback, Callback::Place place);  // unless a stop has claimed it meanwhile
  void withdraw(Callback* callback);                     // by the stop that claimed it while queued
  void push_spent(Callback* callback);
  void push_release(Node* node);

  enum class From : uint8_t { batch, all };
  void begin_batch();  // takes in all callbacks that wait

  Callback* take(From from);           // the next one, claimed; nullptr if there is none
  Callback* take_to_post(Loop* loop);  // the same, but still queued, with one more reference
  Callback* take_waker();              // the next one, claimed
  bool run_release();                  // false if there was none

  bool any();  // is there anything but wakers?
  bool any_waker();
  size_t callbacks();  // how many wait

 private:
  Callback* pop(From from) CTX_REQUIRES(lock_);

  Lock lock_;
  Ring<Callback> batch_ CTX_GUARDED_BY(lock_);
  Ring<Callback> callbacks_ CTX_GUARDED_BY(lock_);
  Ring<Callback> wakers_ CTX_GUARDED_BY(lock_);
  Ring<Callback> spent_ CTX_GUARDED_BY(lock_);
  Node* nodes_ CTX_GUARDED_BY(lock_) = nullptr;
  size_t waiting_ CTX_GUARDED_BY(lock_) = 0;  // callbacks
};

}  // namespace ctxcore

#endif
