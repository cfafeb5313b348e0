// SPDX-License-Identifier: MIT
//
// Waits: for one context or several, with a limit or without, beside descriptors, and through signals.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include "cases.h"
#include "support/descriptor.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(Waits, EndWithTheContextOrTheLimit) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  EXPECT_FALSE(ctx.wait_for(0s));
  EXPECT_FALSE(ctx.wait_for(-1s));
  EXPECT_FALSE(ctx.wait_for(1ms));
  EXPECT_FALSE(ctx.wait_until(ctx::clock::now() + 1ms));
  EXPECT_FALSE(ctx.wait_until(ctx::time_point::min()));
  std::thread thread([c = cancel] { c.cancel(); });
  ctx.wait();
  EXPECT_TRUE(ctx.is_done());
  thread.join();
  EXPECT_TRUE(ctx.wait_for(0s));
  EXPECT_TRUE(ctx.wait_until(ctx::time_point::max()));
}

TEST(Waits, ForTheFirstOfSeveral) {
  std::vector<ctx::context> all;
  ctx::canceler last;
  for (int i = 0; i < 40; ++i) {
    ctx::derived made = ctx::with_cancel(ctx::background());
    all.push_back(made.first);
    last = made.second;
  }
  EXPECT_EQ(ctx::wait_any_for(all, 1ms), std::nullopt);
  EXPECT_EQ(ctx::wait_any_until(all, ctx::clock::now()), std::nullopt);
  last();
  EXPECT_EQ(ctx::wait_any(all), 39u);
  EXPECT_EQ(ctx::wait_any({all[0], all[39]}), 1u);
  EXPECT_EQ(ctx::wait_any_for({all[0], all[39]}, 1h), 1u);
  EXPECT_EQ(ctx::wait_any_until({all[0], all[39]}, ctx::time_point::max()), 1u);
  ExpectThrows(std::errc::invalid_argument, [] { ctx::wait_any(std::vector<ctx::context>()); });
}

TEST(Waits, PollEndsWithDescriptorContextOrLimit) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  pollfd polled = {ends[0], POLLIN, 0};
  EXPECT_EQ(ctx.poll(&polled, 1, 1ms), 0u);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  EXPECT_EQ(ctx.poll(&polled, 1, kWatchdog), 1u);
  EXPECT_EQ(polled.revents, POLLIN);
  cancel(ctx::cause(1, "enough"));
  std::error_code error;
  EXPECT_EQ(ctx.poll(&polled, 1, kWatchdog, error), 0u);
  EXPECT_EQ(error, std::errc::operation_canceled);
  EXPECT_THROW(ctx.poll(&polled, 1, kWatchdog), ctx::context_error);
  close(ends[0]);
  close(ends[1]);
}

TEST(Waits, GoOnAfterASignalHandler) {
  static std::atomic<int> handled;
  handled = 0;
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = [](int) { ++handled; };  // without SA_RESTART
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Gate over;
  bool done = false;
  std::thread thread([&, c = ctx] {
    done = c.wait_for(kWatchdog);
    over.Open();
  });
  // One a turn, until twenty have been handled: ThreadSanitizer keeps back a handler whose signal comes
  // in the last instructions before the thread sleeps, and runs it when the next signal wakes that.
  while (handled < 20 && !over.IsOpen()) {
    EXPECT_EQ(pthread_kill(thread.native_handle(), SIGUSR1), 0);
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_FALSE(over.IsOpen());
  cancel();
  thread.join();
  EXPECT_TRUE(done);
  EXPECT_EQ(sigaction(SIGUSR1, &before, nullptr), 0);
}

// However many signals come meanwhile, each wait ends at its limit, and not before it. The kernel's timer sends them: a
// thread would send too few on a busy machine.
TEST(Waits, KeepTheirLimitThroughSignalHandlers) {
  static std::atomic<int> handled{0};
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = [](int) {                           // without SA_RESTART
    if (handled.fetch_add(1) > kWatchdog / 1ms) abort();  // a wait does not end
  };
  ASSERT_EQ(sigaction(SIGALRM, &action, &before), 0);
  const auto every = [](suseconds_t us) {
    const itimerval timer = {{0, us}, {0, us}};
    EXPECT_EQ(setitimer(ITIMER_REAL, &timer, nullptr), 0);
  };
  const ctx::derived made = ctx::with_cancel(ctx::background());
  const ctx::queue queue;
  const auto ends = [&](const std::function<void(std::chrono::milliseconds)>& wait) {
    constexpr std::chrono::milliseconds limit{50};
    const int handled_before = handled.load();
    const ctx::time_point begin = ctx::clock::now();
    every(1000);
    wait(limit);
    every(0);
    EXPECT_GE(ctx::clock::now(), begin + limit);
    EXPECT_GT(handled.load(), handled_before);
  };
  ends([&](auto limit) { EXPECT_FALSE(made.first.wait_for(limit)); });
  ends([&](auto limit) { EXPECT_EQ(made.first.poll(nullptr, 0, limit), 0u); });
  ends([&](auto limit) { EXPECT_FALSE(ctx::wait_any_for({made.first}, limit)); });
  ends([&](auto limit) {
    ctx::event event;
    EXPECT_EQ(queue.wait_for(&event, 1, limit), 0u);
  });
  EXPECT_EQ(sigaction(SIGALRM, &before, nullptr), 0);
}

TEST(Waits, TheDescriptorIsReadableOnceDone) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const int borrowed = ctx.done_fd();
  const ctx::unique_fd own = ctx.done_fd_dup();
  EXPECT_FALSE(Readable(borrowed));
  cancel();
  EXPECT_TRUE(Readable(borrowed));
  EXPECT_TRUE(Readable(own.get()));
}

}  // namespace
}  // namespace ctxtest
