// SPDX-License-Identifier: MIT
//
// Times: any std::chrono duration, exactly; what is too large is none; other clocks do not compile.
#include <cmath>
#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>

#include "cases.h"

namespace ctxtest {
namespace {

using std::chrono::duration;
using std::chrono::nanoseconds;

template <class Time, class = void>
struct TakesDeadline : std::false_type {};
template <class Time>
struct TakesDeadline<Time, std::void_t<decltype(ctx::with_deadline(std::declval<ctx::context>(),
                                                                   std::declval<Time>()))>>
    : std::true_type {};
template <class Time, class = void>
struct TakesTimeout : std::false_type {};
template <class Time>
struct TakesTimeout<Time, std::void_t<decltype(ctx::with_timeout(std::declval<ctx::context>(),
                                                                 std::declval<Time>()))>>
    : std::true_type {};

static_assert(TakesDeadline<std::chrono::steady_clock::time_point>::value);
static_assert(
    TakesDeadline<std::chrono::time_point<std::chrono::steady_clock, std::chrono::seconds>>::value);
static_assert(!TakesDeadline<std::chrono::system_clock::time_point>::value);
static_assert(!TakesDeadline<std::int64_t>::value);
static_assert(TakesTimeout<duration<double>>::value);
static_assert(!TakesTimeout<int>::value);
static_assert(!TakesTimeout<std::chrono::steady_clock::time_point>::value);

TEST(Times, AreExact) {
  EXPECT_EQ(ctx::detail::to_ns(1ns), 1);
  EXPECT_EQ(ctx::detail::to_ns(-3us), -3000);
  EXPECT_EQ(ctx::detail::to_ns(duration<int, std::milli>(2)), 2'000'000);
  EXPECT_EQ(ctx::detail::to_ns(duration<unsigned>(4'000'000'000u)), 4'000'000'000'000'000'000);
  EXPECT_EQ(ctx::detail::to_ns(duration<short, std::ratio<3600>>(-1)), -3'600'000'000'000);
  EXPECT_EQ(ctx::detail::to_ns(duration<double>(0.5)), 500'000'000);
  EXPECT_EQ(ctx::detail::to_ns(duration<float, std::milli>(-0.25f)), -250'000);
}

TEST(Times, FractionsAreRoundedUp) {
  EXPECT_EQ(ctx::detail::to_ns(duration<std::int64_t, std::pico>(1)), 1);
  EXPECT_EQ(ctx::detail::to_ns(duration<std::int64_t, std::pico>(1000)), 1);
  EXPECT_EQ(ctx::detail::to_ns(duration<std::int64_t, std::pico>(-1500)), -1);
  EXPECT_EQ(ctx::detail::to_ns(duration<double, std::nano>(1.25)), 2);
  EXPECT_EQ(ctx::detail::to_ns(duration<int, std::ratio<1, 3>>(1)), 333'333'334);
}

TEST(Times, PointsAreConvertedAsDurationsAre) {
  const auto point = [](auto since_epoch) {
    return ctx::detail::to_ns(
        std::chrono::time_point<ctx::clock, decltype(since_epoch)>(since_epoch));
  };
  EXPECT_EQ(point(duration<std::int64_t, std::pico>(1001)), 2);
  EXPECT_EQ(point(duration<double>(1e-10)), 1);
  EXPECT_EQ(point(duration<double>(1e300)), CTX_FOREVER);
  EXPECT_EQ(point(std::chrono::hours::max()), CTX_FOREVER);
  EXPECT_EQ(point(std::chrono::hours::min()), std::numeric_limits<std::int64_t>::min());
}

TEST(Times, TooLargeIsNone) {
  EXPECT_EQ(ctx::detail::to_ns(nanoseconds::max()), CTX_FOREVER);
  EXPECT_EQ(ctx::detail::to_ns(nanoseconds::min()), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(ctx::detail::to_ns(std::chrono::hours(2'562'047)), 2'562'047 * 3'600'000'000'000);
  EXPECT_EQ(ctx::detail::to_ns(std::chrono::hours(-2'562'047)), -2'562'047 * 3'600'000'000'000);
  EXPECT_EQ(ctx::detail::to_ns(std::chrono::hours(2'562'048)), CTX_FOREVER);
  EXPECT_EQ(ctx::detail::to_ns(std::chrono::hours::max()), CTX_FOREVER);
  EXPECT_EQ(ctx::detail::to_ns(std::chrono::hours::min()),
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(ctx::detail::to_ns(duration<std::uint64_t>::max()), CTX_FOREVER);
  EXPECT_EQ(ctx::detail::to_ns(duration<double>(std::numeric_limits<double>::infinity())),
            CTX_FOREVER);
  EXPECT_EQ(ctx::detail::to_ns(duration<double>(1e300)), CTX_FOREVER);
  EXPECT_EQ(ctx::detail::to_ns(duration<double>(-1e300)), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(ctx::detail::to_ns(ctx::time_point::max()), CTX_FOREVER);
  EXPECT_FALSE(ctx::with_timeout(ctx::background(), std::chrono::hours::max()).first.deadline());
  EXPECT_FALSE(ctx::with_deadline(ctx::background(), ctx::time_point::max()).first.deadline());
  EXPECT_TRUE(ctx::with_deadline(ctx::background(), ctx::time_point::min()).first.is_done());
}

TEST(Times, NotANumberIsRefused) {
  ExpectThrows(std::errc::invalid_argument,
               [] { (void)ctx::with_timeout(ctx::background(), duration<double>(std::nan(""))); });
}

TEST(Times, OfTheLibraryAreThoseOfSteadyClock) {
  const ctx::time_point before = std::chrono::steady_clock::now();
  const ctx::time_point now = ctx::background().now();
  const ctx::time_point after = std::chrono::steady_clock::now();
  EXPECT_LE(before, now);
  EXPECT_LE(now, after);
}

}  // namespace
}  // namespace ctxtest
