// SPDX-License-Identifier: MIT
//
// Values: typed keys, any type, the nearest wins; and texts, which all languages share.
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cases.h"

namespace ctxtest {
namespace {

inline constexpr ctx::key<std::string> kUser("user");
inline constexpr ctx::key<std::string> kOther("user");

static_assert(!std::is_copy_constructible_v<ctx::key<int>>);

// What a T can be made of, but nothing that a C cast would have to force.
template <class T, class U, class = void>
struct TakesValue : std::false_type {};
template <class T, class U>
struct TakesValue<
    T, U,
    std::void_t<decltype(ctx::with_value(std::declval<ctx::context>(),
                                         std::declval<const ctx::key<T>&>(), std::declval<U>())),
                decltype(ctx::cause(0, "", std::declval<const ctx::key<T>&>(), std::declval<U>()))>>
    : std::true_type {};

static_assert(TakesValue<std::string, const char*>::value);
static_assert(TakesValue<std::int64_t, int>::value);
static_assert(TakesValue<std::vector<int>, std::size_t>::value);
static_assert(TakesValue<const char*, char*>::value);
static_assert(TakesValue<const char*, std::nullptr_t>::value);
static_assert(!TakesValue<char*, const char*>::value);
static_assert(!TakesValue<int*, double*>::value);
static_assert(!TakesValue<int*, std::uintptr_t>::value);
static_assert(!TakesValue<int*, void*>::value);
static_assert(!TakesValue<std::string, int*>::value);

TEST(Values, AreFoundByTheirKeyAlone) {
  const ctx::context ctx = ctx::with_value(ctx::background(), kUser, "red");
  const ctx::context below = ctx::with_cancel(ctx).first;
  ASSERT_TRUE(below.value(kUser));
  EXPECT_EQ(*below.value(kUser), "red");
  EXPECT_EQ(below.value(kUser)->size(), 3u);
  EXPECT_EQ(below.value(kUser), ctx.value(kUser));
  EXPECT_FALSE(below.value(kOther));
  EXPECT_EQ(ctx::background().value(kUser), nullptr);
  EXPECT_NE(ctx.describe().find("WithValue(user)"), std::string::npos);
}

TEST(Values, TheNearestWinsAndMayHide) {
  const ctx::context first = ctx::with_value(ctx::background(), kUser, "red");
  const ctx::context second = ctx::with_value(first, kUser, "grace");
  const ctx::context hidden = ctx::without_value(second, kUser);
  EXPECT_EQ(*first.value(kUser), "red");
  EXPECT_EQ(*second.value(kUser), "grace");
  EXPECT_FALSE(hidden.value(kUser));
}

TEST(Values, OutliveTheCancel) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::with_value(ctx::background(), kUser, "red"));
  cancel();
  EXPECT_EQ(*ctx.value(kUser), "red");
  EXPECT_EQ(*ctx::without_cancel(ctx).value(kUser), "red");
}

template <class T>
void ExpectKept(const std::vector<T>& values) {
  static const ctx::key<T> key("kept");
  for (const T& value : values) {
    const ctx::context ctx = ctx::with_value(ctx::background(), key, value);
    const T* const found = ctx.value(key);
    ASSERT_TRUE(found);
    EXPECT_EQ(*found, value);
    EXPECT_FALSE(ctx::without_value(ctx, key).value(key));
  }
}

TEST(Values, ZeroIsAValue) {
  ExpectKept<char>({0, 1, -1});
  ExpectKept<int>({0, 1, -1, std::numeric_limits<int>::min()});
  ExpectKept<std::int64_t>({0, 1, -1, std::numeric_limits<std::int64_t>::min()});
  ExpectKept<std::uint64_t>({0, std::numeric_limits<std::uint64_t>::max()});
  ExpectKept<double>({0.0, -0.0, 1.5});
  ExpectKept<std::chrono::nanoseconds>({0ns, 1ns});
  ExpectKept<long double>({0.0L, 1.5L});
  static const ctx::key<bool> flag("flag");
  const ctx::context off = ctx::with_value(ctx::background(), flag, false);
  ASSERT_TRUE(off.value(flag));
  EXPECT_FALSE(*off.value(flag));
  enum class Kind : char { kNone, kSome };
  ExpectKept<Kind>({Kind::kNone, Kind::kSome});
}

TEST(Values, ANullPointerIsAValue) {
  static const ctx::key<const int*> key("pointer");
  static const int number = 7;
  const ctx::context ctx = ctx::with_value(ctx::background(), key, &number);
  EXPECT_EQ(*ctx.value(key), &number);
  const ctx::context null = ctx::with_value(ctx, key, nullptr);
  ASSERT_TRUE(null.value(key));
  EXPECT_EQ(*null.value(key), nullptr);
}

TEST(Values, WithoutADefaultOrACopy) {
  struct Three {
    explicit Three(int n) : number(n) {}
    int number;
  };
  static const ctx::key<Three> three("three");
  EXPECT_EQ(ctx::with_value(ctx::background(), three, Three(3)).value(three)->number, 3);
  static const ctx::key<std::unique_ptr<int>> unique("unique");
  const ctx::context ctx = ctx::with_value(ctx::background(), unique, std::make_unique<int>(4));
  EXPECT_EQ(**ctx.value(unique), 4);
  struct alignas(64) Wide {
    int number = 5;
  };
  static const ctx::key<Wide> wide("wide");
  const ctx::context aligned = ctx::with_value(ctx::background(), wide, Wide{});
  EXPECT_EQ(aligned.value(wide)->number, 5);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(aligned.value(wide)) % 64, 0u);
}

TEST(Values, TextIsSharedWithC) {
  const std::string name = "trace-id";
  const ctx::context ctx = ctx::with_string(ctx::background(), name, "4711");
  EXPECT_STREQ(ctx_string(ctx.get(), "trace-id"), "4711");
  EXPECT_EQ(ctx.string("trace-id"), "4711");
  EXPECT_EQ(ctx.string(name), "4711");
  EXPECT_FALSE(ctx.string("other"));
  EXPECT_EQ(ctx::with_string(ctx, name, "").string(name), "");
  EXPECT_FALSE(ctx::without_string(ctx, name).string(name));
}

// A part of a text ends where the view ends, and not at the next NUL.
TEST(Values, TextMayBeAView) {
  const std::string_view header = "trace-id: 4711; user: ada";
  const std::string_view name = header.substr(0, 8), value = header.substr(10, 4);
  const ctx::context ctx = ctx::with_string(ctx::background(), name, value);
  EXPECT_STREQ(ctx_string(ctx.get(), "trace-id"), "4711");
  EXPECT_EQ(ctx.string(name), "4711");
  EXPECT_FALSE(ctx::without_string(ctx, name).string(name));
  EXPECT_NE(ctx::with_name(ctx, value).describe().find("4711"), std::string::npos);
  EXPECT_EQ(ctx::cause(-EIO, header.substr(16, 4)).message(), "user");
  EXPECT_EQ(ctx::cause(header.substr(22)).message(), "ada");
  EXPECT_EQ(ctx::cause(std::string_view("a\0b", 3)).message(),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_THROW((void)ctx::with_string(ctx, "name", std::string_view("a\0b", 3)), std::system_error);
}

TEST(Values, AllTextIsListed) {
  using pairs = std::vector<std::pair<std::string_view, std::string_view>>;
  EXPECT_EQ(ctx::background().strings(), pairs());
  ctx::context ctx = ctx::with_string(ctx::background(), "trace-id", "outer");
  ctx = ctx::with_string(ctx::with_string(ctx, "user", "ada"), "trace-id", "inner");
  EXPECT_EQ(ctx.strings(), (pairs{{"trace-id", "inner"}, {"user", "ada"}}));
  EXPECT_EQ(ctx::without_string(ctx, "user").strings(), (pairs{{"trace-id", "inner"}}));
}

}  // namespace
}  // namespace ctxtest
