// SPDX-License-Identifier: MIT
//
// Causes: code, text and data; the plain ones; exceptions that become causes and come back.
#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>
#if __cplusplus >= 202002L
#include <source_location>
#endif

#include "cases.h"
#include "hidden.h"

namespace ctxtest {
namespace {

TEST(Causes, NoneWhileLive) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  EXPECT_FALSE(ctx.cause());
  EXPECT_EQ(ctx.cause().message(), "");
  EXPECT_EQ(ctx.cause(), ctx::cause());
}

// Programs hand message().data() to printf, of a context that may be live.
TEST(Causes, TheMessageOfNoneIsATextOfCToo) {
  const std::string_view none = ctx::cause().message();
  ASSERT_NE(none.data(), nullptr);
  EXPECT_EQ(*none.data(), '\0');
}

TEST(Causes, ThePlainOneIsThatOfTheError) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  cancel();
  EXPECT_EQ(ctx.cause().code(), CTX_CANCELED);
  EXPECT_EQ(ctx.cause().message(), "context canceled");
  const auto [late, unused] = ctx::with_timeout(ctx::background(), 0ns);
  EXPECT_EQ(late.cause().message(), "context deadline exceeded");
}

TEST(Causes, GoDownTheTree) {
  const auto [parent, cancel] = ctx::with_cancel(ctx::background());
  const auto [child, unused] = ctx::with_cancel(parent);
  const ctx::cause why(std::errc::broken_pipe, std::string("the pipe"));
  EXPECT_TRUE(cancel(why));
  EXPECT_EQ(child.cause(), why);
  EXPECT_EQ(child.cause().code(), -EPIPE);
  EXPECT_EQ(child.cause().message(), "the pipe");
}

TEST(Causes, OfADeadlineThatFired) {
  const ctx::cause why(-1, "budget");
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms, why);
  ASSERT_TRUE(ctx.wait_for(kWatchdog));
  EXPECT_EQ(ctx.cause(), why);
  const auto [other, unused] = ctx::with_deadline(ctx::background(), ctx::clock::now() + 1ms, why);
  ASSERT_TRUE(other.wait_for(kWatchdog));
  EXPECT_EQ(other.cause(), why);
  EXPECT_EQ(other.err(), std::errc::timed_out);
}

TEST(Causes, ANullMessageIsTheTextOfTheCode) {
  EXPECT_EQ(ctx::cause(CTX_CANCELED).message(), "context canceled");
  EXPECT_EQ(ctx::cause(std::errc::timed_out).message(), "context deadline exceeded");
}

TEST(Causes, AreGivenIfTheySayMoreThanTheError) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  EXPECT_FALSE(ctx.cause().given()) << "none";
  cancel();
  EXPECT_FALSE(ctx.cause().given());
  EXPECT_FALSE(ctx::cause(std::errc::timed_out).given());
  EXPECT_TRUE(ctx::cause(std::errc::broken_pipe).given());
  EXPECT_TRUE(ctx::cause("context canceled").given()) << "somebody said so";
}

TEST(Causes, TellWhoEndedTheContext) {
  EXPECT_EQ(ctx::cause().origin(), ctx::origin::none);
  EXPECT_EQ(ctx::cause("a text").origin(), ctx::origin::canceled);
  const auto [late, unused] = ctx::with_timeout(ctx::background(), 0ns, ctx::cause("budget"));
  EXPECT_EQ(late.cause().origin(), ctx::origin::deadline);
  const ctx::cause told(ctx::origin::peer, -ECONNRESET, "reset");
  EXPECT_EQ(told.origin(), ctx::origin::peer);
  EXPECT_EQ(told.code(), -ECONNRESET);
  EXPECT_EQ(told.message(), "reset");
  EXPECT_EQ(ctx::cause(static_cast<ctx::origin>(200), 1).origin(), static_cast<ctx::origin>(200));
  EXPECT_THROW(ctx::cause(static_cast<ctx::origin>(256), 1), std::system_error);
}

TEST(Causes, TellWhereTheyWereMadeIfAsked) {
  EXPECT_FALSE(ctx::cause().place());
  EXPECT_FALSE(ctx::cause("a text").place());
  const int line = __LINE__ + 1;
  const ctx::cause here("no longer wanted", ctx::here());
  EXPECT_STREQ(here.place().file(), __FILE__);
  EXPECT_EQ(here.place().line(), line);
  EXPECT_STREQ(here.place().function(), __func__);
  EXPECT_EQ(here.message(), "no longer wanted");
  const ctx::cause gone(std::errc::broken_pipe, "gone", ctx::here());
  EXPECT_EQ(gone.place().line(), line + 5);
  const auto thrown = std::make_exception_ptr(std::runtime_error("broken"));
  const ctx::cause error(thrown, ctx::here());
  EXPECT_EQ(error.place().line(), line + 8);
  EXPECT_EQ(error.exception(), thrown);
}

#ifdef __cpp_lib_source_location  // clang 14 has none with libstdc++ 12
TEST(Causes, ASourceLocationIsAPlace) {
  const auto location = std::source_location::current();
  const ctx::cause cause(-1, "somewhere", location);
  EXPECT_STREQ(cause.place().file(), location.file_name());
  EXPECT_EQ(cause.place().line(), static_cast<int>(location.line()));
  EXPECT_STREQ(cause.place().function(), location.function_name());
}
#endif

TEST(Causes, ATextAloneHasTheCodeOfACancel) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  EXPECT_TRUE(cancel(ctx::cause("the client has gone")));
  EXPECT_EQ(ctx.cause().code(), CTX_CANCELED);
  EXPECT_EQ(ctx.cause().message(), "the client has gone");
  EXPECT_EQ(ctx::cause(std::string("a text")).message(), "a text");
}

TEST(Causes, ANulInAMessageIsShown) {
  const std::string words("a\0b\0", 4);
  EXPECT_EQ(ctx::cause(-1, words).message(),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
  EXPECT_EQ(ctx::cause(std::errc::io_error, std::string(1, '\0')).message(), "\xEF\xBF\xBD");
}

TEST(Causes, DataIsSeenByItsKeyAlone) {
  static const ctx::key<int> key("one"), other("other");
  const ctx::cause why(-EIO, "why", key, 0);
  ASSERT_TRUE(why.data(key));
  EXPECT_EQ(*why.data(key), 0);
  EXPECT_FALSE(why.data(other));
  EXPECT_FALSE(ctx::cause(-EIO).data(key));
}

TEST(Causes, AnExceptionComesBack) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  try {
    throw std::out_of_range("no such row");
  } catch (...) {
    cancel(ctx::cause(std::current_exception()));
  }
  EXPECT_EQ(ctx.cause().message(), "no such row");
  EXPECT_EQ(ctx.cause().code(), CTX_CANCELED);
  EXPECT_THROW(std::rethrow_exception(ctx.cause().exception()), std::out_of_range);
  EXPECT_EQ(ctx::cause(-EIO).exception(), nullptr);
}

TEST(Causes, AnExceptionComesBackFromALibraryThatHidesItsSymbols) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  CancelForAnException(cancel);
  ASSERT_TRUE(ctx.cause().exception());
  EXPECT_THROW(std::rethrow_exception(ctx.cause().exception()), std::out_of_range);
  EXPECT_THROW(ThrowIfDone(ctx), ctx::context_error);
}

TEST(Causes, ASystemErrorKeepsItsErrno) {
  const std::system_error error(std::make_error_code(std::errc::no_space_on_device), "disk");
  const ctx::cause why(std::make_exception_ptr(error));
  EXPECT_EQ(why.code(), -ENOSPC);
  EXPECT_EQ(why.message(), error.what());
  EXPECT_EQ(ctx::cause(std::make_exception_ptr(7)).message(), "an exception");
  ExpectThrows(std::errc::invalid_argument, [] { (void)ctx::cause(std::exception_ptr()); });
}

// Numbers of somebody's own, some of which mean an errno.
class Protocol : public std::error_category {
 public:
  const char* name() const noexcept override { return "protocol"; }
  std::string message(int number) const override { return "status " + std::to_string(number); }
  std::error_condition default_error_condition(int number) const noexcept override {
    if (number == 503) return std::errc::resource_unavailable_try_again;
    return std::error_category::default_error_condition(number);
  }
};

TEST(Causes, AnErrorOfAnotherCategoryHasTheErrnoThatItMeans) {
  const Protocol protocol;
  const auto of = [&](int number) {
    const std::system_error error(number, protocol, "the server");
    return ctx::cause(std::make_exception_ptr(error));
  };
  EXPECT_EQ(of(503).code(), -EAGAIN);
  EXPECT_EQ(of(503).message(), "the server: status 503");
  EXPECT_EQ(of(ENOSPC).code(), CTX_CANCELED);  // not an errno: a number that only looks like one
  const std::system_error of_system(ENOSPC, std::system_category());
  EXPECT_EQ(ctx::cause(std::make_exception_ptr(of_system)).code(), -ENOSPC);
}

TEST(Causes, ComeFromAndGoToC) {
  ctx_cause_t* raw = nullptr;
  ASSERT_EQ(ctx_cause_new(5, "five", &raw), 0);
  const ctx::cause shared = ctx::cause::share(raw);
  ctx_cause_unref(raw);
  EXPECT_EQ(shared.get(), raw);
  EXPECT_EQ(shared.message(), "five");
}

}  // namespace
}  // namespace ctxtest
