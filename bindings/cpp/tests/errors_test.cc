// SPDX-License-Identifier: MIT
//
// Errors: negative errnos are std::error_codes of the generic category, and what fails throws
// std::system_error with them.
#include <string>

#include "cases.h"
#include "fault/copied.h"

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

TEST(Errors, APositiveResultIsNone) {
  EXPECT_FALSE(ctx::to_error_code(0));
  EXPECT_FALSE(ctx::to_error_code(1));
  EXPECT_EQ(ctx::to_error_code(-ECHILD), std::errc::no_child_process);
}

// A handle of a second libctx in the process is told, not used.
TEST(Errors, AHandleOfAnotherCopyIsRefused) {
  const CopiedLibrary other;
  ctx_t* theirs = other.Find<ctx_t* (*)()>("ctx_background")();
  try {
    (void)ctx::context::share(theirs);
    FAIL();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), EREMOTE);
  }
}

TEST(Errors, TextWithANulInsideIsRefused) {
  const std::string text("a\0b", 3);
  ExpectThrows(std::errc::invalid_argument,
               [&] { (void)ctx::with_string(ctx::background(), "name", text); });
}

}  // namespace
}  // namespace ctxtest
