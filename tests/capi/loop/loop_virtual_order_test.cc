// SPDX-License-Identifier: MIT
//
// Rules 17, 37 and 41 on a virtual loop for very many deadlines: whatever they are, in whatever order
// and by whichever thread they were set, they fire in their order, each at its own time.
#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

using Random = std::mt19937_64;

// Of any size, from a nanosecond to 290 years: as many short as long ones.
int64_t AnyTime(Random& random) {
  const unsigned bits = static_cast<unsigned>(random() % 62) + 1;
  return static_cast<int64_t>(random() >> (64 - bits)) + 1;
}

// A loop with deadlines, and the clock at each callback.
struct Timers {
  void Add(int64_t deadline) {
    timed.push_back(WithDeadline(time.root, deadline));
    deadlines.push_back(deadline);
    ASSERT_EQ(ctx_after_func(timed.back(), Run, this, nullptr, 0, nullptr), 0);
  }
  static void Run(ctx_t* ctx, void* arg) {
    auto* self = static_cast<Timers*>(arg);
    self->clocks.push_back(self->time.Now());
    self->wrong += ctx_remaining(ctx) != 0;
  }
  void ExpectInOrder() {
    EXPECT_EQ(wrong, 0) << "called at another time than its own deadline";
    std::sort(deadlines.begin(), deadlines.end());
    EXPECT_TRUE(clocks == deadlines);
  }

  std::vector<Scope> timed;
  std::vector<int64_t> deadlines, clocks;
  int wrong = 0;
  VirtualLoop time;  // the first to go, with what is armed on it
};

TEST(VirtualOrder, Rule17_ThousandsOfRandomDeadlines) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    Random random(seed);
    Timers timers;
    for (int i = 0; i < 2000; ++i) timers.Add(AnyTime(random));
    int fired = 0;
    while (timers.time.Now() != INT64_MAX) {
      fired += timers.time.Advance(AnyTime(random));
      const int64_t now = timers.time.Now();
      const auto due = std::count_if(timers.deadlines.begin(), timers.deadlines.end(),
                                     [&](int64_t deadline) { return deadline <= now; });
      ASSERT_EQ(fired, due);
    }
    timers.ExpectInOrder();
  }
}

TEST(VirtualOrder, Rule17_ANanosecondApart) {
  constexpr int64_t kMany = 5'000;
  for (int64_t start : {int64_t{1}, int64_t{65'000}, 3 * kHour + 17, INT64_MAX - 2 * kMany}) {
    Timers timers;
    for (int64_t i = 0; i < kMany; ++i) timers.Add(start + i * 7919 % kMany);
    EXPECT_EQ(timers.time.AdvanceTo(start + kMany / 2 - 1), kMany / 2);
    EXPECT_EQ(timers.time.Advance(1), 1);
    EXPECT_EQ(timers.time.Advance(kMany), kMany / 2 - 1);
    timers.ExpectInOrder();
  }
}

TEST(VirtualOrder, Rule17_ManyAtTheSameTime) {
  Timers timers;
  for (int i = 0; i < 3'000; ++i) timers.Add(1 + i % 3);
  EXPECT_EQ(timers.time.Advance(2), 2'000);
  EXPECT_EQ(timers.time.Advance(2), 1'000);
  timers.ExpectInOrder();
}

// A loop may keep the timers of each processor apart.
TEST(VirtualOrder, Rule17_SetByThreadsOnDifferentProcessors) {
  constexpr int kThreads = 4, kMany = 2'000;
  const VirtualLoop time;
  Recorder recorder;
  std::vector<Scope> timed(kMany);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const Pin pin(t);
      for (int i = t; i < kMany; i += kThreads) {
        const int place = i * 77 % kMany;
        timed[static_cast<size_t>(place)] = WithDeadline(time.root, place + 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<int> expected;
  for (int i = 0; i < kMany; ++i) {
    recorder.Arm(timed[static_cast<size_t>(i)], i);
    expected.push_back(i);
  }
  for (int64_t now = 1; now <= kMany / 2; ++now) {
    ASSERT_EQ(time.Next(), now);
    ASSERT_EQ(time.Advance(1), 1);
  }
  EXPECT_EQ(time.Advance(kHour), kMany / 2);
  EXPECT_EQ(recorder.order(), expected);
}

// Set, canceled, given back and fired in random order, against a multiset of those that remain.
TEST(VirtualOrder, Rule41_NextIsExactlyTheNextDeadline) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    Random random(seed);
    const VirtualLoop time;
    EXPECT_EQ(time.Next(), INT64_MAX);
    std::multiset<int64_t> expected;
    std::vector<std::pair<int64_t, Scope>> timed;
    for (int step = 0; step < 2'000; ++step) {
      const auto choice = random() % 8;
      if (choice < 4) {
        const int64_t room = INT64_MAX - 1 - time.Now();
        const int64_t deadline = time.Now() + std::min(AnyTime(random) >> random() % 20, room);
        if (deadline > time.Now()) expected.insert(deadline);
        timed.emplace_back(deadline, WithDeadline(time.root, deadline));
      } else if (choice < 7 && !timed.empty()) {
        std::swap(timed[random() % timed.size()], timed.back());
        auto& [deadline, scope] = timed.back();
        if (ctx_err(scope) == 0) expected.erase(expected.find(deadline));
        if (choice < 5) scope.Cancel();
        timed.pop_back();
      } else if (!expected.empty()) {
        const int64_t first = *expected.begin();
        const auto equal = static_cast<int>(expected.erase(first));
        ASSERT_EQ(time.AdvanceTo(first - 1), 0);
        ASSERT_EQ(time.Advance(1), equal);
      }
      ASSERT_EQ(time.Next(), expected.empty() ? INT64_MAX : *expected.begin());
    }
  }
}

// If each call looked at all deadlines there are, this would take an hour.
TEST(VirtualOrder, Rule41_NextAndAdvanceCostLittleHoweverManyDeadlinesThereAre) {
  const int kMany = Rounds(kSanitized ? 100'000 : 300'000);
  const VirtualLoop time;
  std::vector<Scope> far;
  for (int64_t i = 0; i < kMany; ++i) {
    far.push_back(WithDeadline(time.root, kHour + i * 7919 % kMany));
  }
  for (int64_t i = 0; i < kMany; ++i) {
    const Scope near = WithTimeout(time.root, 2);
    ASSERT_EQ(time.Next(), time.Now() + 2);
    if (i % 2 == 0) near.Cancel();
    ASSERT_EQ(time.Advance(2), i % 2);
    ASSERT_EQ(time.Next(), kHour);
  }
  EXPECT_EQ(time.AdvanceTo(2 * kHour), kMany);
}

// None of these is promised to come first, but it shall not be another one in each run.
TEST(VirtualOrder, OfEqualDeadlinesTheFirstThatWasSetFiresFirst) {
  constexpr int kMany = 1'000;
  const VirtualLoop time;
  Recorder recorder;
  std::vector<Scope> timed;
  std::vector<int> expected;
  for (int i = 0; i < kMany; ++i) timed.push_back(WithDeadline(time.root, 5 + i % 3));
  for (int i = kMany - 1; i >= 0; --i) {
    Scope& scope = timed[static_cast<size_t>(i)];
    if (i % 7 == 0) {
      scope.reset();
    } else {
      recorder.Arm(scope, i);
    }
  }
  for (int rest = 0; rest < 3; ++rest) {
    for (int i = rest; i < kMany; i += 3) {
      if (i % 7 != 0) expected.push_back(i);
    }
  }
  EXPECT_EQ(time.Advance(10), static_cast<int>(expected.size()));
  EXPECT_EQ(recorder.order(), expected);
}

TEST(VirtualOrder, Rule40_TheEndOfTime) {
  const VirtualLoop time;
  const Scope last = WithDeadline(time.root, INT64_MAX - 1),
              never = WithDeadline(time.root, INT64_MAX);
  const Scope saturated = WithTimeout(WithCancel(time.root), INT64_MAX);
  EXPECT_EQ(time.Next(), INT64_MAX - 1);
  EXPECT_EQ(time.Advance(INT64_MAX - 2), 0);
  EXPECT_EQ(ctx_remaining(last), 1);
  EXPECT_EQ(time.Advance(1), 1);
  EXPECT_EQ(ctx_err(last), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(time.Advance(INT64_MAX), 0) << "a sum beyond INT64_MAX is INT64_MAX";
  EXPECT_EQ(time.Now(), INT64_MAX);
  EXPECT_EQ(time.Advance(INT64_MAX), 0);
  EXPECT_EQ(ctx_err(never), 0);
  EXPECT_EQ(ctx_err(saturated), 0);
  EXPECT_EQ(ctx_remaining(never), CTX_FOREVER);
  EXPECT_EQ(ctx_err(WithTimeout(time.root, 1)), 0) << "a sum beyond is no deadline";
  EXPECT_EQ(ctx_err(WithDeadline(time.root, INT64_MAX - 1)), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(time.Next(), INT64_MAX);
  EXPECT_EQ(never.Cancel(), 1);
}

TEST(VirtualOrder, FarDeadlinesFireAtTheirTime) {
  constexpr int64_t kYear = 365 * 24 * kHour;
  const VirtualLoop time;
  Recorder recorder;
  std::vector<Scope> timed;
  const std::vector<int64_t> years = {290, 1, 100, 10, 200, 2};
  for (int64_t year : years) {
    for (int64_t ns : {1, 0, -1}) {
      timed.push_back(WithDeadline(time.root, year * kYear + ns));
      recorder.Arm(timed.back(), static_cast<int>(year));
    }
  }
  EXPECT_EQ(time.Advance(kYear - 2), 0);
  EXPECT_EQ(time.Advance(1), 1);
  EXPECT_EQ(time.Advance(99 * kYear), 9) << "of one year, two, ten, and 100 less one";
  EXPECT_EQ(time.AdvanceTo(291 * kYear), 8);
  std::vector<int64_t> expected;
  for (int64_t year : {1, 2, 10, 100, 200, 290}) {
    for (int64_t ns : {-1, 0, 1}) expected.push_back(year * kYear + ns);
  }
  EXPECT_EQ(recorder.clocks(), expected);
}

// Deadlines are set and canceled by one thread while another moves the clock: each one fires or is
// canceled or is born done, and none is lost.
TEST(VirtualOrder, Rule37_AThreadThatAdvancesAndOneThatDerives) {
  constexpr int kEach = kSanitized ? 3'000 : 30'000;
  const VirtualLoop time;
  std::vector<Scope> timed;
  int canceled = 0;
  std::atomic<bool> over{false};
  std::thread other([&] {
    Stagger stagger(37);
    for (int i = 0; i < kEach; ++i) {
      timed.push_back(WithDeadline(time.root, ctx_now(time.root) + i % 50));
      stagger.Pass(64);
      if (i % 3 == 0) canceled += timed.back().Cancel();
    }
    over = true;
  });
  int fired = 0;
  while (!over) fired += time.Advance(1);
  other.join();
  fired += time.Advance(100);
  int late = 0, live = 0;
  for (const Scope& scope : timed) {
    live += ctx_err(scope) == 0;
    late += ctx_err(scope) == CTX_DEADLINE_EXCEEDED;
  }
  EXPECT_EQ(live, 0);
  EXPECT_EQ(late + canceled, kEach);
  EXPECT_LE(fired, late) << "some were past when they were set";
  EXPECT_GE(fired, 1);
  EXPECT_EQ(time.Next(), INT64_MAX);
}

}  // namespace
}  // namespace ctxtest
