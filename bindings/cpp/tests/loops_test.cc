// SPDX-License-Identifier: MIT
//
// Loops: a type for each kind, with what that kind can do and no more.
#include <poll.h>

#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "cases.h"
#include "support/descriptor.h"
#include "support/process.h"
#include "support/sync.h"
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
  const auto [other, end] = ctx::with_cancel(ctx::background());
  const ctx::context merged = ctx::merge({ctx::with_cancel(loop.background()).first, other}).first;
  end(ctx::cause("on another loop"));
  EXPECT_TRUE(merged.wait_for(kWatchdog));
  EXPECT_EQ(merged.cause().message(), "on another loop");
}

TEST(Loops, AnExecutorRunsTheCallbacks) {
  Counter posted, ran;
  std::atomic<bool> refuses{false};
  const auto alive = std::make_shared<int>();
  const auto executor = [&, alive](std::function<void()> work) {
    posted.Add();
    if (refuses) throw std::runtime_error("no room");
    std::thread(std::move(work)).detach();
  };
  {
    const ctx::thread_loop loop(executor);
    const auto [ctx, cancel] = ctx::with_timeout(loop.background(), 1ms);
    std::thread::id first;
    ctx::after_func(ctx, ctx::deferred, [&] {
      first = std::this_thread::get_id();
      ran.Add();
    });
    ASSERT_TRUE(ran.WaitFor(1));
    EXPECT_EQ(posted.Get(), 1);
    EXPECT_NE(first, std::this_thread::get_id());

    refuses = true;
    std::string thread;
    ctx::after_func(ctx, ctx::deferred, [&] {
      thread = CurrentThreadName();
      ran.Add();
    });
    ASSERT_TRUE(ran.WaitFor(2));
    EXPECT_EQ(posted.Get(), 2);
    EXPECT_EQ(thread, "ctx-calls") << "what the executor did not take the loop runs";
  }
  EXPECT_TRUE(Soon([&] { return alive.use_count() == 2; })) << "the loop keeps its copy";
  ExpectThrows(std::errc::invalid_argument, [&] {
    const ctx::thread_loop refused(executor, ctx::loop_options{"a name that is too long"});
  });
  EXPECT_EQ(alive.use_count(), 2) << "a loop that is refused keeps none";
}

#if __cplusplus >= 202002L
TEST(Loops, OptionsAreWrittenInPlace) {
  const ctx::thread_loop loop({.name = "web", .start = true});
  const auto [ctx, cancel] = ctx::with_cancel(loop.background());
  std::string thread;
  Counter ran;
  ctx::after_func(ctx, ctx::deferred, [&] {
    thread = CurrentThreadName();
    ran.Add();
  });
  cancel();
  ASSERT_TRUE(ran.WaitFor(1));
  EXPECT_EQ(thread, "web-calls");
  EXPECT_NO_THROW(ctx::thread_loop({.name = "web"}));
  EXPECT_NO_THROW(ctx::thread_loop([](const auto& work) { work(); }, {.name = "web"}));
  EXPECT_NO_THROW(ctx::manual_loop({.name = "web"}));
}
#endif

TEST(Loops, ANameThatIsTooLongIsNamedInTheError) {
  try {
    const ctx::thread_loop loop(ctx::loop_options{"0123456789"});
    FAIL() << "ten bytes are too many";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::invalid_argument);
    EXPECT_NE(std::string(e.what()).find("name"), std::string::npos) << e.what();
  }
}

TEST(Loops, AnIdleContextEndsWhenNobodyTouchesIt) {
  const ctx::virtual_loop loop;
  const auto [read, cancel] = ctx::with_idle(loop.background(), 30s, ctx::cause("no byte came"));
  const ctx::context below = ctx::with_cancel(read).first;
  for (int i = 0; i < 3; ++i) {
    loop.advance(29s);
    EXPECT_TRUE(below.touch());
  }
  EXPECT_FALSE(read.deadline());
  loop.advance(30s);
  EXPECT_EQ(read.err(), std::errc::timed_out);
  EXPECT_EQ(read.cause().message(), "no byte came");
  EXPECT_FALSE(read.touch());
}

void EndTheDefaultLoop() {
  Gate blocks;
  Gate goes_on;
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1h);
  ctx::after_func(ctx, ctx::blocking, [&] {
    blocks.Open();
    EXPECT_TRUE(goes_on.Wait());
    ExpectThrows(std::errc::resource_deadlock_would_occur, [] { ctx::shutdown(1h); });
  });
  cancel();
  EXPECT_TRUE(blocks.Wait());
  EXPECT_FALSE(ctx::shutdown(1ms));
  EXPECT_FALSE(ctx::shutdown(-1ms));
  goes_on.Open();
  EXPECT_TRUE(ctx::shutdown(std::chrono::nanoseconds::max()));
  EXPECT_TRUE(
      Soon([] { return Tasks("ctx-").empty(); }));  // the system forgets a thread a moment late
  const ctx::context late = ctx::with_timeout(ctx::background(), 1h).first;
  EXPECT_EQ(late.err(), std::errc::operation_canceled);
  EXPECT_EQ(late.cause().message(), "loop closed");
}
TEST(Loops, AShutdownEndsTheDefaultOne) { CTX_IN_NEW_PROCESS(EndTheDefaultLoop()); }

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
