// SPDX-License-Identifier: MIT
// An orderly end: closes the loop, runs what waits, and joins the threads.
#include <cerrno>
#include <climits>

#include "core/life/cancel.h"
#include "core/loop/lane.h"
#include "core/loop/loop.h"
#include "core/loop/turn.h"
#include "core/system/futex.h"
#include "core/system/thread.h"

namespace ctxcore {

bool Loop::await_busy(int64_t until_ns) {
  for (;;) {
    const uint32_t left = busy_.load(std::memory_order_acquire);
    if (left == 0) break;
    if (futex_wait(busy_, left, until_ns) == -ETIMEDOUT) return false;
  }
  return true;
}

// One call at a time: each must find finished what an earlier one has begun.
bool Loop::begin_shutting(int64_t until_ns) {
  while (shutting_.exchange(1, std::memory_order_acquire) != 0) {
    if (futex_wait(shutting_, 1, until_ns) == -ETIMEDOUT) return false;
  }
  return true;
}

void Loop::end_shutting() {
  shutting_.store(0, std::memory_order_release);
  futex_wake(&shutting_, 1);
}

// Cancels everything, and ends the threads if there are any. A thread that pushes from now on runs it itself.
bool Loop::end_threads(int64_t until_ns) {
  const bool own_threads = drive_ == Drive::thread && started();
  const Process process;
  cancel_all(this, own_threads ? Callbacks::queued : Callbacks::here);
  if (!process.is_ours())
    return false;  // a callback has forked: the child's loop is new, and goes on
  bool threads = false;
  {
    Guard guard(start_lock_);  // no thread is started from now on
    threads = drive_ == Drive::thread && started();
    orphaned_.store(true, std::memory_order_release);
  }
  if (!threads) return true;
  lane().staff();
  stop_.store(Stop::join, std::memory_order_release);
  set_alarm_by(kAtOnce);
  ring_calls();
  // The lane comes last: until the loop's thread has ended, it may still start a thread there that was refused before.
  const bool ended = await_busy(until_ns);
  const bool all = lane().close(until_ns) && ended;
  if (all) join_ended();
  return all;
}

int Loop::shut_down(int64_t until_ns) {
  if (Turn::current() != Turn::Kind::none) return -EDEADLK;
  if (!begin_shutting(until_ns)) return -ETIMEDOUT;
  const Process process;
  bool all = end_threads(until_ns);
  if (!process.is_ours()) return -ECHILD;
  if (all) {
    // Something may have come after the last look of a thread.
    fire_posted(*this);
    run_rest();
    if (process.is_ours()) drop_executor();
    if (!process.is_ours()) return -ECHILD;
  }
  end_shutting();
  return all ? 0 : -ETIMEDOUT;
}

}  // namespace ctxcore
