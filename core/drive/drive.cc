// SPDX-License-Identifier: MIT
// Who moves a loop on: its own threads, its host, or a host that moves its clock.
#include <algorithm>
#include <cerrno>
#include <climits>

#include "core/loop/lane.h"
#include "core/loop/loop.h"
#include "core/system/futex.h"
#include "core/system/thread.h"
#include "core/tree/node.h"

namespace ctxcore {

void* Loop::run(void* self) {
  auto* loop = static_cast<Loop*>(self);
  const Process process;
  for (;;) {
    // Before the last round, so that it runs the wakers of what was ended before the thread was told to stop.
    const bool last = loop->stop_.load(std::memory_order_acquire) != Stop::no;
    loop->turn(!last);
    if (!process.is_ours()) exit_child();
    if (last) break;
    loop->summoned_.store(false, std::memory_order_relaxed);  // set_next_alarm() comes later
    const bool staffed = lane().staff();
    if (loop->backlog_.any() || lane().deserted()) loop->ring_calls();
    loop->set_next_alarm();
    if (!staffed) loop->set_alarm_by(loop->now() + Lane::kRetry);
  }
  loop->end_thread();
  return nullptr;
}

// A thread of this loop does this last.
void Loop::end_thread() {
  const Process process;
  ctxcore::end_thread(stop_.load(std::memory_order_relaxed) == Stop::join);
  leave_busy();
  if (!process.is_ours()) exit_child();
}

void Loop::enter_busy(uint32_t count) {
  users_.fetch_add(count, std::memory_order_relaxed);
  busy_.fetch_add(count, std::memory_order_relaxed);
}

// On a loop that ends, whoever leaves last drops the executor: nobody else uses it. So this may be the clock's thread
// of this loop, which has no clock to run any more, but never that of another.
void Loop::leave_busy() {
  const Process process;
  // The release pairs with the acquire in await_busy(), and with that of the last one here.
  if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    futex_wake(&busy_, INT_MAX);
    if (stop_.load(std::memory_order_relaxed) == Stop::leave) drop_executor();
    if (!process.is_ours()) return;
  }
  leave();
}

// True for one driver at a time, which keeps the loop in memory meanwhile.
bool Loop::begin_driving() {
  if (driven_.exchange(true, std::memory_order_acquire)) return false;
  users_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void Loop::end_driving() {
  driven_.store(false, std::memory_order_release);
  leave();
}

int Loop::dispatch() {
  if (const int result = start(); result < 0) return result;
  if (!begin_driving()) return -EBUSY;
  const Process process;
  const int fired = turn(false);
  if (process.is_ours()) run_batch();
  if (!process.is_ours()) return -ECHILD;
  set_next_alarm();
  end_driving();
  return fired;
}

int Loop::advance(int64_t ns) {
  if (!begin_driving()) return -EBUSY;
  const int64_t target = saturating_add(now(), ns);
  const Process process;
  int64_t fired = 0;
  int64_t next = now();
  for (;;) {
    clock_.store(std::max(next, now()), std::memory_order_release);
    fired += turn(false);
    if (process.is_ours()) run_all(nullptr);
    if (!process.is_ours()) return -ECHILD;
    next = next_timer();
    if (next <= target && next != kForever) continue;
    // A timer that is put into the wheel after this look finds the clock at the target (derive_deadline).
    if (now() == target) break;
    next = target;
  }
  end_driving();
  return static_cast<int>(std::min<int64_t>(fired, INT_MAX));
}

// Ignores an alarm without a reason.
bool Loop::anything_ready() {
  if (!watching_.load(std::memory_order_acquire) || !poller_.ready()) return false;
  set_next_alarm();
  return poller_.ready();
}

int64_t Loop::next_work() {
  if (backlog_.any() || backlog_.any_waker() || has_posted() || anything_ready()) return now();
  return std::max(next_timer(), now());
}

int Loop::host_fd() {
  const int result = start();
  return result < 0 ? result : poller_.fd();
}

}  // namespace ctxcore
