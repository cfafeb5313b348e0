// SPDX-License-Identifier: MIT
//
// Fans of a million: children of one parent, parents of one merge, observers of one context, entries of one queue,
// work of one group.

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "scale/chains.h"
#include "scale/measure.h"
#include "support/callback.h"
#include "support/loops.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

class ScaleFan : public ::testing::TestWithParam<ChainKind> {
 protected:
  const BlockSignals blocked{SIGUSR1};
  const Pipe pipe;
};

TEST_P(ScaleFan, Rule45_IsEndedAndFreedInEachOrder) {
  const ChainKind& kind = GetParam();
  double derive = 0, end = 0, release = 0;
  for (const bool ended : {true, false}) {
    for (const Order order : kOrders) {
      Drop drop;
      GivesAllBack all;
      {
        const Ctx watched = Watched(ctx_background(), &drop);
        Scope top = WithCancel(watched), side = WithCancel(watched);
        Many fan;
        fan.Reserve(kMillion);
        const double begin = Seconds();
        for (size_t i = 0; i < kMillion; ++i) {
          ctx_t* made = nullptr;
          ASSERT_EQ(kind.derive({top, side, pipe.read_end, i}, &made), 0);
          fan.Add(made);
        }
        const double derived = Seconds();
        if (ended) {
          EXPECT_EQ(top.Cancel(), 1);
          end = std::max(end, Seconds() - derived);
        }
        EXPECT_EQ(fan.CountNot(ended && kind.ends ? CTX_CANCELED : 0), 0u);
        top.reset();
        side.reset();
        const double at_release = Seconds();
        fan.Release(order);
        derive = std::max(derive, derived - begin);
        release = std::max(release, Seconds() - at_release);
      }
      EXPECT_TRUE(drop.Wait());
    }
  }
  Measured("a fan of 1,000,000 of kind %s: derive %.2f s, cancel %.2f s, release %.2f s", kind.name,
           derive, end, release);
}

INSTANTIATE_TEST_SUITE_P(, ScaleFan, ::testing::ValuesIn(kChainKinds),
                         [](const auto& each) { return std::string(each.param.name); });

// One byte ends them all; so does one signal.
TEST(ScaleSources, Rule34_OneDescriptorEndsAMillion) {
  GivesAllBack all;
  const Pipe pipe;
  Many fan;
  for (size_t i = 0; i < kMillion; ++i)
    fan.Add(WithFd(ctx_background(), pipe.read_end, POLLIN).ctx.release());
  const double begin = Seconds();
  pipe.Write();
  for (ctx_t* ctx : fan.all()) ASSERT_TRUE(Done(ctx));
  EXPECT_EQ(fan.CountNot(CTX_CANCELED), 0u);
  Measured("one descriptor ends 1,000,000 contexts: %.2f s", Seconds() - begin);
}

TEST(ScaleSources, Rule35_OneSignalEndsAMillion) {
  const BlockSignals blocked{SIGUSR1};
  GivesAllBack all;
  Many fan;
  for (size_t i = 0; i < kMillion; ++i)
    fan.Add(WithSignal(ctx_background(), {SIGUSR1}).ctx.release());
  const double begin = Seconds();
  Send(SIGUSR1);
  for (ctx_t* ctx : fan.all()) ASSERT_TRUE(Done(ctx));
  EXPECT_EQ(fan.CountNot(CTX_CANCELED), 0u);
  Measured("one signal ends 1,000,000 contexts: %.2f s", Seconds() - begin);
}

TEST(ScaleMerge, Rule22_OfAMillionParentsEndsWithAnyOfThem) {
  GivesAllBack all;
  const Scope side = WithCancel(ctx_background());
  for (const size_t first : {size_t{0}, kMillion / 2, kMillion - 1}) {
    std::vector<Scope> parents(kMillion);
    std::vector<ctx_t*> raw;
    for (Scope& parent : parents) {
      parent = WithCancel(side);
      raw.push_back(parent);
    }
    Scope merged = Merge(raw);
    EXPECT_EQ(ctx_err(merged), 0);
    const double begin = Seconds();
    EXPECT_EQ(parents[first].Cancel(), 1);
    EXPECT_EQ(ctx_err(merged), CTX_CANCELED);
    EXPECT_EQ(ctx_ended_by(merged, parents[first]), 1);
    EXPECT_EQ(ctx_ended_by(merged, parents[first ^ 1]), 0);
    Measured("a merge of 1,000,000 parents ends with one of them: %.3f s", Seconds() - begin);
  }
}

TEST(ScaleQueue, Rule36_AMillionEventsOfOneCancel) {
  GivesAllBack all;
  const Queue queue = NewQueue();
  Scope top = WithCancel(ctx_background());
  const int fd = ctx_queue_fd(queue);
  Many fan;
  for (size_t i = 0; i < kMillion; ++i) {
    fan.Add(WithCancel(top).ctx.release());
    ASSERT_EQ(ctx_queue_add(queue, fan.back(), i, nullptr), 0);
  }
  fan.Release(Order::kRandom);  // their entries hold them
  EXPECT_FALSE(Readable(fd));
  const double begin = Seconds();
  EXPECT_EQ(top.Cancel(), 1);
  const double canceled = Seconds();
  EXPECT_TRUE(Readable(fd));
  std::vector<bool> seen(kMillion);
  std::vector<ctx_event_t> events(1000);
  size_t count = 0, twice = 0;
  for (int64_t n; (n = ctx_queue_drain(queue, events.data(), events.size())) > 0;) {
    for (int64_t i = 0; i < n; ++i) {
      const ctx_event_t& event = events[static_cast<size_t>(i)];
      twice += seen[event.token] || event.err != CTX_CANCELED;
      seen[event.token] = true;
      ++count;
    }
  }
  EXPECT_EQ(count, kMillion);
  EXPECT_EQ(twice, 0u);
  EXPECT_FALSE(Readable(fd));
  Measured("1,000,000 events: cancel %.2f s, drain %.2f s", canceled - begin, Seconds() - canceled);
}

// Entries that never fire go with the queue.
TEST(ScaleQueue, Rule36_AMillionEntriesGoWithTheQueue) {
  GivesAllBack all;
  const Scope scope = WithCancel(ctx_background());
  Queue queue = NewQueue();
  for (size_t i = 0; i < kMillion; ++i) ASSERT_EQ(ctx_queue_add(queue, scope, i, nullptr), 0);
  queue.reset();
  EXPECT_EQ(scope.Cancel(), 1);
  Measured("1,000,000 entries go with their queue: %.2f s", all.Elapsed());
}

struct CallbackCase {
  const char* name;
  uint32_t flags;
  size_t n;
};

class ScaleCallbacks : public ::testing::TestWithParam<CallbackCase> {};

struct Count {
  std::atomic<size_t> runs{0}, drops{0};
  static void Run(ctx_t*, void* arg) { static_cast<Count*>(arg)->runs.fetch_add(1); }
  static void Drop(void* arg) { static_cast<Count*>(arg)->drops.fetch_add(1); }
};

// A million on one context, and one on each of a million.
TEST_P(ScaleCallbacks, Rule24_AMillionRunAndAreDroppedOnce) {
  const CallbackCase& param = GetParam();
  for (const bool on_one : {true, false}) {
    GivesAllBack all;
    {
      Count run, stopped;
      Scope top = WithCancel(ctx_background());
      std::vector<ctx_watch_t*> watches;
      for (size_t i = 0; i < param.n; ++i) {
        const Scope scope = on_one ? Scope{Ctx(ctx_ref(top)), Canceler()} : WithCancel(top);
        ctx_watch_t* watch = nullptr;
        Count* const count = i % 10 == 0 ? &stopped : &run;
        ASSERT_EQ(ctx_after_func(scope, Count::Run, count, Count::Drop, param.flags, &watch), 0);
        watches.push_back(watch);
      }
      for (size_t i = 0; i < param.n; i += 10) ASSERT_EQ(ctx_watch_stop(watches[i]), 1);
      EXPECT_EQ(stopped.drops.load(), param.n / 10);
      const double begin = Seconds();
      EXPECT_EQ(top.Cancel(), 1);
      size_t prevented = 0;  // of those that other threads run
      for (ctx_watch_t* watch : watches)
        prevented += static_cast<size_t>(ctx_watch_stop_wait(watch));
      const double end = Seconds();
      EXPECT_EQ(run.runs.load(), param.n - param.n / 10 - prevented);
      if (param.flags == 0 || param.flags == CTX_WAKER) {
        EXPECT_EQ(prevented, 0u);
      }
      EXPECT_EQ(run.drops.load(), param.n - param.n / 10);
      EXPECT_EQ(stopped.runs.load(), 0u);
      EXPECT_EQ(stopped.drops.load(), param.n / 10);
      for (ctx_watch_t* watch : watches) ctx_watch_unref(watch);
      Measured("%zu callbacks (%s) on %s: %.2f s", param.n, param.name,
               on_one ? "one context" : "as many contexts", end - begin);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, ScaleCallbacks,
                         ::testing::Values(CallbackCase{"Plain", 0, kMillion},
                                           CallbackCase{"Deferred", CTX_DEFER, kMillion},
                                           CallbackCase{"Wakers", CTX_WAKER, kMillion},
                                           CallbackCase{"Blocking", CTX_BLOCKING, kMillion},
                                           CallbackCase{"BlockingDeferred",
                                                        CTX_BLOCKING | CTX_DEFER, kMillion}),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(ScaleGroup, Rule54_AMillionPiecesOfWorkAndAsManyContextsOfTheirEnd) {
  GivesAllBack all;
  const Group group = NewGroup(ctx_background());
  Many over;
  for (size_t i = 0; i < kMillion; ++i) ASSERT_EQ(ctx_group_begin(group), 0);
  for (size_t i = 0; i < kMillion; ++i) {
    ctx_t* made = nullptr;
    ASSERT_EQ(ctx_group_over(group, &made), 0);
    over.Add(made);
  }
  for (size_t i = 1; i < kMillion; ++i) ASSERT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_EQ(ctx_group_wait(group, 0), 0);
  EXPECT_EQ(over.CountNot(0), 0u);
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_EQ(ctx_group_wait(group, 0), 1);
  EXPECT_EQ(over.CountNot(CTX_CANCELED), 0u);
  EXPECT_EQ(ctx_group_end(group, nullptr), -EINVAL);
  Measured("1,000,000 pieces of work, and contexts of their end: %.2f s", all.Elapsed());
}

// A wait for a million contexts, of which the last ends.
TEST(ScaleWait, Rule42_ForAnyOfAMillion) {
  GivesAllBack all;
  Scope last = WithCancel(ctx_background());
  Many fan;
  for (size_t i = 1; i < kMillion; ++i) fan.Add(WithCancel(ctx_background()).ctx.release());
  fan.Add(ctx_ref(last));
  size_t index = 0;
  EXPECT_EQ(ctx_wait_any(fan.all().data(), fan.size(), kMillisecond, &index), 0);
  std::thread waiter([&] {
    EXPECT_EQ(ctx_wait_any(fan.all().data(), fan.size(), kLimit, &index), 1);
    EXPECT_EQ(index, kMillion - 1);
  });
  EXPECT_EQ(last.Cancel(), 1);
  waiter.join();
  Measured("a wait for any of 1,000,000 contexts: %.2f s", all.Elapsed());
}

}  // namespace
}  // namespace ctxtest
