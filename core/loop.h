// SPDX-License-Identifier: MIT
// Who runs the clock for a family of contexts: its timers, the thread that sleeps until the next one,
// and the calls that thread must not make itself.
//
// Invariants
//  1. `alarm_` is the time the poller's alarm is set to. It is changed under alarm_lock_, together with
//     the alarm, and read without: see arm().
//  2. While the loop looks for the next deadline `alarm_` is kForever: whoever arms meanwhile sets the
//     alarm, and the loop afterwards only ever sets it earlier.
//  3. Both threads run or none does.
//
// Why no deadline is missed. A thread arms under the lock of a wheel, then reads `alarm_`. The loop
// makes `alarm_` kForever, then looks into each wheel under its lock. If the insertion came first, the
// loop finds it. If the look came first, its unlock makes the store before it visible to the thread
// that inserts afterwards, which reads kForever or something newer, and sets the alarm itself.
//
// Lock order: start_lock_ first of all; alarm_lock_ is a leaf.
#ifndef CTX_CORE_LOOP_H
#define CTX_CORE_LOOP_H

#include <atomic>
#include <cstdint>

#include "core/calls.h"
#include "core/clock.h"
#include "core/poller.h"
#include "core/wheel.h"

namespace ctxcore {

class Loop {
 public:
  static constexpr uint8_t kWheels = 8;  // one a processor, as far as they go

  // The root lists every family of this loop that has no other parent. The kWheels wheels stand apart
  // from the loop so that those of the default loop are zeros, which need no room in the file.
  constexpr Loop(Node* root, Wheel* wheels) : root_(root), wheels_(wheels) {}

  Node* root() const { return root_; }
  bool started() const { return started_.load(std::memory_order_acquire); }

  // Starts what deadlines and deferred calls need, if it does not run yet. 0 or a negative errno, with
  // nothing changed. Before the first arm().
  int start();

  int64_t now() const { return monotonic_now(); }
  Calls& calls() { return calls_; }

  static uint8_t pick_wheel();  // for a new timer: two processors get two wheels

  void arm(TimerNode* node, int64_t now);
  void disarm(TimerNode* node);
  bool disarm_last(TimerNode* node);  // if only one reference is left; else returns false

  // Gives back a pin of a node whose cancel is through. The last reference goes to the calls: it may run
  // a user's drop, which must not hold up the clock.
  void release_later(Node* node);

  void abandon();  // in a forked child: the threads are gone, the descriptors are not ours

 private:
  static void* run(void* self);
  void fire_due();
  int64_t next();
  void forget_alarm();
  void set_alarm_by(int64_t when);

  Node* const root_;
  Wheel* const wheels_;
  Calls calls_;
  Poller poller_;
  Lock alarm_lock_;
  std::atomic<int64_t> alarm_{kForever};
  Lock start_lock_;
  std::atomic<bool> started_{false};
  pthread_t thread_{};
};

}  // namespace ctxcore

#endif
