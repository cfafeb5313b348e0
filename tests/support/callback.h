// SPDX-License-Identifier: MIT
//
// What a test hands to the library as user code: a callback that counts and can be waited for, and a
// drop function that counts and remembers the thread it ran on.
#ifndef CTX_TESTS_SUPPORT_CALLBACK_H_
#define CTX_TESTS_SUPPORT_CALLBACK_H_

#include <ctx/ctx.h>
#include <gtest/gtest.h>

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {

// A drop function's argument: how often it was dropped, and where last.
class Drop {
 public:
  static void Run(void* self) { static_cast<Drop*>(self)->Note(); }

  int count() const { return count_.Get(); }
  [[nodiscard]] bool Wait(int n = 1) const { return count_.WaitFor(n); }
  std::thread::id thread() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return thread_;
  }
  std::string thread_name() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return thread_name_;
  }

 private:
  void Note() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      thread_ = std::this_thread::get_id();
      thread_name_ = CurrentThreadName();
    }
    count_.Add();
  }

  mutable std::mutex mutex_;
  std::thread::id thread_;
  std::string thread_name_;
  Counter count_;
};

// A value context whose value is a Drop: it tells when the last thing derived from it has gone.
inline Ctx Watched(ctx_t* parent, Drop* drop) {
  static const ctx_key_t key = {"watched"};
  return WithValue(parent, &key, drop, Drop::Run);
}

// A callback of ctx_after_func with a body of the test's. One object is armed once; it is stopped
// at the end of its life, so that nothing of it runs later.
class Callback {
 public:
  explicit Callback(std::function<void(ctx_t*)> body = {}) : body_(std::move(body)) {}
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;
  ~Callback() { Disarm(); }

  // What ctx_after_func answers: 0 on a live context, 1 on one that is done.
  int Arm(ctx_t* ctx, uint32_t flags = 0) {
    return ctx_after_func(ctx, Run, this, Dropped, flags, watch_.out());
  }
  ctx_watch_t* watch() const { return watch_; }
  int Stop() { return ctx_watch_stop(watch_); }
  int StopWait() { return ctx_watch_stop_wait(watch_); }
  void Disarm() {
    if (watch_) ctx_watch_stop_wait(watch_);
    watch_.reset();
  }

  int runs() const { return runs_.Get(); }
  int drops() const { return drop_.count(); }
  [[nodiscard]] bool WaitRun() const { return runs_.WaitFor(1); }
  [[nodiscard]] bool WaitDrop() const { return drop_.Wait(); }
  std::thread::id thread() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return thread_;
  }
  std::string thread_name() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return thread_name_;
  }
  const Drop& drop() const { return drop_; }

 private:
  static void Run(ctx_t* ctx, void* arg) {
    auto* self = static_cast<Callback*>(arg);
    {
      std::lock_guard<std::mutex> lock(self->mutex_);
      self->thread_ = std::this_thread::get_id();
      self->thread_name_ = CurrentThreadName();
    }
    if (self->body_) self->body_(ctx);
    self->runs_.Add();  // when the body is over
  }
  static void Dropped(void* arg) { Drop::Run(&static_cast<Callback*>(arg)->drop_); }

  const std::function<void(ctx_t*)> body_;
  mutable std::mutex mutex_;
  std::thread::id thread_;
  std::string thread_name_;
  Counter runs_;
  Drop drop_;
  Watch watch_;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_CALLBACK_H_
