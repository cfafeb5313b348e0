// SPDX-License-Identifier: MIT
// Who waits for any of some bits, against a model that looks at all.
#include "core/base/groups.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

namespace ctxcore {
namespace {

struct Waiter : Link {
  uint64_t bits = 0;
  Group<Waiter>* group = nullptr;
};

TEST(Groups, RandomBits) {
  std::mt19937_64 random(1);
  for (const uint64_t sets : {2, 8, 64}) {
    Groups<Waiter> groups;
    std::vector<std::unique_ptr<Waiter>> in;
    const auto drop = [&](Waiter* waiter) {
      EXPECT_EQ(waiter->group, nullptr);
      EXPECT_FALSE(waiter->linked());
      in.erase(std::find_if(in.begin(), in.end(), [&](auto& one) { return one.get() == waiter; }));
    };
    for (int step = 0; step < 20'000; ++step) {
      const uint64_t choice = random() % 4;
      if (choice < 2 || in.empty()) {
        in.push_back(std::make_unique<Waiter>());
        in.back()->bits = 1 + random() % (sets - 1);
        ASSERT_TRUE(groups.add(in.back().get(), in.back()->bits));
      } else if (choice == 2) {
        Waiter* const waiter = in[random() % in.size()].get();
        groups.remove(waiter);
        drop(waiter);
      } else {
        const uint64_t bits = uint64_t{1} << random() % 7;
        const auto waits = [&](auto& one) { return (one->bits & bits) != 0; };
        const bool any = std::any_of(in.begin(), in.end(), waits);
        Waiter* const taken = groups.take(bits);
        ASSERT_EQ(taken != nullptr, any);
        if (taken != nullptr) {
          ASSERT_NE(taken->bits & bits, 0u);
          drop(taken);
        }
      }
      uint64_t wanted = 0;
      for (const auto& one : in) wanted |= one->bits;
      ASSERT_EQ(groups.wanted(), wanted);
      ASSERT_EQ(groups.empty(), in.empty());
    }
    while (Waiter* const left = groups.take(UINT64_MAX)) drop(left);
    EXPECT_TRUE(in.empty());
  }
}

TEST(Groups, OfTheSameBitsTheFirstIsTakenFirst) {
  Groups<Waiter> groups;
  Waiter waiters[5];
  for (Waiter& waiter : waiters) ASSERT_TRUE(groups.add(&waiter, 3));
  groups.remove(&waiters[2]);
  EXPECT_EQ(groups.take(4), nullptr);
  for (const int i : {0, 1, 3, 4}) EXPECT_EQ(groups.take(i % 2 + 1), &waiters[i]);
  EXPECT_TRUE(groups.empty());
}

}  // namespace
}  // namespace ctxcore
