// SPDX-License-Identifier: MIT
//
// Texts on their way to C and back: of every length, and whatever they are made of.
#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>

#include "calls.h"
#include "cases.h"

namespace ctxtest {
namespace {

TEST(Texts, DescriptionsOfEveryLengthAreWhole) {
  std::string name;
  for (int length = 0; length < 300; ++length) {
    name += static_cast<char>('a' + length % 26);
    ASSERT_EQ(ctx::with_name(ctx::background(), name).describe(),
              "context.Background.WithName(" + name + ")");
  }
}
TEST(Texts, ADescriptionMayGrowWhileItIsWritten) {
  for (const std::size_t grows : {1u, 15u, 16u, 17u, 100u}) {
    std::string text(80, 'x');
    int calls = 0;
    const Answer<ctx_describe> answers([&](const ctx_t*, char* to, std::size_t size) {
      if (++calls < 4) text.append(grows, 'y');
      EXPECT_GE(size, text.copy(to, size - 1));
      to[std::min(size - 1, text.size())] = '\0';
      return static_cast<int>(text.size());
    });
    EXPECT_EQ(ctx::background().describe(), text);
  }
}

TEST(Texts, TextsAreWholeWhateverTheyAreMadeOf) {
  const std::string empty;
  const auto of = [](auto&& text) { return ctx::cause(-EIO, text); };
  EXPECT_EQ(of(empty).message(), "");
  EXPECT_EQ(of(std::string_view()).message(), "");
  EXPECT_EQ(of("").message(), "");
  EXPECT_NE(of(nullptr).message(), "") << "the text of the code";
  EXPECT_EQ(ctx::cause(std::string_view("abc").substr(0, 2)).message(), "ab");
  const std::string is_long(1000, 'x');
  EXPECT_EQ(of(is_long).message(), is_long);
  EXPECT_EQ(of(std::string_view(is_long).substr(1)).message().size(), 999u);
  EXPECT_EQ(of(std::string(100, 'a') + '\0').message(), std::string(100, 'a') + "\xEF\xBF\xBD");

  const ctx::context ctx = ctx::with_string(ctx::background(), std::string_view("name"), empty);
  EXPECT_EQ(ctx.string(std::string("name")), "");
  EXPECT_EQ(ctx::with_string(ctx, "name", std::string_view()).string("name"), "");
  EXPECT_FALSE(ctx::with_string(ctx, "name", nullptr).string("name"));
  EXPECT_FALSE(ctx.string(nullptr));
  const auto refused = [&](auto&& call) { ExpectThrows(std::errc::invalid_argument, call); };
  const std::string cut("na\0me", 5), ends("name\0", 5);
  refused([&] { (void)ctx::with_string(ctx, cut, "value"); });
  refused([&] { (void)ctx::with_string(ctx, std::string_view(ends), "value"); });
  refused([&] { (void)ctx::with_name(ctx, ends); });
  refused([&] { (void)ctx::without_string(ctx, cut); });
  refused([&] { (void)ctx::with_string(ctx, nullptr, "value"); });
  refused([&] { (void)ctx::with_name(ctx, nullptr); });
}

// The room for all is there before C calls back: nothing may be thrown through C.
TEST(Texts, ManyTextsAreListed) {
  ctx::context ctx;
  for (int i = 0; i < 100; ++i)
    ctx = ctx::with_string(ctx, std::to_string(i), "of " + std::to_string(i));
  const auto all = ctx.strings();
  ASSERT_EQ(all.size(), 100u);
  EXPECT_EQ(all.capacity(), 100u);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(all[static_cast<std::size_t>(i)].first, std::to_string(99 - i));
    EXPECT_EQ(all[static_cast<std::size_t>(i)].second, "of " + std::to_string(99 - i));
  }
}

}  // namespace
}  // namespace ctxtest
