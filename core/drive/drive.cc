// SPDX-License-Identifier: MIT
// Who moves a loop on: its own threads, its host, who tells it the time, or a thread that cannot leave it
// to those.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "core/loop/loop.h"
#include "core/system/futex.h"
#include "core/tree/node.h"

namespace ctxcore {

namespace {

// A callback has forked, and returned in the child: this thread, the only one there, has nothing to do.
[[noreturn]] void pause_for_ever() {
  for (;;) pause();
}

}  // namespace

void* Loop::run(void* self) {
  auto* loop = static_cast<Loop*>(self);
  while (!loop->stopping_.load(std::memory_order_acquire)) {
    loop->turn(true);
    if (loop->calls_.any()) loop->ring_calls();
    loop->set_next_alarm();
  }
  loop->leave();
  return nullptr;
}

void* Loop::run_calls(void* self) {
  auto* loop = static_cast<Loop*>(self);
  for (;;) {
    const uint32_t rung = loop->bell_.load(std::memory_order_acquire);
    loop->run_all();
    if (!loop->is_ours()) pause_for_ever();
    if (loop->stopping_.load(std::memory_order_acquire)) break;
    futex_wait(loop->bell_, rung, kForever);
  }
  loop->leave();
  return nullptr;
}

void Loop::ring_calls() {
  bell_.fetch_add(1, std::memory_order_release);  // pairs with the acquire in run_calls()
  futex_wake(&bell_, 1);
}

void Loop::ring() {
  if (!calls_.any()) return;
  if (drive_ == Drive::threads) {
    ring_calls();
  } else if (orphaned_.load(std::memory_order_acquire)) {
    // Whoever orphaned the loop has seen the push, or this thread sees that it did: both took the
    // calls' lock in between.
    users_.fetch_add(1, std::memory_order_relaxed);
    run_all();
    if (is_ours()) leave();
  } else {
    set_alarm_by(kAtOnce);
  }
}

// A callback may fork, and the child return here: the rest is its parent's.
void Loop::run_all() {
  while (is_ours() && calls_.run_one()) {
  }
}

// The callbacks that were there when it was called; those that they defer come next time.
void Loop::run_batch() {
  for (size_t left = calls_.callbacks(); left > 0 && is_ours() && calls_.run_callback(); --left) {
  }
  while (is_ours() && calls_.run_release()) {
  }
}

// True for one driver at a time, who keeps the loop in memory meanwhile.
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
  const int fired = turn(false);
  run_batch();
  if (!is_ours()) return -ECHILD;
  set_next_alarm();
  end_driving();
  return fired;
}

int Loop::advance(int64_t ns) {
  if (!begin_driving()) return -EBUSY;
  const int64_t target = saturating_add(now(), ns);
  int64_t fired = 0;
  int64_t next = now();
  do {
    clock_.store(std::max(next, now()), std::memory_order_release);
    fired += turn(false);
    run_all();
    next = next_timer();
  } while (next <= target && next != kForever && is_ours());
  if (!is_ours()) return -ECHILD;
  clock_.store(target, std::memory_order_release);
  end_driving();
  return static_cast<int>(std::min<int64_t>(fired, INT_MAX));
}

// Not counting an alarm whose cause is gone.
bool Loop::anything_ready() {
  if (!watching_.load(std::memory_order_acquire) || !poller_.ready()) return false;
  set_next_alarm();
  return poller_.ready();
}

int64_t Loop::next_work() {
  if (calls_.any() || has_posted() || anything_ready()) return now();
  return std::max(next_timer(), now());
}

int Loop::host_fd() {
  const int result = start();
  return result < 0 ? result : poller_.fd();
}

void Loop::fire_due() {
  fire_timers();
  set_next_alarm();
  ring();
}

int64_t Loop::fire_for_waiter() {
  if (!started()) return kForever;
  if (next_timer() <= now()) fire_due();
  return next_timer();
}

}  // namespace ctxcore
