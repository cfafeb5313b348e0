// SPDX-License-Identifier: MIT
// Timers in the order of their times, and those of one time in the order they came. Everything takes
// logarithmic time: insert, remove and take the first.
//
// It is a treap (Seidel and Aragon, "Randomized Search Trees", 1996): the times grow from left to right,
// the priorities fall from the root down. A priority is drawn from a timer's address, and so is stored
// nowhere. A timer has only the two pointers of its Link, so those of one time share a place:
//
//            prev                       next
//   first    the earlier timers         the second, or if there is none the later timers
//   second   a list of the others       the later timers
//   others   as in any list (list.h)    as in any list
//
// Invariants
//  1. `next` of a timer in here is never nullptr. If there is nothing to the left or right, `prev` or `next` is
//     &none, a link that nobody reads or writes.
//  2. The times to the left are earlier, those to the right later. So a `next` of the same time is a second.
//  3. `root_` is nullptr until the first insertion: the empty order is zeros, which need no room in a file.
//
// The owner's lock guards everything here.
#ifndef CTX_CORE_LOOP_TIMER_ORDER_H
#define CTX_CORE_LOOP_TIMER_ORDER_H

#include <cstdint>

#include "core/base/list.h"

namespace ctxcore {

struct TimerNode;

class TimerOrder {
 public:
  void insert(TimerNode* node);

  // Takes a timer out, and leaves its links null. The timer may instead be in another list (list.h), of at least
  // two: then this may take it out of that. True: it is in no list any more; false: it still is in the other.
  bool remove(TimerNode* node);

  TimerNode* first() const;              // nullptr if there is none
  TimerNode* take_first(int64_t until);  // the same if its time is not later, taken out

 private:
  Link** place_of(int64_t time);

  Link* root_ = nullptr;
};

}  // namespace ctxcore

#endif
