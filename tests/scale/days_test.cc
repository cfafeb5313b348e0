// SPDX-License-Identifier: MIT
//
// A day with a million deadlines, on a virtual clock and on real ones: each fires at its time and in its order. What
// says so is a sorted list.
#include <algorithm>
#include <cinttypes>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "scale/measure.h"
#include "support/handles.h"
#include "support/loops.h"

namespace ctxtest {
namespace {

constexpr int64_t kDay = 24 * kHour, kMinute = 60 * kSecond;
constexpr int64_t kTick =
    16'384;  // of a loop's wheels; deadlines closer than that may change places (rule 17)

// Contexts with deadlines on a virtual loop, beside what they should do.
class Day {
 public:
  explicit Day(size_t n) : random_(1) {
    timers_.reserve(2 * n);  // callbacks keep addresses
    for (size_t i = 0; i < n; ++i) Add();
  }

  void Add() {
    const int64_t now = loop_.Now();
    if (now >= kDay || timers_.size() == timers_.capacity()) return;
    timers_.push_back({this,
                       {},
                       now + (random_() % 2 == 0 ? Span(kDay - now) : Spread(kDay - now)),
                       timers_.size()});
    Timer& timer = timers_.back();
    timer.scope = WithDeadline(loop_.root, timer.deadline);
    expected_.insert({timer.deadline, timer.number});
    EXPECT_EQ(ctx_after_func(timer.scope, Fired, &timer, nullptr, 0, nullptr), 0);
  }

  // Cancels one of them, if it has not fired.
  void Drop() {
    Timer& timer = timers_[random_() % timers_.size()];
    if (expected_.erase({timer.deadline, timer.number}) == 0) return;
    timer.scope.Cancel();  // Fired() runs here, and tells this by the error
    ++dropped_;
  }

  void Advance(int64_t ns) {
    const size_t before = fired_;
    const int64_t until = std::min(loop_.Now() + ns, kDay);
    EXPECT_EQ(loop_.Next(), expected_.empty() ? INT64_MAX : expected_.begin()->first);
    const int fired = loop_.AdvanceTo(until);
    EXPECT_EQ(fired, static_cast<int>(fired_ - before));
    EXPECT_EQ(loop_.Now(), until);
    EXPECT_TRUE(expected_.empty() || expected_.begin()->first > until) << "one was missed";
  }

  int64_t Now() const { return loop_.Now(); }
  // Short and long times alike, so that every level of the wheels is used.
  int64_t Span(int64_t most) {
    const int bits = 12 + static_cast<int>(random_() % 36);
    return 1 + static_cast<int64_t>(random_() % std::max<uint64_t>(uint64_t{1} << bits, 2)) % most;
  }
  // Any time of the day.
  int64_t Spread(int64_t most) {
    return 1 + static_cast<int64_t>(random_() % static_cast<uint64_t>(most));
  }
  size_t fired() const { return fired_; }
  size_t dropped() const { return dropped_; }
  size_t made() const { return timers_.size(); }
  size_t wrong() const { return wrong_; }
  bool over() const { return expected_.empty(); }
  std::mt19937_64& random() { return random_; }

 private:
  struct Timer {
    Day* day;
    Scope scope;
    int64_t deadline;
    size_t number;
  };

  static void Fired(ctx_t* ctx, void* arg) {
    Timer& timer = *static_cast<Timer*>(arg);
    Day& day = *timer.day;
    if (ctx_err(ctx) == CTX_CANCELED) return;
    ++day.fired_;
    // It is the next one, or another of the same time; and the clock stands at its deadline.
    const bool next = !day.expected_.empty() && day.expected_.begin()->first == timer.deadline &&
                      day.expected_.erase({timer.deadline, timer.number}) == 1;
    day.wrong_ += !next || ctx_now(ctx) != timer.deadline;
    if (day.random_() % 16 == 0) day.Add();
  }

  std::mt19937_64 random_;
  VirtualLoop loop_;
  std::vector<Timer> timers_;
  std::set<std::pair<int64_t, size_t>> expected_;
  size_t fired_ = 0, dropped_ = 0, wrong_ = 0;
};

TEST(ScaleDay, Rule37_AMillionTimersOfAVirtualDayFireAtTheirTimes) {
  GivesAllBack all;
  {
    Day day(kMillion);
    while (!day.over() && day.Now() < kDay) {
      day.Advance(day.random()() % 4 == 0 ? day.Spread(kMinute) : day.Span(kMinute));
      for (int i = 0; i < 20; ++i) day.Drop();
    }
    EXPECT_TRUE(day.over());
    EXPECT_EQ(day.wrong(), 0u);
    EXPECT_EQ(day.fired() + day.dropped(), day.made());
    EXPECT_GT(day.fired(), kMillion / 2);
    Measured("a virtual day: %zu timers, of which %zu fired and %zu were canceled: %.2f s",
             day.made(), day.fired(), day.dropped(), all.Elapsed());
  }
}

// A million deadlines within a second of real time: none early, and each end in its order, as a queue sees them.
class ScaleSecond : public ::testing::TestWithParam<int> {};

TEST_P(ScaleSecond, Rule17_AMillionTimersEndInTheirOrder) {
  GivesAllBack all;
  {
    const bool manual = GetParam() == CTX_LOOP_MANUAL;
    const Loop loop = NewLoop(GetParam());
    const Ctx root = LoopBackground(loop);
    const Queue queue = NewQueue();
    std::mt19937_64 random(2);
    std::vector<int64_t> deadlines(kMillion);
    const int64_t begin = ctx_now(root) + 2 * kSecond;  // when all are there
    for (size_t i = 0; i < kMillion; ++i) {
      deadlines[i] = begin + static_cast<int64_t>(random() % kSecond);
      const Scope scope = WithDeadline(root, deadlines[i]);
      ASSERT_EQ(ctx_queue_add(queue, scope, i, nullptr), 0);
    }
    std::vector<ctx_event_t> events(1000);
    size_t count = 0, wrong = 0, early = 0, twice = 0;
    int64_t latest = 0, late = 0;
    std::vector<bool> seen(kMillion);
    while (count < kMillion) {
      int64_t n = ctx_queue_wait(queue, events.data(), events.size(), manual ? 0 : kLimit);
      if (manual && n == 0) {
        ASSERT_TRUE(Readable(ctx_loop_fd(loop), kLimitMs));
        ASSERT_GE(ctx_loop_dispatch(loop), 0);
        continue;
      }
      ASSERT_GE(n, 1);
      const int64_t now = ctx_now(root);
      for (int64_t i = 0; i < n; ++i) {
        const ctx_event_t& event = events[static_cast<size_t>(i)];
        const int64_t deadline = deadlines[event.token];
        early += now < deadline;
        wrong += deadline < latest - kTick;
        twice += seen[event.token] || event.err != CTX_DEADLINE_EXCEEDED;
        seen[event.token] = true;
        latest = std::max(latest, deadline);
        late = std::max(late, now - deadline);
      }
      count += static_cast<size_t>(n);
    }
    EXPECT_EQ(wrong, 0u) << "out of order";
    EXPECT_EQ(early, 0u);
    EXPECT_EQ(twice, 0u);
    Measured("1,000,000 deadlines within a second on a %s loop: the last seen %.1f ms late",
             manual ? "manual" : "threaded", static_cast<double>(late) * 1e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(, ScaleSecond, ::testing::Values(CTX_LOOP_THREAD, CTX_LOOP_MANUAL),
                         [](const auto& each) {
                           return each.param == CTX_LOOP_MANUAL ? "Manual" : "Thread";
                         });

}  // namespace
}  // namespace ctxtest
