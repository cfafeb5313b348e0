// SPDX-License-Identifier: MIT
//
// The same small tree twice, with one shape, so that a benchmark is written once and run on both:
// ours, through the C API, and as it has to be built with std::stop_source, where a child is a
// source of its own and a callback on the parent's token that stops it. The std child lives in
// place, where the caller has room for it, which is the best case it can have.
#ifndef CTX_BENCH_TREES_H_
#define CTX_BENCH_TREES_H_

#include <ctx/ctx.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <random>
#include <stop_token>
#include <vector>

namespace ctxbench {

inline constexpr int64_t kMillisecond = 1'000'000;
inline constexpr int64_t kSecond = 1'000'000'000;
inline constexpr int64_t kHour = 3'600 * kSecond;

// Seconds of processor time of this thread, which others on the machine disturb less than real time.
inline double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// The figure of a call that failed is worse than none.
inline int Check(int result) {
  if (result < 0) {
    std::fprintf(stderr, "bench: %s\n", ctx_strerror(result));
    std::abort();
  }
  return result;
}

struct Ours {
  explicit Ours(ctx_t* parent) { Check(ctx_with_cancel(parent, &ctx, &canceler)); }
  Ours(ctx_t* parent, int64_t timeout_ns) {
    Check(ctx_with_timeout(parent, timeout_ns, &ctx, &canceler));
  }
  Ours(const Ours&) = delete;
  Ours& operator=(const Ours&) = delete;
  ~Ours() {
    ctx_canceler_unref(canceler);
    ctx_unref(ctx);
  }

  bool Cancel() { return ctx_cancel(canceler) == 1; }

  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
};

struct OursCancel : Ours {
  struct Parent : Ours {
    Parent() : Ours(ctx_background()) {}
  };
  explicit OursCancel(Parent& parent) : Ours(parent.ctx) {}
};

struct OursTimeout : Ours {
  using Parent = OursCancel::Parent;
  explicit OursTimeout(Parent& parent) : Ours(parent.ctx, kHour) {}
};

struct Std {
  struct Parent {
    bool Cancel() { return source.request_stop(); }
    std::stop_source source;
  };
  struct Stop {
    std::stop_source* source;
    void operator()() const noexcept { source->request_stop(); }
  };

  explicit Std(Parent& parent) : callback(parent.source.get_token(), Stop{&source}) {}

  bool Cancel() { return source.request_stop(); }

  std::stop_source source;
  std::stop_callback<Stop> callback;
};

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
