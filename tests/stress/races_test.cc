// SPDX-License-Identifier: MIT
//
// The hard cases, each as one race that is run many times at changing points: callbacks and
// descriptors made while a cancel is under way, deadlines against cancels and releases, and many
// threads below one parent.
#include <atomic>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr int kRounds = kSanitized ? 200 : 1'500;

// A chain, each link with children of its own. Its cancel takes a while, for others to meet it.
struct Bush {
  explicit Bush(ctx_t* parent, int links = 3, int leaves = 40) {
    for (int i = 0; i < links; ++i) {
      chain.push_back(WithCancel(i == 0 ? parent : chain.back().ctx.get()));
      for (int j = 0; j < leaves; ++j) all.push_back(WithCancel(chain.back()));
    }
  }
  std::deque<Scope> chain, all;
};

TEST(Races, Rule25_CallbacksRegisteredDuringACancelRunOnceWithAllMarked) {
  Scope root;
  std::deque<Bush> bush;
  std::atomic<int> runs{0}, wrong{0};
  struct Seen {
    std::deque<Bush>* bush;
    std::atomic<int>*runs, *wrong;
  } seen = {&bush, &runs, &wrong};
  const auto fn = [](ctx_t* ctx, void* arg) {
    const auto* self = static_cast<Seen*>(arg);
    *self->wrong += ctx_err(ctx) == 0;
    for (const Scope& leaf : self->bush->front().all) *self->wrong += ctx_err(leaf) == 0;
    ++*self->runs;  // last: the bush goes when all have been counted
  };
  const auto arm = [&](uint32_t flags) {
    for (const Scope& link : bush[0].chain) {
      const int result = ctx_after_func(link, fn, &seen, nullptr, flags, nullptr);
      if (result != 0 && result != 1) ++wrong;
    }
  };
  Stagger first(4), second(5), third(6);
  int armed = 0;
  Race(
      kRounds,
      [&] {
        bush.clear();
        root = WithCancel(ctx_background());
        bush.emplace_back(root);
      },
      {[&] {
         first.Pass(1'000);
         root.Cancel();
       },
       [&] {
         second.Pass(1'000);
         arm(0);
       },
       [&] {
         third.Pass(1'000);
         arm(CTX_DEFER);
       }},
      [&] {
        armed += 6;
        for (Patience wait; runs.load() < armed;) wait.Pause();  // the deferred ones
      });
  EXPECT_EQ(runs.load(), armed);
  EXPECT_EQ(wrong.load(), 0);
}

TEST(Races, Rule06_DescriptorsMadeDuringACancelBecomeReadable) {
  Scope root;
  std::deque<Bush> bush;
  std::vector<int> made[2];
  int wrong = 0;
  const auto make = [&](size_t mine) {
    for (const Scope& leaf : bush[0].all) made[mine].push_back(ctx_done_fd(leaf));
  };
  Stagger first(7), second(8);
  Race(
      kRounds / 4,
      [&] {
        made[0].clear();
        made[1].clear();
        bush.clear();
        root = WithCancel(ctx_background());
        bush.emplace_back(root);
      },
      {[&] {
         first.Pass(20'000);
         root.Cancel();
       },
       [&] { make(0); },
       [&] {
         second.Pass(2'000);
         make(1);
       }},
      [&] {
        wrong += made[0] != made[1];  // one descriptor a context
        for (const int fd : made[0]) wrong += !Readable(fd);
      });
  EXPECT_EQ(wrong, 0);
}

// Entries of many leaves come and go, and are drained, while a cancel above takes them along: each is stopped or gives
// its event.
TEST(Races, Rule26_EntriesOfLeavesAgainstACancelAbove) {
  constexpr size_t kLeaves = 40;  // a walk looks ahead at some of them
  Scope root;
  std::deque<Bush> bush;
  Queue queue;
  size_t stopped = 0, drained = 0;
  int wrong = 0;
  Stagger first(12), second(13), third(14);
  Race(
      kRounds,
      [&] {
        stopped = drained = 0;
        bush.clear();
        root = WithCancel(ctx_background());
        bush.emplace_back(root, 1, static_cast<int>(kLeaves));
        queue = NewQueue();
        for (size_t i = 0; i < kLeaves; i += 2) {
          wrong += ctx_queue_add(queue, bush[0].all[i], 1, nullptr) != 0;
        }
      },
      {[&] {
         first.Pass(2'000);
         root.Cancel();
       },
       [&] {
         second.Pass(1'000);
         for (const Scope& leaf : bush[0].all) {
           Watch watch;
           wrong += ctx_queue_add(queue, leaf, 2, watch.out()) != 0;
           stopped += ctx_watch_stop(watch) == 1;
         }
       },
       [&] {
         third.Pass(2'000);
         for (int i = 0; i < 4; ++i) drained += Drain(queue, 8).size();
       }},
      [&] {
        drained += Drain(queue, 4 * kLeaves).size();
        wrong += stopped + drained != kLeaves / 2 + kLeaves;
      });
  EXPECT_EQ(wrong, 0);
}

// Deadlines that pass while they are canceled, and while their last handles are given back.
TEST(Races, Rule14_DeadlinesAgainstCancelsAndReleases) {
  std::atomic<int> wrong{0}, early{0};
  std::deque<Drop> drops;
  std::deque<Scope> canceled, released;
  const auto fill = [&](std::deque<Scope>& scopes) {
    for (int i = 0; i < 20; ++i) {
      const Ctx watched = Watched(ctx_background(), &drops.emplace_back());
      scopes.push_back(WithTimeout(watched, 200 * kMicrosecond + i * 5 * kMicrosecond));
    }
  };
  const auto sleep_until_due = [](const Scope& scope, Stagger& stagger) {
    while (ctx_remaining(scope) > 20 * kMicrosecond) std::this_thread::yield();
    stagger.Pass(20'000);
  };
  Stagger first(9), second(10);
  Race(
      kRounds / 4,
      [&] {
        fill(canceled);
        fill(released);
      },
      {[&] {
         sleep_until_due(canceled.front(), first);
         for (const Scope& scope : canceled) {
           const int won = scope.Cancel();
           const int error = ctx_err(scope);
           wrong += won == 1 ? error != CTX_CANCELED : error != CTX_DEADLINE_EXCEEDED;
           early += error == CTX_DEADLINE_EXCEEDED && ctx_remaining(scope) > 0;
         }
       },
       [&] {
         sleep_until_due(released.front(), second);
         released.clear();
       }},
      [&] {
        canceled.clear();
        for (const Drop& drop : drops) ASSERT_TRUE(drop.Wait());
        for (const Drop& drop : drops) wrong += drop.count() != 1;
        drops.clear();
      });
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(early.load(), 0);
}

// Children of one parent that come and go on many threads, before, during and after its cancel.
TEST(Races, Rule08_ManyThreadsBelowOneParent) {
  constexpr int kDerivations = 400;
  for (int round = 0; round < kRounds / 25; ++round) {
    Drop drop;
    std::atomic<int> wrong{0}, derived{0};
    {
      Scope parent = WithCancel(Watched(ctx_background(), &drop));
      std::atomic<bool> canceled{false};
      const auto churn = [&](unsigned seed) {
        std::deque<Scope> alive;
        Stagger stagger(seed);
        for (int i = 0; i < kDerivations; ++i) {
          const bool must_be_done = canceled.load();
          Scope child;
          const int result =
              i % 3 == 0 ? ctx_with_timeout(parent, kHour, child.ctx.out(), child.canceler.out())
                         : ctx_with_cancel(parent, child.ctx.out(), child.canceler.out());
          wrong += result != 0 || (must_be_done && ctx_err(child) == 0);
          derived.fetch_add(1, std::memory_order_relaxed);
          stagger.Pass(16);
          if (stagger.Odd()) alive.push_back(std::move(child));
          if (alive.size() > 50) alive.pop_front();
        }
        for (Patience wait; !canceled.load();) wait.Pause();
        for (const Scope& child : alive) wrong += ctx_err(child) != CTX_CANCELED;
      };
      std::vector<std::thread> threads;
      for (unsigned i = 0; i < 4; ++i) threads.emplace_back(churn, 100 * i + 11);
      for (Patience wait; derived < kDerivations * (round % 8) / 2;) wait.Pause();
      EXPECT_EQ(parent.Cancel(), 1);
      canceled = true;
      for (std::thread& thread : threads) thread.join();
    }
    ASSERT_EQ(wrong.load(), 0);
    ASSERT_EQ(drop.count(), 1);
  }
}

}  // namespace
}  // namespace ctxtest
