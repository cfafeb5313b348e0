// SPDX-License-Identifier: MIT
// The core's own lock, which the other scenarios do without: its unlock is a plain store, and a nap makes up for the
// wake-up that this may lose.
#define Lock RealLock  // the model's has the same name
#define Guard RealGuard
#include "../../../core/base/lock.h"
// It includes the header above, which is there already.
#include "../../../core/base/lock.cc"
#undef Lock
#undef Guard

#include "model/scenario.h"

using namespace model;  // NOLINT

namespace {

// Under weak memory a holder sees what the one before has written only if the lock orders that.
struct Counter {
  void add() {
    lock.lock();
    EXPECT(!std::exchange(inside, true));
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    inside = false;
    lock.unlock();
  }

  ctxcore::RealLock lock;
  ctxcore::Atomic<int> count{0};
  bool inside = false;
};

}  // namespace

SCENARIO(lock_of_two) {
  Counter counter;
  const auto add = [&] { counter.add(); };
  together({{"one", add}, {"other", add}});
  EXPECT(counter.count.latest() == 2);
}

SCENARIO(lock_of_three) {
  Counter counter;
  const auto add = [&] { counter.add(); };
  together({{"one", add}, {"two", add}, {"three", add}});
  EXPECT(counter.count.latest() == 3);
}

// The next holder may free the memory around the lock.
SCENARIO(lock_freed_by_the_next_holder) {
  auto* const counter = new Counter;
  const auto use = [&] {
    counter->lock.lock();
    const int left = counter->count.load(std::memory_order_relaxed) + 1;
    counter->count.store(left, std::memory_order_relaxed);
    counter->lock.unlock();
    if (left == 2) delete counter;
  };
  together({{"one", use}, {"other", use}});
}

// One that only tries does not wait.
SCENARIO(lock_against_try) {
  Counter counter;
  int tried = 0;
  together({{"lock", [&] { counter.add(); }}, {"try", [&] {
                                                 if (!counter.lock.try_lock()) return;
                                                 EXPECT(!counter.inside);
                                                 ++tried;
                                                 counter.lock.unlock();
                                               }}});
  EXPECT(counter.count.latest() == 1 && tried <= 1);
}
