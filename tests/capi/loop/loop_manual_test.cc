// SPDX-License-Identifier: MIT
//
// A loop that the host drives: rules 16, 17, 24, 25, 37 and 41, and that no thread appears. How a host
// learns that there is work is in loop_host_test.cc, what waits do in loop_wait_test.cc.
#include <atomic>
#include <functional>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(Manual, TakesNothingWhenMade) {
  const size_t before = OpenDescriptors();
  const ManualLoop manual;
  const Scope scope = WithCancel(manual.root);
  Callback callback;
  callback.Arm(scope);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_EQ(OpenDescriptors(), before);
}

void UseEverythingThatTakesTime() {
  const size_t threads = Tasks("").size();
  const ManualLoop manual;
  const Scope timed = WithTimeout(manual.root, kMillisecond);
  const Scope merged = Merge({timed, WithCancel(manual.root)});
  const Scope graceful = WithGrace(merged, kMillisecond);
  Callback on_timed, deferred;
  on_timed.Arm(timed);
  deferred.Arm(graceful, CTX_DEFER);
  EXPECT_NE(manual.DriveUntil([&] { return deferred.runs() == 1; }), -1);
  EXPECT_EQ(ctx_wait(WithTimeout(manual.root, kMillisecond), kLimit), 1);
  EXPECT_EQ(Tasks("").size(), threads);
}

TEST(Manual, NoThreadAppears) { CTX_IN_NEW_PROCESS(UseEverythingThatTakesTime()); }

TEST(Manual, NowIsCLOCK_MONOTONIC) {
  const ManualLoop manual;
  const int64_t before = ctx_now(ctx_background());
  const int64_t of_loop = manual.Now(), of_context = ctx_now(WithCancel(manual.root));
  const int64_t after = ctx_now(ctx_background());
  EXPECT_LE(before, of_loop);
  EXPECT_LE(of_loop, of_context);
  EXPECT_LE(of_context, after);
}

TEST(Manual, ItsRootIsNeverDoneAndItsOwn) {
  const ManualLoop manual, other;
  EXPECT_NE(manual.root.get(), ctx_background());
  EXPECT_NE(manual.root.get(), other.root.get());
  EXPECT_EQ(ctx_err(manual.root), 0);
  EXPECT_EQ(ctx_cancelable(manual.root), 0);
  EXPECT_EQ(ctx_done_fd(manual.root), -ENOTSUP);
  EXPECT_EQ(ctx_remaining(manual.root), CTX_FOREVER);
}

TEST(Manual, Rule24_ADeadlineFiresInDispatchAndCallsBackOnThatThread) {
  const ManualLoop manual;
  const Scope timed = WithTimeout(manual.root, 2 * kMillisecond);
  Callback callback([&](ctx_t* ctx) { EXPECT_EQ(ctx_err(ctx), CTX_DEADLINE_EXCEEDED); });
  callback.Arm(timed);
  ASSERT_TRUE(Readable(manual.Fd(), kLimitMs));
  SleepUntil(manual.Now() + kPast);
  EXPECT_EQ(ctx_err(timed), 0) << "nobody has dispatched";
  EXPECT_EQ(callback.runs(), 0);
  EXPECT_EQ(manual.Dispatch(), 1);
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_EQ(callback.thread(), std::this_thread::get_id());
  EXPECT_EQ(manual.Dispatch(), 0);
}

TEST(Manual, Rule16_NeverEarly) {
  const ManualLoop manual;
  for (int64_t timeout = 1; timeout < 20 * kMillisecond; timeout = timeout * 3 + 1) {
    const Scope timed = WithTimeout(manual.root, timeout);
    while (ctx_err(timed) == 0) {
      const int64_t remaining = ctx_remaining(timed);
      if (manual.Dispatch() == 1) break;
      ASSERT_TRUE(remaining > 0 || Readable(manual.Fd(), kLimitMs));
    }
    EXPECT_LE(ctx_remaining(timed), 0);
    EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
  }
}

// Set in no order, a millisecond apart, and all due at once.
TEST(Manual, Rule17_DeadlinesFireInTheirOrder) {
  constexpr int kDeadlines = 200;
  const ManualLoop manual;
  for (int64_t lead = 50 * kMillisecond;; lead *= 2) {
    const int64_t start = manual.Now() + lead;
    Recorder recorder;
    std::vector<Scope> timed;
    std::vector<int> expected;
    for (int i = 0; i < kDeadlines; ++i) {
      const int place = i * 77 % kDeadlines;
      timed.push_back(WithDeadline(manual.root, start + place * kMillisecond));
      recorder.Arm(timed.back(), place);
      expected.push_back(i);
    }
    if (manual.Now() >= start) continue;  // some were past when they were set
    SleepUntil(start + kDeadlines * kMillisecond + kPast);
    EXPECT_EQ(manual.Dispatch(), kDeadlines);
    EXPECT_EQ(recorder.order(), expected);
    break;
  }
}

// Nobody dispatches: the parent is ended by who finds its deadline passed, and not before its elders.
TEST(Manual, Rule17_AlsoWhereADerivationFindsADeadlinePassed) {
  const ManualLoop manual;
  const int64_t start = manual.Now() + 50 * kMillisecond;
  const Scope parent = WithDeadline(manual.root, start + 2 * kMillisecond);
  const Scope earlier = WithDeadline(manual.root, start);
  SleepUntil(start + 2 * kMillisecond + kPast);
  EXPECT_EQ(ctx_err(WithDeadline(parent, start + kHour)), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(parent), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(earlier), CTX_DEADLINE_EXCEEDED);
}

// Nor before those that another thread is just ending.
TEST(Manual, Rule17_AlsoWhileADispatchIsUnderWay) {
  constexpr int kElders = 20'000;
  const ManualLoop manual;
  const int64_t due = manual.Now() + 500 * kMillisecond;
  const Scope parent = WithDeadline(manual.root, due);
  std::vector<Scope> elders;
  for (int i = 0; i < kElders; ++i) {
    elders.push_back(WithDeadline(manual.root, due - kElders - 100 * kMicrosecond + i));
  }
  SleepUntil(due + kPast);
  std::thread other([&] { EXPECT_GE(manual.Dispatch(), 0); });
  while (ctx_err(elders.front()) == 0) {
  }
  EXPECT_EQ(ctx_err(WithDeadline(parent, due + kHour)), CTX_DEADLINE_EXCEEDED);
  int live = 0;
  for (auto elder = elders.rbegin(); elder != elders.rend(); ++elder) live += ctx_err(*elder) == 0;
  EXPECT_EQ(live, 0);
  other.join();
}

TEST(Manual, EverythingDueIsMarkedAndWokenBeforeAnyCallback) {
  const ManualLoop manual;
  const Scope first = WithTimeout(manual.root, kMillisecond);
  const Scope second = WithTimeout(manual.root, 5 * kMillisecond);
  const int fd = ctx_done_fd(second);
  Callback callback([&](ctx_t*) {
    EXPECT_EQ(ctx_err(second), CTX_DEADLINE_EXCEEDED);
    EXPECT_TRUE(Readable(fd));
  });
  callback.Arm(first);
  SleepUntil(manual.Now() + 5 * kMillisecond + kPast);
  EXPECT_EQ(manual.Dispatch(), 2);
  EXPECT_EQ(callback.runs(), 1);
}

TEST(Manual, Rule41_DispatchTellsHowManyFired) {
  const ManualLoop manual;
  EXPECT_EQ(manual.Dispatch(), 0);
  const Scope past = WithTimeout(manual.root, 0);  // born done: nothing fires
  const Scope far = WithTimeout(manual.root, kHour);
  const Scope canceled = WithTimeout(manual.root, 20 * kMillisecond);
  const Scope parent = WithTimeout(manual.root, kMillisecond);
  const Scope covered = WithTimeout(parent, kHour), plain = WithCancel(parent);
  std::vector<Scope> timed;
  for (int i = 0; i < 1000; ++i) timed.push_back(WithDeadline(manual.root, manual.Now() + 1 + i));
  canceled.Cancel();
  SleepUntil(manual.Now() + kPast);
  int fired = ctx_err(parent) == 0;  // and not found past by what was derived from it
  for (const Scope& scope : timed) fired += ctx_err(scope) == 0;  // and not born done
  EXPECT_EQ(manual.Dispatch(), fired);
  EXPECT_EQ(ctx_err(covered), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(plain), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(far), 0);
  EXPECT_EQ(manual.Dispatch(), 0);
}

TEST(Manual, Rule24_ADeferredCallbackWaitsForDispatch) {
  const ManualLoop manual;
  const Scope scope = WithCancel(manual.root);
  Callback deferred, at_once;
  deferred.Arm(scope, CTX_DEFER);
  at_once.Arm(scope);
  EXPECT_TRUE(manual.Settles());
  std::thread other([&] { EXPECT_EQ(scope.Cancel(), 1); });
  EXPECT_TRUE(Readable(manual.Fd(), kLimitMs));
  other.join();
  EXPECT_EQ(at_once.runs(), 1);
  EXPECT_NE(at_once.thread(), std::this_thread::get_id());
  EXPECT_EQ(deferred.runs(), 0);
  EXPECT_TRUE(manual.WorkWaits());
  EXPECT_EQ(manual.Dispatch(), 0) << "no deadline fired";
  EXPECT_EQ(deferred.runs(), 1);
  EXPECT_EQ(deferred.thread(), std::this_thread::get_id());
  EXPECT_TRUE(manual.Settles());
  EXPECT_EQ(manual.Next(), INT64_MAX);
}

TEST(Manual, Rule25_ADeferredCallbackOnADoneContextWaitsForDispatchToo) {
  const ManualLoop manual;
  const Scope scope = WithCancel(manual.root);
  scope.Cancel();
  Callback deferred, at_once;
  EXPECT_EQ(deferred.Arm(scope, CTX_DEFER), 1);
  EXPECT_EQ(at_once.Arm(scope), 1);
  EXPECT_EQ(at_once.runs(), 1);
  EXPECT_EQ(deferred.runs(), 0);
  EXPECT_TRUE(Readable(manual.Fd()));
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(deferred.runs(), 1);
}

TEST(Manual, Rule26_ADeferredCallbackMayBeStoppedUntilDispatch) {
  const ManualLoop manual;
  const Scope scope = WithCancel(manual.root);
  Callback stopped, waited_for, kept;
  for (Callback* callback : {&stopped, &kept, &waited_for}) callback->Arm(scope, CTX_DEFER);
  scope.Cancel();
  EXPECT_EQ(stopped.Stop(), 1);
  EXPECT_EQ(waited_for.StopWait(), 1);
  EXPECT_EQ(stopped.drops() + waited_for.drops(), 2);
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(stopped.runs() + waited_for.runs(), 0);
  EXPECT_EQ(kept.runs(), 1);
  EXPECT_EQ(kept.Stop(), 0);
}

TEST(Manual, WhatACallbackDefersIsLeftToTheNextDispatch) {
  const ManualLoop manual;
  const Scope scope = WithCancel(manual.root);
  Recorder recorder;
  int rounds = 0;
  std::function<void(ctx_t*)> again = [&](ctx_t* ctx) {
    if (++rounds < 5) recorder.Arm(ctx, rounds, CTX_DEFER, again);
  };
  recorder.Arm(scope, 0, CTX_DEFER, again);
  scope.Cancel();
  for (int i = 1; i <= 5; ++i) {
    EXPECT_TRUE(Readable(manual.Fd()));
    EXPECT_TRUE(manual.WorkWaits());
    EXPECT_EQ(manual.Dispatch(), 0);
    EXPECT_EQ(rounds, i);
  }
  EXPECT_TRUE(manual.Settles());
  EXPECT_EQ(recorder.order(), (std::vector<int>{0, 1, 2, 3, 4}));
}

// The thread that derives may come to it before the loop's host does, by less than a tick of its clock.
TEST(Manual, Rule13_BelowADeadlineThatHasPassedALaterOneIsDoneOnReturn) {
  int live = 0;
  for (int round = 0; round < 200; ++round) {
    const ManualLoop manual;
    const Cause cause = NewCause(13, "the parent's");
    const Scope parent = WithTimeout(manual.root, (20 + round) * kMicrosecond, cause);
    const Scope between = WithCancel(parent);
    while (ctx_remaining(parent) > 0) {
    }
    const Scope child = WithTimeout(between, kHour);
    live += ctx_err(child) == 0 || ctx_err(between) == 0 || ctx_err(parent) == 0;
    live += ctx_cause(child) != cause.get();
  }
  EXPECT_EQ(live, 0);
}

TEST(Manual, Rule24_WhatACallbackDefersIsLeftToTheNextDispatchAlsoWhenOneWasStopped) {
  const ManualLoop manual;
  const Scope scope = WithCancel(manual.root);
  Recorder recorder;
  Callback stopped;
  stopped.Arm(scope, CTX_DEFER);
  recorder.Arm(scope, 1, CTX_DEFER, [&](ctx_t* ctx) { recorder.Arm(ctx, 2, CTX_DEFER); });
  scope.Cancel();
  EXPECT_EQ(stopped.Stop(), 1);
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(recorder.order(), (std::vector<int>{1}));
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2}));
}

TEST(Manual, Rule24_WhatACallbackDefersIsLeftToTheNextDispatchAlsoWhenItStopsOne) {
  const ManualLoop manual;
  const Scope scope = WithCancel(manual.root);
  Recorder recorder;
  Callback stopped, last;
  recorder.Arm(scope, 1, CTX_DEFER, [&](ctx_t* ctx) {
    EXPECT_EQ(stopped.Stop(), 1);
    EXPECT_EQ(last.Stop(), 1);
    recorder.Arm(ctx, 3, CTX_DEFER);
  });
  stopped.Arm(scope, CTX_DEFER);
  recorder.Arm(scope, 2, CTX_DEFER);
  last.Arm(scope, CTX_DEFER);
  scope.Cancel();
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2}));
  EXPECT_TRUE(manual.WorkWaits());
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2, 3}));
}

// The newest of those that wait, which alone is not in the batch that a dispatch has taken.
TEST(Manual, Rule26_WhatACallbackDefersMayBeStoppedInTheSameDispatch) {
  const ManualLoop manual;
  const Scope scope = WithCancel(manual.root);
  Recorder recorder;
  Callback deferred;
  recorder.Arm(scope, 1, CTX_DEFER, [&](ctx_t* ctx) { deferred.Arm(ctx, CTX_DEFER); });
  recorder.Arm(scope, 2, CTX_DEFER, [&](ctx_t*) { EXPECT_EQ(deferred.Stop(), 1); });
  recorder.Arm(scope, 3, CTX_DEFER);
  scope.Cancel();
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(deferred.runs(), 0);
  EXPECT_EQ(manual.Next(), INT64_MAX);
}

TEST(Manual, Rule37_DispatchWhileAnotherIsUnderWayIsEBUSY) {
  const ManualLoop manual;
  const Scope scope = WithCancel(manual.root);
  Gate inside, go_on;
  int nested = 0;
  bool went_on = false;
  Callback callback([&](ctx_t*) {
    nested = manual.Dispatch();
    inside.Open();
    went_on = go_on.Wait();
  });
  callback.Arm(scope, CTX_DEFER);
  scope.Cancel();
  std::thread other([&] { EXPECT_EQ(manual.Dispatch(), 0); });
  EXPECT_TRUE(inside.Wait());
  EXPECT_EQ(nested, -EBUSY) << "from the callback";
  EXPECT_EQ(manual.Dispatch(), -EBUSY) << "from another thread";
  const ManualLoop unrelated;
  EXPECT_EQ(unrelated.Dispatch(), 0);
  go_on.Open();
  other.join();
  EXPECT_TRUE(went_on);
  EXPECT_EQ(manual.Dispatch(), 0);
}

// A callback that no dispatch runs is not inside one.
TEST(Manual, Rule37_ACallbackOfACancelMayDispatch) {
  const ManualLoop manual;
  const Scope scope = WithCancel(manual.root), other = WithCancel(manual.root);
  Callback deferred;
  deferred.Arm(other, CTX_DEFER);
  other.Cancel();
  int result = -1;
  Callback callback([&](ctx_t*) { result = manual.Dispatch(); });
  callback.Arm(scope);
  scope.Cancel();
  EXPECT_EQ(result, 0);
  EXPECT_EQ(deferred.runs(), 1);
}

TEST(Manual, TwoThreadsThatDispatchAtOnceFireEachDeadlineOnce) {
  const ManualLoop manual;
  std::vector<Scope> timed;
  std::atomic<int> fired{0}, wrong{0}, born_done{0};
  const auto dispatch = [&] {
    const int result = manual.Dispatch();
    wrong += result < 0 && result != -EBUSY;
    if (result > 0) fired += result;
  };
  const int rounds = Race(
      kSanitized ? 20 : 60,
      [&] {
        timed.clear();
        for (int i = 0; i < 50; ++i) timed.push_back(WithTimeout(manual.root, 50 * kMicrosecond));
        for (const Scope& scope : timed) born_done += ctx_err(scope) != 0;
        SleepUntil(manual.Now() + 2 * kMillisecond);
      },
      {dispatch, dispatch},
      [&] {
        dispatch();
        for (const Scope& scope : timed) wrong += ctx_err(scope) != CTX_DEADLINE_EXCEEDED;
      });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(fired + born_done, rounds * 50);
}

}  // namespace
}  // namespace ctxtest
