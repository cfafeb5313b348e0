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

// Under lock_: wakes as many threads as there is work for; false if that takes more threads.
bool Lane::tell() {
  const size_t waiting = work_.callbacks();
  if (waiting == 0) return true;
  bell_.fetch_add(1, std::memory_order_release);  // pairs with the acquire in run()
  futex_wake(&bell_, static_cast<int>(std::min<size_t>(waiting, kMost)));
  return waiting <= idle_ || threads_ == kMost;
}

bool Lane::summon() {
  Guard guard(lock_);
  return tell();
}

void Lane::staff() {
  Guard guard(lock_);
  // A new thread takes lock_ first: so it cannot end before it has its name.
  while (!tell()) {
    refused_ = start_thread("ctx-lane", run, this) != 0;
    if (refused_) return;
    ++threads_;
    ++idle_;
  }
}

bool Lane::deserted() {
  Guard guard(lock_);
  return refused_ && threads_ == 0 && work_.callbacks() > 0;
}

// The next callback, claimed; nullptr if there is none, and then *ends says whether the thread may end.
Callback* Lane::take(bool rested, bool* ends) {
  Guard guard(lock_);
  size_t left = SIZE_MAX;
  Callback* const callback = work_.take(&left);
  if (callback != nullptr) {
    --idle_;
  } else if (rested || closing_.load(std::memory_order_relaxed)) {
    --idle_;
    --threads_;
    *ends = true;
  }
  return callback;
}

void* Lane::run(void* self) {
  auto* const lane = static_cast<Lane*>(self);
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
    mask.open(*node_of(callback->context)->loop);
    {
      Turn turn;
      turn.run(callback);
      if (!turn.is_ours()) exit_child();
    }
    Guard guard(lane->lock_);
    ++lane->idle_;
  }
  end_thread(lane->closing_.load(std::memory_order_relaxed));
  lane->ended_.fetch_add(1, std::memory_order_release);
  futex_wake(&lane->ended_, INT_MAX);
  return nullptr;
}

bool Lane::close(int64_t until_ns) {
  closing_.store(true, std::memory_order_relaxed);
  bool all = false;
  for (;;) {
    const uint32_t ended = ended_.load(std::memory_order_acquire);
    {
      Guard guard(lock_);
      bell_.fetch_add(1, std::memory_order_release);
      all = threads_ == 0;
    }
    futex_wake(&bell_, INT_MAX);
    if (all || futex_wait(ended_, ended, until_ns) == -ETIMEDOUT) break;
  }
  closing_.store(false, std::memory_order_relaxed);
  return all;
}

}  // namespace ctxcore
