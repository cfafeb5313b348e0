// SPDX-License-Identifier: MIT
// Callbacks that wait for each other, each by a stop that waits for the other's end, wait for ever: that
// is their users' deadlock. The checked build finds it when the circle closes, says so and traps.
#ifndef CTX_CORE_WATCH_WAIT_CIRCLE_H
#define CTX_CORE_WATCH_WAIT_CIRCLE_H

#include <pthread.h>

namespace ctxcore {

struct Callback;

// While it lasts, this thread waits for the callback's end.
class WaitsFor {
#if defined(CTX_CHECKED)
 public:
  explicit WaitsFor(const Callback* callback);
  ~WaitsFor();
  WaitsFor(const WaitsFor&) = delete;

 private:
  static const WaitsFor* of(pthread_t thread);

  const pthread_t thread_ = pthread_self();
  const Callback* const callback_;
  WaitsFor* next_ = nullptr;
#else
 public:
  explicit WaitsFor(const Callback*) {}
#endif
};

}  // namespace ctxcore

#endif
