// SPDX-License-Identifier: MIT
// The signal mask of a thread of the library that runs users' callbacks. Between callbacks the thread blocks every
// signal except those of faults, so that no handler of the program runs there. In a callback it has the mask of the
// thread that started the loop: users' code, and the processes and threads that it starts, find the mask that they
// would find there. Signals that contexts wait for stay blocked.
#ifndef CTX_CORE_LOOP_CALL_MASK_H
#define CTX_CORE_LOOP_CALL_MASK_H

#include "core/loop/loop.h"
#include "core/loop/signals.h"
#include "core/system/thread.h"

namespace ctxcore {

class CallMask {
 public:
  void open(const Loop& loop) { set(loop.starters_mask() | signals_waited_for()); }
  void close() { set(kAllSignals); }

 private:
  void set(uint64_t mask) {
    if (mask != now_) set_signal_mask(mask);
    now_ = mask;
  }

  uint64_t now_ = kAllSignals;  // as start_thread() leaves it
};

}  // namespace ctxcore

#endif
