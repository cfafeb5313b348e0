// SPDX-License-Identifier: MIT
//
// ctx/callback.hpp - callbacks that run when a context is done.
#ifndef CTX_CALLBACK_HPP
#define CTX_CALLBACK_HPP

#include <ctx/done.h>

#include <cstring>
#include <ctx/context.hpp>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace ctx {

/// Something armed on a context: a callback, or its place in a queue. Destroying it only gives the handle
/// back: what it armed stays armed. See watch_guard.
class watch {
 public:
  /// None.
  watch() noexcept = default;
  /// Takes over a handle of the C functions.
  static watch adopt(ctx_watch_t* raw) noexcept { return watch(raw); }
  /// Moves the handle; the other has none then.
  watch(watch&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  /// The same; what this one had armed stays armed.
  watch& operator=(watch&& other) noexcept {
    ctx_watch_t* const taken = std::exchange(other.raw_, nullptr);  // other may be this one
    ctx_watch_unref(std::exchange(raw_, taken));
    return *this;
  }
  ~watch() { ctx_watch_unref(raw_); }

  /// True for the one call that prevented it; does not wait for a callback that runs.
  bool stop() const { return detail::check(ctx_watch_stop(raw_), "ctx_watch_stop") == 1; }
  /// The same, and on return the callback no longer runs; inside the callback it returns at once.
  bool stop_wait() const {
    return detail::check(ctx_watch_stop_wait(raw_), "ctx_watch_stop_wait") == 1;
  }
  /// Whether there is one.
  explicit operator bool() const noexcept { return raw_ != nullptr; }
  /// For the C functions, which borrow it; null for none.
  ctx_watch_t* get() const noexcept { return raw_; }

 private:
  explicit watch(ctx_watch_t* adopted) noexcept : raw_(adopted) {}
  ctx_watch_t* raw_ = nullptr;
};

/// Stops a watch when the scope ends, and waits for its callback if that runs: from then on the callback
/// touches nothing of the scope.
class [[nodiscard]] watch_guard {
 public:
  /// Takes over the watch of after_func() or queue::add_watch().
  explicit watch_guard(watch armed) noexcept : watch_(std::move(armed)) {}
  /// Moves the duty; the other stops nothing.
  watch_guard(watch_guard&&) noexcept = default;
  watch_guard& operator=(watch_guard&&) = delete;
  ~watch_guard() { ctx_watch_stop_wait(watch_.get()); }

  /// Lets the scope end with the callback armed.
  watch dismiss() noexcept { return std::move(watch_); }

 private:
  watch watch_;
};

namespace detail {

// A context for the length of a call, without a reference of its own.
class borrowed {
 public:
  explicit borrowed(ctx_t* raw) : context_(context::adopt(raw)) {}
  borrowed(const borrowed&) = delete;
  ~borrowed() { static_cast<void>(context_.release()); }
  const context& get() const noexcept { return context_; }

 private:
  context context_;
};

// Whether the void pointer itself can hold a T.
template <class T>
inline constexpr bool fits_pointer =
    sizeof(T) <= sizeof(void*) && alignof(T) <= alignof(void*) && std::is_trivially_copyable_v<T>;

// Room for a T that is made of its bytes.
template <class T>
union bytes_of {
  bytes_of() noexcept : none() {}
  explicit bytes_of(void* const& pointer) noexcept : none() {
    std::memcpy(static_cast<void*>(std::addressof(value)), &pointer, sizeof(T));
  }
  char none;
  T value;
};

template <class T>
void* to_bytes(const T& value) noexcept {
  void* pointer = nullptr;
  std::memcpy(&pointer, static_cast<const void*>(std::addressof(value)), sizeof(T));
  return pointer;
}

// A callable behind the void pointer of ctx_after_func(): in the pointer itself, or allocated.
template <class F>
struct callable {
  static constexpr bool takes_context = std::is_invocable_v<F&, const context&>;
  static_assert(takes_context || std::is_invocable_v<F&>,
                "a callback takes nothing, or a const ctx::context&");

  static void call(F& f, ctx_t* raw) {
    if constexpr (takes_context) {
      const borrowed context(raw);
      static_cast<void>(std::invoke(f, context.get()));
    } else {
      static_cast<void>(std::invoke(f));
    }
  }
  static void run(ctx_t* raw, void* arg) noexcept {
    guarded("a callback of ctx::after_func", [&] {
      if constexpr (fits_pointer<F>) {
        bytes_of<F> f(arg);
        call(f.value, raw);
      } else {
        call(*static_cast<F*>(arg), raw);
      }
    });
  }
};

// Finds post() only in an executor's own namespace, such as boost::asio::post().
namespace posting {
void post() = delete;

template <class Executor, class Work>
auto hand(Executor& executor, Work&& work)
    -> decltype(post(executor, std::forward<Work>(work)), void()) {
  post(executor, std::forward<Work>(work));
}

template <class Executor, class Work, class = void>
inline constexpr bool can = false;
template <class Executor, class Work>
inline constexpr bool
    can<Executor, Work, decltype(hand(std::declval<Executor&>(), std::declval<Work>()))> = true;
}  // namespace posting

// Has an executor run work(), a callable that can be copied: calls the executor with it if that can be called, or
// else post(executor, work).
template <class Executor, class Work>
void post_to(Executor& executor, Work&& work) {
  if constexpr (std::is_invocable_v<Executor&, Work>) {
    static_cast<void>(std::invoke(executor, std::forward<Work>(work)));
  } else {
    static_assert(posting::can<Executor, Work>,
                  "an executor is one of Boost.Asio's, or a callable that takes any work");
    posting::hand(executor, std::forward<Work>(work));
  }
}

template <class F>
watch arm(const context& ctx, std::uint32_t flags, F&& f) {
  using Fn = std::decay_t<F>;
  ctx_watch_t* armed = nullptr;
  const auto take = [&](void* arg, ctx_drop_fn drop) {
    return ctx_after_func(ctx.get(), callable<Fn>::run, arg, drop, flags, &armed);
  };
  if constexpr (fits_pointer<Fn>) {
    check(take(to_bytes(Fn(std::forward<F>(f))), nullptr), "ctx::after_func");
  } else {
    auto own = std::make_unique<Fn>(std::forward<F>(f));
    check(take(static_cast<void*>(own.get()), &drop<Fn>), "ctx::after_func");
    static_cast<void>(own.release());  // dropped already, if the context was done
  }
  return watch::adopt(armed);
}

}  // namespace detail

/// Calls f(), or f(const context&), once, when the context is done: on the thread that ends it, before
/// that thread's call returns; after a deadline on the thread `ctx-calls`; on a context that is done
/// already, here and now. f is moved in, and destroyed after it ran or was stopped. It must not throw.
/// While armed it keeps the context. On a context that can never be done nothing is armed, and f is
/// destroyed with the watch.
template <class F>
watch after_func(const context& ctx, F&& f) {
  return detail::arm(ctx, 0, std::forward<F>(f));
}
/// The same, but never inside a call that cancels: always on `ctx-calls`, or in a dispatch.
template <class F>
watch after_func(const context& ctx, deferred_t, F&& f) {
  return detail::arm(ctx, CTX_DEFER, std::forward<F>(f));
}
/// The same for an f that may block: on a thread of its own, or in a dispatch.
template <class F>
watch after_func(const context& ctx, blocking_t, F&& f) {
  return detail::arm(ctx, CTX_DEFER | CTX_BLOCKING, std::forward<F>(f));
}
/// The same for an f that only wakes somebody: before all other callbacks.
template <class F>
watch after_func(const context& ctx, waker_t, F&& f) {
  return detail::arm(ctx, CTX_WAKER, std::forward<F>(f));
}

}  // namespace ctx

#endif  // CTX_CALLBACK_HPP
