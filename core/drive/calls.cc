// SPDX-License-Identifier: MIT
// Who runs users' code for a loop: its thread `ctx-calls`, the lane, the program's own executor, a host in
// its dispatch, or, for wakers, the thread that ended their contexts.
#include <cstdint>

#include "core/loop/call_mask.h"
#include "core/loop/lane.h"
#include "core/loop/loop.h"
#include "core/loop/turn.h"
#include "core/system/futex.h"
#include "core/tree/node.h"

namespace ctxcore {

void* Loop::run_calls(void* self) {
  auto* const loop = static_cast<Loop*>(self);
  CallMask mask;
  for (;;) {
    const uint32_t rung = loop->bell_.load(std::memory_order_acquire);
    // Before the last round, so that it runs whatever was there when the thread was told to stop.
    const bool last = loop->stop_.load(std::memory_order_acquire) != Stop::no;
    loop->run_all(&mask);
    loop->run_deserted(&mask);
    if (!loop->is_ours()) exit_child();
    if (last) break;
    mask.close();
    futex_wait(loop->bell_, rung, kForever);
  }
  loop->end_thread();
  return nullptr;
}

void Loop::ring_calls() {
  bell_.fetch_add(1, std::memory_order_release);  // pairs with the acquire in run_calls()
  futex_wake(&bell_, 1);
}

void Loop::ring() {
  const bool any = backlog_.any();
  if (orphaned_.load(std::memory_order_acquire)) {
    if (!any) return;
    // The thread that orphaned the loop has seen the push, or this thread sees that it did: both took the backlog's
    // lock in between.
    users_.fetch_add(1, std::memory_order_relaxed);
    run_all(nullptr);
    if (is_ours()) leave();
  } else if (drive_ == Drive::thread) {
    if (any) ring_calls();
    if (lane().summon()) return;
    summoned_.store(true, std::memory_order_relaxed);  // alarm_lock_ orders it
    set_alarm_by(kAtOnce);
  } else if (any) {
    set_alarm_by(kAtOnce);
  }
}

bool Loop::leaves_to_lane(const Callback* callback) const {
  return callback->is(Callback::kBlocking) && drive_ == Drive::thread &&
         executor_.post == nullptr && !orphaned();
}

void Loop::push(Callback* callback) {
  if (leaves_to_lane(callback)) {
    lane().work().push(callback, Callback::Place::lane);
  } else {
    backlog_.push(callback, Callback::Place::backlog);
  }
}

void Loop::withdraw(Callback* callback) {
  (callback->place == Callback::Place::lane ? lane().work() : backlog_).withdraw(callback);
}

int Loop::set_executor(Executor executor) {
  if (drive_ != Drive::thread) return -ENOTSUP;
  Guard guard(start_lock_);
  if (started_.load(std::memory_order_relaxed)) return -EBUSY;
  executor_ = executor;
  return 0;
}

// For an executor to run. Leaves alone a callback that was stopped meanwhile.
void Loop::run_posted(void* work) {
  auto* const callback = static_cast<Callback*>(work);
  if (callback->claim(Callback::queued)) {
    Turn turn;
    turn.run(callback);
    if (!turn.is_ours()) return;
  }
  release(callback);
}

bool Loop::post_one(size_t* left) {
  Callback* const callback = backlog_.take_to_post(left);
  if (callback == nullptr) return false;
  if (executor_.post(executor_.executor, run_posted, callback) < 0) run_posted(callback);
  return true;
}

bool Loop::run_one(Turn* turn, size_t* left, CallMask* mask) {
  if (executor_.post != nullptr) return post_one(left);
  Callback* const callback = backlog_.take(left);
  if (callback == nullptr) return false;
  if (mask != nullptr) mask->open(*this);  // each time: more signals may be waited for by now
  turn->run(callback);
  return true;
}

// Runs at most this many callbacks, and the releases. A callback may fork, and the child return here: then the rest
// is the parent's. A thread of the library passes its mask.
void Loop::run_some(size_t callbacks, CallMask* mask) {
  if (!backlog_.any()) return;
  Turn turn;
  while (turn.is_ours()) {
    if (run_one(&turn, &callbacks, mask)) continue;
    if (mask != nullptr) mask->close();
    if (!backlog_.run_release()) return;
  }
}

void Loop::run_all(CallMask* mask) { run_some(SIZE_MAX, mask); }

// The callbacks that were there when it was called; those that they defer come next time.
void Loop::run_batch() { run_some(backlog_.callbacks(), nullptr); }

// Runs what the lane's threads would run, if the system had given any.
void Loop::run_deserted(CallMask* mask) {
  size_t left = SIZE_MAX;
  while (is_ours() && lane().deserted()) {
    Callback* const callback = lane().work().take(&left);
    if (callback == nullptr) return;
    mask->open(*node_of(callback->context)->loop);
    Turn turn;
    turn.run(callback);
  }
}

// On the thread that ended their contexts, with no lock held. The last reference to a context goes to the backlog:
// this may be the clock's thread, and a user's drop must not hold that up.
void Loop::run_wakers() {
  Callback* waker = backlog_.take_waker();
  if (waker == nullptr) return;
  Turn turn;
  while (waker != nullptr && turn.is_ours()) {
    turn.run(waker, &backlog_);
    waker = turn.is_ours() ? backlog_.take_waker() : nullptr;
  }
}

}  // namespace ctxcore
