// SPDX-License-Identifier: MIT
//
// Every way to make a cause, with every argument; and what is left if C refuses one.
#include <cerrno>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include "calls.h"
#include "cases.h"

namespace ctxtest {
namespace {

const ctx::key<int> kNumber("number");

void ExpectPlace(const ctx::cause& cause, int line) {
  ASSERT_TRUE(cause.place());
  EXPECT_STREQ(cause.place().file(), "file");
  EXPECT_EQ(cause.place().line(), line);
  EXPECT_STREQ(cause.place().function(), "function");
}
ctx::place At(int line) { return {"file", line, "function"}; }

TEST(CauseMakers, KeepThePlace) {
  const auto thrown = std::make_exception_ptr(7);
  ExpectPlace(ctx::cause(1, "text", At(1)), 1);
  ExpectPlace(ctx::cause(std::errc::io_error, "text", At(2)), 2);
  ExpectPlace(ctx::cause("text", At(3)), 3);
  ExpectPlace(ctx::cause(ctx::origin::peer, 1, "text", At(4)), 4);
  ExpectPlace(ctx::cause(1, "text", kNumber, 5, At(5)), 5);
  ExpectPlace(ctx::cause(thrown, At(6)), 6);
  ExpectPlace(ctx::cause(std::make_exception_ptr(std::runtime_error("")), At(7)), 7);
  ExpectPlace(
      ctx::cause(std::make_exception_ptr(std::system_error(1, std::generic_category())), At(8)), 8);
  const ctx::cause no_line("text", ctx::place("file", 0, nullptr));
  EXPECT_STREQ(no_line.place().file(), "file");
  EXPECT_EQ(no_line.place().line(), 0);
  EXPECT_EQ(no_line.place().function(), nullptr);
  EXPECT_FALSE(ctx::cause("text", ctx::place(nullptr, 9, "function")).place());
  EXPECT_FALSE(ctx::cause(1, "text", kNumber, 5).place());
  EXPECT_EQ(ctx::cause().place().line(), 0);
}

// Like a std::source_location, which not every C++17 library has.
TEST(CauseMakers, APlaceIsMadeOfWhatIsLikeASourceLocation) {
  struct Location {
    const char* file_name() const { return "file"; }
    unsigned line() const { return 12; }
    const char* function_name() const { return "function"; }
  };
  ExpectPlace(ctx::cause("text", Location()), 12);
}

TEST(CauseMakers, KeepTheOrigin) {
  for (const ctx::origin each :
       {ctx::origin::canceled, ctx::origin::deadline, ctx::origin::signal, ctx::origin::descriptor,
        ctx::origin::shutdown, ctx::origin::peer, ctx::origin::parent_process}) {
    EXPECT_EQ(ctx::cause(each, 1).origin(), each);
    EXPECT_EQ(ctx::cause(each, 1).code(), 1);
  }
  EXPECT_EQ(ctx::cause(1, "", kNumber, 2).origin(), ctx::cause(1, "").origin());
  const ctx::virtual_loop loop;
  const ctx::context ctx = ctx::with_cancel(loop.background()).first;
  loop.close();
  EXPECT_EQ(ctx.cause().origin(), ctx::origin::shutdown);
}

TEST(CauseMakers, KeepCodeAndTextBesideData) {
  const std::string text = "text";
  const ctx::cause cause(-EIO, std::string_view(text).substr(1), kNumber, 9);
  EXPECT_EQ(cause.code(), -EIO);
  EXPECT_EQ(cause.message(), "ext");
  EXPECT_EQ(*cause.data(kNumber), 9);
  EXPECT_TRUE(cause.given());
  EXPECT_EQ(ctx::cause(std::errc::broken_pipe, text).code(), -EPIPE);
  EXPECT_EQ(ctx::cause(std::errc::broken_pipe, text).message(), text);
}

TEST(CauseMakers, AnEmptyCauseHasNothing) {
  const ctx::cause none;
  EXPECT_FALSE(none);
  EXPECT_EQ(none.code(), -EINVAL);
  EXPECT_EQ(none.message(), "");
  EXPECT_EQ(none.data(kNumber), nullptr);
  EXPECT_EQ(none.exception(), nullptr);
  EXPECT_EQ(none.get(), nullptr);
  EXPECT_TRUE(none == ctx::cause());
}

TEST(CauseMakers, OneThatSaysNoMoreThanItsErrorIsACauseThatWasNotGiven) {
  EXPECT_TRUE(ctx::cause(CTX_CANCELED));
  EXPECT_FALSE(ctx::cause(CTX_CANCELED).given());
}

TEST(CauseMakers, EqualMeansTheSame) {
  const ctx::cause one(1, "text"), same = one, other(1, "text");
  EXPECT_TRUE(one == same);
  EXPECT_FALSE(one != same);
  EXPECT_FALSE(one == other) << "they only look alike";
  EXPECT_TRUE(one != other);
  EXPECT_TRUE(one != ctx::cause());
}

TEST(CauseMakers, ExceptionsHaveACode) {
  const auto code = [](auto error) { return ctx::cause(std::make_exception_ptr(error)).code(); };
  EXPECT_EQ(code(7), CTX_CANCELED);
  EXPECT_EQ(code(std::runtime_error("text")), CTX_CANCELED);
  EXPECT_EQ(code(std::system_error(EPIPE, std::generic_category())), -EPIPE);
  EXPECT_EQ(code(std::system_error(EPIPE, std::system_category())), -EPIPE);
  EXPECT_EQ(code(ctx::context_error(ctx::to_error_code(CTX_DEADLINE_EXCEEDED), ctx::cause())),
            CTX_DEADLINE_EXCEEDED);
  const auto thrown = std::make_exception_ptr(7);
  EXPECT_EQ(ctx::cause(thrown).exception(), thrown);
}

// If C refuses a cause, its data is destroyed once, and nothing is left.
TEST(CauseMakers, WhatIsRefusedLeavesNothing) {
  static const ctx::key<Tracked> key("tracked");
  Tracked::Log log;
  const Answer<ctx_cause_new_at> refuses([](int, const char*, int, const char*, int, const char*,
                                            const ctx_key_t*, void*, ctx_drop_fn,
                                            ctx_cause_t**) { return -ENOMEM; });
  const auto refused = [](auto&& call) { ExpectThrows(std::errc::not_enough_memory, call); };
  refused([&] { ctx::cause(1, "text", key, Tracked(&log)); });
  EXPECT_EQ(log.live, 0);
  refused([] { ctx::cause("text"); });
  refused([] { ctx::cause(std::make_exception_ptr(7)); });
}

}  // namespace
}  // namespace ctxtest
