// SPDX-License-Identifier: MIT
#include "core/watch/wait_circle.h"

#if defined(CTX_CHECKED)

#include <unistd.h>

#include <new>

#include "core/base/lock.h"
#include "core/system/io.h"
#include "core/watch/callback.h"

namespace ctxcore {

namespace {

struct Waits {
  Lock lock;
  WaitsFor* first CTX_GUARDED_BY(lock) = nullptr;
};
constinit Waits waits;

[[noreturn]] void report() {
  constexpr char kText[] = "libctx: callbacks wait for each other's end, in a circle\n";
  [[maybe_unused]] ssize_t written = io::write(STDERR_FILENO, kText, sizeof kText - 1);
  __builtin_trap();
}

}  // namespace

const WaitsFor* WaitsFor::of(pthread_t thread) CTX_REQUIRES(waits.lock) {
  const WaitsFor* found = waits.first;
  while (found != nullptr && found->thread_ != thread) found = found->next_;
  return found;
}

WaitsFor::WaitsFor(const Callback* callback) : callback_(callback) {
  Guard guard(waits.lock);
  next_ = waits.first;
  waits.first = this;
  // Goes from the callback that this thread waits for to the one that its runner waits for, and so on.
  for (const WaitsFor* next = this; next != nullptr;) {
    if (next->callback_->state.load(std::memory_order_acquire) == Callback::finished) return;
    const pthread_t runner = next->callback_->runner.load(std::memory_order_relaxed);
    if (runner == thread_) report();
    next = of(runner);
  }
}

WaitsFor::~WaitsFor() {
  Guard guard(waits.lock);
  WaitsFor** place = &waits.first;
  while (*place != this) place = &(*place)->next_;
  *place = next_;
}

void forget_waits() { ::new (&waits) Waits; }

}  // namespace ctxcore

#else

namespace ctxcore {

void forget_waits() {}

}  // namespace ctxcore

#endif
