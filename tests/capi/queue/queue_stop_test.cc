// SPDX-License-Identifier: MIT
//
// Rule 26 for entries of queues: a stop prevents an event until it is drained, and withdraws it while it
// waits; of a stop, a cancel and a drain that meet exactly one has the entry.
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr int kStopRounds = kSanitized ? 200 : 1500;

using Tokens64 = std::vector<uint64_t>;

TEST(QueueStop, Rule26_StopOfAnArmedEntryPreventsItsEvent) {
  const Queue queue = NewQueue();
  const Scope scope = WithCancel(ctx_background());
  for (const auto stop : {ctx_watch_stop, ctx_watch_stop_wait}) {
    const Watch watch = Add(queue, scope, 1);
    EXPECT_EQ(stop(watch), 1);
    EXPECT_EQ(stop(watch), 0);
  }
  scope.Cancel();
  EXPECT_FALSE(Readable(ctx_queue_fd(queue)));
  EXPECT_TRUE(Drain(queue).empty());
}

TEST(QueueStop, Rule26_StopOfAPostedEntryWithdrawsItsEvent) {
  const Queue queue = NewQueue();
  const int fd = ctx_queue_fd(queue);
  const Scope scope = WithCancel(ctx_background());
  std::vector<Watch> watches;
  for (uint64_t i = 0; i < 5; ++i) watches.push_back(Add(queue, scope, i));
  scope.Cancel();
  EXPECT_EQ(ctx_watch_stop(watches[2]), 1);
  EXPECT_EQ(ctx_watch_stop(watches[2]), 0);
  EXPECT_EQ(ctx_watch_stop_wait(watches[0]), 1);
  EXPECT_EQ(ctx_watch_stop_wait(watches[0]), 0);
  EXPECT_TRUE(Readable(fd));
  EXPECT_EQ(ctx_watch_stop(watches[4]), 1);
  EXPECT_EQ(Tokens(queue), (Tokens64{1, 3}));
  EXPECT_FALSE(Readable(fd));
}

TEST(QueueStop, Rule26_WithdrawingTheLastEventLeavesTheDescriptorUnreadable) {
  const Queue queue = NewQueue();
  const int fd = ctx_queue_fd(queue);
  for (int round = 0; round < 10; ++round) {
    const Scope scope = WithCancel(ctx_background());
    const Watch first = Add(queue, scope, 1), second = Add(queue, scope, 2);
    scope.Cancel();
    EXPECT_EQ(ctx_watch_stop(first), 1);
    EXPECT_TRUE(Readable(fd));
    EXPECT_EQ(ctx_watch_stop(second), 1);
    EXPECT_FALSE(Readable(fd));
    EXPECT_TRUE(Drain(queue).empty());
    ctx_event_t event;
    EXPECT_EQ(ctx_queue_wait(queue, &event, 1, 0), 0);
  }
}

TEST(QueueStop, Rule26_StopOfADrainedEntryAnswers0) {
  const Queue queue = NewQueue();
  const Scope scope = WithCancel(ctx_background());
  const Watch drained = Add(queue, scope, 1), waits = Add(queue, scope, 2);
  scope.Cancel();
  EXPECT_EQ(Drain(queue, 1).size(), 1u);
  EXPECT_EQ(ctx_watch_stop(drained), 0);
  EXPECT_EQ(ctx_watch_stop_wait(drained), 0);
  EXPECT_EQ(Tokens(queue), Tokens64{2});
  EXPECT_EQ(ctx_watch_stop(waits), 0);
}

TEST(QueueStop, Rule26_TheEventOfADoneContextIsWithdrawnToo) {
  const Queue queue = NewQueue();
  const Scope done = WithTimeout(ctx_background(), 0);
  const Watch watch = Add(queue, done, 1);
  EXPECT_EQ(ctx_watch_stop(watch), 1);
  EXPECT_FALSE(Readable(ctx_queue_fd(queue)));
  EXPECT_TRUE(Drain(queue).empty());
}

TEST(QueueStop, Rule26_AWatchThatIsForgottenStaysArmed) {
  const Queue queue = NewQueue();
  const Scope scope = WithCancel(ctx_background());
  Add(queue, scope, 1).reset();
  Watch posted = Add(queue, scope, 2);
  scope.Cancel();
  posted.reset();
  EXPECT_EQ(Tokens(queue), (Tokens64{1, 2}));
}

// What a stop, a cancel and a drain do with one entry at once.
TEST(QueueStop, Rule26_AStopThatCrossesTheCancelAndTheDrain) {
  const Queue queue = NewQueue();
  const int fd = ctx_queue_fd(queue);
  Drop drop;
  Scope scope;
  Watch watch;
  int stopped = 0, drained = 0, wrong = 0, withdrawn = 0;
  Stagger stagger(26), other(27);
  const int rounds = Race(
      kStopRounds,
      [&] {
        scope = WithCancel(Watched(ctx_background(), &drop));
        watch = Add(queue, scope, 1);
        stopped = drained = 0;
      },
      {[&] {
         stagger.Pass();
         stopped = ctx_watch_stop(watch);
       },
       [&] { scope.Cancel(); },
       [&] {
         other.Pass(1024);
         ctx_event_t event;
         drained = static_cast<int>(ctx_queue_drain(queue, &event, 1));
       }},
      [&] {
        const bool waited = Readable(fd);
        const size_t rest = Drain(queue).size();
        wrong += waited != (rest == 1);
        wrong += stopped + drained + static_cast<int>(rest) != 1;
        wrong += Readable(fd);
        withdrawn += stopped;
        scope.reset();
        wrong += drop.count() == 0;
      });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(drop.count(), rounds);
  EXPECT_GT(withdrawn, 0);
}

TEST(QueueStop, Rule26_OfManyStopsOfAPostedEntryOneWins) {
  const Queue queue = NewQueue();
  const int fd = ctx_queue_fd(queue);
  Watch watch;
  std::array<int, 2> stopped{};
  int drained = 0, wrong = 0;
  Race(
      kStopRounds, [&] { watch = Add(queue, WithTimeout(ctx_background(), 0), 1); },
      {[&] { stopped[0] = ctx_watch_stop(watch); },
       [&] { stopped[1] = ctx_watch_stop_wait(watch); },
       [&] {
         ctx_event_t event;
         drained = static_cast<int>(ctx_queue_drain(queue, &event, 1));
       }},
      [&] { wrong += stopped[0] + stopped[1] + drained != 1 || Readable(fd); });
  EXPECT_EQ(wrong, 0);
}

// Entries come and go on contexts that live long: a queue keeps nothing of what was stopped.
TEST(QueueStop, ManyThreadsAddAndStopOnOneContext) {
  const Queue queue = NewQueue();
  const Scope scope = WithCancel(ctx_background());
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kStopRounds; ++i) {
        Watch watch;
        wrong += ctx_queue_add(queue, scope, 1, watch.out()) != 0;
        wrong += ctx_watch_stop(watch) != 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  scope.Cancel();
  EXPECT_TRUE(Drain(queue).empty());
}

}  // namespace
}  // namespace ctxtest
