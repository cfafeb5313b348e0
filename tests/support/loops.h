// SPDX-License-Identifier: MIT
//
// Loops that a test drives by itself, each with its root, and callbacks that write down in which order
// they ran and what the clock said then.
#ifndef CTX_TESTS_SUPPORT_LOOPS_H_
#define CTX_TESTS_SUPPORT_LOOPS_H_

#include <ctx/ctx.h>
#include <gtest/gtest.h>
#include <time.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/time.h"

namespace ctxtest {

inline constexpr int kLoopKinds[] = {CTX_LOOP_THREAD, CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL};

inline constexpr int64_t kPast = 20 * kMillisecond;  // by which a deadline is past for any loop

struct VirtualLoop {
  Loop loop = NewLoop(CTX_LOOP_VIRTUAL);
  Ctx root = LoopBackground(loop);

  int Advance(int64_t ns) const { return ctx_loop_advance(loop, ns); }
  int AdvanceTo(int64_t when) const { return Advance(when - Now()); }
  int64_t Now() const { return ctx_loop_now(loop); }
  int64_t Next() const { return ctx_loop_next(loop); }
};

struct ManualLoop {
  Loop loop = NewLoop(CTX_LOOP_MANUAL);
  Ctx root = LoopBackground(loop);

  int Fd() const { return ctx_loop_fd(loop); }
  int Dispatch() const { return ctx_loop_dispatch(loop); }
  int64_t Now() const { return ctx_loop_now(loop); }
  int64_t Next() const { return ctx_loop_next(loop); }
  bool WorkWaits() const {
    const int64_t next = Next();
    return next <= Now();
  }

  // Dispatches whenever the descriptor is readable, as a host does. How many were fired in all, and -1
  // if the descriptor was not readable in time.
  int DriveUntil(const std::function<bool()>& over) const {
    int fired = 0;
    while (!over()) {
      if (!Readable(Fd(), kLimitMs)) return -1;
      const int result = Dispatch();
      EXPECT_GE(result, 0);
      if (result < 0) return -1;
      fired += result;
    }
    return fired;
  }
  int DriveUntilDone(ctx_t* ctx) const {
    return DriveUntil([ctx] { return ctx_err(ctx) != 0; });
  }

  // The descriptor may be readable for nothing now and then, but not for ever.
  bool Settles() const {
    for (int i = 0; i < 100; ++i) {
      if (!Readable(Fd())) return true;
      EXPECT_GE(Dispatch(), 0);
    }
    return false;
  }
};

// Comes back when CLOCK_MONOTONIC is past this time.
inline void SleepUntil(int64_t when_ns) {
  const timespec when = {when_ns / kSecond, when_ns % kSecond};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr) == EINTR) {
  }
}

class Recorder {
 public:
  // What ctx_after_func answers.
  int Arm(ctx_t* ctx, int number, uint32_t flags = 0, std::function<void(ctx_t*)> body = {}) {
    callbacks_.push_back(
        std::make_unique<Callback>([this, number, body = std::move(body)](ctx_t* called) {
          {
            std::lock_guard<std::mutex> lock(mutex_);
            order_.push_back(number);
            clocks_.push_back(ctx_now(called));
          }
          if (body) body(called);
        }));
    return callbacks_.back()->Arm(ctx, flags);
  }
  Callback& back() { return *callbacks_.back(); }

  std::vector<int> order() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return order_;
  }
  std::vector<int64_t> clocks() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return clocks_;
  }
  int runs() const { return static_cast<int>(order().size()); }

 private:
  mutable std::mutex mutex_;
  std::vector<int> order_;
  std::vector<int64_t> clocks_;
  std::vector<std::unique_ptr<Callback>> callbacks_;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_LOOPS_H_
