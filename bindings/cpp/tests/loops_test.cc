// SPDX-License-Identifier: MIT
//
// Loops: a type for each kind, with what that kind can do and no more.
#include <poll.h>

#include <type_traits>
#include <vector>

#include "cases.h"
#include "support/descriptor.h"
#include "support/process.h"
#include "support/time.h"

namespace ctxtest {
namespace {

static_assert(!std::is_constructible_v<ctx::loop, int>);
static_assert(sizeof(ctx::virtual_loop) == sizeof(void*));

TEST(Loops, AVirtualOneMovesWhenTold) {
  const ctx::virtual_loop loop;
  const ctx::context root = loop.background();
  EXPECT_EQ(loop.now(), ctx::time_point());
  EXPECT_FALSE(loop.next());
  const auto [hour, unused] = ctx::with_timeout(root, 1h);
  const auto [day, unused2] = ctx::with_deadline(root, ctx::time_point(24h));
  EXPECT_EQ(loop.next(), ctx::time_point(1h));
  std::vector<ctx::time_point> fired;
  ctx::after_func(day, [&](const ctx::context& ctx) { fired.push_back(ctx.now()); });
  ctx::after_func(hour, [&](const ctx::context& ctx) { fired.push_back(ctx.now()); });
  EXPECT_EQ(loop.advance(59min), 0);
  EXPECT_FALSE(hour.is_done());
  EXPECT_EQ(loop.advance(std::chrono::hours(30)), 2);
  EXPECT_EQ(fired, (std::vector<ctx::time_point>{ctx::time_point(1h), ctx::time_point(24h)}));
  EXPECT_EQ(day.err(), std::errc::timed_out);
  ExpectThrows(std::errc::invalid_argument, [&] { loop.advance(-1ns); });
}

TEST(Loops, AManualOneIsDispatched) {
  const ctx::manual_loop loop;
  const auto [ctx, cancel] = ctx::with_timeout(loop.background(), 1ms);
  EXPECT_TRUE(loop.next());
  bool called = false;
  ctx::after_func(ctx, [&] {
    called = true;
    ExpectThrows(std::errc::device_or_resource_busy, [&] { loop.dispatch(); });
  });
  while (!ctx.is_done()) {
    ASSERT_TRUE(Readable(loop.fd(), kLimitMs));
    loop.dispatch();
  }
  EXPECT_TRUE(called);
  EXPECT_EQ(loop.dispatch(), 0);
}

TEST(Loops, OneWithThreadsRunsByItself) {
  const ctx::thread_loop loop;
  const auto [ctx, cancel] = ctx::with_timeout(loop.background(), 1ms);
  EXPECT_TRUE(ctx.wait_for(kWatchdog));
  const ctx::context other = ctx::with_cancel(ctx::background()).first;
  ExpectThrows(std::errc::cross_device_link, [&, c = ctx] { (void)ctx::merge({c, other}); });
}

TEST(Loops, ClosingEndsAllOnIt) {
  const ctx::virtual_loop loop;
  const auto [ctx, cancel] = ctx::with_cancel(loop.background());
  loop.close();
  EXPECT_EQ(ctx.err(), std::errc::operation_canceled);
  EXPECT_EQ(ctx.cause().message(), "loop closed");
}

TEST(Loops, TheLastHandleCloses) {
  ctx::context ctx;
  {
    const ctx::virtual_loop loop;
    const ctx::virtual_loop copy = loop;
    EXPECT_EQ(copy.get(), loop.get());
    ctx = ctx::with_timeout(copy.background(), 1h).first;
  }
  EXPECT_EQ(ctx.err(), std::errc::operation_canceled);
}

TEST(Loops, TheDefaultIsSetBeforeItIsUsed) {
  CTX_IN_NEW_PROCESS({
    const ctx::virtual_loop loop;
    loop.set_default();
    const ctx::context hour = ctx::with_timeout(ctx::background(), 1h).first;
    EXPECT_EQ(loop.advance(1h), 1);
    EXPECT_EQ(hour.err(), std::errc::timed_out);
    ExpectThrows(std::errc::device_or_resource_busy, [] { ctx::manual_loop().set_default(); });
  });
}

}  // namespace
}  // namespace ctxtest
