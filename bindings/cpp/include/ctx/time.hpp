// SPDX-License-Identifier: MIT
//
// ctx/time.hpp - between std::chrono and the nanoseconds of the C functions. steady_clock is
// CLOCK_MONOTONIC in the C++ libraries of the platforms that libctx is for.
#ifndef CTX_TIME_HPP
#define CTX_TIME_HPP

#include <ctx/types.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <ctx/error.hpp>
#include <ratio>
#include <type_traits>

namespace ctx {

/// The clock of deadlines. A virtual loop counts its time points from 0 on instead, and one with
/// loop_clock::boottime has those of CLOCK_BOOTTIME: there a deadline is ctx.now() plus a duration.
using clock = std::chrono::steady_clock;
/// A deadline, or a loop's current time.
using time_point = clock::time_point;

namespace detail {

// Nanoseconds of any duration. It rounds fractions up, so that nothing ends early; a duration that does not
// fit becomes the largest time, which is "none", or the smallest.
template <class Rep, class Period>
std::int64_t to_ns(std::chrono::duration<Rep, Period> duration) {
  using std::chrono::nanoseconds;
  constexpr bool whole = std::ratio_divide<Period, std::nano>::den == 1;
  if constexpr (whole && !std::chrono::treat_as_floating_point_v<Rep>) {
    using wide = std::chrono::duration<std::common_type_t<Rep, std::int64_t>, Period>;
    const wide ticks = duration;
    if (ticks > std::chrono::duration_cast<wide>(nanoseconds::max())) return INT64_MAX;
    if constexpr (std::is_signed_v<Rep>) {
      if (ticks < std::chrono::duration_cast<wide>(nanoseconds::min())) return INT64_MIN;
    }
    return std::chrono::duration_cast<nanoseconds>(ticks).count();
  } else {
    const std::chrono::duration<long double, std::nano> ns(duration);
    if (std::isnan(ns.count())) fail(-EINVAL, "ctx: a duration that is not a number");
    if (ns.count() >= static_cast<long double>(INT64_MAX)) return INT64_MAX;
    if (ns.count() <= static_cast<long double>(INT64_MIN)) return INT64_MIN;
    return std::chrono::ceil<nanoseconds>(ns).count();
  }
}

template <class Duration>
std::int64_t to_ns(std::chrono::time_point<clock, Duration> time) {
  return to_ns(time.time_since_epoch());
}

inline time_point to_time_point(std::int64_t ns) noexcept {
  return time_point(std::chrono::duration_cast<clock::duration>(std::chrono::nanoseconds(ns)));
}

inline std::int64_t since_epoch_ns() noexcept {
  return std::chrono::nanoseconds(clock::now().time_since_epoch()).count();
}

// From now to a time; never negative.
template <class Duration>
std::int64_t until_ns(std::chrono::time_point<clock, Duration> time) {
  const std::int64_t ns = to_ns(time);
  const std::int64_t now = since_epoch_ns();
  return ns == INT64_MAX ? ns : ns <= now ? 0 : ns - now;
}

// The limit of a wait: with a time that has passed the wait only looks once, as in the standard library.
inline std::int64_t not_negative(std::int64_t ns) noexcept { return ns < 0 ? 0 : ns; }

// Calls a wait again with the rest of its limit whenever a signal handler has cut it short: as in the
// standard library, a signal handler ends no wait.
template <class Wait>
auto uninterrupted(std::int64_t limit_ns, Wait wait) {
  limit_ns = not_negative(limit_ns);
  const std::int64_t begin = limit_ns == 0 || limit_ns == INT64_MAX ? 0 : since_epoch_ns();
  const std::int64_t end = limit_ns > INT64_MAX - begin ? INT64_MAX : begin + limit_ns;
  auto result = wait(limit_ns);
  while (result == -EINTR) {
    result = wait(end == INT64_MAX ? INT64_MAX : not_negative(end - since_epoch_ns()));
  }
  return result;
}

}  // namespace detail
}  // namespace ctx

#endif  // CTX_TIME_HPP
