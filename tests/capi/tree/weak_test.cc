// SPDX-License-Identifier: MIT
//
// Rule 11: parents hold their children weakly, an armed callback is a reference, and on what can never
// be done nothing is armed. What has been freed is seen by the drop of a value above it.
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(Weak, Rule11_AForgottenChildIsFreedWhileItsParentLives) {
  Drop drop;
  const Scope parent = WithCancel(ctx_background());
  {
    const Ctx watched = Watched(parent, &drop);
    const Scope child = WithCancel(watched);
    EXPECT_EQ(drop.count(), 0);
  }
  EXPECT_EQ(drop.count(), 1) << "never canceled, and gone all the same";
  EXPECT_EQ(ctx_err(parent), 0);
  EXPECT_EQ(parent.Cancel(), 1);
}

// Whatever watched the parent for the child's sake must not outlive the child.
TEST(Weak, Rule11_NothingThatWatchesTheParentOutlivesTheChild) {
  const Scope parent = WithTimeout(ctx_background(), kHour);
  for (int kind = 0; kind < 6; ++kind) {
    Drop drop;
    Ctx watched = Watched(parent, &drop);
    {
      Scope child = kind % 2 == 0 ? WithCancel(watched) : WithTimeout(watched, kHour / 2);
      watched.reset();
      Scope below = WithCancel(child);
      child.reset();
      if (kind / 2 == 1) {
        EXPECT_GE(ctx_done_fd(below), 0);
      }
      if (kind / 2 == 2) {
        EXPECT_EQ(ctx_wait(below, 1), 0);
        EXPECT_EQ(ctx_poll(below, nullptr, 0, 1), 0);
      }
      EXPECT_EQ(drop.count(), 0) << kind;
    }
    EXPECT_EQ(drop.count(), 1) << kind;
  }
}

TEST(Weak, Rule11_ACanceledChildIsFreedWhileItsParentLives) {
  Drop drop;
  const Scope parent = WithCancel(ctx_background());
  {
    const Scope child = WithCancel(Watched(parent, &drop));
    EXPECT_EQ(child.Cancel(), 1);
    EXPECT_EQ(drop.count(), 0);
  }
  EXPECT_EQ(drop.count(), 1);
}

TEST(Weak, Rule11_AParentsMemoryStaysWhileItHasChildren) {
  Drop drop;
  Scope top = WithCancel(Watched(ctx_background(), &drop));
  Scope child = WithCancel(top);
  Canceler canceler = std::move(top.canceler);
  top.reset();
  canceler.reset();
  EXPECT_EQ(drop.count(), 0);
  EXPECT_EQ(child.Cancel(), 1);
  child.reset();
  EXPECT_EQ(drop.count(), 1);
}

TEST(Weak, Rule11_AnArmedCallbackLivesUntilItFires) {
  Drop drop;
  const Scope parent = WithCancel(ctx_background());
  Callback callback;
  {
    const Scope child = WithCancel(Watched(parent, &drop));
    callback.Arm(child);
  }
  EXPECT_EQ(drop.count(), 0) << "armed, it is a reference";
  EXPECT_EQ(callback.runs(), 0);
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(callback.runs(), 1) << "never silently lost";
  EXPECT_EQ(drop.count(), 1) << "though the watch's handle is still held";
}

TEST(Weak, Rule11_AnArmedCallbackLivesUntilItIsStopped) {
  Drop drop;
  const Scope parent = WithCancel(ctx_background());
  for (int i = 0; i < 2; ++i) {
    Callback callback;
    {
      const Scope child = WithCancel(Watched(parent, &drop));
      callback.Arm(child, i == 0 ? 0 : CTX_DEFER);
    }
    EXPECT_EQ(drop.count(), i);
    EXPECT_EQ(callback.Stop(), 1);
    EXPECT_EQ(drop.count(), i + 1) << "though the watch's handle is still held";
  }
}

TEST(Weak, Rule11_AnArmedCallbackOfADeadlineFiresThoughAllHandlesAreGone) {
  Drop drop;
  Callback callback;
  {
    const Scope timed = WithTimeout(Watched(ctx_background(), &drop), 10 * kMillisecond);
    callback.Arm(timed);
  }
  ASSERT_TRUE(callback.WaitDrop());
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_TRUE(drop.Wait());
}

TEST(Weak, Rule11_OnWhatCanNeverBeDoneNothingIsArmedOrPinned) {
  Drop drop;
  Ctx watched = Watched(ctx_background(), &drop);
  Ctx detached = WithoutCancel(watched);
  watched.reset();
  Callback callback, deferred;
  EXPECT_EQ(callback.Arm(detached), 0);
  EXPECT_EQ(deferred.Arm(detached, CTX_DEFER), 0);
  detached.reset();
  EXPECT_EQ(drop.count(), 1) << "not pinned";
  EXPECT_EQ(callback.drops(), 0);
  EXPECT_EQ(callback.Stop(), 1);
  EXPECT_EQ(callback.drops(), 1);
  EXPECT_EQ(callback.Stop(), 0);
  EXPECT_EQ(callback.drops(), 1);
  EXPECT_EQ(deferred.StopWait(), 1);
  EXPECT_EQ(callback.runs() + deferred.runs(), 0);
}

TEST(Weak, Rule11_OnWhatCanNeverBeDoneDropRunsWhenTheWatchIsGivenBack) {
  const auto fn = [](ctx_t*, void*) { ADD_FAILURE() << "this can never be done"; };
  const Ctx value = WithValue(ctx_background(), &kKey, nullptr);
  for (ctx_t* ctx : {ctx_background(), ctx_todo(), value.get()}) {
    for (uint32_t flags : {uint32_t{0}, CTX_DEFER}) {
      Drop drop;
      Watch watch = AfterFunc(ctx, fn, &drop, flags, Drop::Run);
      ASSERT_NE(watch.get(), nullptr);
      EXPECT_EQ(drop.count(), 0);
      watch.reset();
      EXPECT_EQ(drop.count(), 1);
      EXPECT_EQ(ctx_after_func(ctx, fn, &drop, Drop::Run, flags, nullptr), 0);
      EXPECT_EQ(drop.count(), 2) << "without a handle, at once";
    }
  }
}

// Born and released below one parent that lives on, by two threads, with a cancel at the end: nothing
// is left behind.
TEST(Weak, Rule11_ChildrenThatComeAndGoOnManyThreadsLeaveNothing) {
  constexpr int kEach = kSanitized ? 2000 : 20000;
  Drop drop;
  {
    const Scope parent = WithCancel(Watched(ctx_background(), &drop));
    const auto churn = [&] {
      std::vector<Scope> kept(16);
      for (size_t i = 0; i < kEach; ++i) {
        kept[i % kept.size()] = i % 2 == 0 ? WithCancel(parent) : WithTimeout(parent, kHour);
      }
    };
    std::thread other(churn);
    churn();
    other.join();
    EXPECT_EQ(parent.Cancel(), 1);
  }
  EXPECT_EQ(drop.count(), 1);
}

// A child's last handle goes while its parent is canceled: marked or freed, never both at once.
TEST(Weak, Rule11_AReleaseThatRacesWithTheParentsCancel) {
  Drop drop;
  Scope parent;
  std::vector<Scope> children(32);
  int rounds = 0;
  const int kRounds = Rounds(kSanitized ? 200 : 1000);
  Stagger stagger(11);
  Race(
      kRounds,
      [&] {
        parent = WithCancel(ctx_background());
        for (size_t i = 0; i < children.size(); ++i) {
          children[i] = WithCancel(i % 4 == 0 ? Watched(parent, &drop).get() : parent.ctx.get());
        }
        ++rounds;
      },
      {[&] {
         stagger.Pass(2048);
         parent.Cancel();
       },
       [&] {
         for (Scope& child : children) child.reset();
       }},
      [] {});
  EXPECT_EQ(drop.count(), rounds * 8);
}

TEST(Weak, Rule11_AReleaseThatRacesWithItsOwnDeadline) {
  const int kRounds = Rounds(kSanitized ? 50 : 200);
  Drop drop;
  Stagger stagger(12);
  for (int round = 0; round < kRounds; ++round) {
    Scope timed = WithTimeout(Watched(ctx_background(), &drop), 60 * kMicrosecond);
    Scope below = WithCancel(timed);
    timed.reset();
    stagger.Pass(65536);
    below.reset();
    ASSERT_TRUE(drop.Wait(round + 1));
  }
  EXPECT_EQ(drop.count(), kRounds);
}

}  // namespace
}  // namespace ctxtest
