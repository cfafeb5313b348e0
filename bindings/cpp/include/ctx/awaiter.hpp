// SPDX-License-Identifier: MIT
//
// ctx/awaiter.hpp - C++20: `co_await ctx.done()`.
//
// A coroutine is user code, and may block. So a callback with CTX_BLOCKING resumes it, on a thread of its own. The
// callback may run while await_suspend() is still arming it. Whichever comes second acts: the callback resumes only a
// coroutine that has suspended; else await_suspend() lets it go on. Nothing is allocated: the awaiter itself, in the
// coroutine's frame, is the callback's argument.
//
// With an executor, a waker posts the work that resumes the coroutine. The executor may still have that work
// when the coroutine is destroyed, so both share a state, which is allocated.
#ifndef CTX_AWAITER_HPP
#define CTX_AWAITER_HPP

#include <ctx/callback.hpp>
#include <ctx/context.hpp>

#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_impl_coroutine) && defined(__cpp_lib_coroutine)
#define CTX_HAS_COROUTINES 1

#include <atomic>
#include <coroutine>
#include <memory>

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

  /// Whether there is nothing to wait for; never if it is to resume on `ctx-calls`.
  bool await_ready() const noexcept { return flags_ != CTX_DEFER && ctx_.is_done(); }
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

/// The awaitable that context::done(executor) returns. Await it once; until then it can be moved. A coroutine
/// that waits in it may be destroyed, on any thread, before the executor resumes it. If the executor drops the
/// work, the coroutine waits until it is destroyed.
template <class Executor>
class [[nodiscard]] posted_awaiter {
 public:
  /// For context::done(executor).
  posted_awaiter(context ctx, Executor executor)
      : ctx_(std::move(ctx)), shared_(std::make_shared<shared>(std::move(executor))) {}
  /// For code that takes an awaitable and keeps it until it awaits it.
  posted_awaiter(posted_awaiter&&) noexcept = default;
  posted_awaiter& operator=(posted_awaiter&&) = delete;
  ~posted_awaiter() {
    // Still suspended: the coroutine is being destroyed. From here on the work leaves it alone.
    if (shared_ && shared_->take()) ctx_watch_stop(shared_->watch);
  }

  /// False: the coroutine always resumes on the executor.
  bool await_ready() const noexcept { return false; }
  /// Arms the waker. The coroutine may go on, and its frame be gone, before this returns.
  void await_suspend(std::coroutine_handle<> coroutine) {
    const context ctx = ctx_;
    const std::shared_ptr<shared> state = shared_;
    state->coroutine = coroutine;
    state->suspended.store(true, std::memory_order_relaxed);
    state->armed = state;
    const int result = ctx_after_func(ctx.get(), wake, state.get(), drop, CTX_WAKER, &state->watch);
    if (result >= 0) return;
    state->suspended.store(false, std::memory_order_relaxed);
    state->armed = nullptr;
    detail::fail(result, "co_await done()");
  }
  /// Why the context is done.
  std::error_code await_resume() const noexcept { return ctx_.err(); }

 private:
  struct shared {
    explicit shared(Executor with) : executor(std::move(with)) {}
    shared(const shared&) = delete;
    ~shared() { ctx_watch_unref(watch); }

    // True for the first caller, which resumes the coroutine or destroys it. acq_rel: either comes after all that
    // was done to suspend it.
    bool take() noexcept { return suspended.exchange(false, std::memory_order_acq_rel); }

    Executor executor;
    std::coroutine_handle<> coroutine;
    std::atomic<bool> suspended{false};
    ctx_watch_t* watch = nullptr;
    std::shared_ptr<shared> armed;  // this, until the waker is dropped
  };

  static void wake(ctx_t*, void* arg) noexcept {
    detail::guarded("the executor of co_await ctx.done(executor)", [&] {
      auto* const self = static_cast<shared*>(arg);
      detail::post_to(self->executor, [state = self->armed] {
        if (state->take()) state->coroutine.resume();
      });
    });
  }
  static void drop(void* arg) noexcept {
    const std::shared_ptr<shared> last = std::move(static_cast<shared*>(arg)->armed);
  }

  context ctx_;
  std::shared_ptr<shared> shared_;
};

inline done_awaiter context::done() const { return done_awaiter(*this, CTX_DEFER | CTX_BLOCKING); }
inline done_awaiter context::done(deferred_t) const { return done_awaiter(*this, CTX_DEFER); }
template <class Executor>
posted_awaiter<Executor> context::done(Executor executor) const {
  return posted_awaiter<Executor>(*this, std::move(executor));
}

}  // namespace ctx

#endif
#endif  // CTX_AWAITER_HPP
