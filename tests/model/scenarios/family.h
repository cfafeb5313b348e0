// SPDX-License-Identifier: MIT
// What most scenarios begin with: a loop, its root, and contexts below it.
#ifndef CTX_TESTS_MODEL_SCENARIOS_FAMILY_H_
#define CTX_TESTS_MODEL_SCENARIOS_FAMILY_H_

#include <functional>
#include <initializer_list>
#include <utility>

#include "model/scenario.h"

namespace model {

constexpr int64_t kMillisecond = 1'000'000;
constexpr ctx_key_t kKey = {"key"};

// A new loop, which the scenario gives back itself, and its root.
inline ctx_t* new_loop(int kind, ctx_loop_t** loop, const ctx_loop_options_t* options = nullptr) {
  ctx_t* root = nullptr;
  EXPECT(ctx_loop_new(kind, options, loop) == 0 && ctx_loop_background(*loop, &root) == 0);
  return root;
}

// A loop of the scenario's own, and its root. A virtual one has no threads, and its clock stands still.
struct Family {
  explicit Family(int kind = CTX_LOOP_VIRTUAL, const ctx_loop_options_t* options = nullptr)
      : root(new_loop(kind, &loop, options)) {}
  Family(const Family&) = delete;
  ~Family() {
    ctx_unref(root);
    ctx_loop_unref(loop);
  }

  // Drives a manual loop, as a host that sleeps in poll(2) on its descriptor alone, or on `or_else` besides.
  void drive_until(const std::function<bool()>& over,
                   const std::function<bool()>& or_else = nullptr) const {
    const int fd = ctx_loop_fd(loop);
    while (!over()) {
      await_readable(fd, or_else);
      EXPECT(ctx_loop_dispatch(loop) >= 0);
    }
  }

  ctx_loop_t* loop = nullptr;
  ctx_t* const root;
};

// A context and its canceler.
struct Cancelable {
  Cancelable() = default;
  explicit Cancelable(ctx_t* parent) { derive(parent); }
  Cancelable(const Cancelable&) = delete;
  Cancelable(Cancelable&& other) noexcept
      : ctx(std::exchange(other.ctx, nullptr)), canceler(std::exchange(other.canceler, nullptr)) {}
  Cancelable& operator=(Cancelable&& other) noexcept {
    std::swap(ctx, other.ctx);
    std::swap(canceler, other.canceler);
    return *this;
  }
  ~Cancelable() { release(); }

  void derive(ctx_t* parent) { EXPECT(ctx_with_cancel(parent, &ctx, &canceler) == 0); }
  void with_timeout(ctx_t* parent, int64_t ns) {
    EXPECT(ctx_with_timeout(parent, ns, &ctx, &canceler) == 0);
  }
  void with_grace(ctx_t* parent, int64_t ns) {
    EXPECT(ctx_with_grace(parent, ns, &ctx, &canceler) == 0);
  }
  void with_fd(ctx_t* parent, int fd) {
    EXPECT(ctx_with_fd(parent, fd, 1 /* POLLIN */, &ctx, &canceler) == 0);
  }
  void merge(std::initializer_list<ctx_t*> parents) {
    EXPECT(ctx_merge(std::data(parents), parents.size(), &ctx, &canceler) == 0);
  }
  int cancel() { return ctx_cancel(canceler); }
  int error() const { return ctx_err(ctx); }
  void release() {
    canceler = ctx_canceler_unref(canceler);
    ctx = ctx_unref(ctx);
  }

  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
};

// A context that carries a value, whose drop is counted.
struct Valued {
  explicit Valued(ctx_t* parent) {
    EXPECT(ctx_with_value(parent, &kKey, &value, Counted::drop, &ctx) == 0);
  }
  Valued(const Valued&) = delete;
  ~Valued() { release(); }

  // A child, which alone keeps this one from now on.
  Cancelable only_child() {
    Cancelable child(ctx);
    release();
    return child;
  }
  void release() { ctx = ctx_unref(ctx); }

  Counted value;
  ctx_t* ctx = nullptr;
};

// An armed callback that counts.
struct Armed {
  int arm(ctx_t* ctx, uint32_t flags = 0) {
    result = ctx_after_func(ctx, Counted::run, &counted, Counted::drop, flags, &watch);
    EXPECT(result == 0 || result == 1);
    return result;
  }
  // It has run or was stopped, once, and its argument was dropped.
  void expect_over() {
    EXPECT(counted.runs + stops == 1);
    EXPECT(counted.drops == 1);
    watch = ctx_watch_unref(watch);
  }
  void stop() { stops += ctx_watch_stop(watch); }
  void stop_wait() { stops += ctx_watch_stop_wait(watch); }
  // Until it has run: a stop would keep it from that.
  void await() {
    block(
        "end", nullptr,
        {[](const void* self) { return static_cast<const Armed*>(self)->counted.drops > 0; }, this},
        &kForever, MODEL_WHERE);
    EXPECT(counted.runs == 1);
  }

  Counted counted;
  ctx_watch_t* watch = nullptr;
  int stops = 0;
  int result = 0;
};

}  // namespace model

#endif
