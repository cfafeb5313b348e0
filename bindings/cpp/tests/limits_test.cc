// SPDX-License-Identifier: MIT
//
// The limits of waits on their way to C: "none" stays none, what has passed looks once, and after a signal handler a
// wait goes on with the rest. A test answers for the C function, and sees each limit that it gets.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <thread>
#include <vector>

#include "calls.h"
#include "cases.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

using Limits = std::vector<std::int64_t>;
constexpr std::int64_t kMinuteNs = 60'000'000'000;

// The limits that C gets for a wait that signal handlers cut short so many times.
Limits CutShort(int times, std::int64_t limit) {
  Limits limits;
  const int result = ctx::detail::uninterrupted(limit, [&](std::int64_t ns) {
    limits.push_back(ns);
    return times-- > 0 ? -EINTR : 7;
  });
  EXPECT_EQ(result, 7) << "what the wait answers at last";
  return limits;
}

TEST(Limits, NoneStaysNoneAfterSignalHandlers) {
  EXPECT_EQ(CutShort(0, CTX_FOREVER), Limits{CTX_FOREVER});
  EXPECT_EQ(CutShort(3, CTX_FOREVER), Limits(4, CTX_FOREVER));
}

TEST(Limits, OneBeyondTheClocksEndIsNoneAfterASignalHandler) {
  EXPECT_EQ(CutShort(1, CTX_FOREVER - 1), (Limits{CTX_FOREVER - 1, CTX_FOREVER}));
}

TEST(Limits, OneThatHasPassedOnlyLooks) {
  EXPECT_EQ(CutShort(0, 0), Limits{0});
  EXPECT_EQ(CutShort(0, -1), Limits{0});
  EXPECT_EQ(CutShort(2, INT64_MIN), Limits(3, 0));
  EXPECT_EQ(CutShort(2, 1).back(), 0) << "it has passed meanwhile";
}

TEST(Limits, TheRestGetsSmaller) {
  const Limits limits = CutShort(5, kMinuteNs);
  ASSERT_EQ(limits.size(), 6u);
  EXPECT_EQ(limits.front(), kMinuteNs);
  EXPECT_TRUE(std::is_sorted(limits.rbegin(), limits.rend()));
  EXPECT_LT(limits.back(), kMinuteNs);
  EXPECT_GT(limits.back(), 0);
}

TEST(Limits, AnErrorEndsAWait) {
  int calls = 0;
  EXPECT_EQ(ctx::detail::uninterrupted(kMinuteNs, [&](std::int64_t) { return ++calls, -EINVAL; }),
            -EINVAL);
  EXPECT_EQ(calls, 1);
}

// The limits that a C function sees which a signal handler cuts short the first time it is called.
struct Waits {
  Limits limits;
  int result = 0;

  auto Once() {
    return [this](std::int64_t ns) {
      limits.push_back(ns);
      return limits.size() % 2 != 0 ? -EINTR : result;
    };
  }
  void ExpectNone() {
    EXPECT_EQ(limits, Limits(2, CTX_FOREVER));
    limits.clear();
  }
  void ExpectMinute() {
    ASSERT_EQ(limits.size(), 2u);
    EXPECT_LE(limits[0], kMinuteNs);
    EXPECT_GT(limits[0], kMinuteNs / 2);
    EXPECT_LT(limits[1], limits[0]);
    EXPECT_GT(limits[1], kMinuteNs / 4);
    limits.clear();
  }
  void ExpectLook() {
    EXPECT_EQ(limits, Limits(2, 0));
    limits.clear();
  }
};

const ctx::time_point kNever = ctx::time_point::max();
ctx::time_point InAMinute() { return ctx::clock::now() + 1min; }
ctx::time_point Past() { return ctx::clock::now() - 1h; }

TEST(Limits, OfAContext) {
  Waits waits;
  const Answer<ctx_wait> answers(
      [once = waits.Once()](ctx_t*, std::int64_t ns) { return once(ns); });
  const ctx::context ctx;
  waits.result = 1;
  ctx.wait(), waits.ExpectNone();
  EXPECT_TRUE(ctx.wait_for(std::chrono::hours::max()));
  waits.ExpectNone();
  EXPECT_TRUE(ctx.wait_until(kNever));
  waits.ExpectNone();
  waits.result = 0;
  EXPECT_FALSE(ctx.wait_for(1min));
  waits.ExpectMinute();
  EXPECT_FALSE(ctx.wait_until(InAMinute()));
  waits.ExpectMinute();
  EXPECT_FALSE(ctx.wait_for(-1h));
  waits.ExpectLook();
  EXPECT_FALSE(ctx.wait_until(Past()));
  waits.ExpectLook();
}

TEST(Limits, OfTheFirstOfSeveral) {
  Waits waits;
  const Answer<ctx_wait_any> answers(
      [once = waits.Once()](ctx_t* const*, std::size_t, std::int64_t ns, std::size_t* index) {
        *index = 1;
        return once(ns);
      });
  const std::vector<ctx::context> all(2);
  const ctx::context one;
  waits.result = 1;
  EXPECT_EQ(ctx::wait_any(all), 1u);
  waits.ExpectNone();
  EXPECT_EQ(ctx::wait_any({one, one}), 1u);
  waits.ExpectNone();
  EXPECT_EQ(ctx::wait_any_for(all, std::chrono::hours::max()), 1u);
  waits.ExpectNone();
  EXPECT_EQ(ctx::wait_any_for({one, one}, std::chrono::hours::max()), 1u);
  waits.ExpectNone();
  EXPECT_EQ(ctx::wait_any_until(all, kNever), 1u);
  waits.ExpectNone();
  EXPECT_EQ(ctx::wait_any_until({one, one}, kNever), 1u);
  waits.ExpectNone();
  waits.result = 0;
  EXPECT_FALSE(ctx::wait_any_for(all, 1min));
  waits.ExpectMinute();
  EXPECT_FALSE(ctx::wait_any_for({one, one}, 1min));
  waits.ExpectMinute();
  EXPECT_FALSE(ctx::wait_any_until(all, InAMinute()));
  waits.ExpectMinute();
  EXPECT_FALSE(ctx::wait_any_until({one, one}, InAMinute()));
  waits.ExpectMinute();
  EXPECT_FALSE(ctx::wait_any_for(all, -1h));
  waits.ExpectLook();
  EXPECT_FALSE(ctx::wait_any_until({one, one}, Past()));
  waits.ExpectLook();
}

TEST(Limits, OfAPoll) {
  Waits waits;
  const Answer<ctx_poll> answers(
      [once = waits.Once()](ctx_t*, pollfd*, nfds_t, std::int64_t ns) { return once(ns); });
  const ctx::context ctx;
  std::error_code error;
  waits.result = 3;
  EXPECT_EQ(ctx.poll(nullptr, 0, std::chrono::hours::max()), 3u);
  waits.ExpectNone();
  EXPECT_EQ(ctx.poll(nullptr, 0, 1min), 3u);
  waits.ExpectMinute();
  EXPECT_EQ(ctx.poll(nullptr, 0, -1h, error), 3u);
  waits.ExpectLook();
  EXPECT_EQ(ctx.poll(nullptr, 0, 1min, error), 3u);
  waits.ExpectMinute();
}

TEST(Limits, OfAQueue) {
  Waits waits;
  const Answer<ctx_queue_wait> answers(
      [once = waits.Once()](ctx_queue_t*, ctx_event_t*, std::size_t, std::int64_t ns) {
        return std::int64_t{once(ns)};
      });
  const ctx::queue queue;
  ctx::event events[2];
  waits.result = 2;
  EXPECT_EQ(queue.wait(events, 2), 2u);
  waits.ExpectNone();
  EXPECT_EQ(queue.wait(events), 2u);
  waits.ExpectNone();
  EXPECT_EQ(queue.wait_for(events, 2, std::chrono::hours::max()), 2u);
  waits.ExpectNone();
  waits.result = 0;
  EXPECT_EQ(queue.wait_for(events, 2, 1min), 0u);
  waits.ExpectMinute();
  EXPECT_EQ(queue.wait_for(events, 1min), 0u);
  waits.ExpectMinute();
  EXPECT_EQ(queue.wait_for(events, -1h), 0u);
  waits.ExpectLook();
}

TEST(Limits, OfAGroup) {
  Waits waits;
  {
    const ctx::group group;
    const Answer<ctx_group_wait> answers(
        [once = waits.Once()](ctx_group_t*, std::int64_t ns) { return once(ns); });
    waits.result = 1;
    group.wait(), waits.ExpectNone();
    EXPECT_TRUE(group.wait_for(std::chrono::hours::max()));
    waits.ExpectNone();
    EXPECT_TRUE(group.wait_until(kNever));
    waits.ExpectNone();
    waits.result = 0;
    EXPECT_FALSE(group.wait_for(1min));
    waits.ExpectMinute();
    EXPECT_FALSE(group.wait_until(InAMinute()));
    waits.ExpectMinute();
    EXPECT_FALSE(group.wait_for(-1h));
    waits.ExpectLook();
    EXPECT_FALSE(group.wait_until(Past()));
    waits.ExpectLook();
  }
}

TEST(Limits, TheDestructorOfAGroupWaitsThroughSignalHandlers) {
  Waits waits;
  const Answer<ctx_group_wait> answers(
      [once = waits.Once()](ctx_group_t*, std::int64_t ns) { return once(ns); });
  waits.result = 1;
  { const ctx::group group; }
  waits.ExpectNone();
}

TEST(Limits, OfAShutdown) {
  Limits limits;
  const Answer<ctx_shutdown> answers([&](std::int64_t ns) {
    limits.push_back(ns);
    return ns == 0 ? -ETIMEDOUT : 0;
  });
  EXPECT_FALSE(ctx::shutdown(-1h));
  EXPECT_FALSE(ctx::shutdown(0s));
  EXPECT_TRUE(ctx::shutdown(1min));
  EXPECT_TRUE(ctx::shutdown(std::chrono::hours::max()));
  EXPECT_EQ(limits, (Limits{0, 0, kMinuteNs, CTX_FOREVER}));
}

TEST(Limits, AQueueWithoutOneWaitsForAnEvent) {
  const ctx::queue queue;
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  queue.add(ctx, 3);
  Gate waits;
  const Answer<ctx_queue_wait> looks_on(
      [&](ctx_queue_t* raw, ctx_event_t* events, std::size_t n, std::int64_t ns) {
        waits.Open();
        return Library<ctx_queue_wait>()(raw, events, n, ns);
      });
  std::thread thread([&, right = cancel] {
    EXPECT_TRUE(waits.Wait());
    right.cancel();
  });
  ctx::event events[4];
  EXPECT_EQ(queue.wait(events), 1u);
  EXPECT_EQ(events[0].token, 3u);
  thread.join();
}

}  // namespace
}  // namespace ctxtest
