// SPDX-License-Identifier: MIT
//
// Contexts, causes and errors as arguments of fmt::format and, compiled once more, of std::format.
#if defined(CTX_TESTS_FMT)
#include <ctx/fmt.hpp>
namespace formats = fmt;
#else
#include <ctx/format.hpp>
namespace formats = std;
#endif

#include <string>
#include <utility>

#include "cases.h"

namespace ctxtest {
namespace {

const ctx::key<int> kUser("user");

TEST(Formatting, AContextReadsAsItIsDescribed) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::with_value(ctx::background(), kUser, 1));
  EXPECT_EQ(formats::format("{}", ctx), "context.Background.WithValue(user).WithCancel");
  EXPECT_EQ(formats::format("{}", ctx), ctx.describe());
  EXPECT_EQ(formats::format("<{}> <{}>", ctx::background(), ctx::todo()),
            "<context.Background> <context.TODO>");
}

TEST(Formatting, TheSpecificationsAreThoseOfText) {
  EXPECT_EQ(formats::format("{:*^24}", ctx::background()), "***context.Background***");
  EXPECT_EQ(formats::format("{:.7}|", ctx::background()), "context|");
  EXPECT_EQ(formats::format("{:>{}}", ctx::cause("gone"), 6), "  gone");
}

TEST(Formatting, AnEmptyContextIsNoExceptionInALog) {
  ctx::context ctx = ctx::background();
  const ctx::context taken = std::move(ctx);
  EXPECT_EQ(formats::format("{}", ctx), "no context");  // NOLINT: to see what is left
}

TEST(Formatting, ACauseReadsAsItsMessage) {
  EXPECT_EQ(formats::format("{}", ctx::cause(std::errc::io_error, "{} is no format")),
            "{} is no format");
  EXPECT_EQ(formats::format("{}", ctx::cause(std::errc::timed_out)), "context deadline exceeded");
  EXPECT_EQ(formats::format("[{}]", ctx::cause()), "[]");
}

TEST(Formatting, AnErrorReadsAsErrorAndCause) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  cancel(ctx::cause(std::errc::connection_reset, "client went away"));
  try {
    ctx.throw_if_done();
    FAIL();
  } catch (const ctx::context_error& e) {
    EXPECT_EQ(formats::format("{}", e), "context canceled: client went away");
    EXPECT_EQ(formats::format("{:.16}", e), "context canceled");
  }
}

}  // namespace
}  // namespace ctxtest
