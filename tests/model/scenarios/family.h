// SPDX-License-Identifier: MIT
// What most scenarios begin with: a loop, its root, and contexts below it.
#ifndef CTX_TESTS_MODEL_SCENARIOS_FAMILY_H_
#define CTX_TESTS_MODEL_SCENARIOS_FAMILY_H_

#include "model/scenario.h"

namespace model {

constexpr int64_t kMillisecond = 1'000'000;
constexpr ctx_key_t kKey = {"key"};

// A loop of the scenario's own, and its root. A virtual one has no threads, and its clock stands still.
struct Family {
  explicit Family(int kind = CTX_LOOP_VIRTUAL, const ctx_loop_options_t* options = nullptr) {
    EXPECT(ctx_loop_new(kind, options, &loop) == 0);
    EXPECT(ctx_loop_background(loop, &root) == 0);
  }
  Family(const Family&) = delete;
  ~Family() {
    ctx_unref(root);
    ctx_loop_unref(loop);
  }

  ctx_loop_t* loop = nullptr;
  ctx_t* root = nullptr;
};

// A context and its canceler.
struct Cancelable {
  Cancelable() = default;
  explicit Cancelable(ctx_t* parent) { derive(parent); }
  Cancelable(const Cancelable&) = delete;
  Cancelable(Cancelable&& other) noexcept
      : ctx(std::exchange(other.ctx, nullptr)), canceler(std::exchange(other.canceler, nullptr)) {}
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

  Counted counted;
  ctx_watch_t* watch = nullptr;
  int stops = 0;
  int result = 0;
};

}  // namespace model

#endif
