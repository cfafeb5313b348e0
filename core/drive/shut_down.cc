// SPDX-License-Identifier: MIT
// An orderly end: closes the loop, runs what waits, and joins the threads.
#include <cerrno>

#include "core/life/cancel.h"
#include "core/loop/lane.h"
#include "core/loop/loop.h"
#include "core/loop/turn.h"
#include "core/system/futex.h"
#include "core/system/thread.h"

namespace ctxcore {

bool Loop::await_threads(int64_t until_ns) {
  for (;;) {
    const uint32_t left = threads_.load(std::memory_order_acquire);
    if (left == 0) break;
    if (futex_wait(threads_, left, until_ns) == -ETIMEDOUT) return false;
  }
  join_ended();
  return true;
}

int Loop::shut_down(int64_t until_ns) {
  if (Turn::under_way()) return -EDEADLK;
  const bool own_threads = drive_ == Drive::thread && started();
  cancel_all(this, own_threads ? Callbacks::queued : Callbacks::here);
  bool threads = false;
  {
    Guard guard(start_lock_);  // no thread is started from now on
    threads = drive_ == Drive::thread && started();
    // A thread that pushes from now on runs it itself.
    orphaned_.store(true, std::memory_order_release);
  }
  if (!threads) {
    fire_posted(*this);
    run_all(nullptr);
    return is_ours() ? 0 : -ECHILD;
  }
  lane().staff();
  stop_.store(Stop::join, std::memory_order_release);
  set_alarm_by(kAtOnce);
  ring_calls();
  const bool all = lane().close(until_ns);
  return await_threads(until_ns) && all ? 0 : -ETIMEDOUT;
}

}  // namespace ctxcore
