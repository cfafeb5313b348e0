// SPDX-License-Identifier: MIT
//
// ctx/wait.hpp - waiting for the first of several contexts. For one see context::wait().
#ifndef CTX_WAIT_HPP
#define CTX_WAIT_HPP

#include <cstddef>
#include <ctx/derive.hpp>
#include <ctx/time.hpp>
#include <initializer_list>
#include <optional>

namespace ctx {

namespace detail {
template <class Range>
std::optional<std::size_t> wait_any_ns(Range&& contexts, std::int64_t limit_ns) {
  const raw_handles raw(contexts);
  std::size_t index = 0;
  const int done = check(uninterrupted(limit_ns,
                                       [&](std::int64_t ns) {
                                         return ctx_wait_any(raw.data(), raw.size(), ns, &index);
                                       }),
                         "ctx::wait_any");
  return done == 1 ? std::optional<std::size_t>(index) : std::nullopt;
}
}  // namespace detail

/// Blocks until one of the contexts of a range is done; returns its index, the lowest if several are.
template <class Range>
std::size_t wait_any(Range&& contexts) {
  return *detail::wait_any_ns(contexts, CTX_FOREVER);
}
/// The same of contexts that are listed here.
inline std::size_t wait_any(std::initializer_list<context> contexts) {
  return *detail::wait_any_ns(contexts, CTX_FOREVER);
}

/// The same with a limit, after which it is none of them.
template <class Range, class Rep, class Period>
std::optional<std::size_t> wait_any_for(Range&& contexts,
                                        std::chrono::duration<Rep, Period> limit) {
  return detail::wait_any_ns(contexts, detail::to_ns(limit));
}
/// The same of contexts that are listed here.
template <class Rep, class Period>
std::optional<std::size_t> wait_any_for(std::initializer_list<context> contexts,
                                        std::chrono::duration<Rep, Period> limit) {
  return detail::wait_any_ns(contexts, detail::to_ns(limit));
}

/// Until a time, after which it is none of them.
template <class Range, class Duration>
std::optional<std::size_t> wait_any_until(Range&& contexts,
                                          std::chrono::time_point<clock, Duration> time) {
  return detail::wait_any_ns(contexts, detail::until_ns(time));
}
/// The same of contexts that are listed here.
template <class Duration>
std::optional<std::size_t> wait_any_until(std::initializer_list<context> contexts,
                                          std::chrono::time_point<clock, Duration> time) {
  return detail::wait_any_ns(contexts, detail::until_ns(time));
}

}  // namespace ctx

#endif  // CTX_WAIT_HPP
