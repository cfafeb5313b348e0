// SPDX-License-Identifier: MIT
//
// Rule 36, and rules 5, 6, 11, 26, 40 and 43 as queues have them: one event for each entry, one
// descriptor that is readable exactly while events wait. Stops are in queue_stop_test.cc, bad handles in
// queue_wait_test.cc.
#include <fcntl.h>
#include <sys/epoll.h>

#include <array>
#include <numeric>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

using Tokens64 = std::vector<uint64_t>;

TEST(Queue, Rule36_EachAddGivesExactlyOneEvent) {
  const Queue queue = NewQueue();
  const Scope first = WithCancel(ctx_background()), second = WithCancel(ctx_background());
  const Watch a = Add(queue, first, 7), b = Add(queue, second, 8);
  EXPECT_TRUE(Drain(queue).empty());
  EXPECT_EQ(second.Cancel(), 1);
  const std::vector<ctx_event_t> events = Drain(queue);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].token, 8u);
  EXPECT_EQ(events[0].err, CTX_CANCELED);
  EXPECT_EQ(events[0].reserved, 0u);
  EXPECT_EQ(second.Cancel(), 0);
  EXPECT_TRUE(Drain(queue).empty());
  EXPECT_EQ(first.Cancel(), 1);
  EXPECT_EQ(Tokens(queue), Tokens64{7});
  EXPECT_TRUE(Drain(queue).empty());
}

TEST(Queue, Rule36_AnyTokenComesBack) {
  const Queue queue = NewQueue();
  const Scope scope = WithCancel(ctx_background());
  const Tokens64 tokens = {0, 0, UINT64_MAX, 1, uint64_t{1} << 63};
  for (const uint64_t token : tokens) ASSERT_EQ(ctx_queue_add(queue, scope, token, nullptr), 0);
  scope.Cancel();
  EXPECT_EQ(Tokens(queue), tokens);
}

TEST(Queue, Rule36_ADoneContextGivesItsEventAtOnce) {
  const Queue queue = NewQueue();
  const int fd = ctx_queue_fd(queue);
  const Scope canceled = WithCancel(ctx_background()), late = WithTimeout(ctx_background(), 0);
  canceled.Cancel();
  const Watch a = Add(queue, canceled, 1);
  EXPECT_TRUE(Readable(fd));
  const Watch b = Add(queue, late, 2), c = Add(queue, canceled, 3);
  const std::vector<ctx_event_t> events = Drain(queue);
  ASSERT_EQ(events.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(events[i].token, i + 1);
  EXPECT_EQ(events[0].err, CTX_CANCELED);
  EXPECT_EQ(events[1].err, CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(events[2].err, CTX_CANCELED);
  EXPECT_FALSE(Readable(fd));
}

TEST(Queue, Rule36_ADeadlinePostsToo) {
  const Queue queue = NewQueue();
  const Scope timed = WithTimeout(ctx_background(), 2 * kMillisecond);
  const Scope below = WithCancel(timed);
  const Watch a = Add(queue, below, 5);
  ASSERT_TRUE(Readable(ctx_queue_fd(queue), kLimitMs));
  const std::vector<ctx_event_t> events = Drain(queue);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].err, CTX_DEADLINE_EXCEEDED);
}

TEST(Queue, Rule36_TheDescriptorIsReadableExactlyWhileEventsWait) {
  const Queue queue = NewQueue();
  const int fd = ctx_queue_fd(queue);
  ASSERT_GE(fd, 0);
  std::vector<Scope> scopes;
  for (uint64_t i = 0; i < 5; ++i) {
    scopes.push_back(WithCancel(ctx_background()));
    ASSERT_EQ(ctx_queue_add(queue, scopes.back(), i, nullptr), 0);
    EXPECT_FALSE(Readable(fd));
  }
  for (const Scope& scope : scopes) {
    scope.Cancel();
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(Readable(fd));
  }
  EXPECT_EQ(Drain(queue, 2).size(), 2u);
  EXPECT_TRUE(Readable(fd)) << "three wait";
  EXPECT_EQ(Drain(queue, 3).size(), 3u);
  EXPECT_FALSE(Readable(fd)) << "a drain that took them all, and did not meet the end";
  EXPECT_EQ(Drain(queue, 1).size(), 0u);
  EXPECT_FALSE(Readable(fd));
  for (uint64_t round = 0; round < 100; ++round) {  // and again
    const Scope scope = WithCancel(ctx_background());
    ASSERT_EQ(ctx_queue_add(queue, scope, round, nullptr), 0);
    EXPECT_FALSE(Readable(fd));
    scope.Cancel();
    EXPECT_TRUE(Readable(fd));
    EXPECT_EQ(Tokens(queue), Tokens64{round});
    EXPECT_FALSE(Readable(fd));
  }
}

TEST(Queue, Rule36_ADescriptorMadeLaterShowsWhatWaits) {
  const Queue with = NewQueue(), without = NewQueue();
  const Scope scope = WithCancel(ctx_background());
  ASSERT_EQ(ctx_queue_add(with, scope, 1, nullptr), 0);
  ASSERT_EQ(ctx_queue_add(without, scope, 1, nullptr), 0);
  scope.Cancel();
  EXPECT_EQ(Tokens(without), Tokens64{1});
  EXPECT_TRUE(Readable(ctx_queue_fd(with)));
  EXPECT_FALSE(Readable(ctx_queue_fd(without)));
  EXPECT_EQ(Tokens(with), Tokens64{1});
  EXPECT_FALSE(Readable(ctx_queue_fd(with)));
}

// A host's loop is woken by the first event, and not once more for each that joins it.
TEST(Queue, OneWakeUpHoweverManyEventsWait) {
  const Queue queue = NewQueue();
  const Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  epoll_event edge{};
  edge.events = EPOLLIN | EPOLLET;
  ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, ctx_queue_fd(queue), &edge), 0);
  for (int round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < 100; ++i) {
      const Scope scope = WithCancel(ctx_background());
      ASSERT_EQ(ctx_queue_add(queue, scope, i, nullptr), 0);
      scope.Cancel();
      EXPECT_EQ(epoll_wait(epoll, &edge, 1, 0), i == 0 ? 1 : 0) << i;
    }
    EXPECT_EQ(Tokens(queue).size(), 100u);
    EXPECT_EQ(epoll_wait(epoll, &edge, 1, 0), 0);
  }
}

TEST(Queue, EventsComeInTheOrderTheyWerePosted) {
  const Queue queue = NewQueue();
  std::vector<Scope> scopes;
  for (uint64_t i = 0; i < 10; ++i) {
    scopes.push_back(WithCancel(ctx_background()));
    ASSERT_EQ(ctx_queue_add(queue, scopes.back(), i, nullptr), 0);
  }
  Tokens64 posted;
  for (const size_t i : {3, 9, 0, 4, 8, 1, 7, 2, 6, 5}) {
    scopes[i].Cancel();
    posted.push_back(i);
  }
  EXPECT_EQ(Tokens(queue), posted);
}

TEST(Queue, DrainsInBatches) {
  constexpr uint64_t kMany = 1000;
  const Queue queue = NewQueue();
  const Scope parent = WithCancel(ctx_background());
  std::vector<Scope> children;
  for (uint64_t i = 0; i < kMany; ++i) {
    children.push_back(WithCancel(parent));
    ASSERT_EQ(ctx_queue_add(queue, children.back(), i, nullptr), 0);
  }
  parent.Cancel();
  std::vector<bool> seen(kMany);
  uint64_t all = 0;
  for (const size_t n : {size_t{1}, size_t{7}, size_t{64}, size_t{100}, size_t{5000}}) {
    const std::vector<ctx_event_t> events = Drain(queue, n);
    EXPECT_EQ(events.size(), std::min<size_t>(n, kMany - all));
    for (const ctx_event_t& event : events) {
      ASSERT_LT(event.token, kMany);
      EXPECT_FALSE(seen[event.token]) << "twice";
      seen[event.token] = true;
      EXPECT_EQ(event.err, CTX_CANCELED);
    }
    all += events.size();
  }
  EXPECT_EQ(all, kMany);
}

TEST(Queue, Rule36_ADrainHandsContextsOverWithTheirCauses) {
  constexpr uint64_t kMany = 200;
  static const ctx_key_t key = {"number"};
  const Queue queue = NewQueue();
  Drop drop;
  uint64_t numbers[kMany];
  for (uint64_t i = 0; i < kMany; ++i) {
    numbers[i] = i;
    const Cause cause = NewCause(static_cast<int>(i) + 1, "why");
    const Scope scope =
        WithCancel(WithValue(Watched(ctx_background(), &drop), &key, &numbers[i], nullptr));
    ASSERT_EQ(ctx_queue_add(queue, scope, i, nullptr), 0);
    EXPECT_EQ(ctx_cancel_with(scope.canceler, CTX_CANCELED, cause), 1);
  }
  uint64_t all = 0;
  for (const size_t n : {size_t{1}, size_t{64}, size_t{100}, size_t{1000}}) {
    std::vector<ctx_event_t> events(n);
    std::vector<ctx_t*> ctxs(n);
    const int64_t taken = ctx_queue_drain_ctxs(queue, events.data(), ctxs.data(), n);
    ASSERT_EQ(taken, static_cast<int64_t>(std::min<uint64_t>(n, kMany - all)));
    for (int64_t i = 0; i < taken; ++i, ++all) {
      const Ctx ctx(ctxs[i]);
      EXPECT_EQ(events[i].token, all);
      EXPECT_EQ(events[i].err, CTX_CANCELED);
      EXPECT_EQ(ctx_cause_code(ctx_cause(ctx)), static_cast<int>(all) + 1);
      EXPECT_EQ(ctx_value(ctx, &key), &numbers[all]);
      EXPECT_EQ(drop.count(), static_cast<int>(all)) << "it is held";
    }
  }
  EXPECT_EQ(drop.count(), static_cast<int>(kMany));
  EXPECT_FALSE(Readable(ctx_queue_fd(queue)));
}

TEST(Queue, ADrainWithoutRoomTakesNothing) {
  const Queue queue = NewQueue();
  const Scope done = WithTimeout(ctx_background(), 0);
  EXPECT_EQ(ctx_queue_drain(queue, nullptr, 0), 0);
  const Watch watch = Add(queue, done, 1);
  ctx_event_t event = {};
  EXPECT_EQ(ctx_queue_drain(queue, nullptr, 0), 0);
  EXPECT_EQ(ctx_queue_drain(queue, &event, 0), 0);
  EXPECT_EQ(ctx_queue_drain_ctxs(queue, nullptr, nullptr, 0), 0);
  EXPECT_TRUE(Readable(ctx_queue_fd(queue)));
  EXPECT_EQ(Tokens(queue), Tokens64{1});
}

// What lies behind the last event in the caller's array is the caller's.
TEST(Queue, ADrainWritesNoMoreThanItTakes) {
  const Queue queue = NewQueue();
  const Scope done = WithTimeout(ctx_background(), 0);
  const Watch watch = Add(queue, done, 1);
  std::array<ctx_event_t, 3> events;
  events.fill({99, 99, 99});
  EXPECT_EQ(ctx_queue_drain(queue, events.data(), events.size()), 1);
  EXPECT_EQ(events[0].token, 1u);
  EXPECT_EQ(events[1].token, 99u);
  EXPECT_EQ(events[2].err, 99);
}

TEST(Queue, TheSameContextInManyQueuesAndManyTimesInOne) {
  std::vector<Queue> queues;
  const Scope scope = WithCancel(ctx_background());
  const Ctx value = WithValue(scope, &kKey, nullptr);
  for (uint64_t q = 0; q < 20; ++q) {
    queues.push_back(NewQueue());
    for (uint64_t i = 0; i < q; ++i) {
      ASSERT_EQ(ctx_queue_add(queues[q], i % 2 == 0 ? scope : value, 100 * q + i, nullptr), 0);
    }
  }
  scope.Cancel();
  for (uint64_t q = 0; q < 20; ++q) {
    Tokens64 added(q), drained = Tokens(queues[q]);
    std::iota(added.begin(), added.end(), 100 * q);
    std::sort(drained.begin(), drained.end());  // value is a context below the other
    EXPECT_EQ(drained, added);
  }
}

TEST(Queue, AddingTakesNoDescriptor) {
  const size_t before = OpenDescriptors();
  const Queue queue = NewQueue();
  const Scope parent = WithCancel(ctx_background());
  std::vector<Scope> children;
  for (uint64_t i = 0; i < 10'000; ++i) {
    children.push_back(WithCancel(parent));
    ASSERT_EQ(ctx_queue_add(queue, children.back(), i, nullptr), 0);
  }
  EXPECT_EQ(OpenDescriptors(), before);
  const int fd = ctx_queue_fd(queue);
  const size_t with_fd = OpenDescriptors();
  EXPECT_LE(with_fd, before + 2) << "one; two where it is a pipe";
  EXPECT_EQ(ctx_queue_fd(queue), fd);
  parent.Cancel();
  EXPECT_EQ(Tokens(queue).size(), 10'000u);
  EXPECT_EQ(OpenDescriptors(), with_fd);
}

TEST(Queue, TheDescriptorIsCloseOnExecAndNonBlocking) {
  const Queue queue = NewQueue();
  const int fd = ctx_queue_fd(queue);
  EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
}

TEST(Queue, Rule11_OnARootNothingIsArmed) {
  Drop drop;
  const Queue queue = NewQueue();
  for (ctx_t* root : {ctx_background(), ctx_todo()}) {
    const Watch watch = Add(queue, root, 1);
    EXPECT_EQ(ctx_watch_stop(watch), 1);
    EXPECT_EQ(ctx_watch_stop(watch), 0) << "only to one call";
    EXPECT_EQ(ctx_queue_add(queue, root, 2, nullptr), 0);
  }
  Watch watch;
  {
    const Ctx detached = WithoutCancel(Watched(ctx_background(), &drop));
    watch = Add(queue, detached, 3);
  }
  EXPECT_EQ(drop.count(), 1) << "nothing is pinned";
  EXPECT_EQ(ctx_watch_stop(watch), 1);
  EXPECT_FALSE(Readable(ctx_queue_fd(queue)));
  EXPECT_TRUE(Drain(queue).empty());
}

TEST(Queue, Rule43_ARetForTheWatchMayBeNull) {
  const Queue queue = NewQueue();
  const Scope scope = WithCancel(ctx_background());
  EXPECT_EQ(ctx_queue_add(queue, scope, 1, nullptr), 0);
  scope.Cancel();
  EXPECT_EQ(ctx_queue_add(queue, scope, 2, nullptr), 0);
  EXPECT_EQ(Tokens(queue), (Tokens64{1, 2}));
}

// A cancel marks all, then wakes, queues among the rest, and then calls back.
TEST(Queue, Rule05_EventsArePostedBeforeCallbacksRun) {
  const Queue queue = NewQueue();
  const Scope parent = WithCancel(ctx_background());
  const Scope child = WithCancel(parent);
  const Scope grandchild = WithCancel(child);
  Tokens64 in_callback;
  Callback callback([&](ctx_t*) { in_callback = Tokens(queue); });
  callback.Arm(parent);
  ASSERT_EQ(ctx_queue_add(queue, grandchild, 3, nullptr), 0);
  ASSERT_EQ(ctx_queue_add(queue, child, 2, nullptr), 0);
  ASSERT_EQ(ctx_queue_add(queue, parent, 1, nullptr), 0);
  parent.Cancel();
  std::sort(in_callback.begin(), in_callback.end());
  EXPECT_EQ(in_callback, (Tokens64{1, 2, 3}));
  EXPECT_TRUE(Drain(queue).empty());
}

TEST(Queue, AQueueAndADescriptorAndACallbackOnOneContext) {
  const Queue queue = NewQueue();
  const Scope scope = WithCancel(ctx_background());
  Callback before, after;
  before.Arm(scope);
  const Watch watch = Add(queue, scope, 1);
  const int fd = ctx_done_fd(scope);
  after.Arm(scope);
  scope.Cancel();
  EXPECT_EQ(before.runs() + after.runs(), 2);
  EXPECT_TRUE(Readable(fd));
  EXPECT_EQ(Tokens(queue), Tokens64{1});
}

// A context's own cancel leaves the entries of its parent and its siblings armed.
TEST(Queue, Rule07_OnlyWhatIsDonePosts) {
  const Queue queue = NewQueue();
  const Scope parent = WithCancel(ctx_background());
  const Scope child = WithCancel(parent), sibling = WithCancel(parent);
  ASSERT_EQ(ctx_queue_add(queue, parent, 1, nullptr), 0);
  ASSERT_EQ(ctx_queue_add(queue, child, 2, nullptr), 0);
  ASSERT_EQ(ctx_queue_add(queue, sibling, 3, nullptr), 0);
  child.Cancel();
  EXPECT_EQ(Tokens(queue), Tokens64{2});
  parent.Cancel();
  Tokens64 rest = Tokens(queue);
  std::sort(rest.begin(), rest.end());
  EXPECT_EQ(rest, (Tokens64{1, 3}));
}

}  // namespace
}  // namespace ctxtest
