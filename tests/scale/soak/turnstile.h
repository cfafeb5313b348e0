// SPDX-License-Identifier: MIT
//
// Where the threads of the soak pass: it keeps them to about one processor, and stops them all for a look.
#ifndef CTX_TESTS_SCALE_SOAK_TURNSTILE_H_
#define CTX_TESTS_SCALE_SOAK_TURNSTILE_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "scale/soak/await.h"

namespace ctxtest {

// All threads of the soak but the monitor pass here after each step.
class Turnstile {
 public:
  // False when the soak is over. Keeps the process to about one processor, and waits while all have to stand still.
  bool Pass() {
    steps_.fetch_add(1, std::memory_order_relaxed);
    while (Clock(CLOCK_PROCESS_CPUTIME_ID) - cpu_ > Clock(CLOCK_MONOTONIC) - begin_ && !stop_)
      SleepFor(kMillisecond);
    if (!closed_.load()) return !over_.load();
    std::unique_lock<std::mutex> lock(mutex_);
    ++standing_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !closed_.load() || over_.load(); });
    --standing_;
    return !over_.load();
  }
  // Waits until all of n stand still. Meanwhile nudge() ends what they may wait for.
  template <class Nudge>
  void Close(int n, const Nudge& nudge) {
    closed_.store(true);
    stop_.store(true);
    const int64_t limit = Clock(CLOCK_MONOTONIC) + 2 * kLimit;
    std::unique_lock<std::mutex> lock(mutex_);
    while (
        !changed_.wait_for(lock, std::chrono::milliseconds(50), [&] { return standing_ == n; })) {
      if (Clock(CLOCK_MONOTONIC) > limit) BROKEN("a thread does not come to its next step");
      lock.unlock();
      nudge();
      lock.lock();
    }
  }
  void Open() {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_.store(false);
    stop_.store(false);
    cpu_ = Clock(CLOCK_PROCESS_CPUTIME_ID);
    begin_ = Clock(CLOCK_MONOTONIC);
    changed_.notify_all();
  }
  void End() {
    std::lock_guard<std::mutex> lock(mutex_);
    over_.store(true);
    changed_.notify_all();
  }
  uint64_t steps() const { return steps_.load(); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> closed_{false}, over_{false}, stop_{false};
  std::atomic<int64_t> cpu_{Clock(CLOCK_PROCESS_CPUTIME_ID)}, begin_{Clock(CLOCK_MONOTONIC)};
  std::atomic<uint64_t> steps_{0};
  int standing_ = 0;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_SCALE_SOAK_TURNSTILE_H_
