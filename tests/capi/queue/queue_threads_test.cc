// SPDX-License-Identifier: MIT
//
// Queues where threads meet: posts from many at once, drains by many at once, stops that cross both, and
// queues that go while their contexts end. Each event is taken exactly once, or withdrawn.
#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr int kThreadRounds = kSanitized ? 200 : 1500;

// How often each of n tokens came.
class Tally {
 public:
  explicit Tally(size_t n) : seen_(n) {}
  void Count(const ctx_event_t& event) {
    if (event.token >= seen_.size() || event.err == 0) {
      ++wrong_;
    } else {
      ++seen_[event.token];
    }
  }
  // How many did not come exactly once.
  int Wrong() const {
    int wrong = wrong_;
    for (const std::atomic<int>& times : seen_) wrong += times != 1;
    return wrong;
  }

 private:
  std::vector<std::atomic<int>> seen_;
  std::atomic<int> wrong_{0};
};

// Threads that each cancel contexts of their own, while others take the events by wait and by drain.
void PostFromMany(int posters, int drainers) {
  constexpr size_t kEach = kSanitized ? 500 : 3000;
  const size_t all = kEach * static_cast<size_t>(posters);
  const Queue queue = NewQueue();
  const int fd = ctx_queue_fd(queue);
  Tally tally(all);
  std::atomic<size_t> left{all};
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int p = 0; p < posters; ++p) {
    threads.emplace_back([&, p] {
      const Scope parent = WithCancel(ctx_background());
      for (size_t i = 0; i < kEach; ++i) {
        const Scope child = WithCancel(parent);
        failed += ctx_queue_add(queue, child, static_cast<size_t>(p) * kEach + i, nullptr) != 0;
        if (i % 3 == 0) child.Cancel();  // the others by the parent, all at once
        if (i % 100 == 99) std::this_thread::yield();
      }
      parent.Cancel();
    });
  }
  for (int d = 0; d < drainers; ++d) {
    threads.emplace_back([&, d] {
      std::array<ctx_event_t, 50> events;
      while (left > 0) {
        int64_t taken;
        if (d % 2 == 0) {
          taken = ctx_queue_drain(queue, events.data(), events.size());
          if (taken == 0) std::this_thread::yield();
        } else {
          // In steps, since what is left may be another's.
          taken = ctx_queue_wait(queue, events.data(), 7, kMillisecond);
        }
        failed += taken < 0;
        for (int64_t i = 0; i < taken; ++i) tally.Count(events[static_cast<size_t>(i)]);
        if (taken > 0) left -= static_cast<size_t>(taken);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(tally.Wrong(), 0);
  EXPECT_FALSE(Readable(fd));
  EXPECT_TRUE(Drain(queue).empty());
}

TEST(QueueThreads, Rule36_ManyPostOneWaits) { PostFromMany(4, 2); }

TEST(QueueThreads, Rule36_ManyPostManyDrain) { PostFromMany(3, 4); }

// A host that sleeps on the descriptor alone gets every event, however the posts fall.
TEST(QueueThreads, Rule36_TheDescriptorLosesNoEvent) {
  constexpr size_t kEach = kSanitized ? 1000 : 5000;
  const Queue queue = NewQueue();
  const int fd = ctx_queue_fd(queue);
  Tally tally(2 * kEach);
  std::vector<std::thread> posters;
  for (size_t p = 0; p < 2; ++p) {
    posters.emplace_back([&, p] {
      for (size_t i = 0; i < kEach; ++i) {
        const Scope scope = WithCancel(ctx_background());
        EXPECT_EQ(ctx_queue_add(queue, scope, p * kEach + i, nullptr), 0);
        scope.Cancel();
      }
    });
  }
  size_t taken = 0;
  for (size_t n = 1; taken < 2 * kEach; n = n % 5 + 1) {
    ASSERT_TRUE(Readable(fd, kLimitMs)) << taken;
    const std::vector<ctx_event_t> events = Drain(queue, n);
    ASSERT_FALSE(events.empty()) << "readable for nothing, and only one drains";
    for (const ctx_event_t& event : events) tally.Count(event);
    taken += events.size();
  }
  for (std::thread& poster : posters) poster.join();
  EXPECT_EQ(tally.Wrong(), 0);
  EXPECT_FALSE(Readable(fd));
}

TEST(QueueThreads, Rule08_AnAddThatCrossesTheCancelGivesOneEvent) {
  const Queue queue = NewQueue();
  Scope parent, child;
  int wrong = 0;
  std::atomic<int> failed{0};
  Stagger stagger(36);
  Race(
      kThreadRounds,
      [&] {
        parent = WithCancel(ctx_background());
        child = WithCancel(parent);
      },
      {[&] {
         stagger.Pass();
         parent.Cancel();
       },
       [&] {
         for (uint64_t i = 0; i < 4; ++i) failed += ctx_queue_add(queue, child, i, nullptr) != 0;
       }},
      [&] { wrong += Drain(queue).size() != 4; });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(failed, 0);
}

// Whoever takes an event sees the whole subtree done.
TEST(QueueThreads, Rule06_WhoTakesAnEventSeesEveryDescendantDone) {
  const Queue queue = NewQueue();
  Scope top;
  std::vector<Scope> below;
  int live = 0, wrong = 0;
  Race(
      kThreadRounds / 2,
      [&] {
        top = WithCancel(ctx_background());
        below.clear();
        for (int i = 0; i < 10; ++i) below.push_back(WithCancel(i % 3 == 0 ? top : below.back()));
        for (uint64_t i = 0; i < 4; ++i) {
          wrong += ctx_queue_add(queue, i == 0 ? top : below[3 * i - 1], i, nullptr) != 0;
        }
      },
      {[&] { top.Cancel(); },
       [&] {
         for (int taken = 0; taken < 4;) {
           ctx_event_t event;
           const int64_t got = ctx_queue_wait(queue, &event, 1, kLimit);
           wrong += got != 1;
           if (got != 1) return;
           ++taken;
           live += ctx_err(top) == 0;
           for (const Scope& scope : below) live += ctx_err(scope) == 0;
         }
       }},
      [] {});
  EXPECT_EQ(live, 0);
  EXPECT_EQ(wrong, 0);
}

// The same of an event that an add posts, while the cancel that ended the context is still marking.
TEST(QueueThreads, Rule06_AnEventPostedByAnAddComesAfterTheMarking) {
  const Queue queue = NewQueue();
  Scope top;
  std::vector<Scope> below;
  int live = 0, wrong = 0;
  Race(
      kThreadRounds / 10,
      [&] {
        top = WithCancel(ctx_background());
        below.clear();
        for (int i = 0; i < 300; ++i) below.push_back(WithCancel(i % 30 == 0 ? top : below.back()));
      },
      {[&] { top.Cancel(); },
       [&] {
         while (ctx_err(top) == 0) {
         }
         wrong += ctx_queue_add(queue, top, 1, nullptr) != 0;
         wrong += Drain(queue).size() != 1;
         for (const Scope& scope : below) live += ctx_err(scope) == 0;
       }},
      [] {});
  EXPECT_EQ(live, 0);
  EXPECT_EQ(wrong, 0);
}

TEST(QueueThreads, Rule36_AQueueThatGoesWhileItsContextsEnd) {
  Drop drop;
  Queue queue;
  Scope parent;
  std::vector<Watch> watches;
  std::atomic<int> stops{0};
  int wrong = 0;
  Stagger stagger(37), other(38);
  const int rounds = Race(
      kThreadRounds / 2,
      [&] {
        queue = NewQueue();
        const Ctx watched = Watched(ctx_background(), &drop);
        parent = WithCancel(watched);
        watches.clear();
        for (uint64_t i = 0; i < 8; ++i) {
          const Scope child = i % 2 == 0 ? WithCancel(parent) : WithTimeout(parent, kHour);
          watches.push_back(Add(queue, child, i));
        }
        if (stagger.Odd()) wrong += ctx_queue_fd(queue) < 0;
      },
      {[&] {
         stagger.Pass(1024);
         queue.reset();
       },
       [&] { parent.Cancel(); },
       [&] {
         other.Pass(1024);
         for (const Watch& watch : watches) stops += ctx_watch_stop(watch);
       }},
      [&] {
        for (const Watch& watch : watches) wrong += ctx_watch_stop_wait(watch) != 0;
        parent.reset();
      });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(drop.count(), rounds);
}

// As above, by deadlines: it is the clock's thread that posts.
TEST(QueueThreads, AQueueThatGoesWhileDeadlinesFire) {
  Counter drops;
  int made = 0;
  Stagger stagger(39);
  const auto dropped = [](void* counter) { static_cast<Counter*>(counter)->Add(); };
  for (int round = 0; round < (kSanitized ? 30 : 150); ++round) {
    Queue queue = NewQueue();
    Scope last;
    const int64_t deadline = ctx_now(ctx_background()) + 2 * kMillisecond;
    for (uint64_t i = 0; i < 20; ++i, ++made) {
      const Ctx value = WithValue(ctx_background(), &kKey, &drops, dropped);
      last = WithDeadline(value, deadline);
      ASSERT_EQ(ctx_queue_add(queue, last, i, nullptr), 0);
    }
    ASSERT_TRUE(Done(last));
    stagger.Pass(4096);
    if (stagger.Odd()) Drain(queue, 5);
    queue.reset();
  }
  EXPECT_TRUE(drops.WaitFor(made));
  EXPECT_EQ(drops.Get(), made);
}

TEST(QueueThreads, ADescriptorThatIsMadeWhileEventsArePosted) {
  Queue queue;
  Scope scope;
  std::array<int, 2> fds{};
  int wrong = 0;
  std::atomic<int> failed{0};
  Stagger stagger(40);
  Race(
      kThreadRounds / 2,
      [&] {
        queue = NewQueue();
        scope = WithCancel(ctx_background());
        failed += ctx_queue_add(queue, scope, 1, nullptr) != 0;
      },
      {[&] {
         fds[0] = ctx_queue_fd(queue);
         failed += !Readable(fds[0], kLimitMs);
       },
       [&] {
         stagger.Pass();
         scope.Cancel();
       },
       [&] { fds[1] = ctx_queue_fd(queue); }},
      [&] {
        wrong += fds[0] < 0 || fds[0] != fds[1] || !Readable(fds[0]);
        wrong += Drain(queue).size() != 1 || Readable(fds[0]);
      });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(failed, 0);
}

// One context in two queues, which two threads drain and which two more threads fill.
TEST(QueueThreads, OneContextInTwoQueues) {
  std::array<Queue, 2> queues = {NewQueue(), NewQueue()};
  Scope scope;
  std::atomic<int> wrong{0};
  Race(
      kThreadRounds,
      [&] {
        scope = WithCancel(ctx_background());
        wrong += ctx_queue_add(queues[0], scope, 0, nullptr) != 0;
        wrong += ctx_queue_add(queues[1], scope, 1, nullptr) != 0;
      },
      {[&] { scope.Cancel(); },
       [&] {
         ctx_event_t event = {};
         wrong += ctx_queue_wait(queues[0], &event, 1, kLimit) != 1 || event.token != 0;
       },
       [&] {
         ctx_event_t event = {};
         wrong += ctx_queue_wait(queues[1], &event, 1, kLimit) != 1 || event.token != 1;
       }},
      [] {});
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace ctxtest
