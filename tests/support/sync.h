// SPDX-License-Identifier: MIT
//
// What tests of concurrency meet with: a gate that is opened once, a counter that is waited for, and
// a line from which the threads of a race start together, round after round.
#ifndef CTX_TESTS_SUPPORT_SYNC_H_
#define CTX_TESTS_SUPPORT_SYNC_H_

#include <sched.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "support/time.h"

namespace ctxtest {

// Counts up; threads wait until it has reached a value.
class Counter {
 public:
  void Add(int n = 1) {
    std::lock_guard<std::mutex> lock(mutex_);
    count_ += n;
    changed_.notify_all();
  }
  int Get() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return count_;
  }
  [[nodiscard]] bool WaitFor(int n) const {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::nanoseconds(kLimit), [&] { return count_ >= n; });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  int count_ = 0;
};

// Opened once; who comes before that waits.
class Gate {
 public:
  void Open() { counter_.Add(); }
  bool IsOpen() const { return counter_.Get() > 0; }
  [[nodiscard]] bool Wait() const { return counter_.WaitFor(1); }

 private:
  Counter counter_;
};

// For a thread that asks again and again whether another has come so far: spins, yields, and then sleeps, so that it
// does not keep the other from its processor.
class Patience {
 public:
  void Pause() {
    if (++tries_ > 300) {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    } else if (tries_ > 200) {
      sched_yield();
    }
  }

 private:
  int tries_ = 0;
};

// Lets n threads go on only together. Spins, so that they leave within a few nanoseconds of each other. A thread
// that waits for one without a processor sleeps instead of keeping one busy. It comes late out of that: so all
// meet twice, and the second time they are awake.
class StartLine {
 public:
  explicit StartLine(int n) : n_(n) {}
  void Meet() {
    WaitForAll();
    WaitForAll();
  }

 private:
  void WaitForAll() {
    const unsigned round = round_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == n_) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.fetch_add(1, std::memory_order_release);
      return;
    }
    for (Patience wait; round_.load(std::memory_order_acquire) == round;) wait.Pause();
  }

  const int n_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> round_{0};
};

// Holds a thread up for a moment that changes from round to round, so that racers meet at different
// points of each other's way.
class Stagger {
 public:
  explicit Stagger(unsigned seed) : state_(seed) {}
  void Pass(unsigned below = 256) {
    state_ = state_ * 1664525u + 1013904223u;
    for (unsigned i = (state_ >> 16) % below; i > 0; --i) {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
  }
  bool Odd() const { return (state_ >> 16) % 2 != 0; }

 private:
  unsigned state_;
};

// While it lives the calling thread stays on one of the processors it may run on. The threads of a race
// are spread over them: left alone they may share one for a long time, and then nothing is raced.
class Pin {
 public:
  explicit Pin(int index) {
    if (sched_getaffinity(0, sizeof before_, &before_) != 0) return;
    index %= CPU_COUNT(&before_);
    int processor = 0;
    while (!CPU_ISSET(processor, &before_) || index-- > 0) ++processor;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    pinned_ = sched_setaffinity(0, sizeof one, &one) == 0;
  }
  Pin(const Pin&) = delete;
  ~Pin() {
    if (pinned_) sched_setaffinity(0, sizeof before_, &before_);
  }

 private:
  cpu_set_t before_;
  bool pinned_ = false;
};

// Runs a race many times: in each round before(), then all runners at once, each on a thread of its
// own that stays the same from round to round, then after(). The first runner, before() and after()
// share the calling thread. Returns how many rounds there were: where the threads have to wait for a
// processor again and again, no more than there is time for.
inline int Race(int rounds, const std::function<void()>& before,
                const std::vector<std::function<void()>>& runners,
                const std::function<void()>& after) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  StartLine line(static_cast<int>(runners.size()));
  bool over = false;  // written before all meet, and read after that
  std::vector<std::thread> threads;
  for (size_t i = 1; i < runners.size(); ++i) {
    threads.emplace_back([&, i] {
      const Pin pin(static_cast<int>(i));
      for (;;) {
        line.Meet();
        if (over) break;
        runners[i]();
        line.Meet();
      }
    });
  }
  const Pin pin(0);
  int round = 0;
  for (; round < rounds && std::chrono::steady_clock::now() < end; ++round) {
    before();
    line.Meet();
    runners[0]();
    line.Meet();
    after();
  }
  over = true;
  line.Meet();
  for (std::thread& thread : threads) thread.join();
  return round;
}

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_SYNC_H_
