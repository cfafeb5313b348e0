// SPDX-License-Identifier: MIT
// Callbacks that stop each other in a circle, each waiting for the next one's end, wait for ever: a deadlock of
// their users. The checked build finds it when the circle closes, says so and traps.
#ifndef CTX_CORE_WATCH_WAIT_CIRCLE_H
#define CTX_CORE_WATCH_WAIT_CIRCLE_H

#include "core/system/thread.h"

namespace ctxcore {

struct Callback;

// While this object lives, its thread waits for the callback's end.
class WaitsFor {
#if defined(CTX_CHECKED)
 public:
  explicit WaitsFor(const Callback* callback);
  ~WaitsFor();
  WaitsFor(const WaitsFor&) = delete;

 private:
  static const WaitsFor* of(pthread_t thread);

  const pthread_t thread_ = this_thread();
  const Callback* const callback_;
  WaitsFor* next_ = nullptr;
#else
 public:
  explicit WaitsFor(const Callback*) {}
#endif
};

void forget_waits();  // in a forked child, whose parent's threads wait

}  // namespace ctxcore

#endif
