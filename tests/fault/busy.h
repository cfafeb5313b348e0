// SPDX-License-Identifier: MIT
//
// Threads that are in the middle of everything, for those who fork meanwhile.
#ifndef CTX_TESTS_FAULT_BUSY_H_
#define CTX_TESTS_FAULT_BUSY_H_

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

#include "support/forked.h"
#include "support/handles.h"

namespace ctxtest {

// Threads that each repeat one step below a parent that they share, until the end of its life.
class Busy {
 public:
  using Step = void (*)(ctx_t* shared);

  explicit Busy(const std::vector<Step>& steps) {
    for (const Step step : steps) {
      threads_.emplace_back([this, step] {
        step(shared_);
        at_work_.fetch_add(1, std::memory_order_relaxed);
        while (!stop_.load(std::memory_order_relaxed)) step(shared_);
      });
    }
    // Each of them is at work before the first fork.
    while (at_work_.load(std::memory_order_relaxed) < steps.size()) std::this_thread::yield();
  }
  ~Busy() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  ctx_t* shared() const { return shared_; }

 private:
  Scope shared_ = WithCancel(ctx_background());
  std::atomic<bool> stop_{false};
  std::atomic<size_t> at_work_{0};
  std::vector<std::thread> threads_;
};

// Forks again and again while threads repeat those steps; the child does its work and ends.
inline void ForkWhile(const std::vector<Busy::Step>& steps, int rounds,
                      void (*work_in_child)(ctx_t* shared)) {
  const Busy busy(steps);
  for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
    InChild([&] { work_in_child(busy.shared()); });
  }
}

}  // namespace ctxtest

#endif  // CTX_TESTS_FAULT_BUSY_H_
