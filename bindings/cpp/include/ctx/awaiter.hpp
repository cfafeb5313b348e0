// SPDX-License-Identifier: MIT
//
// ctx/awaiter.hpp - C++20: `co_await ctx.done()`.
//
// The callback that the context's end sets off resumes the coroutine. It may run while await_suspend() is
// still arming it, on this thread or another. Whichever comes second acts: the callback resumes only a
// coroutine that has suspended; else await_suspend() lets it go on. Nothing is allocated: the awaiter
// itself, in the coroutine's frame, is the callback's argument.
#ifndef CTX_AWAITER_HPP
#define CTX_AWAITER_HPP

#include <ctx/callback.hpp>
#include <ctx/context.hpp>

#if defined(CTX_HAS_COROUTINES)
#include <atomic>
#include <coroutine>

namespace ctx {

/// The awaitable that context::done() returns. Await it once; until then it can be moved. A coroutine that
/// waits in it may be destroyed, on any thread, before the context ends, but not while another thread
/// resumes it: the one that ends the context.
class [[nodiscard]] done_awaiter {
 public:
  /// For context::done(); the flags are those of ctx_after_func().
  done_awaiter(context ctx, std::uint32_t flags) noexcept : ctx_(std::move(ctx)), flags_(flags) {}
  /// For code that takes an awaitable and keeps it until it awaits it.
  done_awaiter(done_awaiter&& other) noexcept : ctx_(std::move(other.ctx_)), flags_(other.flags_) {}
  done_awaiter& operator=(done_awaiter&&) = delete;
  ~done_awaiter() {
    // Still suspended: the coroutine is being destroyed. From here on the callback leaves it alone.
    const state last = state_.exchange(state::fired, std::memory_order_acq_rel);
    if (last == state::suspended) ctx_watch_stop_wait(raw_);
    ctx_watch_unref(raw_);
  }

  /// Whether there is nothing to wait for; never if it is deferred.
  bool await_ready() const noexcept { return flags_ == 0 && ctx_.is_done(); }
  /// Arms the callback; false if it ran meanwhile: then the coroutine goes on at once.
  bool await_suspend(std::coroutine_handle<> coroutine) {
    coroutine_ = coroutine;
    const auto fire = [](ctx_t*, void* self) noexcept {
      detail::guarded("a coroutine that co_await ctx.done() resumed",
                      [&] { static_cast<done_awaiter*>(self)->fire(); });
    };
    detail::check(ctx_after_func(ctx_.get(), fire, this, nullptr, flags_, &raw_),
                  "co_await done()");
    return state_.exchange(state::suspended, std::memory_order_acq_rel) != state::fired;
  }
  /// Why the context is done.
  std::error_code await_resume() const noexcept { return ctx_.err(); }

 private:
  enum class state : char { armed, suspended, fired };

  void fire() {
    if (state_.exchange(state::fired, std::memory_order_acq_rel) == state::suspended) {
      coroutine_.resume();  // may destroy this
    }
  }

  context ctx_;
  const std::uint32_t flags_;
  ctx_watch_t* raw_ = nullptr;
  std::coroutine_handle<> coroutine_;
  std::atomic<state> state_{state::armed};
};

inline done_awaiter context::done() const { return done_awaiter(*this, 0); }
inline done_awaiter context::done(deferred_t) const { return done_awaiter(*this, CTX_DEFER); }

}  // namespace ctx

#endif
#endif  // CTX_AWAITER_HPP
