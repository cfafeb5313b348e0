// SPDX-License-Identifier: MIT
//
// Many children of one parent, of any peer; and the clock that they are timed with.
#ifndef CTX_BENCH_TREES_H_
#define CTX_BENCH_TREES_H_

#include <time.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

#include "peers/peers.h"

namespace ctxbench {

// Seconds of processor time of this thread, which others on the machine disturb less than real time.
inline double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

inline std::vector<size_t> Order(size_t n, bool shuffled) {
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  if (shuffled) std::shuffle(order.begin(), order.end(), std::mt19937_64(n));
  return order;
}

// n children of one parent. Shuffled: so that their order below the parent says nothing about where
// they lie in memory, as in a process that has run for a while. For that every second one of a first
// generation is released in random order, which leaves the allocator with scattered holes.
template <class Child>
class Family {
 public:
  Family(typename Child::Parent& parent, size_t n, bool shuffled = false)
      : nursery_(shuffled ? 2 * n : 0), children_(n) {
    if (shuffled) {
      for (auto& child : nursery_) child.emplace(first_parent_);
      for (size_t i : Order(n, true)) nursery_[2 * i].reset();
    }
    for (size_t i : Order(n, shuffled)) children_[i].emplace(parent);
  }

  std::optional<Child>& operator[](size_t i) { return children_[i]; }
  size_t size() const { return children_.size(); }

 private:
  typename Child::Parent first_parent_;
  std::vector<std::optional<Child>> nursery_;
  std::vector<std::optional<Child>> children_;
};

}  // namespace ctxbench

#endif  // CTX_BENCH_TREES_H_
