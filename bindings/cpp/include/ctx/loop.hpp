// SPDX-License-Identifier: MIT
//
// ctx/loop.hpp - who runs the clock: threads of the library, the host's event loop, or a test.
#ifndef CTX_LOOP_HPP
#define CTX_LOOP_HPP

#include <ctx/loop.h>

#include <chrono>
#include <ctx/callback.hpp>
#include <ctx/derive.hpp>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace ctx {

namespace detail {

// Work for an executor. It runs once: when it is called, or else when it is destroyed.
class work {
 public:
  work(void (*run)(void*), void* arg) noexcept : run_(run), arg_(arg) {}
  work(const work&) = delete;
  ~work() { (*this)(); }
  void operator()() noexcept {
    if (run_ != nullptr) std::exchange(run_, nullptr)(arg_);
  }

  // For ctx_post_fn.
  template <class Executor>
  static int hand(Executor& executor, void (*run)(void*), void* arg) noexcept {
#if defined(__cpp_exceptions)
    std::shared_ptr<work> made;
    try {
      made = std::make_shared<work>(run, arg);
      post_to(executor, [made] { (*made)(); });
    } catch (...) {
      if (made) made->run_ = nullptr;
      return -EAGAIN;
    }
#else
    post_to(executor, [made = std::make_shared<work>(run, arg)] { (*made)(); });
#endif
    return 0;
  }

 private:
  void (*run_)(void*);
  void* arg_;
};

}  // namespace detail

/// The functions of all loops. Copies are the same loop. Dropping the last handle of a manual or virtual
/// loop closes it: all its contexts end, since nobody could drive it again. A threaded loop lives as long
/// as its contexts.
class loop {
 public:
  /// The root of a family of contexts that lives on this loop.
  context background() const {
    return detail::derive_plain("ctx_loop_background",
                                [&](ctx_t** made) { return ctx_loop_background(get(), made); });
  }
  /// Now, on its clock.
  time_point now() const noexcept { return detail::to_time_point(ctx_loop_now(get())); }
  /// Ends everything on it that can be canceled.
  void close() const { detail::check(ctx_loop_close(get()), "ctx_loop_close"); }
  /// Makes it the loop of ctx::background(), for good; throws std::errc::device_or_resource_busy if the
  /// default was used before.
  void set_default() const { detail::check(ctx_loop_set_default(get()), "ctx_loop_set_default"); }
  /// For the C functions, which borrow it; null if moved from.
  ctx_loop_t* get() const noexcept { return handle_.get(); }

 protected:
  /// Of one of the CTX_LOOP_ kinds.
  loop(int kind, const ctx_loop_options_t& options) : handle_(make(kind, options)) {}
  /// When there is work, as far as deadlines are concerned; none if there is no deadline.
  std::optional<time_point> next_work() const {
    const std::int64_t ns = ctx_loop_next(get());
    if (ns == INT64_MIN) detail::fail(-EINVAL, "ctx_loop_next");
    if (ns == INT64_MAX) return std::nullopt;
    return detail::to_time_point(ns);
  }

 private:
  static ctx_loop_t* make(int kind, const ctx_loop_options_t& options) {
    ctx_loop_t* made = nullptr;
    detail::check(ctx_loop_new(kind, &options, &made), "ctx_loop_new");
    return made;
  }
  detail::handle<ctx_loop_t, ctx_loop_ref, ctx_loop_unref> handle_;
};

/// The clock of a loop's deadlines.
enum class loop_clock : unsigned {
  monotonic = CTX_CLOCK_MONOTONIC,  ///< Stands still while the system is suspended.
  boottime = CTX_CLOCK_BOOTTIME,    ///< Counts that time, too.
};

/// How a loop is made: `ctx::thread_loop loop({.name = "web"})` in C++20.
struct loop_options {
  std::string name{};  ///< Of its threads: "web-loop" and so on; up to 9 bytes. Empty: "ctx".
  loop_clock clock = loop_clock::monotonic;  ///< Of its deadlines.
  bool start = false;  ///< Starts it at once, so that its threads inherit from this one.
};

namespace detail {
inline ctx_loop_options_t raw_options(const loop_options& options) {
  if (options.name.size() > 9 || options.name.find('\0') != std::string::npos) {
    fail(-EINVAL, "ctx: a loop's name has at most 9 bytes, and no NUL");
  }
  ctx_loop_options_t raw{};
  raw.size = sizeof raw;
  raw.flags = options.start ? CTX_LOOP_START : 0;
  raw.clock = static_cast<unsigned>(options.clock);
  raw.name = options.name.empty() ? nullptr : options.name.c_str();
  return raw;
}
}  // namespace detail

/// A loop with two threads of its own, as the default loop.
class thread_loop : public loop {
 public:
  /// Throws if the system refuses memory, or threads that are to start. Else threads start when first needed.
  explicit thread_loop(const loop_options& options = {})
      : loop(CTX_LOOP_THREAD, detail::raw_options(options)) {}
  /// Has an executor run the callbacks that the loop sets off or that are deferred: so those of one library do
  /// not wait for those of another. The executor is one of Boost.Asio's, or a callable that takes work. The work
  /// is a callable without arguments; the executor calls it once, on any thread. If the executor throws, the loop
  /// runs the work; if it destroys work that has not run, the work runs there. Callbacks with ctx::blocking go to the
  /// executor, too.
  ///
  /// The loop destroys the executor when all its work has run and none will come: for the default loop, before
  /// shutdown() returns true; else on any thread, which may be one of the executor's. So do not hand over a pool
  /// that joins its threads when it is destroyed, but a callable that refers to it.
  template <class Executor,
            class = std::enable_if_t<!std::is_convertible_v<Executor, loop_options> &&
                                     !std::is_base_of_v<loop, Executor>>>
  explicit thread_loop(Executor executor, const loop_options& options = {})
      : thread_loop(std::make_unique<Executor>(std::move(executor)), detail::raw_options(options)) {
  }

 private:
  template <class Executor>
  thread_loop(std::unique_ptr<Executor> own, ctx_loop_options_t raw)
      : loop(CTX_LOOP_THREAD, with_executor<Executor>(own.get(), raw)) {
    static_cast<void>(own.release());
  }

  template <class Executor>
  static const ctx_loop_options_t& with_executor(Executor* own, ctx_loop_options_t& raw) {
    raw.post = [](void* to, void (*run)(void*), void* work) noexcept -> int {
      return detail::work::hand(*static_cast<Executor*>(to), run, work);
    };
    raw.executor = own;
    raw.drop = [](void* to) noexcept { delete static_cast<Executor*>(to); };
    return raw;
  }
};

/// A loop without a thread: add its descriptor to the host's event loop.
class manual_loop : public loop {
 public:
  /// Throws if the system refuses memory, or the descriptors of a loop that is to start at once.
  explicit manual_loop(const loop_options& options = {})
      : loop(CTX_LOOP_MANUAL, detail::raw_options(options)) {}
  /// Readable when dispatch() has work. Borrowed: do not read it; it is open as long as the loop. Throws
  /// if the system refuses it.
  int fd() const { return detail::check(ctx_loop_fd(get()), "ctx_loop_fd"); }
  /// Fires everything due, callbacks included; never blocks. Returns how much fired. Inside itself it throws
  /// std::errc::device_or_resource_busy.
  int dispatch() const { return detail::check(ctx_loop_dispatch(get()), "ctx_loop_dispatch"); }
  /// When dispatch() has work, as far as deadlines are concerned; never later than the deadline.
  std::optional<time_point> next() const { return next_work(); }
};

/// A loop whose clock only its host moves, from 0 on: for tests that do not sleep.
class virtual_loop : public loop {
 public:
  /// Throws if the system refuses memory.
  virtual_loop() : loop(CTX_LOOP_VIRTUAL, detail::raw_options({})) {}
  /// Moves the clock, and fires everything due on the way, in order. Returns how much fired.
  template <class Rep, class Period>
  int advance(std::chrono::duration<Rep, Period> by) const {
    return detail::check(ctx_loop_advance(get(), detail::to_ns(by)), "ctx_loop_advance");
  }
  /// The next deadline.
  std::optional<time_point> next() const { return next_work(); }
};

/// An orderly end of the default loop; call it before globals are destroyed, such as at the end of main(). It
/// ends all contexts there, runs everything that waits, and joins the library's threads. From then on contexts of
/// the default loop are born done. False if callbacks still run after this time: call it again. Throws
/// std::errc::resource_deadlock_would_occur inside a callback.
template <class Rep, class Period>
bool shutdown(std::chrono::duration<Rep, Period> limit) {
  const int result = ctx_shutdown(detail::not_negative(detail::to_ns(limit)));
  if (result == -ETIMEDOUT) return false;
  detail::check(result, "ctx_shutdown");
  return true;
}

}  // namespace ctx

#endif  // CTX_LOOP_HPP
