// SPDX-License-Identifier: MIT
//
// ctx/context.hpp - a context: reading it, waiting for it, and looking up its values. ctx/derive.hpp has
// the functions that derive one.
#ifndef CTX_CONTEXT_HPP
#define CTX_CONTEXT_HPP

#include <ctx/context.h>
#include <ctx/done.h>
#include <ctx/poll.h>
#include <ctx/propagate.h>
#include <ctx/value.h>

#include <chrono>
#include <cstddef>
#include <ctx/cause.hpp>
#include <ctx/error.hpp>
#include <ctx/handle.hpp>
#include <ctx/key.hpp>
#include <ctx/time.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ctx {

/// The tag for a callback or coroutine that never runs inside a call that cancels: it runs on the thread
/// `ctx-calls` or in a dispatch of its loop. For callers who hold a lock that it takes.
struct deferred_t {
  explicit deferred_t() = default;
};
/// Its value, to pass.
inline constexpr deferred_t deferred{};

/// The tag for a callback that may block. It never runs inside a call that cancels, and delays no other callback:
/// it has a thread of the library, named `ctx-lane`, to itself. On a loop without threads it runs in a dispatch.
struct blocking_t {
  explicit blocking_t() = default;
};
/// Its value, to pass.
inline constexpr blocking_t blocking{};

/// The tag for a callback that only wakes somebody. It runs before all other callbacks, on the thread that ends
/// the context, which may be the clock's; so it must be short, must not block, and should not cancel.
struct waker_t {
  explicit waker_t() = default;
};
/// Its value, to pass.
inline constexpr waker_t waker{};

// Declared in C++17, too, so that a context is the same class in both; only C++20 defines them.
class done_awaiter;
template <class Executor>
class posted_awaiter;

/// A cancel signal, a deadline and values, handed from a caller to everything it calls. This object does
/// not give the right to cancel it.
class context {
 public:
  /// The root of all contexts: never done.
  context() noexcept : handle_(ctx_background()) {}

  /// One more reference to a context of the C functions or of another language.
  /// Throws if it is none, or one of another copy of the library.
  static context share(ctx_t* raw) {
    detail::check(ctx_cancelable(raw), "ctx::context::share");
    return context(ctx_ref(raw));
  }
  /// Takes over a reference that the caller owns; if it throws, as share() does, nothing was taken.
  static context adopt(ctx_t* raw) {
    detail::check(ctx_cancelable(raw), "ctx::context::adopt");
    return context(raw);
  }
  /// For the C functions and other languages, which borrow it; null if moved from.
  ctx_t* get() const noexcept { return handle_.get(); }
  /// Hands the reference over; this object is empty then.
  [[nodiscard]] ctx_t* release() noexcept { return handle_.release(); }

  /// Whether it has ended.
  bool is_done() const noexcept { return ctx_err(get()) != 0; }
  /// None while live; std::errc::operation_canceled or std::errc::timed_out once done.
  std::error_code err() const noexcept { return to_error_code(ctx_err(get())); }
  /// Says that there was progress: the ends of all contexts of ctx::with_idle() at or above this one move. False
  /// if it is done. Some nanoseconds.
  bool touch() const noexcept { return ctx_touch(get()) == 0; }
  /// Why it is done; none while live.
  ctx::cause cause() const { return ctx::cause::share(ctx_cause(get())); }
  /// Throws context_error if it is done.
  void throw_if_done() const {
    if (const int err = ctx_err(get()); err != 0) throw_done(err);
  }

  /// Whether it can ever be done.
  bool cancelable() const { return detail::check(ctx_cancelable(get()), "ctx_cancelable") == 1; }
  /// Whether the candidate ended it: itself, or a parent, or whatever ended that. See ctx_ended_by().
  bool ended_by(const context& candidate) const {
    return detail::check(ctx_ended_by(get(), candidate.get()), "ctx_ended_by") == 1;
  }
  /// Its deadline; none if no time is set.
  std::optional<time_point> deadline() const {
    std::int64_t ns = 0;
    if (detail::check(ctx_deadline(get(), &ns), "ctx_deadline") == 0) return std::nullopt;
    return detail::to_time_point(ns);
  }
  /// Negative after the deadline, nanoseconds::max() without one.
  std::chrono::nanoseconds remaining() const noexcept {
    return std::chrono::nanoseconds(ctx_remaining(get()));
  }
  /// As poll(2), curl and libpq take it: rounded up, 0 after the deadline, -1 without one.
  int remaining_ms() const noexcept { return ctx_remaining_ms(get()); }
  /// For work that takes so long and should not begin in vain: sets error to none, to std::errc::timed_out if less
  /// time remains, or to the error of a context that is done.
  template <class Rep, class Period>
  void require(std::chrono::duration<Rep, Period> need, std::error_code& error) const {
    error = to_error_code(ctx_require(get(), detail::to_ns(need)));
    if (error == std::errc::invalid_argument) detail::fail(-EINVAL, "ctx::context::require");
  }
  /// The same, and throws context_error.
  template <class Rep, class Period>
  void require(std::chrono::duration<Rep, Period> need) const {
    std::error_code error;
    require(need, error);
    if (error) throw_done(-error.value());
  }
  /// On the clock of its deadlines: steady_clock, or another of its loop.
  time_point now() const noexcept { return detail::to_time_point(ctx_now(get())); }
  /// How it came to be, for people.
  std::string describe() const;

  /// Blocks until it is done. A signal handler ends no wait.
  void wait() const { wait_ns(CTX_FOREVER); }
  /// True if it is done; false after this time, in real time.
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> limit) const {
    return wait_ns(detail::to_ns(limit));
  }
  /// True if it is done; false at that time.
  template <class Duration>
  bool wait_until(std::chrono::time_point<clock, Duration> time) const {
    return wait_ns(detail::until_ns(time));
  }
  /// poll(2) that the context ends: returns how many descriptors are ready; 0 after the limit. If the
  /// context is done, which wins, it sets error, or throws context_error.
  template <class Rep, class Period>
  std::size_t poll(pollfd* fds, nfds_t n, std::chrono::duration<Rep, Period> limit,
                   std::error_code& error) const;
  /// The same, and throws context_error if the context is done.
  template <class Rep, class Period>
  std::size_t poll(pollfd* fds, nfds_t n, std::chrono::duration<Rep, Period> limit) const;

  /// Polls readable for ever once the context is done. Borrowed: do not read it; it is open as long as the
  /// context is held. For a context that can never be done it is negative, and poll(2) ignores it.
  int done_fd() const {
    const int fd = ctx_done_fd(get());
    return fd == -ENOTSUP ? -1 : detail::check(fd, "ctx_done_fd");
  }
  /// The same as a descriptor of the caller's own. Throws std::errc::not_supported if done_fd() is
  /// negative.
  [[nodiscard]] unique_fd done_fd_dup() const {
    return unique_fd(detail::check(ctx_done_fd_dup(get()), "ctx_done_fd_dup"));
  }
  /// With C++20, `std::error_code why = co_await ctx.done();` goes on at once if the context is done. Otherwise it
  /// resumes on a thread of the library's that it has to itself, or in a dispatch: never behind somebody
  /// else's callback, and never inside a cancel. See ctx/awaiter.hpp.
  done_awaiter done() const;
  /// The same, always on the thread `ctx-calls` or in a dispatch: in turn with the callbacks there.
  done_awaiter done(deferred_t) const;
  /// The same, always on an executor: one of Boost.Asio's, or a callable that takes work. The work is a
  /// callable without arguments; the executor calls it once, soon, on any thread. If the executor is a lambda with
  /// captures, give it a name before: g++ 12 destroys one that is written inside a co_await twice.
  template <class Executor>
  posted_awaiter<Executor> done(Executor executor) const;

  /// The nearest value of a key, or null. The context owns it: it is valid as long as that is held.
  template <class T>
  const T* value(const key<T>& key) const noexcept {
    return static_cast<const T*>(ctx_value(get(), key.get()));
  }
  /// The nearest text of a name, which every language sees; valid as long as the context is held.
  std::optional<std::string_view> string(detail::text name) const noexcept {
    const char* text = ctx_string(get(), name.c_str());
    return text != nullptr ? std::optional<std::string_view>(text) : std::nullopt;
  }
  /// Every name that string() finds, with its text, the nearest first; borrowed as that of string().
  std::vector<std::pair<std::string_view, std::string_view>> strings() const {
    using pairs = std::vector<std::pair<std::string_view, std::string_view>>;
    std::size_t count = 0;
    const auto counts = [](const char*, const char*, void* arg) noexcept {
      ++*static_cast<std::size_t*>(arg);
      return 0;
    };
    const auto adds = [](const char* name, const char* value, void* arg) noexcept {
      static_cast<pairs*>(arg)->emplace_back(name, value);
      return 0;
    };
    detail::check(ctx_strings(get(), counts, &count), "ctx_strings");
    pairs all;
    all.reserve(count);  // so that adding cannot throw through the C function
    ctx_strings(get(), adds, &all);
    return all;
  }

  /// The value of a member of its baggage, decoded: text of another process. See ctx/propagate.hpp.
  std::optional<std::string> baggage(detail::text name) const;

  /// Whether both are one context.
  friend bool operator==(const context& a, const context& b) noexcept { return a.get() == b.get(); }
  /// Whether they are not.
  friend bool operator!=(const context& a, const context& b) noexcept { return a.get() != b.get(); }

 private:
  explicit context(ctx_t* adopted) noexcept : handle_(adopted) {}
  [[noreturn]] void throw_done(int err) const;
  bool wait_ns(std::int64_t limit_ns) const {
    const auto wait = [this](std::int64_t ns) { return ctx_wait(get(), ns); };
    return detail::check(detail::uninterrupted(limit_ns, wait), "ctx_wait") == 1;
  }

  detail::handle<ctx_t, ctx_ref, ctx_unref> handle_;
};

/// The root of all contexts: never done.
inline context background() noexcept { return context(); }
/// A second root, for code that does not know yet which context it should use.
inline context todo() { return context::share(ctx_todo()); }

inline void context::throw_done(int err) const {
#if defined(__cpp_exceptions)
  if (err == CTX_CANCELED || err == CTX_DEADLINE_EXCEEDED) {
    throw context_error(to_error_code(err), cause());
  }
#endif
  detail::fail(err, "ctx::context");
}

inline std::string context::describe() const {
  std::string text(80, '\0');
  for (;;) {  // the remaining time is part of the text, so its length may change meanwhile
    const int n = detail::check(ctx_describe(get(), text.data(), text.size()), "ctx_describe");
    const auto length = static_cast<std::size_t>(n);
    const bool whole = length < text.size();
    text.resize(whole ? length : length + 16);
    if (whole) return text;
  }
}

inline std::optional<std::string> context::baggage(detail::text name) const {
  const std::int64_t size = ctx_baggage(get(), name.c_str(), nullptr, 0);
  if (size == -ENOENT || size == -EINVAL) return std::nullopt;  // as string()
  std::string value(static_cast<std::size_t>(detail::check(size, "ctx_baggage")), '\0');
  ctx_baggage(get(), name.c_str(), value.data(), value.size() + 1);
  return value;
}

namespace detail {
// For formatters: printing an empty context shows that it is empty, and throws nothing.
inline std::string described(const context& ctx) {
  return ctx.get() != nullptr ? ctx.describe() : "no context";
}
}  // namespace detail

template <class Rep, class Period>
std::size_t context::poll(pollfd* fds, nfds_t n, std::chrono::duration<Rep, Period> limit,
                          std::error_code& error) const {
  const int result = detail::uninterrupted(
      detail::to_ns(limit), [&](std::int64_t ns) { return ctx_poll(get(), fds, n, ns); });
  error = to_error_code(result);
  return result < 0 ? 0 : static_cast<std::size_t>(result);
}

template <class Rep, class Period>
std::size_t context::poll(pollfd* fds, nfds_t n, std::chrono::duration<Rep, Period> limit) const {
  std::error_code error;
  const std::size_t ready = poll(fds, n, limit, error);
  if (error) throw_done(-error.value());
  return ready;
}

}  // namespace ctx

namespace std {

/// Makes a context a key of unordered containers; agrees with ==.
template <>
struct hash<ctx::context> {
  /// The hash of its address.
  size_t operator()(const ctx::context& ctx) const noexcept { return hash<ctx_t*>()(ctx.get()); }
};

}  // namespace std

#endif  // CTX_CONTEXT_HPP
