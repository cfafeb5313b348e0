// SPDX-License-Identifier: MIT
//
// ctx/queue.hpp - very many contexts on one descriptor.
#ifndef CTX_QUEUE_HPP
#define CTX_QUEUE_HPP

#include <ctx/queue.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <ctx/callback.hpp>
#include <ctx/context.hpp>
#include <utility>
#include <vector>

namespace ctx {

/// The event of a context that is done: its token, and in err a result for to_error_code().
using event = ::ctx_event_t;

/// Gets one event from each added context when that is done. Copies are the same queue; the last one takes
/// all its entries back.
class queue {
 public:
  /// Throws if the system refuses memory.
  queue() : handle_(make()) {}

  /// For the C functions, which borrow it; null if moved from.
  ctx_queue_t* get() const noexcept { return handle_.get(); }
  /// Readable exactly while events wait. Borrowed: do not read it; it is open as long as the queue. Throws
  /// if the system refuses it.
  int fd() const { return detail::check(ctx_queue_fd(get()), "ctx_queue_fd"); }

  /// Posts one event with this token when the context is done, or now if it is. The queue keeps the
  /// context until the event is drained.
  void add(const context& ctx, std::uint64_t token) const {
    detail::check(ctx_queue_add(get(), ctx.get(), token, nullptr), "ctx_queue_add");
  }
  /// The same, with a watch: stopping it withdraws the entry, also an event that is not drained yet.
  [[nodiscard]] watch add_watch(const context& ctx, std::uint64_t token) const {
    ctx_watch_t* armed = nullptr;
    detail::check(ctx_queue_add(get(), ctx.get(), token, &armed), "ctx_queue_add");
    return watch::adopt(armed);
  }

  /// Takes up to n events, in the order they were posted; returns how many. Never blocks.
  std::size_t drain(event* events, std::size_t n) const {
    return static_cast<std::size_t>(
        detail::check(ctx_queue_drain(get(), events, n), "ctx_queue_drain"));
  }
  /// Takes at most n events with their contexts: for the cause of each end, or for values. Never blocks.
  std::vector<std::pair<event, context>> drain_contexts(std::size_t n) const {
    std::vector<std::pair<event, context>> all;
    all.reserve(n);  // so that nothing that was taken can be lost
    while (n > 0) {
      constexpr std::size_t kSome = 64;
      event events[kSome];
      ctx_t* contexts[kSome];
      const std::int64_t taken =
          ctx_queue_drain_ctxs(get(), events, contexts, n < kSome ? n : kSome);
      const auto count = static_cast<std::size_t>(detail::check(taken, "ctx_queue_drain_ctxs"));
      for (std::size_t i = 0; i < count; ++i) {
        all.emplace_back(events[i], context::adopt(contexts[i]));
      }
      n -= count;
      if (count < kSome) break;
    }
    return all;
  }
  /// The same as drain(), and waits for the first one.
  std::size_t wait(event* events, std::size_t n) const { return wait_ns(events, n, CTX_FOREVER); }
  /// The same with a limit in real time, after which it is 0.
  template <class Rep, class Period>
  std::size_t wait_for(event* events, std::size_t n,
                       std::chrono::duration<Rep, Period> limit) const {
    return wait_ns(events, n, detail::to_ns(limit));
  }

  /// Any array, std::array, std::vector or std::span of events.
  template <class Events>
  auto drain(Events&& events) const -> decltype(drain(std::data(events), std::size(events))) {
    return drain(std::data(events), std::size(events));
  }
  /// The same of wait().
  template <class Events>
  auto wait(Events&& events) const -> decltype(wait(std::data(events), std::size(events))) {
    return wait(std::data(events), std::size(events));
  }
  /// The same of wait_for().
  template <class Events, class Rep, class Period>
  auto wait_for(Events&& events, std::chrono::duration<Rep, Period> limit) const
      -> decltype(wait_for(std::data(events), std::size(events), limit)) {
    return wait_for(std::data(events), std::size(events), limit);
  }

 private:
  static ctx_queue_t* make() {
    ctx_queue_t* made = nullptr;
    detail::check(ctx_queue_new(&made), "ctx_queue_new");
    return made;
  }
  std::size_t wait_ns(event* events, std::size_t n, std::int64_t limit_ns) const {
    const auto wait = [&](std::int64_t ns) { return ctx_queue_wait(get(), events, n, ns); };
    return static_cast<std::size_t>(
        detail::check(detail::uninterrupted(limit_ns, wait), "ctx_queue_wait"));
  }

  detail::handle<ctx_queue_t, ctx_queue_ref, ctx_queue_unref> handle_;
};

}  // namespace ctx

#endif  // CTX_QUEUE_HPP
