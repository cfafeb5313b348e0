// SPDX-License-Identifier: MIT
//
// Drop: values and callables are destroyed exactly once: after they ran or were stopped, with the last
// reference, and also where arming or deriving fails.
#include <stdexcept>
#include <thread>
#include <utility>

#include "cases.h"
#include "counted.h"

namespace ctxtest {
namespace {

const ctx::key<Tracked> kDropped("tracked");

struct Callable {
  Tracked tracked;
  int* runs;
  void operator()() const { ++*runs; }
};

TEST(Drop, OfAValueRunsOnTheThreadThatLetsGo) {
  Tracked::Log log;
  std::thread::id dropper;
  ctx::context ctx = ctx::with_value(ctx::background(), kDropped, Tracked(&log));
  std::thread thread([mine = std::move(ctx), &dropper]() mutable {
    dropper = std::this_thread::get_id();
    mine = {};
  });
  thread.join();
  EXPECT_EQ(log.live, 0);
  EXPECT_EQ(log.thread.load(), dropper);
}

TEST(Drop, OfACallableRunsAfterIt) {
  Tracked::Log log;
  int runs = 0;
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  ctx::after_func(ctx, Callable{Tracked(&log), &runs});
  EXPECT_EQ(log.live, 1);
  EXPECT_TRUE(cancel.cancel());
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(log.live, 0);
}

TEST(Drop, OfACallableRunsAfterAStop) {
  Tracked::Log log;
  int runs = 0;
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const ctx::watch armed = ctx::after_func(ctx, Callable{Tracked(&log), &runs});
  EXPECT_TRUE(armed.stop());
  EXPECT_EQ(log.live, 0);
  EXPECT_TRUE(cancel.cancel());
  EXPECT_EQ(runs, 0);
}

TEST(Drop, OfACallableRunsAtOnceOnADoneContext) {
  Tracked::Log log;
  int runs = 0;
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), -1s);
  const ctx::watch armed = ctx::after_func(ctx, Callable{Tracked(&log), &runs});
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(log.live, 0);
  EXPECT_FALSE(armed.stop());
}

TEST(Drop, OnAContextThatIsNeverDoneRunsWithTheWatch) {
  Tracked::Log log;
  int runs = 0;
  {
    const ctx::watch armed = ctx::after_func(ctx::background(), Callable{Tracked(&log), &runs});
    EXPECT_EQ(log.live, 1);
  }
  EXPECT_EQ(log.live, 0);
  EXPECT_EQ(runs, 0);
}

TEST(Drop, WhatIsRefusedIsDroppedOnce) {
  Tracked::Log log;
  int runs = 0;
  ctx::context empty = ctx::background();
  (void)empty.release();
  ExpectThrows(std::errc::invalid_argument,
               [&] { (void)ctx::with_value(empty, kDropped, Tracked(&log)); });
  ExpectThrows(std::errc::invalid_argument, [&] {
    ctx::after_func(empty, Callable{Tracked(&log), &runs});
  });
  EXPECT_EQ(log.live, 0);
  EXPECT_EQ(runs, 0);
}

struct ThrowsWhenCopied {
  explicit ThrowsWhenCopied(Tracked::Log* log) : tracked(log) {}
  ThrowsWhenCopied(const ThrowsWhenCopied& other) : tracked(other.tracked) {
    throw std::runtime_error("no copy");
  }
  void operator()() const {}
  Tracked tracked;
};

TEST(Drop, WhatThrowsWhileItIsCopiedLeavesNothing) {
  static const ctx::key<ThrowsWhenCopied> key("throws");
  Tracked::Log log;
  const ThrowsWhenCopied value(&log);
  const auto [ctx, cancel] =
      ctx::with_cancel(ctx::with_value(ctx::background(), kDropped, Tracked(&log)));
  const long live = LiveNews();
  EXPECT_THROW((void)ctx::with_value(ctx, key, value), std::runtime_error);
  EXPECT_THROW(ctx::after_func(ctx, value), std::runtime_error);
  EXPECT_THROW(ctx::cause(-EIO, "why", key, value), std::runtime_error);
  EXPECT_EQ(LiveNews(), live);
  EXPECT_EQ(log.live, 2);
  EXPECT_TRUE(cancel.cancel());  // nothing was armed
}

TEST(Drop, OfACauseRunsWithTheLastHolder) {
  Tracked::Log log;
  ctx::cause kept;
  {
    const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
    EXPECT_TRUE(cancel.cancel(ctx::cause(-EIO, "why", kDropped, Tracked(&log, 7))));
    kept = ctx.cause();
  }
  EXPECT_EQ(kept.data(kDropped)->number, 7);
  EXPECT_EQ(log.live, 1);
  kept = {};
  EXPECT_EQ(log.live, 0);
}

TEST(Drop, ThatThrowsEndsTheProcessAndSaysSo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  struct Throws {
    bool armed = true;
    char room[32] = {};
    Throws() = default;
    Throws(Throws&& other) noexcept : armed(std::exchange(other.armed, false)) {}
    ~Throws() noexcept(false) {
      if (armed) throw std::runtime_error("from a destructor");
    }
    void operator()() const {}
  };
  EXPECT_DEATH(
      {
        const ctx::derived made = ctx::with_cancel(ctx::background());
        ctx::after_func(made.first, Throws());
        made.second.cancel();
      },
      "libctx: an exception left the destructor of a value or callback: from a destructor");
}

}  // namespace
}  // namespace ctxtest
