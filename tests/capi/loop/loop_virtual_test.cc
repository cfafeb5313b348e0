// SPDX-License-Identifier: MIT
//
// A loop whose time the test moves: rules 13, 15, 24, 37 and 41. Very many deadlines, and very far ones,
// are in loop_virtual_order_test.cc; what waits do is in loop_wait_test.cc.
#include <functional>
#include <memory>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(Virtual, Rule41_ItsClockStartsAt0AndMovesOnlyByAdvance) {
  const VirtualLoop time;
  const Scope scope = WithCancel(time.root);
  const Ctx value = WithValue(scope, &kKey, nullptr), detached = WithoutCancel(value);
  const std::vector<ctx_t*> all = {time.root, scope, value, detached};
  int64_t expected = 0;
  for (int64_t step : {int64_t{0}, int64_t{1}, kHour, int64_t{0}, kSecond}) {
    EXPECT_EQ(time.Advance(step), 0);
    expected += step;
    EXPECT_EQ(time.Now(), expected);
    for (ctx_t* ctx : all) EXPECT_EQ(ctx_now(ctx), expected);
  }
  const VirtualLoop other;
  EXPECT_EQ(other.Now(), 0);
}

TEST(Virtual, Rule37_NothingFiresUntilAdvanced) {
  const VirtualLoop time;
  const Scope timed = WithTimeout(time.root, 5);
  Callback callback;
  callback.Arm(timed);
  SleepUntil(ctx_now(ctx_background()) + 5 * kMillisecond);  // of real time, a million deadlines
  EXPECT_EQ(ctx_err(timed), 0);
  EXPECT_EQ(ctx_remaining(timed), 5);
  EXPECT_EQ(time.Advance(0), 0);
  EXPECT_EQ(time.Advance(4), 0);
  EXPECT_EQ(ctx_err(timed), 0);
  EXPECT_EQ(ctx_remaining(timed), 1);
  EXPECT_EQ(callback.runs(), 0);
  EXPECT_EQ(time.Advance(1), 1);
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_EQ(callback.thread(), std::this_thread::get_id());
  EXPECT_EQ(time.Advance(1000), 0);
  EXPECT_EQ(ctx_remaining(timed), -1000) << "rule 40: negative after the deadline";
  EXPECT_EQ(Deadline(timed), 5);
}

void UseEverythingThatTakesTime() {
  const size_t threads = Tasks("").size();
  const size_t descriptors = OpenDescriptors();
  const VirtualLoop time;
  const Scope timed = WithTimeout(time.root, 10);
  const Scope graceful = WithGrace(timed, 10);
  Callback on_timed, deferred;
  on_timed.Arm(timed);
  deferred.Arm(graceful, CTX_DEFER);
  EXPECT_EQ(time.Advance(100), 2);
  EXPECT_EQ(deferred.runs(), 1);
  EXPECT_EQ(Tasks("").size(), threads);
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

TEST(Virtual, NoThreadAndNoDescriptorAppears) { CTX_IN_NEW_PROCESS(UseEverythingThatTakesTime()); }

TEST(Virtual, Rule37_EachCallbackSeesTheClockAtItsOwnDeadline) {
  const VirtualLoop time;
  Recorder recorder;
  std::vector<Scope> timed;
  for (int64_t deadline : {70, 10, 50, 30}) {
    timed.push_back(WithDeadline(time.root, deadline));
    recorder.Arm(timed.back(), static_cast<int>(deadline), 0, [&time, deadline](ctx_t* ctx) {
      EXPECT_EQ(time.Now(), deadline);
      EXPECT_EQ(ctx_remaining(ctx), 0);
      EXPECT_EQ(ctx_err(ctx), CTX_DEADLINE_EXCEEDED);
    });
  }
  EXPECT_EQ(time.Advance(60), 3);
  EXPECT_EQ(recorder.order(), (std::vector<int>{10, 30, 50}));
  EXPECT_EQ(time.Now(), 60);
  EXPECT_EQ(ctx_err(timed[0]), 0);
  EXPECT_EQ(time.Advance(60), 1);
  EXPECT_EQ(time.Now(), 120);
  EXPECT_EQ(recorder.clocks(), (std::vector<int64_t>{10, 30, 50, 70}));
}

TEST(Virtual, ACallbackSeesLaterDeadlinesLiveAndEqualOnesDone) {
  const VirtualLoop time;
  const Scope first = WithDeadline(time.root, 10), equal = WithDeadline(time.root, 10);
  const Scope later = WithDeadline(time.root, 11);
  std::vector<int> seen;
  const auto look = [&](ctx_t*) {
    seen.push_back(ctx_err(first));
    seen.push_back(ctx_err(equal));
    seen.push_back(ctx_err(later));
  };
  Callback on_first(look), on_equal(look);
  on_first.Arm(first);
  on_equal.Arm(equal);
  EXPECT_EQ(time.Advance(1000), 3);
  const int over = CTX_DEADLINE_EXCEEDED;
  EXPECT_EQ(seen, (std::vector<int>{over, over, 0, over, over, 0}));
}

TEST(Virtual, Rule37_WhatACallbackDerivesFiresInItsPlace) {
  const VirtualLoop time;
  Recorder recorder;
  std::vector<Scope> kept;
  const auto arm = [&](int64_t deadline, std::function<void(ctx_t*)> body = {}) {
    kept.push_back(WithDeadline(time.root, deadline));
    recorder.Arm(kept.back(), static_cast<int>(deadline), 0, std::move(body));
  };
  arm(20);
  arm(12);
  arm(10, [&](ctx_t*) {
    kept.push_back(WithTimeout(time.root, 5));  // at 15
    recorder.Arm(kept.back(), 15, 0, [&](ctx_t*) {
      arm(16);
      arm(21);
      arm(40);
    });
    arm(11);
    EXPECT_EQ(ctx_err(WithTimeout(time.root, 0)), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(ctx_err(WithDeadline(time.root, 10)), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(ctx_err(WithDeadline(time.root, 11)), 0);
  });
  EXPECT_EQ(time.Advance(30), 7);
  EXPECT_EQ(recorder.order(), (std::vector<int>{10, 11, 12, 15, 16, 20, 21}));
  EXPECT_EQ(recorder.clocks(), (std::vector<int64_t>{10, 11, 12, 15, 16, 20, 21}));
  EXPECT_EQ(time.Advance(9), 0);
  EXPECT_EQ(time.Advance(1), 1);
}

// A chain of timers that each set the next one: all of it in one advance.
TEST(Virtual, Rule37_ATickerRunsThroughOneAdvance) {
  const VirtualLoop time;
  Recorder recorder;
  Scope timed;
  std::function<void(ctx_t*)> tick = [&](ctx_t*) {
    timed = WithTimeout(time.root, kSecond);
    recorder.Arm(timed, recorder.runs(), 0, tick);
  };
  tick(nullptr);
  EXPECT_EQ(time.Advance(1000 * kSecond), 1000);
  const std::vector<int64_t> clocks = recorder.clocks();
  ASSERT_EQ(clocks.size(), 1000u);
  for (size_t i = 0; i < clocks.size(); ++i) {
    EXPECT_EQ(clocks[i], static_cast<int64_t>(i + 1) * kSecond);
  }
}

TEST(Virtual, WhatACallbackCancelsDoesNotFire) {
  const VirtualLoop time;
  const Scope first = WithDeadline(time.root, 10), second = WithDeadline(time.root, 20);
  Scope released = WithDeadline(time.root, 30);
  Callback callback([&](ctx_t*) {
    EXPECT_EQ(second.Cancel(), 1);
    released.reset();
  });
  callback.Arm(first);
  EXPECT_EQ(time.Advance(100), 1);
  EXPECT_EQ(ctx_err(second), CTX_CANCELED);
}

TEST(Virtual, Rule41_AdvanceTellsHowManyFired) {
  const VirtualLoop time;
  const Scope parent = WithDeadline(time.root, 50);
  const Scope covered = WithDeadline(parent, 60), equal = WithDeadline(parent, 50);
  const Scope plain = WithCancel(parent), sooner = WithDeadline(parent, 40);
  const Scope canceled = WithDeadline(time.root, 45), past = WithDeadline(time.root, 0);
  canceled.Cancel();
  EXPECT_EQ(ctx_err(past), CTX_DEADLINE_EXCEEDED) << "rule 13: now is past";
  EXPECT_EQ(time.Advance(100), 2) << "the parent, and the one that was sooner";
  for (const Scope* scope : {&covered, &equal, &plain, &sooner}) {
    EXPECT_EQ(ctx_err(*scope), CTX_DEADLINE_EXCEEDED);
  }
  std::vector<Scope> timed;
  for (int i = 0; i < 100'000; ++i) timed.push_back(WithTimeout(time.root, 1 + i % 1000));
  EXPECT_EQ(time.Advance(500), 50'000);
  EXPECT_EQ(time.Advance(500), 50'000);
}

TEST(Virtual, Rule15_TheCauseIsThatOfTheDeadlineThatFired) {
  const VirtualLoop time;
  const Cause above = NewCause(1, "above"), own = NewCause(2, "own");
  const Scope parent = WithDeadline(time.root, 50, above);
  const Scope sooner = WithDeadline(parent, 49, own), equal = WithDeadline(parent, 50, own);
  EXPECT_EQ(time.Advance(1000), 2);
  EXPECT_EQ(ctx_cause(parent), above.get());
  EXPECT_EQ(ctx_cause(sooner), own.get());
  EXPECT_EQ(ctx_cause(equal), above.get()) << "rule 12: equal deadlines are the parent's";
}

TEST(Virtual, Rule24_DeferredCallbacksRunInAdvance) {
  const VirtualLoop time;
  const Scope canceled = WithCancel(time.root), timed = WithTimeout(time.root, 10);
  Recorder recorder;
  recorder.Arm(timed, 1, CTX_DEFER);
  recorder.Arm(canceled, 0, CTX_DEFER);
  EXPECT_EQ(time.Next(), 10);
  canceled.Cancel();
  EXPECT_EQ(recorder.runs(), 0);
  EXPECT_EQ(time.Next(), 0) << "work waits now";
  EXPECT_EQ(time.Advance(20), 1);
  EXPECT_EQ(recorder.order(), (std::vector<int>{0, 1}));
  EXPECT_EQ(recorder.clocks(), (std::vector<int64_t>{0, 10}));
  Callback late;
  EXPECT_EQ(late.Arm(timed, CTX_DEFER), 1);
  EXPECT_EQ(late.runs(), 0);
  EXPECT_EQ(time.Advance(0), 0);
  EXPECT_EQ(late.runs(), 1);
  EXPECT_EQ(time.Next(), INT64_MAX);
}

TEST(Virtual, WhatIsDeferredInsideAnAdvanceIsNotLost) {
  const VirtualLoop time;
  const Scope first = WithTimeout(time.root, 10), second = WithTimeout(time.root, 20);
  const Scope other = WithCancel(time.root);
  Callback on_other, late;
  on_other.Arm(other, CTX_DEFER);
  Callback callback([&](ctx_t* ctx) {
    EXPECT_EQ(late.Arm(ctx, CTX_DEFER), 1);
    other.Cancel();
  });
  callback.Arm(first);
  EXPECT_EQ(time.Advance(15), 1);
  EXPECT_LE(time.Next(), on_other.runs() + late.runs() == 2 ? 20 : time.Now());
  EXPECT_EQ(time.Advance(0), 0);
  EXPECT_EQ(on_other.runs(), 1);
  EXPECT_EQ(late.runs(), 1);
  EXPECT_EQ(time.Next(), 20);
}

TEST(Virtual, Rule37_AdvanceWhileAnotherIsUnderWayIsEBUSY) {
  const VirtualLoop time;
  const Scope timed = WithDeadline(time.root, 10);
  Gate inside, go_on;
  std::vector<int> nested;
  bool went_on = false;
  Callback callback([&](ctx_t*) {
    nested = {time.Advance(0), time.Advance(10)};
    inside.Open();
    went_on = go_on.Wait();
  });
  callback.Arm(timed);
  std::thread other([&] { EXPECT_EQ(time.Advance(20), 1); });
  EXPECT_TRUE(inside.Wait());
  EXPECT_EQ(time.Advance(5), -EBUSY);
  EXPECT_EQ(time.Advance(-5), -EINVAL) << "a bad argument is told first";
  const VirtualLoop unrelated;
  EXPECT_EQ(unrelated.Advance(5), 0);
  go_on.Open();
  other.join();
  EXPECT_TRUE(went_on);
  EXPECT_EQ(nested, (std::vector<int>{-EBUSY, -EBUSY})) << "from the callback";
  EXPECT_EQ(time.Now(), 20) << "those that were refused moved nothing";
}

TEST(Virtual, Rule37_ACallbackOfACancelMayAdvance) {
  const VirtualLoop time;
  const Scope scope = WithCancel(time.root), timed = WithDeadline(time.root, 10);
  Callback callback([&](ctx_t*) { EXPECT_EQ(time.Advance(10), 1); });
  callback.Arm(scope);
  scope.Cancel();
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
}

// One thread advances, another sets a deadline that is near. Whichever comes first, the clock never passes the
// deadline while the context is live.
TEST(Virtual, Rule37_WhatIsDueHasEndedWhoeverSetItMeanwhile) {
  using Set = std::function<Scope(ctx_t * root)>;
  const Set sets[] = {
      [](ctx_t* root) { return WithTimeout(root, 5); },
      [](ctx_t* root) { return WithDeadline(WithCancel(root), 10); },
      [](ctx_t* root) { return WithGrace(WithTimeout(root, 0), 3); },
      [](ctx_t* root) {  // the parent's end comes while the clock moves, by this thread or by that
        const Scope parent = WithTimeout(root, 2);
        Scope made = WithGrace(parent, 3);
        parent.Cancel();
        return made;
      },
      [](ctx_t* root) {
        return WithCancel(Merge({WithCancel(root), WithTimeout(root, 10)}));
      },
  };
  std::unique_ptr<VirtualLoop> time;
  Scope made;
  Stagger early(37), late(38);
  int round = 0;
  Race(
      Rounds(kSanitized ? 3'000 : 40'000),
      [&] {
        made.reset();
        time = std::make_unique<VirtualLoop>();
      },
      {[&] {
         early.Pass();
         made = sets[static_cast<size_t>(round) % std::size(sets)](time->root);
       },
       [&] {
         late.Pass(1024);
         EXPECT_GE(time->Advance(10), 0);
       }},
      [&] {
        if (Deadline(made) <= time->Now()) {
          ASSERT_NE(ctx_err(made), 0) << "round " << round;
        }
        ASSERT_GT(time->Next(), time->Now()) << "round " << round;
        ++round;
      });
}

TEST(Virtual, ANegativeAdvanceIsEINVAL) {
  const VirtualLoop time;
  const Scope timed = WithDeadline(time.root, 10);
  EXPECT_EQ(time.Advance(5), 0);
  for (int64_t ns : {int64_t{-1}, -kHour, INT64_MIN}) EXPECT_EQ(time.Advance(ns), -EINVAL);
  EXPECT_EQ(time.Now(), 5);
  EXPECT_EQ(ctx_err(timed), 0);
}

TEST(Virtual, Rule13_ADeadlineNowOrPastIsDoneOnReturn) {
  const VirtualLoop time;
  const Cause cause = NewCause(13, "late");
  for (int64_t now : {int64_t{0}, kSecond}) {
    time.AdvanceTo(now);
    for (int64_t ago : {int64_t{0}, int64_t{1}, kHour}) {
      const Scope past = WithDeadline(time.root, now - ago, cause);
      EXPECT_EQ(ctx_err(past), CTX_DEADLINE_EXCEEDED);
      EXPECT_EQ(ctx_cause(past), cause.get());
      EXPECT_EQ(past.Cancel(), 0);
      EXPECT_EQ(ctx_remaining(past), -ago);
    }
    EXPECT_EQ(ctx_err(WithDeadline(time.root, now + 1)), 0);
  }
  EXPECT_EQ(time.Advance(kHour), 0);
}

}  // namespace
}  // namespace ctxtest
