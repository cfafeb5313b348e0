// SPDX-License-Identifier: MIT
//
// ctx/stop_token.hpp - C++20: a context as a std::stop_token, and a std::stop_token as a parent.
#ifndef CTX_STOP_TOKEN_HPP
#define CTX_STOP_TOKEN_HPP

#include <ctx/callback.hpp>
#include <ctx/derive.hpp>

#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_lib_jthread)
#define CTX_HAS_STOP_TOKEN 1

#include <memory>
#include <stop_token>
#include <utility>

namespace ctx {

/// A context as a std::stop_source that stops when the context is done, as long as this object lives. Hand
/// its tokens to anything that takes one. Once this object is gone, its tokens never stop.
class [[nodiscard]] stop_source {
 public:
  /// For a context that is done already: a source that has stopped.
  explicit stop_source(const context& ctx)
      : watch_(detail::arm(ctx, CTX_BLOCKING,  // stop callbacks are somebody's code
                           [source = source_]() mutable { source.request_stop(); })) {}
  /// Moves the tie to the context; the other must not be used any more.
  stop_source(stop_source&&) noexcept = default;
  stop_source& operator=(stop_source&&) = delete;
  // Does not wait for stop callbacks that run: the armed function has a stop state of its own.
  ~stop_source() { ctx_watch_stop(watch_.get()); }

  /// A token that stops with the context.
  std::stop_token get_token() const& noexcept { return source_.get_token(); }
  std::stop_token get_token() const&& = delete;  // it would never be stopped
  /// Whether it has stopped.
  bool stop_requested() const noexcept { return source_.stop_requested(); }

 private:
  std::stop_source source_;
  watch watch_;
};

namespace detail {

// Cancels a context when a token is stopped. It is a value between that context and the one that is handed
// out, and so lives as long as the latter. That holds for merged contexts, too: of each parent but the first
// they keep no value that was set on it last, but they keep the values above that parent.
class stop_link {
 public:
  stop_link(std::stop_token token, canceler cancel)
      : callback_(
            std::move(token),
            request{std::move(cancel), cause(CTX_CANCELED, "std::stop_token: stop requested")}) {}

 private:
  struct request {
    canceler cancel;
    cause why;
    void operator()() const noexcept {
      // A callback of this cancel may release the link, and this with it.
      const canceler held = cancel;
      const cause reason = why;
      ctx_cancel_with(held.get(), CTX_CANCELED, reason.get());
    }
  };
  std::stop_callback<request> callback_;
};

inline constexpr ctx_key_t stop_link_key{"std::stop_token"};

}  // namespace detail

/// Derives a context that also ends, with std::errc::operation_canceled, when a token is stopped. Freeing
/// the last context below it waits, as a std::stop_callback does, while the token's stop runs callbacks on
/// another thread.
[[nodiscard]] inline derived with_stop_token(const context& parent, std::stop_token token) {
  if (!token.stop_possible()) return with_cancel(parent);
  derived stopped = with_cancel(parent);
  auto link = std::make_unique<detail::stop_link>(std::move(token), std::move(stopped.second));
  const context linked = detail::derive_plain("ctx::with_stop_token", [&](ctx_t** made) {
    return ctx_with_value(stopped.first.get(), &detail::stop_link_key, link.get(),
                          &detail::drop<detail::stop_link>, made);
  });
  static_cast<void>(link.release());
  return with_cancel(linked);
}

}  // namespace ctx

#endif
#endif  // CTX_STOP_TOKEN_HPP
