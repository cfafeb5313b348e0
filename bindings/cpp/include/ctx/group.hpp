// SPDX-License-Identifier: MIT
//
// ctx/group.hpp - work that is waited for together, and that ends together when a part of it fails.
//
//   ctx::group group(parent);
//   group.spawn([](const ctx::context& ctx) { download(ctx); });
//   group.spawn(pool.get_executor(), [](const ctx::context& ctx) { index(ctx); });
//   group.wait();  // throws what the first of them threw
#ifndef CTX_GROUP_HPP
#define CTX_GROUP_HPP

#include <ctx/group.h>

#include <chrono>
#include <ctx/callback.hpp>
#include <ctx/cause.hpp>
#include <ctx/context.hpp>
#include <ctx/derive.hpp>
#include <ctx/stop_token.hpp>
#include <ctx/time.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

namespace ctx {

namespace detail {

// The failure of a call: what it returns, if that is a cause.
template <class Call>
cause failure_of(Call call) {
  if constexpr (std::is_same_v<decltype(call()), cause>) {
    return call();
  } else {
    static_cast<void>(call());
    return {};
  }
}

template <class F>
constexpr bool work_takes_context = std::is_invocable_v<F&, const context&>;

// call_work(f, ctx, 0) calls f as f wants it. Each way is an overload, so that programs of which parts are C++17 and
// parts C++20 have the same function for the same work.
template <class F, std::enable_if_t<work_takes_context<F>, int> = 0>
cause call_work(F& f, const context& ctx, int) {
  return failure_of([&] { return std::invoke(f, ctx); });
}

#if defined(CTX_HAS_STOP_TOKEN)
template <class F, std::enable_if_t<
                       !work_takes_context<F> && std::is_invocable_v<F&, std::stop_token>, int> = 0>
cause call_work(F& f, const context& ctx, int) {
  const stop_source stops(ctx);
  return failure_of([&] { return std::invoke(f, stops.get_token()); });
}
#endif

template <class F, std::enable_if_t<!work_takes_context<F>, int> = 0>
cause call_work(F& f, const context&, long) {  // only if no other fits
  static_assert(std::is_invocable_v<F&>,
                "work takes nothing, a const ctx::context& or a std::stop_token");
  return failure_of([&] { return std::invoke(f); });
}

template <class F>
cause run_work(F& f, ctx_group_t* group) noexcept {
  cause why;
  guarded("work of a ctx::group", [&] {
    const borrowed ctx(ctx_group_context(group));
#if defined(__cpp_exceptions)
    try {
      why = call_work(f, ctx.get(), 0);
    } catch (...) {
      why = cause(std::current_exception());
    }
#else
    why = call_work(f, ctx.get(), 0);
#endif
  });
  return why;
}

// One piece of work that has begun; it ends once, at the latest when this is destroyed.
class piece {
 public:
  explicit piece(ctx_group_t* begun) noexcept : group_(begun) {}
  piece(piece&& other) noexcept : group_(other.release()) {}
  piece& operator=(piece&&) = delete;
  ~piece() { end({}); }

  ctx_group_t* get() const noexcept { return group_; }
  ctx_group_t* release() noexcept { return std::exchange(group_, nullptr); }
  void end(const cause& why) noexcept {
    if (ctx_group_t* const group = release()) ctx_group_end(group, why.get());
  }

 private:
  ctx_group_t* group_;
};

// The work of a thread ends with the thread: this object is made before all others that are thread_local there, and
// so is destroyed after them.
struct thread_work {
  ~thread_work() {
    if (group != nullptr) ctx_group_end(group, why.get());
  }
  static thread_work& of_this_thread() {
    thread_local thread_work one;
    return one;
  }

  ctx_group_t* group = nullptr;
  cause why;
};

// Work that an executor has. If it is destroyed and has not run, that is a failure.
template <class F>
class posted_work {
 public:
  template <class G>
  posted_work(piece begun, G&& f) : piece_(std::move(begun)), f_(std::forward<G>(f)) {}
  posted_work(const posted_work&) = delete;
  ~posted_work() {
    if (piece_.get() == nullptr) return;
    guarded("work of a ctx::group", [&] {
      f_.reset();
      piece_.end(cause("the executor has dropped the work"));
    });
  }

  void operator()() noexcept {
    if (piece_.get() == nullptr) return;
    piece now(piece_.release());
    const cause why = run_work(*f_, now.get());
    f_.reset();
    now.end(why);
  }
  void withdraw() noexcept { piece_.end({}); }

 private:
  piece piece_;
  std::optional<F> f_;
};

}  // namespace detail

/// Counts pieces of work, and has a context of its own in which they run. The first that fails cancels that
/// context. The destructor cancels it, too, and waits for all of them, so work may refer to what is declared before
/// the group. Do not destroy a group in its own work.
class group {
 public:
  /// Its context is derived from this one. Throws if the system refuses memory.
  explicit group(const context& parent = background()) {
    ctx_group_t* made = nullptr;
    detail::check(ctx_group_new(parent.get(), &made), "ctx::group");
    handle_ = handle(made);
  }
  /// Moves the group; the other is empty then.
  group(group&&) noexcept = default;
  group& operator=(group&&) = delete;
  ~group() {
    if (get() == nullptr) return;
    ctx_cancel(ctx_group_canceler(get()));
    while (ctx_group_wait(get(), CTX_FOREVER) == -EINTR) {
    }
  }

  /// A group that this one counts as a piece of work until it is destroyed and its work is over; then a failure of
  /// that one is a failure of this one. Throws context_error if the context of this one is done.
  group nested() const {
    ctx_group_t* made = nullptr;
    const int result = ctx_group_new_below(get(), &made);
    if (result == CTX_CANCELED || result == CTX_DEADLINE_EXCEEDED) get_context().throw_if_done();
    detail::check(result, "ctx::group::nested");
    return group(made);
  }

  /// For the C functions, which borrow it; null if moved from.
  ctx_group_t* get() const noexcept { return handle_.get(); }
  /// The context of its work. It ends with the parent, with the first failure, by cancel() or with the group.
  context get_context() const { return context::share(ctx_group_context(get())); }
  /// The right to cancel that context.
  canceler get_canceler() const {
    return canceler::adopt(ctx_canceler_ref(ctx_group_canceler(get())));
  }
  /// Tells all work to stop: as canceler::cancel() with these arguments.
  template <class... Args>
  auto cancel(const Args&... args) const -> decltype(std::declval<canceler>().cancel(args...)) {
    return get_canceler().cancel(args...);
  }

  /// Runs f on a thread of its own: f(const ctx::context&), in C++20 f(std::stop_token), or f(). An exception that
  /// it throws, or a ctx::cause that it returns, is its failure. Nobody joins the thread: wait() also
  /// waits for the destructors of its thread_local objects. False, and f does not run, if the group's
  /// context is done.
  template <class F>
  bool spawn(F&& f) const {
    if (!begin()) return false;
    detail::piece begun(get());
    std::thread([begun = std::move(begun), f = std::decay_t<F>(std::forward<F>(f))]() mutable {
      detail::thread_work& own = detail::thread_work::of_this_thread();
      own.group = begun.release();
      own.why = detail::run_work(f, own.group);
    }).detach();
    return true;
  }
  /// The same on an executor: one of Boost.Asio's, or a callable that takes work. The work is a callable without
  /// arguments that can be copied; the executor calls it once, on any thread. If the executor throws, so does this,
  /// and nothing has begun. Work that the executor destroys without running it has failed.
  template <class Executor, class F>
  bool spawn(Executor&& executor, F&& f) const {
    if (!begin()) return false;
    using work_of_f = detail::posted_work<std::decay_t<F>>;
    const auto work = std::make_shared<work_of_f>(detail::piece(get()), std::forward<F>(f));
    const auto post = [&] { detail::post_to(executor, [work] { (*work)(); }); };
#if defined(__cpp_exceptions)
    try {
      post();
    } catch (...) {
      work->withdraw();
      throw;
    }
#else
    post();
#endif
    return true;
  }

  /// Counts a piece of work that is started by other means, such as a coroutine. False, and nothing is counted, if
  /// the group's context is done.
  bool begin() const {
    const int result = ctx_group_begin(get());
    if (result == CTX_CANCELED || result == CTX_DEADLINE_EXCEEDED) return false;
    detail::check(result, "ctx_group_begin");
    return true;
  }
  /// Ends a piece of work, on any thread; with a cause it has failed. Throws std::errc::invalid_argument if there is
  /// none.
  void end(const ctx::cause& why = {}) const {
    detail::check(ctx_group_end(get(), why.get()), "ctx_group_end");
  }

  /// The first failure, or none.
  ctx::cause cause() const { return ctx::cause::share(ctx_group_cause(get())); }
  /// Blocks until nothing is left; then throws what the first piece of work to fail threw, or context_error
  /// if its cause is no exception.
  void wait() const { wait_ns(CTX_FOREVER); }
  /// The same with a limit in real time, after which it is false; true if nothing is left.
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> limit) const {
    return wait_ns(detail::to_ns(limit));
  }
  /// The same until a time.
  template <class Duration>
  bool wait_until(std::chrono::time_point<clock, Duration> time) const {
    return wait_ns(detail::until_ns(time));
  }
  /// Readable exactly while nothing is left. Borrowed: do not read it; it is open as long as the group. Throws if
  /// the system refuses it.
  int fd() const { return detail::check(ctx_group_fd(get()), "ctx_group_fd"); }
  /// A context that ends as soon as nothing is left, or at once if nothing is: for callbacks, queues, waits for
  /// several and `co_await group.over().done()`.
  context over() const {
    return detail::derive_plain("ctx_group_over",
                                [&](ctx_t** made) { return ctx_group_over(get(), made); });
  }

 private:
  explicit group(ctx_group_t* made) noexcept : handle_(made) {}
  bool wait_ns(std::int64_t limit_ns) const {
    const auto wait = [this](std::int64_t ns) { return ctx_group_wait(get(), ns); };
    const int over = detail::check(detail::uninterrupted(limit_ns, wait), "ctx_group_wait");
    if (over == 1) throw_failure(cause());
    return over == 1;
  }
  static void throw_failure(const ctx::cause& failure) {
    if (!failure) return;
#if defined(__cpp_exceptions)
    if (const std::exception_ptr thrown = failure.exception()) std::rethrow_exception(thrown);
    throw context_error(to_error_code(CTX_CANCELED), failure);
#else
    detail::fail(CTX_CANCELED, "ctx::group");
#endif
  }

  using handle = detail::handle<ctx_group_t, ctx_group_ref, ctx_group_unref>;
  handle handle_;
};

}  // namespace ctx

#endif  // CTX_GROUP_HPP
