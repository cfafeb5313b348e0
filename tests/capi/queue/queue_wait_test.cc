// SPDX-License-Identifier: MIT
//
// ctx_queue_wait, with its time limits (rule 40), several waiters and signals; and what the functions of
// a queue answer to bad handles (rule 43).
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/signals.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(QueueWait, TakesWhatWaitsAtOnce) {
  const Queue queue = NewQueue();
  const Scope done = WithTimeout(ctx_background(), 0);
  for (uint64_t i = 0; i < 5; ++i) ASSERT_EQ(ctx_queue_add(queue, done, i, nullptr), 0);
  ctx_event_t events[3];
  EXPECT_EQ(ctx_queue_wait(queue, events, 3, 0), 3);
  EXPECT_EQ(events[0].token, 0u);
  EXPECT_EQ(events[2].token, 2u);
  EXPECT_EQ(events[2].err, CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_queue_wait(queue, events, 3, CTX_FOREVER), 2);
  EXPECT_EQ(events[1].token, 4u);
  EXPECT_EQ(ctx_queue_wait(queue, events, 3, 0), 0);
  EXPECT_EQ(ctx_queue_wait(queue, events, 3, kMillisecond), 0);
}

TEST(QueueWait, EndsWithADeadline) {
  const Queue queue = NewQueue();
  const Scope timed = WithTimeout(ctx_background(), 2 * kMillisecond);
  ASSERT_EQ(ctx_queue_add(queue, timed, 9, nullptr), 0);
  ctx_event_t event = {};
  EXPECT_EQ(ctx_queue_wait(queue, &event, 1, CTX_FOREVER), 1);
  EXPECT_EQ(event.token, 9u);
  EXPECT_EQ(event.err, CTX_DEADLINE_EXCEEDED);
}

TEST(QueueWait, EndsWithACancelFromAnotherThread) {
  const Queue queue = NewQueue();
  Scope scope;
  std::atomic<int> wrong{0};
  Race(
      kSanitized ? 200 : 1000,
      [&] {
        scope = WithCancel(ctx_background());
        wrong += ctx_queue_add(queue, scope, 1, nullptr) != 0;
      },
      {[&] { scope.Cancel(); },
       [&] {
         ctx_event_t event = {};
         wrong += ctx_queue_wait(queue, &event, 1, CTX_FOREVER) != 1 || event.token != 1;
       }},
      [] {});
  EXPECT_EQ(wrong, 0);
}

// With a descriptor the queue has another way to wake a host; threads that wait are woken all the same.
TEST(QueueWait, WorksBesideTheDescriptor) {
  const Queue queue = NewQueue();
  const int fd = ctx_queue_fd(queue);
  const Scope scope = WithCancel(ctx_background());
  ASSERT_EQ(ctx_queue_add(queue, scope, 1, nullptr), 0);
  ctx_event_t event = {};
  EXPECT_EQ(ctx_queue_wait(queue, &event, 1, kMillisecond), 0);
  std::thread canceler([&] { scope.Cancel(); });
  EXPECT_EQ(ctx_queue_wait(queue, &event, 1, CTX_FOREVER), 1);
  canceler.join();
  EXPECT_FALSE(Readable(fd));
}

TEST(QueueWait, AnAddOfADoneContextEndsIt) {
  const Queue queue = NewQueue();
  std::thread adds(
      [&] { EXPECT_EQ(ctx_queue_add(queue, WithTimeout(ctx_background(), 0), 4, nullptr), 0); });
  ctx_event_t event = {};
  EXPECT_EQ(ctx_queue_wait(queue, &event, 1, CTX_FOREVER), 1);
  EXPECT_EQ(event.token, 4u);
  adds.join();
}

// Each of several waiters takes one event of as many: none is woken for nothing and then forgotten.
TEST(QueueWait, AsManyWaitersAsEventsAllGetOne) {
  constexpr int kWaiters = 8;
  for (int round = 0; round < 50; ++round) {
    const Queue queue = NewQueue();
    const Scope parent = WithCancel(ctx_background());
    std::vector<Scope> children;
    for (uint64_t i = 0; i < kWaiters; ++i) {
      children.push_back(WithCancel(parent));
      ASSERT_EQ(ctx_queue_add(queue, children.back(), i, nullptr), 0);
    }
    std::atomic<unsigned> seen{0};
    std::atomic<int> wrong{0};
    std::vector<std::thread> waiters;
    for (int i = 0; i < kWaiters; ++i) {
      waiters.emplace_back([&] {
        ctx_event_t event = {};
        wrong += ctx_queue_wait(queue, &event, 1, kLimit) != 1;
        seen |= 1u << event.token;
      });
    }
    if (round % 2 == 0) {
      parent.Cancel();
    } else {
      for (const Scope& child : children) child.Cancel();
    }
    for (std::thread& waiter : waiters) waiter.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(seen, (1u << kWaiters) - 1);
  }
}

// A waiter whose event another one took, or a stop withdrew, goes on waiting.
TEST(QueueWait, GoesOnWhenAnotherTookTheEvent) {
  const Queue queue = NewQueue();
  std::atomic<int> wrong{0};
  std::vector<std::thread> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.emplace_back([&] {
      ctx_event_t event = {};
      wrong += ctx_queue_wait(queue, &event, 1, kLimit) != 1;
    });
  }
  int left_to_them = 0;
  for (int round = 0; left_to_them < 4; ++round) {
    const Scope scope = WithCancel(ctx_background());
    const Watch watch = Add(queue, scope, 1);
    scope.Cancel();
    if (round > 1000 || ctx_watch_stop(watch) == 0) ++left_to_them;
  }
  for (std::thread& waiter : waiters) waiter.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(Drain(queue).empty());
}

TEST(QueueWait, Rule40_ItDoesNotTimeOutEarly) {
  const Queue queue = NewQueue();
  ctx_event_t event;
  for (int64_t limit = 1; limit < 10 * kMillisecond; limit = limit * 7 + 3) {
    const int64_t start = ctx_now(ctx_background());
    EXPECT_EQ(ctx_queue_wait(queue, &event, 1, limit), 0);
    EXPECT_GE(ctx_now(ctx_background()) - start, limit);
  }
}

TEST(QueueWait, Rule40_ANegativeLimitIsEINVAL) {
  const Queue empty = NewQueue(), queue = NewQueue();
  ASSERT_EQ(ctx_queue_add(queue, WithTimeout(ctx_background(), 0), 1, nullptr), 0);
  ctx_event_t event = {99, 99, 99};
  for (int64_t limit : {int64_t{-1}, -kHour, INT64_MIN}) {
    EXPECT_EQ(ctx_queue_wait(empty, &event, 1, limit), -EINVAL);
    EXPECT_EQ(ctx_queue_wait(queue, &event, 1, limit), -EINVAL);
  }
  EXPECT_EQ(event.token, 99u);
  EXPECT_EQ(Tokens(queue).size(), 1u);
}

TEST(QueueWait, Rule40_ALimitNearTheLargestIsNoLimit) {
  const Queue queue = NewQueue();
  for (int64_t limit : {CTX_FOREVER, CTX_FOREVER - 1, CTX_FOREVER / 2}) {
    const Scope scope = WithTimeout(ctx_background(), kMillisecond);
    ASSERT_EQ(ctx_queue_add(queue, scope, 1, nullptr), 0);
    ctx_event_t event;
    EXPECT_EQ(ctx_queue_wait(queue, &event, 1, limit), 1);
  }
}

TEST(QueueWait, ASignalHandlerEndsIt) {
  const Queue queue = NewQueue();
  ctx_event_t event;
  for (int flags : {0, SA_RESTART}) {
    for (int64_t limit : {kLimit, CTX_FOREVER}) {
      EXPECT_EQ(
          Interrupted(flags,
                      [&] { return static_cast<int>(ctx_queue_wait(queue, &event, 1, limit)); }),
          -EINTR);
    }
  }
  ASSERT_EQ(ctx_queue_add(queue, WithTimeout(ctx_background(), 0), 1, nullptr), 0);
  EXPECT_EQ(ctx_queue_wait(queue, &event, 1, CTX_FOREVER), 1) << "and it can be taken up again";
}

TEST(QueueBadInput, NullHandles) {
  const Queue queue = NewQueue();
  const Scope scope = WithCancel(ctx_background());
  ctx_event_t event = {99, 99, 99};
  auto* const untouched = reinterpret_cast<ctx_watch_t*>(&event);
  ctx_watch_t* watch = untouched;
  EXPECT_EQ(ctx_queue_new(nullptr), -EINVAL);
  EXPECT_EQ(ctx_queue_ref(nullptr), nullptr);
  EXPECT_EQ(ctx_queue_unref(nullptr), nullptr);
  EXPECT_EQ(ctx_queue_fd(nullptr), -EINVAL);
  EXPECT_EQ(ctx_queue_add(nullptr, scope, 1, &watch), -EINVAL);
  EXPECT_EQ(ctx_queue_add(queue, nullptr, 1, &watch), -EINVAL);
  EXPECT_EQ(ctx_queue_add(queue, nullptr, 1, nullptr), -EINVAL);
  EXPECT_EQ(ctx_queue_drain(nullptr, &event, 1), -EINVAL);
  EXPECT_EQ(ctx_queue_drain(queue, nullptr, 1), -EINVAL);
  ctx_t* ctx = ctx_todo();
  EXPECT_EQ(ctx_queue_drain_ctxs(nullptr, &event, &ctx, 1), -EINVAL);
  EXPECT_EQ(ctx_queue_drain_ctxs(queue, nullptr, &ctx, 1), -EINVAL);
  EXPECT_EQ(ctx_queue_drain_ctxs(queue, &event, nullptr, 1), -EINVAL);
  EXPECT_EQ(ctx, ctx_todo());
  EXPECT_EQ(ctx_queue_wait(nullptr, &event, 1, 0), -EINVAL);
  EXPECT_EQ(ctx_queue_wait(queue, nullptr, 1, 0), -EINVAL);
  EXPECT_EQ(ctx_queue_wait(queue, &event, 0, 0), -EINVAL);
  EXPECT_EQ(ctx_queue_wait(queue, nullptr, 0, kLimit), -EINVAL);
  EXPECT_EQ(watch, untouched);
  EXPECT_EQ(event.token, 99u);
  scope.Cancel();
  EXPECT_TRUE(Drain(queue).empty());
}

TEST(QueueBadInput, ACancelerPassedAsAContext) {
  const Queue queue = NewQueue();
  const Scope plain = WithCancel(ctx_background()), timed = WithTimeout(ctx_background(), kHour);
  for (const Scope* scope : {&plain, &timed}) {
    ctx_watch_t* watch = nullptr;
    EXPECT_EQ(ctx_queue_add(queue, reinterpret_cast<ctx_t*>(scope->canceler.get()), 1, &watch),
              -EINVAL);
    EXPECT_EQ(watch, nullptr);
    EXPECT_EQ(scope->Cancel(), 1);
  }
  EXPECT_TRUE(Drain(queue).empty());
}

TEST(QueueBadInput, HandlesOfOtherObjectsAreRefused) {
  const Queue queue = NewQueue();
  const Scope scope = WithCancel(ctx_background());
  ctx_event_t event;
  auto* const bad = reinterpret_cast<ctx_queue_t*>(scope.ctx.get());
  EXPECT_EQ(ctx_queue_fd(bad), -EINVAL);
  EXPECT_EQ(ctx_queue_add(bad, scope, 1, nullptr), -EINVAL);
  EXPECT_EQ(ctx_queue_drain(bad, &event, 1), -EINVAL);
  ctx_t* ctx = ctx_todo();
  EXPECT_EQ(ctx_queue_drain_ctxs(bad, &event, &ctx, 1), -EINVAL);
  EXPECT_EQ(ctx_queue_wait(bad, &event, 1, 0), -EINVAL);
  EXPECT_EQ(ctx_queue_ref(bad), nullptr);
  EXPECT_EQ(ctx_queue_unref(bad), nullptr);
  auto* const not_a_context = reinterpret_cast<ctx_t*>(queue.get());
  EXPECT_EQ(ctx_err(scope), 0);
  EXPECT_EQ(ctx_queue_add(queue, not_a_context, 1, nullptr), -EINVAL);
  EXPECT_EQ(ctx_ref(not_a_context), nullptr);
}

}  // namespace
}  // namespace ctxtest
