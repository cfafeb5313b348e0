// SPDX-License-Identifier: MIT
//
// ctx/token.hpp - a context as a token for code that is generic in these: C++26's stoppable_token, as senders and
// receivers use it. Its callbacks lie in objects of the caller's, without an allocation by this binding. For code that
// wants a std::stop_token there is ctx/stop_token.hpp.
#ifndef CTX_TOKEN_HPP
#define CTX_TOKEN_HPP

#include <ctx/done.h>

#include <ctx/callback.hpp>
#include <ctx/context.hpp>
#include <type_traits>
#include <utility>

namespace ctx {

template <class F>
class done_callback;

/// A context as a stoppable_token: a stop is the end of the context. It holds the context.
class done_token {
 public:
  /// What registers an F with it.
  template <class F>
  using callback_type = done_callback<F>;

  /// Of the root: never stopped.
  done_token() noexcept = default;
  /// Of this context.
  explicit done_token(context ctx) noexcept : ctx_(std::move(ctx)) {}

  /// Whether the context is done.
  bool stop_requested() const noexcept { return ctx_.is_done(); }
  /// Whether it is done, or ever can be.
  bool stop_possible() const noexcept { return ctx_cancelable(ctx_.get()) == 1; }

  /// Whether both are of one context.
  friend bool operator==(const done_token& a, const done_token& b) noexcept {
    return a.ctx_ == b.ctx_;
  }
  /// Whether they are not.
  friend bool operator!=(const done_token& a, const done_token& b) noexcept { return !(a == b); }

 private:
  template <class F>
  friend class done_callback;
  context ctx_;
};

/// While it lives, the end of a token's context calls f(), once: on the thread that ends it, before that thread's
/// call returns; after a deadline on a thread that f has to itself, or in a dispatch; for a context that is done, in
/// the constructor. f must not throw. The destructor waits until f has returned, but not inside f, which may
/// destroy this.
template <class F>
class [[nodiscard]] done_callback {
  static_assert(std::is_invocable_v<F>, "a callback of a token takes nothing");

 public:
  /// The type of f.
  using callback_type = F;

  /// Throws if the library has no memory or no thread for it.
  template <class Init, class = std::enable_if_t<std::is_constructible_v<F, Init>>>
  explicit done_callback(const done_token& token, Init&& f) : f_(std::forward<Init>(f)) {
    const auto run = [](ctx_t*, void* self) noexcept {
      detail::guarded("a ctx::done_callback", [&] {
        static_cast<void>(std::forward<F>(static_cast<done_callback*>(self)->f_)());
      });
    };
    detail::check(ctx_after_func(token.ctx_.get(), run, this, nullptr, CTX_BLOCKING, &raw_),
                  "ctx::done_callback");
  }
  done_callback(const done_callback&) = delete;
  done_callback& operator=(const done_callback&) = delete;
  ~done_callback() {
    ctx_watch_stop_wait(raw_);
    ctx_watch_unref(raw_);
  }

 private:
  F f_;
  ctx_watch_t* raw_ = nullptr;
};

/// Registers a copy of f, or f itself if it is moved in.
template <class F>
done_callback(done_token, F) -> done_callback<F>;

}  // namespace ctx

#endif  // CTX_TOKEN_HPP
