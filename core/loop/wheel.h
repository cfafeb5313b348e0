// SPDX-License-Identifier: MIT
// Timers that have not fired. Those of a later tick are in a hierarchical timing wheel: insert and remove
// are O(1), and a timer moves at most once a level before its tick comes. (Varghese and Lauck, "Hashed and
// Hierarchical Timing Wheels", 1987.) Those of a tick that has come are in their order (timer_order.h), by
// the nanosecond: none fires early, and a thread that looks at its deadline finds it due.
//
// To move a timer costs two cache misses; moved a level at a time, a burst of late ones took more time for that than for
// all else. So the wheel goes on to the tick that it is asked for in one step, however many slots begin on the way: in
// that step each of their timers moves once, to where it belongs at that tick.
//
// A tick is 2^14 nanoseconds. On a virtual loop there is one tick, without an end: all timers are in order, so that
// the next one is known however far it is.
//
// Invariants (all under lock)
//  1. The timers of ticks up to `elapsed_` are in `soon_`, those of later ticks in the slots, and some of
//     either may still be in `moving_`.
//  2. The tick of a timer in a slot agrees with `elapsed_` in all digits of base 64 above the slot's level;
//     at that level its digit, which is the slot's number, is greater. So the first timers to come
//     are in the first occupied slot of the lowest occupied level.
//  3. A slot's ring is meaningful only while its bit in `occupied_` is set, and then not empty.
//  4. Slots that have begun are emptied through `moving_`, so that the lock is held for a few timers at a time.
//     Until that is empty, nothing fires and nobody learns the next time.
//  5. `elapsed_` may be ahead of the clock, by as much as next() looks ahead.
//  6. A node's `armed` names this wheel from before the node is in the tree; it becomes kUnarmed, under this lock, when
//     the timer is taken out to fire, and from then on its Link is the loop's; or when the node has ended otherwise,
//     and then it is never inserted again.
//  7. An ended node leaves the wheel before the call that ended it returns.
//  8. The timer of an idle node that was touched never fires: it is put back at a later time, within the section that
//     took it out.
//
// Lock order: a leaf; taken with tree locks held (node.h).
#ifndef CTX_CORE_LOOP_WHEEL_H
#define CTX_CORE_LOOP_WHEEL_H

#include <cstddef>
#include <cstdint>

#include "core/base/list.h"
#include "core/base/lock.h"
#include "core/loop/timer_order.h"

namespace ctxcore {

struct TimerNode;

class Wheel {
 public:
  enum class Tick : uint8_t { coarse, endless };
  static constexpr int64_t kLookahead = int64_t{1} << 20;  // ns: 64 ticks, about a millisecond

  constexpr Wheel() = default;
  explicit Wheel(Tick tick) : tick_(tick) {}

  // Inserts unless the node is done already. Returns when it will be due; kForever if it was not
  // inserted. `now` is a recent reading of the clock.
  int64_t insert(TimerNode* node, int64_t now);

  void remove(TimerNode* node);       // does nothing if it is not in the wheel
  bool remove_last(TimerNode* node);  // the same if only one reference is left; else returns false

  // Takes out timers due at `now`, pinned, the earliest first and at most `most`, and appends them to `due` in that
  // order. All come out under the lock at one time: else one inserted meanwhile could come after later ones. False: no
  // due timer was left. True: it has given `most`, or it has had to put off very many idle ones.
  bool expire(int64_t now, Ring<TimerNode>& due, size_t most);

  // When the next timer is due; kForever if there is none. For one due more than kLookahead after `now` it may return
  // an earlier time, never a later one: each further call then comes a level nearer.
  int64_t next(int64_t now);

 private:
  static constexpr unsigned kChunk = 256;  // timers moved under the lock at a time
  static constexpr unsigned kDigit = 6;
  static constexpr unsigned kSlots = 1u << kDigit;
  static constexpr unsigned kLevels = (63 - 14) / kDigit + 1;

  uint64_t tick_of(int64_t time) const;
  void place(TimerNode* node) CTX_REQUIRES(lock_);
  void take_out(TimerNode* node) CTX_REQUIRES(lock_);
  unsigned lowest_level() const CTX_REQUIRES(lock_);
  uint64_t next_tick() const CTX_REQUIRES(lock_);  // UINT64_MAX: all slots are empty
  bool moving() const CTX_REQUIRES(lock_) { return moving_.linked() && moving_.next != &moving_; }
  void move_all(const Link& head) CTX_REQUIRES(lock_);
  void go_on_to(uint64_t tick) CTX_REQUIRES(lock_);
  bool move_some(uint64_t until) CTX_REQUIRES(lock_);
  bool goes_on(TimerNode* node) CTX_REQUIRES(lock_);
  static void append(Link& head, Link* link);

  const Tick tick_ = Tick::coarse;
  Lock lock_;
  uint64_t elapsed_ CTX_GUARDED_BY(lock_) = 0;
  uint64_t occupied_[kLevels] CTX_GUARDED_BY(lock_) = {};   // a bit for each slot
  Link slots_[kLevels][kSlots] CTX_GUARDED_BY(lock_) = {};  // heads of rings
  Link moving_ CTX_GUARDED_BY(lock_);                       // head of one more
  TimerOrder soon_ CTX_GUARDED_BY(lock_);
};

}  // namespace ctxcore

#endif
