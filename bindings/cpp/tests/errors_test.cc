// SPDX-License-Identifier: MIT
//
// Errors: negative errnos are std::error_codes of the generic category, and what fails throws
// std::system_error with them.
#include <gmock/gmock.h>
#include <signal.h>

#include <string>

#include "cases.h"
#include "support/copied.h"

namespace ctxtest {
namespace {

TEST(Errors, OfALiveContextIsNone) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  EXPECT_FALSE(ctx.err());
  EXPECT_FALSE(ctx.is_done());
  EXPECT_NO_THROW(ctx.throw_if_done());
}

TEST(Errors, CanceledIsOperationCanceled) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  EXPECT_TRUE(cancel.cancel());
  EXPECT_FALSE(cancel());
  EXPECT_EQ(ctx.err(), std::errc::operation_canceled);
  EXPECT_EQ(ctx.err(), ctx::to_error_code(CTX_CANCELED));
  ExpectThrows(std::errc::operation_canceled, [ctx = ctx] { ctx.throw_if_done(); });
}

TEST(Errors, ADeadlineExceededIsTimedOut) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 0s);
  EXPECT_EQ(ctx.err(), std::errc::timed_out);
  EXPECT_EQ(ctx.err(), ctx::to_error_code(CTX_DEADLINE_EXCEEDED));
  ExpectThrows(std::errc::timed_out, [ctx = ctx] { ctx.throw_if_done(); });
}

TEST(Errors, WhatIsThrownBringsTheCause) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  EXPECT_TRUE(cancel.cancel(ctx::cause(std::errc::connection_reset, "client went away")));
  try {
    ctx.throw_if_done();
    FAIL();
  } catch (const ctx::context_error& e) {
    EXPECT_EQ(e.code(), std::errc::operation_canceled);
    EXPECT_EQ(e.cause().code(), -ECONNRESET);
    EXPECT_EQ(e.cause(), ctx.cause());
    EXPECT_NE(std::string(e.what()).find("client went away"), std::string::npos);
  }
}

std::string Thrown(const ctx::context& ctx) {
  try {
    ctx.throw_if_done();
    return "nothing";
  } catch (const ctx::context_error& e) {
    return ctx::context_error(e).what();  // a copy says the same
  }
}

std::string ThrownAfter(const ctx::cause& why) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  cancel(why);
  return Thrown(ctx);
}

// The exception that a context which ended so throws, as a cause.
ctx::cause PassedOn(const ctx::cause& why) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  cancel(why);
  try {
    ctx.throw_if_done();
  } catch (...) {
    return ctx::cause(std::current_exception());
  }
  return {};
}

TEST(Errors, WhatIsThrownSaysEachThingOnce) {
  static const ctx::key<int> key("key");
  const auto [canceled, cancel] = ctx::with_cancel(ctx::background());
  cancel();
  const auto [late, unused] = ctx::with_timeout(ctx::background(), 0s);
  EXPECT_EQ(Thrown(canceled), "context canceled");
  EXPECT_EQ(Thrown(late), "context deadline exceeded");
  EXPECT_EQ(ThrownAfter(ctx::cause(std::errc::broken_pipe, "gone")), "context canceled: gone");
  EXPECT_EQ(ThrownAfter(ctx::cause(std::errc::broken_pipe)), "context canceled: Broken pipe");
  EXPECT_EQ(ThrownAfter(ctx::cause(CTX_CANCELED)), "context canceled");
  EXPECT_EQ(ThrownAfter(ctx::cause(CTX_CANCELED, nullptr, key, 1)), "context canceled");
  EXPECT_EQ(ThrownAfter(ctx::cause(std::errc::timed_out)),
            "context canceled: context deadline exceeded");
}

TEST(Errors, WhatIsPassedOnIsSaidOnceToo) {
  EXPECT_EQ(ThrownAfter(PassedOn(ctx::cause())), "context canceled");
  EXPECT_EQ(ThrownAfter(PassedOn(ctx::cause("gone"))), "context canceled: gone");
  EXPECT_EQ(ThrownAfter(PassedOn(PassedOn(ctx::cause("gone")))), "context canceled: gone");
  // The end of the other kind is one thing more.
  const auto late = ctx::with_timeout(ctx::background(), 0s, ctx::cause("too slow")).first;
  try {
    late.throw_if_done();
    FAIL() << "it is done";
  } catch (const ctx::context_error&) {
    EXPECT_EQ(ThrownAfter(ctx::cause(std::current_exception())),
              "context canceled: context deadline exceeded: too slow");
  }
}

TEST(Errors, ABridgePassesADeadlineOn) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  ExpectThrows(std::errc::invalid_argument,
               [c = cancel] { c.cancel(std::errc::connection_reset); });
  EXPECT_TRUE(cancel.cancel(std::errc::timed_out));
  EXPECT_EQ(ctx.err(), std::errc::timed_out);
}

TEST(Errors, OfTheSystemAreThrownAsTheyAre) {
  ExpectThrows(std::errc::bad_file_descriptor,
               [] { (void)ctx::with_fd(ctx::background(), -1, POLLIN); });
  ExpectThrows(std::errc::invalid_argument, [] { (void)ctx::with_signal(ctx::background(), {}); });
  ExpectThrows(std::errc::not_supported, [] { (void)ctx::background().done_fd_dup(); });
  EXPECT_LT(ctx::background().done_fd(), 0);
}

TEST(Errors, OfASignalSayThatItMustBeBlocked) {
  try {
    (void)ctx::with_signal(ctx::background(), {SIGUSR1});
    FAIL() << "a signal that this thread does not block";
  } catch (const std::system_error& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("signals that this thread blocks"));
  }
}

TEST(Errors, APositiveResultIsNone) {
  EXPECT_FALSE(ctx::to_error_code(0));
  EXPECT_FALSE(ctx::to_error_code(1));
  EXPECT_EQ(ctx::to_error_code(-ECHILD), std::errc::no_child_process);
}

template <class Share>
void ExpectForeign(Share&& share) {
  try {
    share();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), EREMOTE);
    EXPECT_THAT(e.what(), testing::HasSubstr("another copy of libctx"));
  }
}

// A handle of a second libctx in the process is told, not used.
TEST(Errors, AHandleOfAnotherCopyIsRefused) {
  const CopiedLibrary other;
  ctx_t* root = other.Find<decltype(&ctx_background)>("ctx_background")();
  ctx_t* theirs = nullptr;
  ctx_canceler_t* right = nullptr;
  ASSERT_EQ(other.Find<decltype(&ctx_with_cancel)>("ctx_with_cancel")(root, &theirs, &right), 0);
  ctx_cause_t* why = nullptr;
  ASSERT_EQ(other.Find<decltype(&ctx_cause_new)>("ctx_cause_new")(-1, "theirs", &why), 0);

  ExpectForeign([&] { (void)ctx::context::share(theirs); });
  ExpectForeign([&] { (void)ctx::context::adopt(theirs); });
  ExpectForeign([&] { (void)ctx::canceler::share(right); });
  ExpectForeign([&] { (void)ctx::cause::share(why); });

  EXPECT_EQ(other.Find<decltype(&ctx_err)>("ctx_err")(theirs), 0);  // nothing has happened to it
  other.Find<decltype(&ctx_cause_unref)>("ctx_cause_unref")(why);
  other.Find<decltype(&ctx_canceler_unref)>("ctx_canceler_unref")(right);
  other.Find<decltype(&ctx_unref)>("ctx_unref")(theirs);
}

TEST(Errors, TextWithANulInsideIsRefused) {
  const std::string text("a\0b", 3);
  ExpectThrows(std::errc::invalid_argument,
               [&] { (void)ctx::with_string(ctx::background(), "name", text); });
}

}  // namespace
}  // namespace ctxtest
