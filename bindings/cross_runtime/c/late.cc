// SPDX-License-Identifier: MIT
//
// late.cc - what P24 needs beside Python and Rust: libraries that learn of deadlines by callbacks and by co_await, one
// whose callback blocks, a loop with an executor, and a thread that only sleeps. bench.py has the rest.
#include <time.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <ctx/ctx.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace {

// A thread for each callback, which is the simplest executor there is.
int post(void*, void (*run)(void*), void* work) {
  std::thread(run, work).detach();
  return 0;
}

void block(ctx_t*, void*) { std::this_thread::sleep_for(std::chrono::seconds(2)); }

// A coroutine that nobody waits for.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::abort(); }
  };
};

void see(ctx_t* ctx, void* seen_ns) {
  __atomic_store_n(static_cast<std::int64_t*>(seen_ns), ctx_now(ctx), __ATOMIC_RELEASE);
}

Detached await_end(ctx::context ctx, std::int64_t* seen_ns) {
  co_await ctx.done();
  see(ctx.get(), seen_ns);
}

}  // namespace

// Each of these returns 0 or a negative errno, and writes to seen_ns[i] when it learned of the end of ctxs[i].
extern "C" int callbacks_watch(ctx_t* const* ctxs, std::size_t n, std::int64_t* seen_ns) {
  int result = 0;
  for (std::size_t i = 0; i < n && result == 0; ++i) {
    result = ctx_after_func(ctxs[i], see, &seen_ns[i], nullptr, 0, nullptr);
  }
  return result;
}

extern "C" int awaits_watch(ctx_t* const* ctxs, std::size_t n, std::int64_t* seen_ns) {
  for (std::size_t i = 0; i < n; ++i) await_end(ctx::context::share(ctxs[i]), &seen_ns[i]);
  return 0;
}

// What the machine can do without a library: a thread that sleeps until each deadline, the earliest first.
extern "C" int sleeps_watch(ctx_t* const* ctxs, std::size_t n, std::int64_t* seen_ns) {
  std::vector<std::int64_t> deadlines(n);
  for (std::size_t i = 0; i < n; ++i) ctx_deadline(ctxs[i], &deadlines[i]);
  std::thread([deadlines = std::move(deadlines), seen_ns]() mutable {
    for (const std::int64_t deadline : deadlines) {
      const timespec at = {deadline / 1'000'000'000, deadline % 1'000'000'000};
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
      see(ctx_background(), seen_ns++);
    }
  }).detach();
  return 0;
}

// Registers a callback that sleeps for two seconds, with the flags of ctx_after_func().
extern "C" int block_at_end(ctx_t* ctx, std::uint32_t flags) {
  return ctx_after_func(ctx, block, nullptr, nullptr, flags, nullptr);
}

// The root of a new loop with an executor; the caller owns it.
extern "C" int executor_root(ctx_t** ret) {
  ctx_loop_t* loop = nullptr;
  ctx_loop_options_t options{};
  options.size = sizeof options;
  options.post = post;
  int result = ctx_loop_new(CTX_LOOP_THREAD, &options, &loop);
  if (result == 0) result = ctx_loop_background(loop, ret);
  ctx_loop_unref(loop);
  return result;
}
