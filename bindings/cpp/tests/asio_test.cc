// SPDX-License-Identifier: MIT
//
// Boost.Asio: the done descriptor in a posix::stream_descriptor ends what an io_context is doing; and a
// queue's descriptor serves very many contexts of one.
#include <unistd.h>

#include <array>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>

// clang-format off: Boost 1.74 needs <utility> before it as C++20.
#include <boost/asio.hpp>
// clang-format on

#include <ctx/asio.hpp>

#include "cases.h"
#include "support/few_descriptors.h"
#include "support/process.h"
#if defined(CTX_HAS_COROUTINES)
#include "coroutine.h"
#endif

namespace ctxtest {
namespace {

namespace asio = boost::asio;
using asio::posix::stream_descriptor;

// Ends a run that has gone wrong.
class Watchdog {
 public:
  explicit Watchdog(asio::io_context& io) : timer_(io, kWatchdog) {
    timer_.async_wait([this, &io](boost::system::error_code error) {
      if (!error) barked = true, io.stop();
    });
  }
  void Stop() { timer_.cancel(); }
  bool barked = false;

 private:
  asio::steady_timer timer_;
};

TEST(Asio, TheDoneDescriptorEndsARead) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms, ctx::cause(3, "budget"));
  asio::io_context io;
  Watchdog watchdog(io);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  stream_descriptor input(io, ends[0]), output(io, ends[1]), done(io, ctx.done_fd_dup().release());

  char byte = 0;
  boost::system::error_code read_ended;
  asio::async_read(input, asio::buffer(&byte, 1),
                   [&](boost::system::error_code error, std::size_t) {
                     read_ended = error;
                     watchdog.Stop();
                   });
  done.async_wait(stream_descriptor::wait_read, [&](boost::system::error_code error) {
    EXPECT_FALSE(error);
    input.cancel();
  });
  io.run();
  EXPECT_FALSE(watchdog.barked);
  EXPECT_EQ(read_ended, asio::error::operation_aborted);
  EXPECT_EQ(ctx.err(), std::errc::timed_out);
  EXPECT_EQ(ctx.cause().message(), "budget");
}

TEST(Asio, ACancelFromWithinTheLoop) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  asio::io_context io;
  Watchdog watchdog(io);
  stream_descriptor done(io, ctx.done_fd_dup().release());
  bool live_before = false, done_after = false;
  done.async_wait(stream_descriptor::wait_read, [&, c = ctx](boost::system::error_code error) {
    done_after = !error && c.is_done();
    watchdog.Stop();
  });
  asio::post(io, [&, c = ctx, right = cancel] {
    live_before = !c.is_done();
    right.cancel();
  });
  io.run();
  EXPECT_FALSE(watchdog.barked);
  EXPECT_TRUE(live_before);
  EXPECT_TRUE(done_after);
}

TEST(Asio, WhatEndsFirstStopsTheWait) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  asio::io_context io;
  stream_descriptor done(io, ctx.done_fd_dup().release());
  boost::system::error_code ended;
  done.async_wait(stream_descriptor::wait_read,
                  [&](boost::system::error_code error) { ended = error; });
  asio::post(io, [&] { done.cancel(); });  // the work was done in time
  io.run();
  EXPECT_EQ(ended, asio::error::operation_aborted);
  EXPECT_FALSE(ctx.is_done());
}

TEST(Asio, AQueueServesManyContexts) {
  const ctx::queue queue;
  const auto [parent, cancel] = ctx::with_cancel(ctx::background());
  for (std::uint64_t token = 0; token < 1000; ++token) {
    queue.add(ctx::with_cancel(parent).first, token);
  }
  asio::io_context io;
  Watchdog watchdog(io);
  stream_descriptor events(io, dup(queue.fd()));
  std::size_t drained = 0;
  events.async_wait(stream_descriptor::wait_read, [&](boost::system::error_code error) {
    EXPECT_FALSE(error);
    std::array<ctx::event, 64> some;
    while (const std::size_t n = queue.drain(some)) drained += n;
    watchdog.Stop();
  });
  asio::post(io, [right = cancel] { right.cancel(); });
  io.run();
  EXPECT_FALSE(watchdog.barked);
  EXPECT_EQ(drained, 1000u);
}

TEST(Asio, TheEndIsAnOperationThatKeepsTheIoContextAtWork) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 20ms);
  asio::io_context io;
  std::error_code why;
  std::thread::id thread;
  ctx::async_done(ctx, asio::bind_executor(io.get_executor(), [&](std::error_code error) {
                    why = error;
                    thread = std::this_thread::get_id();
                  }));
  EXPECT_EQ(io.run(), 1u) << "nothing else is there to do";
  EXPECT_EQ(why, std::errc::timed_out);
  EXPECT_EQ(thread, std::this_thread::get_id());
}

TEST(Asio, AnEndThatHasComeIsToldLaterAllTheSame) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  cancel();
  asio::io_context io;
  std::error_code why;
  ctx::async_done(
      ctx, asio::bind_executor(io.get_executor(), [&](std::error_code error) { why = error; }));
  EXPECT_FALSE(why) << "inside the call";
  io.run();
  EXPECT_EQ(why, std::errc::operation_canceled);
}

TEST(Asio, AnOperationIsToldThatThereIsNoDescriptor) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  asio::io_context io;
  std::error_code why;
  {
    const NoDescriptors none;
    ctx::async_done(
        ctx, asio::bind_executor(io.get_executor(), [&](std::error_code error) { why = error; }));
  }
  io.run();
  EXPECT_EQ(why, std::errc::too_many_files_open);
  EXPECT_FALSE(ctx.is_done());
}

// The handler belongs to the io_context, also while the context is live or can never be done.
TEST(Asio, AnIoContextThatIsDestroyedTakesTheHandlerAlong) {
  const auto [live, cancel] = ctx::with_cancel(ctx::background());
  const auto [done, right] = ctx::with_timeout(ctx::background(), 0s);
  for (const ctx::context& ctx : {live, done, ctx::background()}) {
    const auto held = std::make_shared<int>(0);
    {
      asio::io_context io;
      ctx::async_done(
          ctx, asio::bind_executor(io.get_executor(), [held](std::error_code) { ADD_FAILURE(); }));
      EXPECT_EQ(held.use_count(), 2);
    }
    EXPECT_EQ(held.use_count(), 1);
  }
}

#if defined(CTX_HAS_COROUTINES)
#if defined(BOOST_ASIO_HAS_CO_AWAIT)
// A callback of somebody else's blocks until the coroutine has gone on.
TEST(Asio, ACoroutineOfAsioAwaitsTheEnd) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms);
  asio::io_context io;
  std::promise<void> resumed;
  const ctx::watch_guard blocked(ctx::after_func(
      ctx, ctx::deferred, [over = resumed.get_future().share()] { over.wait_for(kWatchdog); }));
  std::error_code why;
  const auto coroutine = [&, c = ctx]() -> asio::awaitable<void> {
    why = co_await ctx::async_done(c, asio::use_awaitable);
    EXPECT_TRUE(io.get_executor().running_in_this_thread());
    resumed.set_value();
  };
  asio::co_spawn(io, coroutine, asio::detached);
  io.run();
  EXPECT_EQ(why, std::errc::timed_out);
}

TEST(Asio, AnIoContextThatIsDestroyedTakesTheCoroutineAlong) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const auto held = std::make_shared<int>(0);
  {
    asio::io_context io;
    const auto coroutine = [](ctx::context c, std::shared_ptr<int>) -> asio::awaitable<void> {
      co_await ctx::async_done(c, asio::use_awaitable);
      ADD_FAILURE();
    };
    asio::co_spawn(io, coroutine(ctx, held), asio::detached);
    io.poll();
    EXPECT_GT(held.use_count(), 1);
  }
  EXPECT_EQ(held.use_count(), 1);
  cancel();
}
#endif

template <class Executor>
Coroutine AwaitOn(ctx::context ctx, Executor executor, std::thread::id* thread,
                  std::error_code* why, std::function<void()> then) {
  *why = co_await ctx.done(executor);
  *thread = std::this_thread::get_id();
  then();
}

// A deadline ends the context, and somebody else's callback blocks until the coroutine has gone on.
template <class Executor>
void ExpectResumedOn(asio::io_context& io, Executor executor) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms);
  Watchdog watchdog(io);
  std::promise<void> resumed;
  ctx::watch_guard blocked(ctx::after_func(
      ctx, ctx::deferred, [over = resumed.get_future().share()] { over.wait_for(kWatchdog); }));
  std::thread::id thread;
  std::error_code why;
  const Coroutine coroutine = AwaitOn(ctx, executor, &thread, &why, [&] {
    resumed.set_value();
    watchdog.Stop();
  });
  io.run();
  EXPECT_FALSE(watchdog.barked);
  EXPECT_TRUE(coroutine.done());
  EXPECT_EQ(thread, std::this_thread::get_id());
  EXPECT_EQ(why, std::errc::timed_out);
}

TEST(Asio, ACoroutineGoesOnOnAnExecutor) {
  asio::io_context io;
  ExpectResumedOn(io, io.get_executor());
}

TEST(Asio, ACoroutineGoesOnOnAStrandOrAnAnyIoExecutor) {
  asio::io_context io;
  ExpectResumedOn(io, asio::make_strand(io));
  io.restart();
  ExpectResumedOn(io, asio::any_io_executor(io.get_executor()));
}

TEST(Asio, AnIoContextThatIsDestroyedLeavesTheCoroutineWaiting) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  std::thread::id thread;
  std::error_code why;
  auto io = std::make_unique<asio::io_context>();
  const Coroutine coroutine = AwaitOn(ctx, io->get_executor(), &thread, &why, [] {});
  cancel();
  io.reset();
  EXPECT_FALSE(coroutine.done());
  EXPECT_FALSE(why);
}
#endif

// A pool of Asio's runs the callbacks of a loop: one that blocks does not keep another from running. After the
// shutdown nothing is posted any more, and the pool may go.
void AThreadPoolRunsTheCallbacks() {
  asio::thread_pool pool(2);
  const ctx::thread_loop loop(pool.get_executor());
  loop.set_default();
  std::promise<void> first, second, one_met, two_met;
  const auto meet = [](std::promise<void>& own, std::promise<void>& other,
                       std::promise<void>& met) {
    own.set_value();
    EXPECT_EQ(other.get_future().wait_for(kWatchdog), std::future_status::ready);
    met.set_value();
  };
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  ctx::after_func(ctx, ctx::deferred, [&] { meet(first, second, one_met); });
  ctx::after_func(ctx, ctx::deferred, [&] { meet(second, first, two_met); });
  cancel();
  EXPECT_EQ(one_met.get_future().wait_for(kWatchdog), std::future_status::ready);
  EXPECT_EQ(two_met.get_future().wait_for(kWatchdog), std::future_status::ready);
  EXPECT_TRUE(ctx::shutdown(kWatchdog));
  pool.join();
}
TEST(Asio, AThreadPoolIsTheExecutorOfALoop) { CTX_IN_NEW_PROCESS(AThreadPoolRunsTheCallbacks()); }

// A manual loop inside an io_context: no thread of the library's.
TEST(Asio, DrivesAManualLoop) {
  const ctx::manual_loop loop;
  const auto [ctx, cancel] = ctx::with_timeout(loop.background(), 1ms);
  asio::io_context io;
  Watchdog watchdog(io);
  stream_descriptor ready(io, dup(loop.fd()));
  const std::function<void(boost::system::error_code)> turn = [&, c = ctx](auto error) {
    ASSERT_FALSE(error);
    loop.dispatch();
    if (c.is_done()) return watchdog.Stop();
    ready.async_wait(stream_descriptor::wait_read, turn);
  };
  ready.async_wait(stream_descriptor::wait_read, turn);
  io.run();
  EXPECT_FALSE(watchdog.barked);
  EXPECT_EQ(ctx.err(), std::errc::timed_out);
}

}  // namespace
}  // namespace ctxtest
