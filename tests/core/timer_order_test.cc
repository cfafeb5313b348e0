// SPDX-License-Identifier: MIT
//
// The order of timers against a model: a sorted map of times, each with its timers in the order they came.
#include "core/loop/timer_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "core/tree/node.h"

namespace ctxcore {
namespace {

class TimerOrderModel : public testing::Test {
 protected:
  TimerNode* Insert(int64_t time) {
    all_.push_back(
        std::make_unique<TimerNode>(nullptr, nullptr, nullptr, time, nullptr, uint8_t{0}));
    TimerNode* const node = all_.back().get();
    Link* const link = node;
    link->next = link->prev =
        &left_;  // a timer of the wheel comes with the links of the slot that it has left
    order_.insert(node);
    EXPECT_TRUE(node->Link::linked());
    model_[time].push_back(node);
    return node;
  }

  void Remove(TimerNode* node) {
    EXPECT_TRUE(order_.remove(node));
    EXPECT_FALSE(node->Link::linked());
    auto& same = model_[node->deadline];
    same.erase(std::find(same.begin(), same.end(), node));
    if (same.empty()) model_.erase(node->deadline);
  }

  TimerNode* First() const { return model_.empty() ? nullptr : model_.begin()->second.front(); }

  void TakeFirst() {
    TimerNode* const first = First();
    EXPECT_EQ(order_.first(), first);
    if (first == nullptr) return;
    EXPECT_EQ(order_.take_first(first->deadline - 1), nullptr);
    EXPECT_EQ(order_.take_first(first->deadline), first);
    EXPECT_FALSE(first->Link::linked());
    auto& same = model_[first->deadline];
    same.pop_front();
    if (same.empty()) model_.erase(first->deadline);
  }

  Link left_;
  TimerOrder order_;
  std::vector<std::unique_ptr<TimerNode>> all_;
  std::map<int64_t, std::deque<TimerNode*>> model_;
};

TEST_F(TimerOrderModel, OfNone) {
  EXPECT_EQ(order_.first(), nullptr);
  EXPECT_EQ(order_.take_first(INT64_MAX), nullptr);
  auto* stranger = Insert(7);
  Remove(stranger);
  EXPECT_FALSE(order_.remove(stranger));
  EXPECT_EQ(order_.first(), nullptr);
}

TEST_F(TimerOrderModel, OfAnyTimes) {
  for (const uint64_t times : {1, 3, 50, 1'000'000}) {  // down to one: all are of the same time
    std::mt19937_64 random(times);
    for (int step = 0; step < 20'000 && !HasFailure(); ++step) {
      switch (random() % 5) {
        case 0:
          TakeFirst();
          break;
        case 1:
          if (!model_.empty()) {
            auto place = model_.lower_bound(static_cast<int64_t>(random() % times));
            if (place == model_.end()) place = model_.begin();
            Remove(place->second[random() % place->second.size()]);
          }
          break;
        default:
          Insert(static_cast<int64_t>(random() % times));
      }
    }
    while (!model_.empty() && !HasFailure()) TakeFirst();
  }
}

// A timer that is not in here may be in a list with a head of its own.
TEST_F(TimerOrderModel, LeavesWhatIsElsewhereOrTakesItOut) {
  TimerNode elsewhere(nullptr, nullptr, nullptr, 5, nullptr, 0);
  for (int same = 0; same < 5; ++same) {
    Link head;
    Link* const link = &elsewhere;
    head.next = head.prev = link;
    link->next = link->prev = &head;
    if (!order_.remove(&elsewhere)) {
      EXPECT_EQ(head.next, link);
    } else {
      EXPECT_EQ(head.next, &head);
      EXPECT_EQ(head.prev, &head);
    }
    Insert(5);
  }
  while (!model_.empty()) TakeFirst();
}

// If each insertion or removal looked at all there are, this would take an hour.
TEST_F(TimerOrderModel, CostsLittleHoweverManyThereAre) {
  constexpr int64_t kMany = 400'000;
  for (const int64_t stride : {int64_t{1}, int64_t{-1}, int64_t{0}, int64_t{7919}}) {
    std::vector<std::unique_ptr<TimerNode>> nodes;
    for (int64_t i = 0; i < kMany; ++i) {
      const int64_t time = kMany + i * stride % kMany;
      nodes.push_back(
          std::make_unique<TimerNode>(nullptr, nullptr, nullptr, time, nullptr, uint8_t{0}));
      order_.insert(nodes.back().get());
    }
    for (size_t i = 0; i < nodes.size(); i += 2) ASSERT_TRUE(order_.remove(nodes[i].get()));
    int64_t last = 0;
    size_t taken = 0;
    while (TimerNode* node = order_.take_first(INT64_MAX)) {
      ASSERT_GE(node->deadline, last);
      last = node->deadline;
      ++taken;
    }
    EXPECT_EQ(taken, nodes.size() / 2);
  }
}

}  // namespace
}  // namespace ctxcore
