// SPDX-License-Identifier: MIT
// Who runs users' code for a loop: its thread `ctx-calls`, the lane, the program's own executor, a host in
// its dispatch, or, for wakers, whoever drives the loop.
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
  const Process process;
  CallMask mask;
  for (;;) {
    const uint32_t rung = loop->bell_.load(std::memory_order_acquire);
    // Before the last round, so that it runs whatever was there when the thread was told to stop.
    const bool last = loop->stop_.load(std::memory_order_acquire) != Stop::no;
    loop->run_all(&mask);
    if (process.is_ours()) loop->run_deserted(&mask);
    if (!process.is_ours()) exit_child();
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
  const bool waker = backlog_.any_waker();
  if (orphaned_.load(std::memory_order_acquire)) {
    // The thread that orphaned the loop has seen the push, or this thread sees that it did: both took the backlog's
    // lock in between.
    if (any || waker) run_rest();
  } else if (drive_ == Drive::thread) {
    if (any) ring_calls();
    const bool summoned = !lane().summon();
    if (summoned) summoned_.store(true, std::memory_order_relaxed);  // alarm_lock_ orders it
    if (summoned || waker) set_alarm_by(kAtOnce);
  } else if (any || waker) {
    set_alarm_by(kAtOnce);
  }
}

// On a loop that nobody drives any more.
void Loop::run_rest() {
  const Process process;
  users_.fetch_add(1, std::memory_order_relaxed);
  run_wakers();
  if (process.is_ours()) run_all(nullptr);
  if (process.is_ours()) leave();
}

bool Loop::is_for_lane(const Callback* callback) const {
  return callback->is(Callback::kBlocking) && drive_ == Drive::thread &&
         options_.executor.post == nullptr;
}

void Loop::push(Callback* callback) {
  if (is_for_lane(callback) && lane().push(callback, *this)) return;
  backlog_.push(callback, Callback::Place::backlog);
}

void Loop::withdraw(Callback* callback) {
  if (callback->place == Callback::Place::lane) return lane().withdraw(callback);
  backlog_.withdraw(callback);
}

// When nothing will be posted any more, and all posted work has run. The drop is users' code, and has a turn as all
// such code within a call.
void Loop::drop_executor() {
  const Executor& executor = options_.executor;
  // One caller drops it. Who comes here has seen the end of all work: busy_ or users_ orders that.
  if (executor.drop == nullptr || executor_left_.exchange(true, std::memory_order_relaxed)) return;
  Turn turn(Turn::Kind::program);
  executor.drop(executor.executor);
  turn.run_left();
}

// For an executor to run. Leaves alone a callback that was stopped meanwhile, and in a forked child all of them.
void Loop::run_posted(void* work) {
  auto* const callback = static_cast<Callback*>(work);
  if (stamp::check(callback->stamp, stamp::kWatch) != 0) return;
  Loop* const loop = callback->loop;
  if (callback->claim(Callback::queued)) {
    Turn turn(Turn::Kind::library);
    turn.run(callback);
    if (!turn.is_ours()) return;
  }
  release(callback);
  loop->leave_busy();
}

bool Loop::post_one(CallMask* mask) {
  Callback* const callback = backlog_.take_to_post(this);
  if (callback == nullptr) return false;
  if (mask != nullptr) mask->open(*this);
  enter_busy(1);
  const Executor& executor = options_.executor;
  if (executor.post(executor.executor, run_posted, callback) < 0) run_posted(callback);
  return true;
}

bool Loop::run_one(Turn* turn, Backlog::From from, CallMask* mask) {
  Callback* const callback = backlog_.take(from);
  if (callback == nullptr) return false;
  if (mask != nullptr) mask->open(*this);  // each time: more signals may be waited for by now
  turn->run(callback);
  return true;
}

// Runs these callbacks, and the releases. A callback may fork, and the child return here: then the rest is the
// parent's. A thread of the loop's own passes its mask; only such a thread posts to the executor.
void Loop::run_some(Backlog::From from, CallMask* mask) {
  if (!backlog_.any()) return;
  const bool posts = mask != nullptr && options_.executor.post != nullptr;
  Turn turn(mask != nullptr ? Turn::Kind::library : Turn::Kind::program);
  for (bool more = true; more && turn.is_ours();) {
    more = posts ? post_one(mask) : run_one(&turn, from, mask);
    if (!more) {
      if (mask != nullptr) mask->close();
      more = backlog_.run_release();
    }
    if (!turn.has_left()) continue;  // what an inlined executor or a drop has canceled
    if (mask != nullptr) mask->open(*this);
    turn.run_left();
  }
}

void Loop::run_all(CallMask* mask) { run_some(Backlog::From::all, mask); }

// The callbacks that are there when it is called; those that they defer come next time.
void Loop::run_batch() {
  backlog_.begin_batch();
  run_some(Backlog::From::batch, nullptr);
}

// Runs what the lane's threads would run, if the system had given any.
void Loop::run_deserted(CallMask* mask) {
  const Process process;
  while (process.is_ours()) {
    Callback* const callback = lane().take_deserted();
    if (callback == nullptr) return;
    mask->open(*node_of(callback->context)->loop);
    Turn turn(Turn::Kind::library);
    turn.run(callback);
  }
}

// On the thread that drives the loop, with no lock held. The last reference to a context goes to the backlog: this
// may be the clock's thread, and a user's drop must not hold that up.
void Loop::run_wakers() {
  if (!backlog_.any_waker()) return;
  Turn turn(Turn::Kind::wakers);
  while (turn.is_ours()) {
    Callback* const waker = backlog_.take_waker();
    if (waker == nullptr) return;
    turn.run(waker, &backlog_);
  }
}

}  // namespace ctxcore
