// SPDX-License-Identifier: MIT
//
// Owners for the handles of the C API, and derivations that report a failure to GoogleTest, so that
// a test says what it is about and nothing else. Each owner converts to the raw handle.
#ifndef CTX_TESTS_SUPPORT_HANDLES_H_
#define CTX_TESTS_SUPPORT_HANDLES_H_

#include <ctx/ctx.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "support/time.h"

namespace ctxtest {

inline constexpr ctx_key_t kKey = {"key"};  // of any test

inline int64_t Now() { return ctx_now(ctx_background()); }

template <class T, T* (*Unref)(T*)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T* handle) : handle_(handle) {}
  Handle(Handle&& other) noexcept : handle_(other.release()) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~Handle() { reset(); }

  T* get() const { return handle_; }
  operator T*() const { return handle_; }  // NOLINT: passes as the raw handle

  T* release() { return std::exchange(handle_, nullptr); }
  void reset(T* handle = nullptr) {
    if (T* old = std::exchange(handle_, handle)) Unref(old);
  }
  // Where a constructor of the library stores what it hands out.
  T** out() {
    reset();
    return &handle_;
  }

 private:
  T* handle_ = nullptr;
};

using Ctx = Handle<ctx_t, ctx_unref>;
using Canceler = Handle<ctx_canceler_t, ctx_canceler_unref>;
using Cause = Handle<const ctx_cause_t, ctx_cause_unref>;
using Watch = Handle<ctx_watch_t, ctx_watch_unref>;
using Loop = Handle<ctx_loop_t, ctx_loop_unref>;
using Queue = Handle<ctx_queue_t, ctx_queue_unref>;
using Group = Handle<ctx_group_t, ctx_group_unref>;

// A context with the right to cancel it.
struct Scope {
  Ctx ctx;
  Canceler canceler;

  operator ctx_t*() const { return ctx; }  // NOLINT: passes as the context
  int Cancel() const { return ctx_cancel(canceler); }
  void reset() {
    ctx.reset();
    canceler.reset();
  }
};

inline Scope WithCancel(ctx_t* parent) {
  Scope made;
  EXPECT_EQ(ctx_with_cancel(parent, made.ctx.out(), made.canceler.out()), 0);
  return made;
}

inline Scope WithDeadline(ctx_t* parent, int64_t deadline_ns, const ctx_cause_t* cause = nullptr) {
  Scope made;
  EXPECT_EQ(
      ctx_with_deadline_cause(parent, deadline_ns, cause, made.ctx.out(), made.canceler.out()), 0);
  return made;
}

inline Scope WithTimeout(ctx_t* parent, int64_t timeout_ns, const ctx_cause_t* cause = nullptr) {
  Scope made;
  EXPECT_EQ(ctx_with_timeout_cause(parent, timeout_ns, cause, made.ctx.out(), made.canceler.out()),
            0);
  return made;
}

inline Ctx WithoutCancel(ctx_t* parent) {
  Ctx made;
  EXPECT_EQ(ctx_without_cancel(parent, made.out()), 0);
  return made;
}

inline Scope Merge(const std::vector<ctx_t*>& parents) {
  Scope made;
  EXPECT_EQ(ctx_merge(parents.data(), parents.size(), made.ctx.out(), made.canceler.out()), 0);
  return made;
}

inline Scope WithGrace(ctx_t* parent, int64_t grace_ns) {
  Scope made;
  EXPECT_EQ(ctx_with_grace(parent, grace_ns, made.ctx.out(), made.canceler.out()), 0);
  return made;
}

inline Scope WithIdle(ctx_t* parent, int64_t idle_ns, const ctx_cause_t* cause = nullptr) {
  Scope made;
  EXPECT_EQ(ctx_with_idle(parent, idle_ns, cause, made.ctx.out(), made.canceler.out()), 0);
  return made;
}

inline ctx_loop_options_t LoopOptions() {
  ctx_loop_options_t options{};
  options.size = sizeof options;
  return options;
}

inline Loop NewLoop(int kind, const ctx_loop_options_t* options = nullptr) {
  Loop made;
  EXPECT_EQ(ctx_loop_new(kind, options, made.out()), 0);
  return made;
}

// A threaded loop that has an executor.
inline Loop NewLoopWith(ctx_post_fn post, void* executor, ctx_drop_fn drop = nullptr) {
  ctx_loop_options_t options = LoopOptions();
  options.post = post;
  options.executor = executor;
  options.drop = drop;
  return NewLoop(CTX_LOOP_THREAD, &options);
}

inline Queue NewQueue() {
  Queue made;
  EXPECT_EQ(ctx_queue_new(made.out()), 0);
  return made;
}

inline Group NewGroup(ctx_t* parent) {
  Group made;
  EXPECT_EQ(ctx_group_new(parent, made.out()), 0);
  return made;
}

inline Group NewGroupBelow(ctx_group_t* outer) {
  Group made;
  EXPECT_EQ(ctx_group_new_below(outer, made.out()), 0);
  return made;
}

inline Ctx LoopBackground(ctx_loop_t* loop) {
  Ctx made;
  EXPECT_EQ(ctx_loop_background(loop, made.out()), 0);
  return made;
}

inline Ctx WithValue(ctx_t* parent, const ctx_key_t* key, void* value, ctx_drop_fn drop = nullptr) {
  Ctx made;
  EXPECT_EQ(ctx_with_value(parent, key, value, drop, made.out()), 0);
  return made;
}

inline Ctx WithString(ctx_t* parent, const char* name, const char* value) {
  Ctx made;
  EXPECT_EQ(ctx_with_string(parent, name, value, made.out()), 0);
  return made;
}

inline Ctx WithName(ctx_t* parent, const char* name) {
  Ctx made;
  EXPECT_EQ(ctx_with_name(parent, name, made.out()), 0);
  return made;
}

inline Cause NewCause(int code, const char* message) {
  ctx_cause_t* made = nullptr;
  EXPECT_EQ(ctx_cause_new(code, message, &made), 0);
  return Cause(made);
}

// Arms fn with the result that a live context gives (0), or a done one (1).
inline Watch AfterFunc(ctx_t* ctx, ctx_fn fn, void* arg, uint32_t flags = 0,
                       ctx_drop_fn drop = nullptr, int expected = 0) {
  Watch made;
  EXPECT_EQ(ctx_after_func(ctx, fn, arg, drop, flags, made.out()), expected);
  return made;
}

// CTX_FOREVER if it has none.
inline int64_t Deadline(ctx_t* ctx) {
  int64_t deadline = CTX_FOREVER;
  const int result = ctx_deadline(ctx, &deadline);
  EXPECT_EQ(result, deadline == CTX_FOREVER ? 0 : 1);
  return deadline;
}

// A context that was canceled before its deadline, which is as near as this machine allows.
inline Scope CanceledInTime(ctx_t* parent, const ctx_cause_t* deadline_cause,
                            const ctx_cause_t* cancel_cause) {
  for (int64_t timeout_ns = 10 * kMillisecond;; timeout_ns *= 2) {
    Scope made = WithTimeout(parent, timeout_ns, deadline_cause);
    if (ctx_cancel_with(made.canceler, CTX_CANCELED, cancel_cause) == 1) return made;
    if (testing::Test::HasFailure()) return made;
  }
}

// Comes back some time after the deadline of ctx has passed and its loop has looked at it.
inline void PassDeadlineOf(ctx_t* ctx) {
  int64_t deadline_ns = 0;
  ASSERT_EQ(ctx_deadline(ctx, &deadline_ns), 1);
  const Scope later = WithDeadline(ctx_background(), deadline_ns + 20 * kMillisecond);
  ASSERT_EQ(ctx_wait(later, kLimit), 1);
}

// Waits until ctx is done; true if it is.
inline bool Done(ctx_t* ctx) { return ctx_wait(ctx, kLimit) == 1; }

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_HANDLES_H_
