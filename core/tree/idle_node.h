// SPDX-License-Identifier: MIT
// The node of ctx_with_idle (life/derive.h): a timer that looks, when its time comes, whether somebody touched the
// node meanwhile, and then goes on to a later time (loop/idle.h).
//
// A touch must cost next to nothing, so on a loop of real time it does not read the clock: it only leaves a mark. The
// timer looks for the mark several times within the limit, and takes the time of the look for that of the touch. So it
// ends late by at most one such step, and never early. On a virtual loop a touch leaves the exact time.
//
// Invariants
//  1. `when` and `last` change under the lock of the wheel, while the node is not in it, and before that in the thread
//     that makes the node.
//  2. `touched` is a hint about time, which orders nothing else: relaxed is enough. A touch that a look does not see
//     is found by the next one; a touch that comes when the node is being ended comes too late.
#ifndef CTX_CORE_TREE_IDLE_NODE_H
#define CTX_CORE_TREE_IDLE_NODE_H

#include <cstdint>

#include "core/system/atomic.h"
#include "core/tree/node.h"

namespace ctxcore {

struct IdleNode : LateNode {
  IdleNode(Context* above, Value* nearest, Loop* runner, int64_t latest, int64_t length,
           int64_t now, const Cause* why, uint8_t wheel)
      : LateNode(above, nearest, runner, latest, why, wheel, Kind::idle),
        limit(length),
        last(now) {}

  bool is_touched() const { return touched.load(std::memory_order_relaxed) != kUntouched; }

  static constexpr int64_t kUntouched = -1;
  static constexpr int64_t kSinceLook = INT64_MAX;  // touched at some time since the last look

  const int64_t limit;
  int64_t last;                         // no touch is known that came later
  Atomic<int64_t> touched{kUntouched};  // when, or kSinceLook
};

}  // namespace ctxcore

#endif
