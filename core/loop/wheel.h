// SPDX-License-Identifier: MIT
// Timers that have not fired, in a hierarchical timing wheel: insert and unlink are O(1), a timer moves
// at most once a level before it fires. (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels",
// 1987.)
//
// Time is counted in ticks of 2^shift nanoseconds; a deadline belongs to the first tick that begins at
// or after it, and fires when that tick begins: never early, and at most a tick late. Where time is told
// (loop.h) a tick is a nanosecond.
//
// Invariants (all under lock)
//  1. Every timer's tick is later than `elapsed_`, and agrees with it in all digits of base 64 above
//     the timer's level; at its level its digit, which is its slot, is greater. So the first timers to
//     fire are in the first occupied slot of the lowest occupied level.
//  2. A slot's ring is meaningful only while its bit in `occupied_` is set, and then not empty.
//  3. A slot that has come up is emptied through `moving_`, so that the lock is held for a few timers at
//     a time. What is in there counts as due at once; so does a timer that comes too late for its tick.
//  4. A node's `armed` names this wheel from before the node is in the tree; it becomes kUnarmed, under
//     this lock, when the timer is taken out to fire. From then on its Link is the loop's.
//  5. A node that was ended leaves the wheel before the call that ended it returns.
//
// Lock order: a leaf; taken with tree locks held (node.h).
#ifndef CTX_CORE_LOOP_WHEEL_H
#define CTX_CORE_LOOP_WHEEL_H

#include <cstdint>

#include "core/base/list.h"
#include "core/base/lock.h"

namespace ctxcore {

struct TimerNode;

class Wheel {
 public:
  enum class Tick : uint8_t { coarse, nanosecond };

  constexpr Wheel() = default;
  explicit Wheel(Tick tick) : tick_(tick) {}

  // Inserts unless the node is done already. Returns when it will fire, in nanoseconds; kForever if
  // it was not inserted. `now` is a recent reading of the clock.
  int64_t insert(TimerNode* node, int64_t now);

  void remove(TimerNode* node);       // does nothing if it is not in the wheel
  bool remove_last(TimerNode* node);  // the same if only one reference is left; else returns false

  // Takes everything that is due at `now` out, pinned, and appends it to `due`.
  void expire(int64_t now, Link*& due);

  int64_t next();      // when expire() is wanted next; kForever: not at all
  int64_t next_due();  // when it will find anything due

 private:
  static constexpr unsigned kChunk = 256;  // timers moved under the lock at a time
  static constexpr unsigned kDigit = 6;
  static constexpr unsigned kSlots = 1u << kDigit;
  static constexpr unsigned kLevels = 64 / kDigit + 1;

  unsigned shift() const { return tick_ == Tick::coarse ? 14 : 0; }  // 16.4 microseconds
  uint64_t tick_of(int64_t time) const;
  int64_t begin_of(uint64_t tick) const;
  void place(TimerNode* node, uint64_t tick) CTX_REQUIRES(lock_);
  void take_out(TimerNode* node) CTX_REQUIRES(lock_);
  uint64_t next_tick() const CTX_REQUIRES(lock_);  // UINT64_MAX: the wheel is empty
  bool expire_some(uint64_t until, Link*& due);
  bool moving() const CTX_REQUIRES(lock_) { return moving_.linked() && moving_.next != &moving_; }
  static void append(Link& head, Link* link);
  unsigned lowest_level() const CTX_REQUIRES(lock_);

  const Tick tick_ = Tick::coarse;
  Lock lock_;
  uint64_t elapsed_ CTX_GUARDED_BY(lock_) = 0;
  uint64_t occupied_[kLevels] CTX_GUARDED_BY(lock_) = {};   // a bit a slot
  Link slots_[kLevels][kSlots] CTX_GUARDED_BY(lock_) = {};  // heads of rings
  Link moving_ CTX_GUARDED_BY(lock_);                       // head of one more
};

}  // namespace ctxcore

#endif
