// SPDX-License-Identifier: MIT
//
// The timing wheel against a model: a sorted set of what has been inserted and neither removed nor
// fired. The clock is a number here, so that years pass in no time.
#include "core/loop/wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

#include "core/system/clock.h"
#include "core/tree/node.h"

namespace ctxcore {
namespace {

std::unique_ptr<TimerNode> NewNode(int64_t deadline) {
  return std::make_unique<TimerNode>(nullptr, nullptr, nullptr, deadline, nullptr, uint8_t{0});
}

class WheelModel : public testing::TestWithParam<Wheel::Tick> {
 protected:
  void Insert(int64_t deadline) {
    auto node = NewNode(deadline);
    const int64_t fires = wheel_.insert(node.get(), now_);
    EXPECT_GE(fires, deadline);
    EXPECT_LE(fires, std::max(saturating_add(deadline, kTick), saturating_add(now_, 2 * kTick)));
    auto* key = node.get();
    waiting_[key] = std::move(node);
  }

  void RemoveOne() {
    if (waiting_.empty()) return;
    auto victim = waiting_.begin();
    std::advance(victim, static_cast<long>(random_() % waiting_.size()));
    wheel_.remove(victim->first);
    EXPECT_FALSE(victim->first->linked());
    waiting_.erase(victim);
  }

  // Moves the clock and checks that exactly those fire that must.
  void AdvanceTo(int64_t now) {
    now_ = now;
    Link* due = nullptr;
    wheel_.expire(now_, due);
    while (Link* link = pop_front(due)) {
      auto* node = static_cast<TimerNode*>(link);
      EXPECT_LE(node->deadline, now_) << "fired early";
      EXPECT_EQ(node->refs.load(), 2u) << "not pinned";
      EXPECT_FALSE(is_armed(node));
      EXPECT_EQ(waiting_.erase(node), 1u) << "fired, but was not waiting";
    }
    int64_t earliest = kForever;
    for (const auto& entry : waiting_) earliest = std::min(earliest, entry.first->deadline);
    EXPECT_GT(earliest, saturating_sub(now_, kTick)) << "later than a tick";
    const int64_t next = wheel_.next();
    if (waiting_.empty()) {
      EXPECT_EQ(next, kForever);
    } else {
      EXPECT_GT(next, saturating_sub(now_, kTick));
      EXPECT_LE(next, saturating_add(earliest, kTick)) << "would sleep past a deadline";
      const int64_t fires = wheel_.next_due();
      EXPECT_GE(fires, earliest);
      EXPECT_LE(fires, saturating_add(earliest, kTick));
      EXPECT_LE(next, fires);
    }
  }

  const int64_t kTick = GetParam() == Wheel::Tick::coarse ? 16384 : 1;
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
        AdvanceTo(now_ + distance / 16);
        break;
      case 1:
        if (wheel_.next() != kForever) AdvanceTo(std::max(now_, wheel_.next()));
        break;
      case 2:
      case 3:
        RemoveOne();
        break;
      default:
        if (waiting_.size() < 300) Insert(now_ + 1 + distance);
    }
    if (HasFailure()) break;
  }
  // Whatever is left fires, if only the clock goes on by what the wheel itself asks for.
  for (int rounds = 0; !waiting_.empty() && rounds < 100'000; ++rounds) AdvanceTo(wheel_.next());
  EXPECT_TRUE(waiting_.empty());
}

TEST_P(WheelModel, TheLatestDeadlineOfAll) {
  Insert(INT64_MAX - 1);
  Insert(now_ + 1);
  AdvanceTo(now_ + 2 * kTick);
  EXPECT_EQ(waiting_.size(), 1u);
  RemoveOne();
  EXPECT_EQ(wheel_.next(), kForever);
}

TEST_P(WheelModel, ATimerIsMovedAtMostOnceALevel) {
  Insert(now_ + int64_t{3} * 365 * 86400 * kSecond);
  int wakes = 0;
  for (; !waiting_.empty(); ++wakes) AdvanceTo(wheel_.next());
  EXPECT_LE(wakes, 11);
}

TEST_P(WheelModel, ANodeThatIsDoneIsNotTaken) {
  auto node = NewNode(now_ + kSecond);
  node->error.store(-1);
  EXPECT_EQ(wheel_.insert(node.get(), now_), kForever);
  EXPECT_FALSE(node->linked());
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

INSTANTIATE_TEST_SUITE_P(Ticks, WheelModel,
                         testing::Values(Wheel::Tick::coarse, Wheel::Tick::nanosecond),
                         [](const auto& tick) {
                           return tick.param == Wheel::Tick::coarse ? "Coarse" : "Nanosecond";
                         });

}  // namespace
}  // namespace ctxcore
