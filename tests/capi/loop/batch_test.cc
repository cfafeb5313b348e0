// SPDX-License-Identifier: MIT
//
// Very many deadlines at one time are ended in batches: rules 17, 24 and 38 hold between them.
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/held.h"
#include "support/loops.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr int kMany = 20'000;  // some batches

std::vector<Scope> ManyAt(ctx_t* root, int64_t deadline) {
  std::vector<Scope> scopes;
  for (int i = 0; i < kMany; ++i) scopes.push_back(WithDeadline(root, deadline));
  return scopes;
}

// The same with a deadline that is still to come when all are set.
std::vector<Scope> ManySoon(const ManualLoop& loop, int64_t* deadline) {
  for (int64_t margin = 20 * kMillisecond;; margin *= 2) {
    *deadline = loop.Now() + margin;
    std::vector<Scope> scopes = ManyAt(loop.root, *deadline);
    if (loop.Now() < *deadline) return scopes;
  }
}

int CountLive(const std::vector<Scope>& scopes) {
  int live = 0;
  for (const Scope& scope : scopes) live += ctx_err(scope) == 0 ? 1 : 0;
  return live;
}

TEST(Batch, Rule38_AWaitWithoutTimeDoesNotEndThemAll) {
  const ManualLoop mine;
  const Scope hour = WithTimeout(mine.root, kHour);
  int64_t deadline = 0;
  const std::vector<Scope> scopes = ManySoon(mine, &deadline);
  SleepUntil(deadline);
  while (CountLive(scopes) == kMany) EXPECT_EQ(ctx_wait(hour, 0), 0);
  EXPECT_GT(CountLive(scopes), 0);
  EXPECT_TRUE(Readable(mine.Fd(), kLimitMs));  // the rest is left to dispatch
  EXPECT_GT(mine.Dispatch(), 0);
  EXPECT_EQ(CountLive(scopes), 0);
}

TEST(Batch, Rule38_AWaitForTheLastOfThemEndsThemAll) {
  const ManualLoop mine;
  int64_t deadline = 0;
  const std::vector<Scope> scopes = ManySoon(mine, &deadline);
  const Scope last = WithDeadline(mine.root, deadline + 1);
  EXPECT_EQ(ctx_wait(last, CTX_FOREVER), 1);
  EXPECT_EQ(CountLive(scopes), 0);
}

TEST(Batch, Rule24_WakersRunBeforeTheLastOfThemIsEnded) {
  const ManualLoop mine;
  int64_t deadline = 0;
  const std::vector<Scope> scopes = ManySoon(mine, &deadline);
  int live = -1;
  Callback waker([&](ctx_t*) { live = CountLive(scopes); });
  waker.Arm(scopes[0], CTX_WAKER);  // of equal deadlines the first that was set comes first
  SleepUntil(deadline);
  EXPECT_EQ(mine.Dispatch(), kMany);
  EXPECT_GT(live, 0);
  EXPECT_EQ(CountLive(scopes), 0);
}

// On all wheels of a threaded loop: they are filled by threads on several processors.
TEST(Batch, Rule17_TheOrderHoldsAcrossWheels) {
  const int64_t deadline = ctx_now(ctx_background()) + 500 * kMillisecond;
  std::vector<std::thread> threads;
  std::vector<std::vector<Scope>> early(4), late(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      early[i] = ManyAt(ctx_background(), deadline + i);
      late[i] = ManyAt(ctx_background(), deadline + 50 * kMillisecond - i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<Scope>& scopes : late) {
    ASSERT_EQ(ctx_wait(scopes[0], CTX_FOREVER), 1);
    for (const std::vector<Scope>& before : early) EXPECT_EQ(CountLive(before), 0);
  }
}

// Rule 37: one thread advances, another derives. Afterwards nothing is live whose deadline has passed.
TEST(Batch, Rule37_NothingOverdueIsLeftWhoeverComesWhen) {
  constexpr int kRounds = 20'000;
  const VirtualLoop test;
  StartLine line(2);
  Scope derived;
  std::thread deriving([&] {
    Stagger stagger(1);
    for (int i = 0; i < kRounds; ++i) {
      line.Meet();
      stagger.Pass();
      derived = WithTimeout(test.root, 1);
      line.Meet();
      line.Meet();
    }
  });
  int overdue = 0;
  Stagger stagger(2);
  for (int i = 0; i < kRounds; ++i) {
    line.Meet();
    stagger.Pass();
    test.Advance(2);
    line.Meet();
    int64_t deadline = 0;
    EXPECT_EQ(ctx_deadline(derived, &deadline), 1);
    if (deadline <= test.Now() && ctx_err(derived) == 0) ++overdue;
    derived.reset();
    line.Meet();
  }
  deriving.join();
  EXPECT_EQ(overdue, 0);
}

// A thread that derives ends one batch, and leaves timers that it has taken out of the wheels of two processors. The
// clock's thread, which was busy meanwhile, finds no others.
TEST(Batch, Rule13_WhatADerivationHasTakenAndNotEndedTheClockEnds) {
  constexpr int kBatch = 512;
  for (const int early : {0, 1}) {  // whose wheel is looked at first
    const Loop loop = NewLoop(CTX_LOOP_THREAD);
    const Ctx root = LoopBackground(loop);
    const Pipe pipe;
    const Scope by_fd = WithFd(root, pipe.read_end, POLLIN);
    HeldCallback busy;
    EXPECT_EQ(busy.Arm(by_fd, CTX_WAKER), 0);
    pipe.Write();
    ASSERT_TRUE(busy.begun.Wait());
    const int64_t first = ctx_loop_now(loop) + 100 * kMillisecond, second = first + kMillisecond;
    std::vector<Scope> scopes;
    for (const int64_t deadline : {first, second}) {
      const Pin pin(deadline == first ? early : 1 - early);
      for (int i = 0; i < kBatch; ++i) scopes.push_back(WithDeadline(root, deadline));
    }
    SleepUntil(second);
    const Scope below = WithTimeout(scopes.front(), kHour);
    EXPECT_EQ(ctx_err(below), CTX_DEADLINE_EXCEEDED);
    busy.go_on.Open();
    for (const Scope& scope : scopes) ASSERT_TRUE(Done(scope));
  }
}

}  // namespace
}  // namespace ctxtest
