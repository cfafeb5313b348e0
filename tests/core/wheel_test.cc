// SPDX-License-Identifier: MIT
//
// The timing wheel against a model: a sorted set of what has been inserted and neither removed nor
// fired. The clock is a number here, so that years pass in no time.
#include "core/loop/wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "core/loop/idle.h"
#include "core/system/clock.h"
#include "core/tree/node.h"

namespace ctxcore {

// In place of the loop's: a touch leaves the time of the end that it moves the node to.
bool put_off(IdleNode* node) {
  const int64_t end = node->touched.exchange(IdleNode::kUntouched);
  if (end <= node->when) return false;
  node->when = end;
  return true;
}

namespace {

std::unique_ptr<TimerNode> NewNode(int64_t deadline) {
  return std::make_unique<TimerNode>(nullptr, nullptr, nullptr, deadline, nullptr, uint8_t{0});
}

class WheelModel : public testing::TestWithParam<Wheel::Tick> {
 protected:
  void Insert(int64_t deadline) {
    auto node = NewNode(deadline);
    EXPECT_EQ(wheel_.insert(node.get(), now_), deadline);
    auto* key = node.get();
    waiting_[key] = std::move(node);
  }

  void RemoveOne() {
    if (waiting_.empty()) return;
    auto victim = waiting_.begin();
    std::advance(victim, static_cast<long>(random_() % waiting_.size()));
    wheel_.remove(victim->first);
    EXPECT_FALSE(victim->first->linked());
    EXPECT_FALSE(is_armed(victim->first));
    waiting_.erase(victim);
  }

  int64_t Earliest() const {
    int64_t earliest = kForever;
    for (const auto& entry : waiting_) earliest = std::min(earliest, entry.first->deadline);
    return earliest;
  }

  // Moves the clock and checks that exactly those fire that must, the earliest first.
  void AdvanceTo(int64_t now, size_t most = SIZE_MAX) {
    now_ = now;
    Ring<TimerNode> due;
    for (bool more = true; more;) {
      const int64_t earliest = Earliest();
      more = wheel_.expire(now_, due, most);
      if (!due.empty()) wheel_.remove(due.back());  // it is the wheel's no more
      size_t fired = 0;
      int64_t latest = earliest;
      while (TimerNode* link = due.pop_front()) {
        auto* node = static_cast<TimerNode*>(link);
        EXPECT_LE(node->deadline, now_) << "fired early";
        EXPECT_GE(node->deadline, latest) << "fired after a later one";
        EXPECT_EQ(node->refs.load(), 2u) << "not pinned";
        EXPECT_FALSE(is_armed(node));
        latest = node->deadline;
        EXPECT_EQ(waiting_.erase(node), 1u) << "fired, but was not waiting";
        ++fired;
      }
      EXPECT_LE(fired, most);
      EXPECT_TRUE(!more || fired > 0);
    }
    const int64_t earliest = Earliest();
    EXPECT_GT(earliest, now_) << "is due and did not fire";
    const int64_t next = wheel_.next(now_);
    EXPECT_LE(next, earliest) << "would sleep past a deadline";
    EXPECT_GT(next, now_) << "would not sleep";
    if (endless_ || earliest <= saturating_add(now_, Wheel::kLookahead) || waiting_.empty()) {
      EXPECT_EQ(next, earliest);
    }
  }

  const bool endless_ = GetParam() == Wheel::Tick::endless;
  std::mt19937_64 random_{20};
  Wheel wheel_{GetParam()};
  int64_t now_ = 1'000'000'000'000;
  std::map<TimerNode*, std::unique_ptr<TimerNode>> waiting_;
};

TEST_P(WheelModel, RandomTimersFireWhenTheyMustAndOnlyThen) {
  for (int step = 0; step < 200'000; ++step) {
    const auto scale = static_cast<unsigned>(random_() % 50);  // from nanoseconds to weeks
    const auto distance = static_cast<int64_t>(random_() % (uint64_t{2} << scale));
    switch (random_() % 8) {
      case 0:
        AdvanceTo(now_ + distance / 16, 1 + random_() % 5);
        break;
      case 1:
        if (wheel_.next(now_) != kForever) AdvanceTo(std::max(now_, wheel_.next(now_)));
        break;
      case 4:
        now_ += distance / 16;  // and nobody looks
        break;
      case 2:
      case 3:
        RemoveOne();
        break;
      default:
        if (waiting_.size() >= 300) break;
        // Mostly a time of its own, but often that of others, which wait in the same slot.
        Insert(random_() % 4 == 0 && !waiting_.empty() ? waiting_.begin()->first->deadline
                                                       : now_ + 1 + distance);
    }
    if (HasFailure()) break;
  }
  // Whatever is left fires, if only the clock goes on by what the wheel itself asks for.
  for (int rounds = 0; !waiting_.empty() && rounds < 100'000; ++rounds) {
    AdvanceTo(std::max(now_, wheel_.next(now_)));
  }
  EXPECT_TRUE(waiting_.empty());
}

TEST_P(WheelModel, TheLatestDeadlineOfAll) {
  Insert(INT64_MAX - 1);
  Insert(now_ + 1);
  AdvanceTo(now_ + 1);
  EXPECT_EQ(waiting_.size(), 1u);
  RemoveOne();
  EXPECT_EQ(wheel_.next(now_), kForever);
  Insert(INT64_MAX - 1);
  Insert(INT64_MAX - 2);
  AdvanceTo(INT64_MAX - 2);
  EXPECT_EQ(waiting_.size(), 1u);
  AdvanceTo(INT64_MAX - 1);
  EXPECT_TRUE(waiting_.empty());
}

TEST_P(WheelModel, ATimerIsMovedAtMostOnceALevel) {
  Insert(now_ + int64_t{3} * 365 * 86400 * kSecond);
  int wakes = 0;
  for (; !waiting_.empty(); ++wakes) AdvanceTo(wheel_.next(now_));
  EXPECT_LE(wakes, 11);
}

TEST_P(WheelModel, ANodeThatIsDoneIsNotTaken) {
  auto node = NewNode(now_ + kSecond);
  node->error.store(-1);
  EXPECT_EQ(wheel_.insert(node.get(), now_), kForever);
  EXPECT_FALSE(node->linked());
  wheel_.remove(node.get());
  EXPECT_FALSE(is_armed(node.get()));
}

TEST_P(WheelModel, TheLastReferenceTakesItOutAndAPinDoesNot) {
  auto node = NewNode(now_ + kSecond);
  wheel_.insert(node.get(), now_);
  add_ref(node.get());
  EXPECT_FALSE(wheel_.remove_last(node.get()));
  EXPECT_TRUE(node->linked());
  EXPECT_TRUE(release_shared(node.get()));
  EXPECT_TRUE(wheel_.remove_last(node.get()));
  EXPECT_FALSE(node->linked());
}

// Else a thread that only looks would leave some, and a loop with several wheels would take others later.
TEST_P(WheelModel, OneCallGivesAllThatIsDue) {
  Insert(now_ + 1);
  Insert(now_ + 3 * kSecond);  // in a slot, which must be moved
  now_ += 4 * kSecond;
  Ring<TimerNode> due;
  EXPECT_FALSE(wheel_.expire(now_, due, SIZE_MAX));
  EXPECT_EQ(due.back()->deadline, now_ - kSecond);
  while (TimerNode* node = due.pop_front()) waiting_.erase(node);
  EXPECT_TRUE(waiting_.empty());
}

// Between the chunks that one thread moves, another one takes timers out, and puts some in.
TEST_P(WheelModel, OthersComeAndGoWhileTimersMove) {
  constexpr size_t kNodes = 20'000;
  for (int round = 0; round < 10; ++round) {
    std::vector<std::unique_ptr<TimerNode>> nodes;
    for (size_t i = 0; i < kNodes; ++i) {  // in slots of many levels
      const auto distance = random_() % (uint64_t{1} << (14 + i % 24));
      nodes.push_back(NewNode(now_ + 1 + static_cast<int64_t>(distance)));
      if (i % 8 != 7) wheel_.insert(nodes.back().get(), now_);
    }
    const int64_t before = now_;
    now_ += int64_t{1} << 38;
    std::thread other([&] {
      for (size_t i = 0; i < kNodes; ++i) {
        TimerNode* const node = nodes[i].get();
        if (i % 8 == 7) wheel_.insert(node, before);
        if (i % 2 == 0) wheel_.remove(node);
      }
    });
    Ring<TimerNode> due;
    const auto fire = [&] {
      for (bool more = true; more;) {
        more = wheel_.expire(now_, due, 128);
        int64_t latest = 0;
        while (TimerNode* node = due.pop_front()) {
          EXPECT_GE(time_of(node), latest);
          latest = time_of(node);
        }
      }
    };
    fire();
    other.join();
    fire();
    for (size_t i = 0; i < kNodes; ++i) {
      ASSERT_FALSE(nodes[i]->linked());
      ASSERT_FALSE(is_armed(nodes[i].get()));
      ASSERT_LE(nodes[i]->refs.load(), 2u) << "fired twice";
      ASSERT_TRUE(i % 2 == 0 || nodes[i]->refs.load() == 2u) << "did not fire";
    }
    EXPECT_EQ(wheel_.next(now_), kForever);
  }
}

// Of whatever a lookahead or a slot that has come up takes with it, none is early and none late.
TEST_P(WheelModel, TimersANanosecondApartFireEachAtItsOwnTime) {
  constexpr int64_t kMany = 40'000;  // some ticks
  for (int64_t i = 0; i < kMany; i += 7) Insert(now_ + 1 + i * 7919 % kMany);
  while (!waiting_.empty() && !HasFailure()) {
    const int64_t earliest = Earliest();
    EXPECT_EQ(wheel_.next(now_), earliest);
    AdvanceTo(earliest);
  }
}

// What is next costs no look at all timers, also when the earliest goes again and again. (If each round
// looked at all, this would take the better part of an hour.)
TEST_P(WheelModel, ManyTimersAndTheEarliestGoesAgainAndAgain) {
  std::vector<std::unique_ptr<TimerNode>> later;
  for (int64_t i = 0; i < 200'000; ++i) {
    later.push_back(NewNode(now_ + 3600 * kSecond + i * 7919 % 200'000));
    wheel_.insert(later.back().get(), now_);
  }
  for (int64_t i = 0; i < 1'000'000; ++i) {
    auto node = NewNode(now_ + kSecond);
    wheel_.insert(node.get(), now_);
    ASSERT_LE(wheel_.next(now_), node->deadline);
    wheel_.remove(node.get());
    const int64_t next = wheel_.next(now_);
    ASSERT_LE(next, later.front()->deadline);
    ASSERT_TRUE(!endless_ || next == later.front()->deadline);
  }
  // Nor are those moved that stay far away. (The same holds here.)
  for (int i = 0; i < 100'000; ++i, now_ += 2'000'000) {
    auto node = NewNode(now_ + 1'900'000);
    wheel_.insert(node.get(), now_);
    Ring<TimerNode> due;
    wheel_.expire(now_ + 1'950'000, due, 1);
    ASSERT_EQ(due.pop_front(), node.get());
  }
  for (auto& node : later) wheel_.remove(node.get());
  EXPECT_EQ(wheel_.next(now_), kForever);
}

// Idle nodes that are touched are put back, and fire at the time that they were moved to; nobody is told an earlier one.
TEST_P(WheelModel, TouchedOnesGoOn) {
  constexpr int kNodes = 300;  // more than are moved under the lock at a time
  const auto end = [](int i) { return 50 * kSecond + i * 7919 % kNodes * kSecond; };
  std::vector<std::unique_ptr<IdleNode>> nodes;
  for (int i = 0; i < kNodes; ++i) {
    nodes.push_back(std::make_unique<IdleNode>(nullptr, nullptr, nullptr, kForever, kSecond, now_,
                                               nullptr, uint8_t{0}));
    nodes.back()->when = now_ + kSecond + i;
    wheel_.insert(nodes.back().get(), now_);
  }
  for (int i = 0; i < kNodes; ++i) nodes[static_cast<size_t>(i)]->touched.store(now_ + end(i));
  const int64_t first = now_ + 50 * kSecond;
  const int64_t next = wheel_.next(now_);
  EXPECT_TRUE(endless_ ? next == first : next <= first) << next;
  Ring<TimerNode> due;
  EXPECT_FALSE(wheel_.expire(first - 1, due, SIZE_MAX));
  EXPECT_TRUE(due.empty());
  EXPECT_EQ(wheel_.next(first - 1), first);
  for (int64_t time = first; due.empty() && time < first + kNodes * kSecond; time += kSecond) {
    wheel_.expire(time, due, SIZE_MAX);
    TimerNode* const node = due.pop_front();
    ASSERT_NE(node, nullptr);
    EXPECT_EQ(time_of(node), time);
    EXPECT_EQ(node->refs.load(), 2u);
  }
  EXPECT_TRUE(due.empty());
  EXPECT_EQ(wheel_.next(first + kNodes * kSecond), kForever);
}

// More idle nodes that go on than are looked at in one section come before one that fires.
TEST_P(WheelModel, WhatIsDueFiresBehindManyThatGoOn) {
  std::vector<std::unique_ptr<IdleNode>> nodes;
  for (int i = 0; i < 300; ++i) {
    nodes.push_back(std::make_unique<IdleNode>(nullptr, nullptr, nullptr, kForever, kSecond, now_,
                                               nullptr, uint8_t{0}));
    nodes.back()->when = now_ + 1;
    wheel_.insert(nodes.back().get(), now_);
    nodes.back()->touched.store(now_ + 3600 * kSecond);
  }
  Insert(now_ + 2);
  now_ += kSecond;
  Ring<TimerNode> due;
  wheel_.expire(now_, due, SIZE_MAX);
  ASSERT_FALSE(due.empty());
  EXPECT_EQ(due.pop_front(), waiting_.begin()->first);
  for (auto& node : nodes) wheel_.remove(node.get());
}

INSTANTIATE_TEST_SUITE_P(Ticks, WheelModel,
                         testing::Values(Wheel::Tick::coarse, Wheel::Tick::endless),
                         [](const auto& tick) {
                           return tick.param == Wheel::Tick::coarse ? "Coarse" : "Endless";
                         });

}  // namespace
}  // namespace ctxcore
