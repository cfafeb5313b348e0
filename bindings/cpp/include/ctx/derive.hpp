// SPDX-License-Identifier: MIT
//
// ctx/derive.hpp - deriving a context, and canceling it: by the canceler that comes with it, or by a
// guard at the end of a scope.
//
//   auto [ctx, cancel] = ctx::with_timeout(parent, 2s);
//   ctx::cancel_guard guard(cancel);
#ifndef CTX_DERIVE_HPP
#define CTX_DERIVE_HPP

#include <ctx/cancel.h>
#include <ctx/loop.h>

#include <array>
#include <cerrno>
#include <ctx/context.hpp>
#include <initializer_list>
#include <iterator>
#include <type_traits>
#include <utility>
#include <vector>

namespace ctx {

/// The right to cancel one context. It can be called: canceler() is cancel(). Dropping it cancels nothing
/// (a cancel_guard does that). It keeps its context alive.
class canceler {
 public:
  /// None: canceling with it throws.
  canceler() noexcept = default;

  /// One more reference to a canceler of the C functions or of another language; a null pointer is none.
  /// Throws if it is no canceler, or one of another copy of the library.
  static canceler share(ctx_canceler_t* raw) {
    if (raw != nullptr && ctx_canceler_ref(raw) == nullptr) {
      detail::fail(ctx_cancel(raw), "ctx::canceler::share");  // refused too, and says why
    }
    return canceler(raw);
  }
  /// Takes over a reference that the caller owns; a null pointer is none. Not checked: it must be a
  /// canceler that the C functions gave out.
  static canceler adopt(ctx_canceler_t* raw) noexcept { return canceler(raw); }
  /// For the C functions and other languages, which borrow it.
  ctx_canceler_t* get() const noexcept { return handle_.get(); }
  /// Hands the reference over; this object is none then.
  [[nodiscard]] ctx_canceler_t* release() noexcept { return handle_.release(); }
  /// Whether there is one.
  explicit operator bool() const noexcept { return get() != nullptr; }

  /// True if this call ended the context; false if it was done already. ctx/cancel.h says what runs
  /// then. Throws only if this is none, or was made before a fork.
  bool cancel() const { return detail::check(ctx_cancel(get()), "ctx_cancel") == 1; }
  /// The same with a cause, which everything below the context sees.
  bool cancel(const ctx::cause& why) const { return cancel(std::errc::operation_canceled, why); }
  /// With std::errc::timed_out it passes on a deadline that passed elsewhere. An error other than that
  /// and operation_canceled throws std::errc::invalid_argument.
  bool cancel(std::errc error, const ctx::cause& why = {}) const {
    const int result = ctx_cancel_with(get(), -static_cast<int>(error), why.get());
    return detail::check(result, "ctx_cancel_with") == 1;
  }
  /// The same, for callers that hold locks: no callback, waker or destructor of a value runs on this thread. They
  /// run as if the loop had ended the context. Throws if the loop has no threads and cannot be started.
  bool cancel_deferred(std::errc error = std::errc::operation_canceled,
                       const ctx::cause& why = {}) const {
    const int result = ctx_cancel_deferred(get(), -static_cast<int>(error), why.get());
    return detail::check(result, "ctx_cancel_deferred") == 1;
  }
  /// The same, with a cause.
  bool cancel_deferred(const ctx::cause& why) const {
    return cancel_deferred(std::errc::operation_canceled, why);
  }
  /// The same as cancel() with these arguments.
  template <class... Args>
  auto operator()(const Args&... args) const -> decltype(this->cancel(args...)) {
    return cancel(args...);
  }

  /// Writing a uint64_t 1 to it cancels: for signal handlers and other processes.
  [[nodiscard]] unique_fd cancel_fd() const {
    return unique_fd(detail::check(ctx_cancel_fd(get()), "ctx_cancel_fd"));
  }

 private:
  explicit canceler(ctx_canceler_t* adopted) noexcept : handle_(adopted) {}
  detail::handle<ctx_canceler_t, ctx_canceler_ref, ctx_canceler_unref> handle_;
};

/// Cancels when its scope ends, however it ends.
class [[nodiscard]] cancel_guard {
 public:
  /// Takes a copy, or a canceler that is moved in.
  explicit cancel_guard(canceler cancel) noexcept : cancel_(std::move(cancel)) {}
  /// Moves the duty; the other cancels nothing.
  cancel_guard(cancel_guard&& other) noexcept = default;
  cancel_guard& operator=(cancel_guard&&) = delete;
  ~cancel_guard() { ctx_cancel(cancel_.get()); }

  /// Lets the scope end without a cancel.
  canceler dismiss() noexcept { return std::move(cancel_); }

 private:
  canceler cancel_;
};

/// The result of a derivation: a context and the right to cancel it.
using derived = std::pair<context, canceler>;

namespace detail {

template <class Derive>
derived derive(const char* what, Derive call) {
  ctx_t* made = nullptr;
  ctx_canceler_t* right = nullptr;
  check(call(&made, &right), what);
  return {context::adopt(made), canceler::adopt(right)};
}

template <class Derive>
context derive_plain(const char* what, Derive call) {
  ctx_t* made = nullptr;
  check(call(&made), what);
  return context::adopt(made);
}

// The handles of several contexts in one array, which is allocated beyond sixteen. A filtering view may
// have more elements the second time.
class raw_handles {
 public:
  template <class Range>
  explicit raw_handles(Range&& contexts) {
    std::size_t room = 0;
    for (auto&& one : contexts) {
      static_assert(std::is_lvalue_reference_v<decltype(one)>,
                    "a range of contexts that are there, not made");
      static_cast<void>(one);
      ++room;
    }
    if (room > few_.size()) many_.resize(room);
    ctx_t** const to = room > few_.size() ? many_.data() : few_.data();
    data_ = to;
    for (const context& one : contexts) {
      if (size_ == room) break;
      to[size_++] = one.get();
    }
  }
  raw_handles(const raw_handles&) = delete;
  ctx_t* const* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }

 private:
  std::size_t size_ = 0;
  std::array<ctx_t*, 16> few_;
  std::vector<ctx_t*> many_;
  ctx_t* const* data_ = nullptr;
};

}  // namespace detail

/// Below a parent that is done, the new context is born done, with the parent's error and cause.
[[nodiscard]] inline derived with_cancel(const context& parent) {
  return detail::derive("ctx::with_cancel", [&](ctx_t** made, ctx_canceler_t** right) {
    return ctx_with_cancel(parent.get(), made, right);
  });
}

/// Ends with std::errc::timed_out after this time, or with the parent if that ends earlier. The context
/// has the cause if this deadline is the one that fires.
template <class Rep, class Period>
[[nodiscard]] derived with_timeout(const context& parent,
                                   std::chrono::duration<Rep, Period> timeout,
                                   const cause& why = {}) {
  return detail::derive("ctx::with_timeout", [&](ctx_t** made, ctx_canceler_t** right) {
    return ctx_with_timeout_cause(parent.get(), detail::to_ns(timeout), why.get(), made, right);
  });
}

/// The same at a time of steady_clock, or of the clock of the parent's loop if that has another.
template <class Duration>
[[nodiscard]] derived with_deadline(const context& parent,
                                    std::chrono::time_point<clock, Duration> deadline,
                                    const cause& why = {}) {
  return detail::derive("ctx::with_deadline", [&](ctx_t** made, ctx_canceler_t** right) {
    return ctx_with_deadline_cause(parent.get(), detail::to_ns(deadline), why.get(), made, right);
  });
}

/// Keeps the values of the parent, and neither its end nor its deadline.
[[nodiscard]] inline context without_cancel(const context& parent) {
  return detail::derive_plain("ctx::without_cancel",
                              [&](ctx_t** made) { return ctx_without_cancel(parent.get(), made); });
}

/// Ends this long after its parent, so that work in hand can finish.
template <class Rep, class Period>
[[nodiscard]] derived with_grace(const context& parent, std::chrono::duration<Rep, Period> grace) {
  return detail::derive("ctx::with_grace", [&](ctx_t** made, ctx_canceler_t** right) {
    return ctx_with_grace(parent.get(), detail::to_ns(grace), made, right);
  });
}

/// Also ends, with std::errc::timed_out, when it was not touched for this long: see context::touch(). The
/// context has the cause then.
template <class Rep, class Period>
[[nodiscard]] derived with_idle(const context& parent, std::chrono::duration<Rep, Period> limit,
                                const cause& why = {}) {
  return detail::derive("ctx::with_idle", [&](ctx_t** made, ctx_canceler_t** right) {
    return ctx_with_idle(parent.get(), detail::to_ns(limit), why.get(), made, right);
  });
}

/// Ends with the first of several parents; its values are those of the first one.
template <class Range>
[[nodiscard]] derived merge(Range&& parents) {
  const detail::raw_handles raw(parents);
  return detail::derive("ctx::merge", [&](ctx_t** made, ctx_canceler_t** right) {
    return ctx_merge(raw.data(), raw.size(), made, right);
  });
}
/// The same of contexts that are listed here.
[[nodiscard]] inline derived merge(std::initializer_list<context> parents) {
  return merge<std::initializer_list<context>&>(parents);
}

/// Also ends when poll(2) would report one of the events, such as POLLRDHUP, on a descriptor that
/// stays the caller's.
[[nodiscard]] inline derived with_fd(const context& parent, int fd, std::uint32_t poll_events) {
  return detail::derive("ctx::with_fd", [&](ctx_t** made, ctx_canceler_t** right) {
    return ctx_with_fd(parent.get(), fd, poll_events, made, right);
  });
}

/// Also ends when the process is sent one of the signals, which must be blocked in all its threads: block them
/// by pthread_sigmask() before any thread starts. Any array, std::array, std::vector or std::span of numbers.
template <class Signals, class = decltype(std::size(std::declval<const Signals&>()))>
[[nodiscard]] derived with_signal(const context& parent, const Signals& signals) {
  return detail::derive("ctx::with_signal", [&](ctx_t** made, ctx_canceler_t** right) {
    const int result =
        ctx_with_signal(parent.get(), std::data(signals), std::size(signals), made, right);
    if (result == -EINVAL)
      detail::fail(result, "ctx::with_signal wants a context and signals that this thread blocks");
    return result;
  });
}
/// The same of signals that are listed here.
[[nodiscard]] inline derived with_signal(const context& parent,
                                         std::initializer_list<int> signals) {
  return with_signal<std::initializer_list<int>>(parent, signals);
}

/// Carries a value, which is moved in, and destroyed with the last context that may see it. To share
/// mutable state, carry a pointer or a std::shared_ptr.
template <class T, class U, class = detail::made_of<T, U>>
[[nodiscard]] context with_value(const context& parent, const key<T>& key, U&& value) {
  return detail::derive_plain("ctx::with_value", [&](ctx_t** made) {
    key.give(T(std::forward<U>(value)), "ctx::with_value", [&](void* pointer, ctx_drop_fn drop) {
      return ctx_with_value(parent.get(), key.get(), pointer, drop, made);
    });
    return 0;
  });
}
/// Hides the parent's value of a key.
template <class T>
[[nodiscard]] context without_value(const context& parent, const key<T>& key) {
  return detail::derive_plain("ctx::without_value", [&](ctx_t** made) {
    return ctx_with_value(parent.get(), key.get(), nullptr, nullptr, made);
  });
}

/// The parent with a name that descriptions show, for people who look at the tree.
[[nodiscard]] inline context with_name(const context& parent, detail::text name) {
  return detail::derive_plain("ctx::with_name", [&](ctx_t** made) {
    return ctx_with_name(parent.get(), name.c_str(), made);
  });
}

/// Carries text, such as a trace id, that every language of the process finds by its name.
[[nodiscard]] inline context with_string(const context& parent, detail::text name,
                                         detail::text value) {
  return detail::derive_plain("ctx::with_string", [&](ctx_t** made) {
    return ctx_with_string(parent.get(), name.c_str(), value.c_str(), made);
  });
}
/// Hides the parent's text of a name.
[[nodiscard]] inline context without_string(const context& parent, detail::text name) {
  return with_string(parent, name.c_str(), nullptr);
}

}  // namespace ctx

#endif  // CTX_DERIVE_HPP
