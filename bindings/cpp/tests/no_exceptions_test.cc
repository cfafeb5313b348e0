// SPDX-License-Identifier: MIT
//
// Without exceptions: a call that would throw says why and ends the process; all else is as with them.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <ctx/ctx.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "support/sync.h"

#if defined(__cpp_exceptions)
#error this file is for -fno-exceptions
#endif

namespace ctxtest {
namespace {

using namespace std::chrono_literals;

TEST(NoExceptions, AFailureSaysWhatAndWhy) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(ctx::canceler().cancel(), "^libctx: ctx_cancel: Invalid argument\n");
  EXPECT_DEATH(ctx::detail::fail(-ECHILD, "a call"),
               "^libctx: a call: made before this process was forked: No child processes\n");
  EXPECT_EXIT(
      {
        std::set_terminate([] { std::_Exit(42); });
        ctx::detail::check(-EIO, "a call");
      },
      ::testing::ExitedWithCode(42), "");
}

TEST(NoExceptions, ADoneContextSaysItsError) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const ctx::context late = ctx::with_timeout(ctx::background(), 0s).first;
  ctx::with_cancel(ctx::background()).first.throw_if_done();
  EXPECT_DEATH(late.throw_if_done(), "^libctx: ctx::context: context deadline exceeded\n");
}

TEST(NoExceptions, AGroupWorksAndAFailureEndsTheProcessInWait) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  {
    const ctx::group group;
    std::atomic<int> ran{0};
    EXPECT_TRUE(group.spawn([&] { ++ran; }));
    EXPECT_TRUE(group.spawn([](const auto& work) { work(); }, [&](const ctx::context&) { ++ran; }));
    group.wait();
    EXPECT_EQ(ran, 2);
    EXPECT_TRUE(group.begin());
    group.end(ctx::cause("failed"));
    EXPECT_TRUE(group.get_context().is_done());
    EXPECT_EQ(group.cause().message(), "failed");
  }
  EXPECT_DEATH(
      {
        const ctx::group group;
        group.spawn([] { return ctx::cause("failed"); });
        group.wait();
      },
      "^libctx: ctx::group: context canceled\n");
}

TEST(NoExceptions, HeadersGoInAndOut) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::map<std::string, std::string> headers;
  ctx::inject(ctx::with_baggage(ctx::background(), "user", "red"), headers);
  EXPECT_EQ(ctx::extract(ctx::background(), headers).first.baggage("user"), "red");
  const ctx::context late = ctx::with_timeout(ctx::background(), 0s).first;
  std::error_code error;
  ctx::inject(late, headers, {}, error);
  EXPECT_EQ(error, std::errc::timed_out);
  late.require(1s, error);
  EXPECT_EQ(error, std::errc::timed_out);
  EXPECT_DEATH(ctx::inject(late, headers), "^libctx: ctx::context: context deadline exceeded\n");
  EXPECT_DEATH(late.require(1s), "^libctx: ctx::context: context deadline exceeded\n");
  EXPECT_DEATH((void)ctx::decode_cause("malformed"), "^libctx: ctx::decode_cause: Bad message\n");
}

TEST(NoExceptions, CallbacksAndCausesAreAsEver) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  int runs = 0;
  std::string seen;
  ctx::after_func(ctx, [&] { ++runs; });
  ctx::after_func(ctx, [&, room = std::string("x")] { seen += room; });
  cancel(ctx::cause("gone"));
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(seen, "x");
  EXPECT_EQ(ctx::context_error(ctx.err(), ctx.cause()).what(),
            std::string("context canceled: gone"));
}

TEST(NoExceptions, AnExecutorRunsTheCallbacksOfALoop) {
  Counter posted, ran;
  {
    const ctx::thread_loop loop([&](const std::function<void()>& work) {
      posted.Add();
      work();
    });
    const auto [ctx, cancel] = ctx::with_cancel(loop.background());
    ctx::after_func(ctx, ctx::deferred, [&] { ran.Add(); });
    cancel();
    ASSERT_TRUE(ran.WaitFor(1));
  }
  EXPECT_EQ(posted.Get(), 1);
  EXPECT_EQ(ran.Get(), 1);
}

}  // namespace
}  // namespace ctxtest
