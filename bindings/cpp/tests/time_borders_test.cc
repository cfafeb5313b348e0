// SPDX-License-Identifier: MIT
//
// Times at the borders of what fits: unsigned counts, ticks that are no whole number of nanoseconds, the last tick
// before "none", and the time until a point.
#include <cstdint>
#include <limits>
#include <ratio>

#include "cases.h"

namespace ctxtest {
namespace {

using Pico = std::chrono::duration<std::int64_t, std::pico>;
constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();

template <class Rep, class Period>
std::int64_t Ns(std::chrono::duration<Rep, Period> duration) {
  return ctx::detail::to_ns(duration);
}

TEST(TimeBorders, UnsignedCountsAreNotNegative) {
  using Unsigned = std::chrono::duration<std::uint64_t>;
  EXPECT_EQ(Ns(Unsigned(0)), 0);
  EXPECT_EQ(Ns(Unsigned(1)), 1'000'000'000);
  EXPECT_EQ(Ns(Unsigned(9'223'372'036)), 9'223'372'036'000'000'000);
  EXPECT_EQ(Ns(Unsigned(9'223'372'037)), CTX_FOREVER);
  EXPECT_EQ(Ns(std::chrono::duration<std::uint64_t, std::nano>(5)), 5);
  EXPECT_EQ(Ns(std::chrono::duration<std::uint64_t, std::nano>(INT64_MAX)), CTX_FOREVER);
  EXPECT_EQ(Ns(std::chrono::duration<std::uint8_t>(255)), 255'000'000'000);
}

TEST(TimeBorders, TicksThatAreNoWholeNanosecondsAreRoundedUp) {
  using ThreeHalves = std::chrono::duration<int, std::ratio<3, 2'000'000'000>>;  // of a nanosecond
  EXPECT_EQ(Ns(ThreeHalves(1)), 2);
  EXPECT_EQ(Ns(ThreeHalves(2)), 3);
  EXPECT_EQ(Ns(ThreeHalves(-1)), -1);
  EXPECT_EQ(Ns(Pico(999)), 1);
  EXPECT_EQ(Ns(Pico(1001)), 2);
  EXPECT_EQ(Ns(Pico(-999)), 0);
  EXPECT_EQ(Ns(std::chrono::duration<float>(0.0f)), 0);
  EXPECT_EQ(Ns(std::chrono::duration<double, std::nano>(0.001)), 1);
  EXPECT_EQ(Ns(std::chrono::duration<double, std::nano>(-0.999)), 0);
  EXPECT_EQ(Ns(std::chrono::duration<long double, std::nano>(7.0L)), 7);
}

TEST(TimeBorders, TheLastThatFitsFits) {
  EXPECT_EQ(Ns(std::chrono::nanoseconds(INT64_MAX - 1)), INT64_MAX - 1);
  EXPECT_EQ(Ns(std::chrono::nanoseconds(kMin + 1)), kMin + 1);
  EXPECT_EQ(Ns(std::chrono::microseconds(INT64_MAX / 1000)), INT64_MAX / 1000 * 1000);
  EXPECT_EQ(Ns(std::chrono::microseconds(INT64_MAX / 1000 + 1)), CTX_FOREVER);
  EXPECT_EQ(Ns(std::chrono::microseconds(kMin / 1000)), kMin / 1000 * 1000);
  EXPECT_EQ(Ns(std::chrono::microseconds(kMin / 1000 - 1)), kMin);
  EXPECT_EQ(Ns(std::chrono::seconds(kMin)), kMin);
  EXPECT_EQ(Ns(std::chrono::duration<double>(-std::numeric_limits<double>::infinity())), kMin);
  EXPECT_EQ(Ns(std::chrono::duration<double, std::nano>(9.3e18)), CTX_FOREVER);
  EXPECT_EQ(Ns(std::chrono::duration<double, std::nano>(-9.3e18)), kMin);
  EXPECT_EQ(Ns(std::chrono::duration<double, std::nano>(9e18)), 9'000'000'000'000'000'000);
}

TEST(TimeBorders, APointIsThatFarAway) {
  const auto until = [](auto time) { return ctx::detail::until_ns(time); };
  const ctx::time_point now = ctx::clock::now();
  EXPECT_EQ(until(ctx::time_point::max()), CTX_FOREVER);
  EXPECT_EQ(until(ctx::time_point::min()), 0);
  EXPECT_EQ(until(now), 0);
  EXPECT_LE(until(now + 1h), Ns(1h));
  EXPECT_GT(until(now + 1h), Ns(30min));
  using Hours = std::chrono::time_point<ctx::clock, std::chrono::hours>;
  EXPECT_EQ(until(Hours::max()), CTX_FOREVER);
  EXPECT_EQ(until(Hours::min()), 0);
  EXPECT_EQ(ctx::detail::to_time_point(5), ctx::time_point(5ns));
  EXPECT_EQ(ctx::detail::not_negative(-1), 0);
  EXPECT_EQ(ctx::detail::not_negative(1), 1);
}

}  // namespace
}  // namespace ctxtest
