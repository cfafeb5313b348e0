// SPDX-License-Identifier: MIT
#include "core/loop/lane.h"

#include <algorithm>
#include <climits>

#include "core/loop/call_mask.h"
#include "core/loop/loop.h"
#include "core/loop/turn.h"
#include "core/system/clock.h"
#include "core/system/futex.h"
#include "core/system/thread.h"
#include "core/tree/node.h"

namespace ctxcore {

namespace {

constinit Lane the_lane;

}  // namespace

Lane& lane() { return the_lane; }

void forget_lane() { ::new (&the_lane) Lane; }

bool Lane::push(Callback* callback, const Loop& loop) {
  Guard guard(lock_);
  if (loop.orphaned()) return false;
  work_.push(callback, Callback::Place::lane);
  return true;
}

// Under lock_: tells as many threads as there is work for; false if more of them are needed.
bool Lane::tell() {
  const size_t waiting = work_.callbacks();
  if (waiting == 0) return true;
  bell_.fetch_add(1, std::memory_order_release);  // pairs with the acquire in run()
  futex_wake(&bell_, static_cast<int>(std::min<size_t>(waiting, kMost)));
  return waiting <= idle_ || threads_ == kMost;
}

bool Lane::summon() {
  if (work_.callbacks() == 0) return true;  // so nothing of this thread's
  Guard guard(lock_);
  return tell();
}

bool Lane::staff() {
  for (;;) {
    // A thread that is started waits for lock_ before it is counted out again.
    Guard guard(lock_);
    refused_ = false;
    if (tell()) return true;
    refused_ = start_thread(nullptr, run, this) != 0;
    if (refused_) return false;
    ++threads_;
    ++idle_;
    present_.fetch_add(1, std::memory_order_relaxed);
  }
}

bool Lane::deserted() {
  Guard guard(lock_);
  return refused_ && threads_ == 0 && work_.callbacks() > 0;
}

Callback* Lane::take_deserted() {
  Guard guard(lock_);
  return refused_ && threads_ == 0 ? work_.take(Backlog::From::all) : nullptr;
}

// The next callback, claimed; nullptr if there is none, and then *ends says whether the thread may end.
Callback* Lane::take(bool rested, bool* ends) {
  Guard guard(lock_);
  Callback* const callback = work_.take(Backlog::From::all);
  if (callback != nullptr) {
    --idle_;
  } else if (rested || closers_.load(std::memory_order_relaxed) > 0) {
    --idle_;
    --threads_;
    *ends = true;
  }
  return callback;
}

void* Lane::run(void* self) {
  auto* const lane = static_cast<Lane*>(self);
  name_thread("ctx-lane");
  CallMask mask;
  bool rested = false;
  for (;;) {
    const uint32_t told = lane->bell_.load(std::memory_order_acquire);
    bool ends = false;
    Callback* const callback = lane->take(rested, &ends);
    if (ends) break;
    if (callback == nullptr) {
      mask.close();
      rested = futex_wait(lane->bell_, told, monotonic_now() + kIdle) == -ETIMEDOUT;
      continue;
    }
    rested = false;
    mask.open(*node_of(callback->context)->loop);
    {
      Turn turn(Turn::Kind::library);
      turn.run(callback);
      if (!turn.is_ours()) exit_child();
    }
    Guard guard(lane->lock_);
    ++lane->idle_;
  }
  end_thread(lane->closers_.load(std::memory_order_relaxed) > 0);
  if (lane->present_.fetch_sub(1, std::memory_order_release) == 1) {
    futex_wake(&lane->present_, INT_MAX);
  }
  return nullptr;
}

bool Lane::close(int64_t until_ns) {
  closers_.fetch_add(1, std::memory_order_relaxed);
  uint32_t left = 0;
  while ((left = present_.load(std::memory_order_acquire)) > 0) {
    bell_.fetch_add(1, std::memory_order_release);
    futex_wake(&bell_, INT_MAX);
    if (futex_wait(present_, left, until_ns) == -ETIMEDOUT) break;
  }
  closers_.fetch_sub(1, std::memory_order_relaxed);
  return left == 0;
}

}  // namespace ctxcore
