// SPDX-License-Identifier: MIT
//
// Rules 12, 13, 16, 17 and 40: which deadline counts, what a context says of it, and when it fires. How
// a deadline ends, by a cancel or with its cause, is in deadline_end_test.cc.
#include <time.h>

#include <atomic>
#include <climits>
#include <memory>
#include <mutex>
#include <numeric>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// The deadline that ctx_deadline reports, or CTX_FOREVER if it says that there is none.
int64_t DeadlineOf(ctx_t* ctx) {
  int64_t deadline = CTX_FOREVER;
  const int has_one = ctx_deadline(ctx, &deadline);
  EXPECT_EQ(has_one, deadline == CTX_FOREVER ? 0 : 1);
  return deadline;
}

TEST(Deadline, Rule12_EarlierDeadlineWins) {
  const int64_t now = Now();
  const int64_t near = now + kHour, far = now + 2 * kHour;
  const Scope early = WithDeadline(ctx_background(), near),
              late = WithDeadline(ctx_background(), far);
  EXPECT_EQ(DeadlineOf(WithDeadline(late, near)), near) << "the own one is earlier";
  EXPECT_EQ(DeadlineOf(WithDeadline(early, far)), near) << "the parent's is earlier";
  EXPECT_EQ(DeadlineOf(WithDeadline(early, near)), near);
}

TEST(Deadline, Rule12_TheDeadlineComesDownThroughEveryKindOfContext) {
  const int64_t deadline = Now() + kHour;
  const Scope timed = WithDeadline(ctx_background(), deadline);
  const Scope cancel = WithCancel(timed);
  const Ctx value = WithValue(cancel, &kKey, nullptr);
  const Ctx text = WithString(value, "name", "text");
  const Scope later = WithDeadline(text, deadline + kSecond);
  const Scope never = WithDeadline(later, CTX_FOREVER);
  for (ctx_t* ctx : {timed.ctx.get(), cancel.ctx.get(), value.get(), text.get(), later.ctx.get(),
                     never.ctx.get()}) {
    EXPECT_EQ(DeadlineOf(ctx), deadline);
  }
  EXPECT_EQ(DeadlineOf(WithDeadline(never, deadline - 1)), deadline - 1);
}

// The minimum rule, by what fires and not by what is reported.
TEST(Deadline, Rule12_TheChildsEarlierDeadlineFiresAndLeavesTheParentLive) {
  const Scope parent = WithTimeout(ctx_background(), kHour);
  const Scope child = WithTimeout(parent, 5 * kMillisecond);
  ASSERT_TRUE(Done(child));
  EXPECT_EQ(ctx_err(child), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(parent), 0);
}

TEST(Deadline, Rule12_TheParentsEarlierDeadlineEndsTheChildToo) {
  const Scope parent = WithTimeout(ctx_background(), 5 * kMillisecond);
  const Scope child = WithTimeout(parent, kHour);
  const Scope grandchild = WithTimeout(child, 2 * kHour);
  ASSERT_TRUE(Done(grandchild));
  EXPECT_EQ(ctx_err(child), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(parent), CTX_DEADLINE_EXCEEDED);
}

TEST(Deadline, Rule12_OfEqualDeadlinesTheParentsCounts) {
  const int64_t deadline = Now() + 10 * kMillisecond;
  const Cause parents = NewCause(1, "the parent's"), childs = NewCause(2, "the child's");
  const Scope parent = WithDeadline(ctx_background(), deadline, parents);
  const Scope child = WithDeadline(parent, deadline, childs);
  ASSERT_TRUE(Done(child));
  EXPECT_EQ(ctx_cause(child), parents.get());
  EXPECT_EQ(ctx_err(parent), CTX_DEADLINE_EXCEEDED);
}

// Derived when the parent's deadline has passed and the loop has not come to it yet.
TEST(Deadline, Rule12_AChildDerivedAtThatMomentIsNotDoneBeforeItsParent) {
  const Cause above = NewCause(1, "the parent's"), own = NewCause(2, "the child's");
  int before_parent = 0, wrong_cause = 0;
  for (int round = 0; round < (kSanitized ? 100 : 300); ++round) {
    const Scope parent = WithTimeout(ctx_background(), 100 * kMicrosecond, above);
    const Scope between = WithCancel(parent);
    Scope child;
    do {
      child = WithTimeout(between, kHour, own);
    } while (ctx_err(child) == 0);
    before_parent += ctx_err(parent) == 0 || ctx_err(between) == 0;
    wrong_cause += ctx_cause(child) != above.get() || ctx_cause(parent) != above.get();
  }
  EXPECT_EQ(before_parent, 0);
  EXPECT_EQ(wrong_cause, 0);
}

TEST(Deadline, Rule12_IsReportedForEverAlsoAfterTheEnd) {
  const int64_t deadline = Now() + kHour, soon = Now() + kMillisecond;
  const Scope canceled = WithDeadline(ctx_background(), deadline);
  const Scope below = WithDeadline(canceled, deadline + kHour);
  const Scope fired = WithDeadline(ctx_background(), soon);
  ASSERT_EQ(canceled.Cancel(), 1);
  ASSERT_TRUE(Done(fired));
  EXPECT_EQ(DeadlineOf(canceled), deadline);
  EXPECT_EQ(DeadlineOf(below), deadline);
  EXPECT_EQ(DeadlineOf(fired), soon);
  EXPECT_EQ(DeadlineOf(WithCancel(fired)), soon) << "derived from one that is done";
  EXPECT_EQ(DeadlineOf(WithDeadline(canceled, deadline - kSecond)), deadline - kSecond);
}

TEST(Deadline, Rule12_TheCancelerMayBeLeftOut) {
  Ctx ctx;
  ASSERT_EQ(ctx_with_timeout(ctx_background(), kMillisecond, ctx.out(), nullptr), 0);
  EXPECT_TRUE(Done(ctx));
  ASSERT_EQ(ctx_with_deadline(ctx_background(), Now() + kMillisecond, ctx.out(), nullptr), 0);
  EXPECT_TRUE(Done(ctx));
  EXPECT_EQ(ctx_err(ctx), CTX_DEADLINE_EXCEEDED);
}

TEST(Deadline, Rule13_NowOrPastIsDoneOnReturn) {
  const Scope parent = WithCancel(ctx_background());
  for (int64_t deadline :
       {INT64_MIN, INT64_MIN + 1, int64_t{-1}, int64_t{0}, int64_t{1}, Now() - 1, Now()}) {
    const Scope late = WithDeadline(parent, deadline);
    EXPECT_EQ(ctx_err(late), CTX_DEADLINE_EXCEEDED) << deadline;
    EXPECT_EQ(ctx_cause_code(ctx_cause(late)), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(DeadlineOf(late), deadline);
    EXPECT_TRUE(Readable(ctx_done_fd(late)));
    EXPECT_EQ(ctx_wait(late, 0), 1);
    EXPECT_EQ(late.Cancel(), 0);
    EXPECT_EQ(ctx_err(late), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(ctx_err(WithCancel(late)), CTX_DEADLINE_EXCEEDED);
  }
  EXPECT_EQ(ctx_err(parent), 0);
}

TEST(Deadline, Rule13_AZeroOrNegativeTimeoutIsDoneOnReturn) {
  for (int64_t timeout : {int64_t{0}, int64_t{-1}, -kHour, INT64_MIN + 1, INT64_MIN}) {
    const Scope late = WithTimeout(ctx_background(), timeout);
    EXPECT_EQ(ctx_err(late), CTX_DEADLINE_EXCEEDED) << timeout;
    EXPECT_EQ(late.Cancel(), 0);
    EXPECT_LE(ctx_remaining(late), 0);
  }
}

TEST(Deadline, Rule13_HasItsCause) {
  const Cause cause = NewCause(13, "too late");
  const Scope late = WithDeadline(ctx_background(), 0, cause);
  EXPECT_EQ(ctx_cause(late), cause.get());
  const Scope timed = WithTimeout(WithTimeout(ctx_background(), kHour), -1, cause);
  EXPECT_EQ(ctx_cause(timed), cause.get());
  EXPECT_EQ(ctx_cancel_with(timed.canceler, CTX_CANCELED, nullptr), 0);
  EXPECT_EQ(ctx_cause(timed), cause.get());
}

TEST(Deadline, Rule16_NeverEarly_Waits) {
  for (int64_t timeout = 1; timeout < 20 * kMillisecond; timeout = timeout * 3 + 17) {
    const Scope timed = WithTimeout(ctx_background(), timeout);
    const int64_t deadline = DeadlineOf(timed);
    ASSERT_TRUE(Done(timed));
    EXPECT_GE(Now(), deadline) << timeout;
  }
}

TEST(Deadline, Rule16_NeverEarly_ErrorsDescriptorsAndCallbacks) {
  constexpr int kTimers = 200;
  std::atomic<int> early{0};
  std::vector<Scope> timers;
  std::vector<std::unique_ptr<Callback>> callbacks;
  const int64_t base = Now() + 2 * kMillisecond;
  for (int i = 0; i < kTimers; ++i) {
    timers.push_back(WithDeadline(ctx_background(), base + i * 137 * kMicrosecond));
    callbacks.push_back(std::make_unique<Callback>([&early](ctx_t* ctx) {
      early += ctx_now(ctx) < DeadlineOf(ctx) || ctx_remaining(ctx) > 0;
    }));
    ASSERT_GE(callbacks.back()->Arm(timers.back()), 0);
  }
  const Scope& spun = timers[kTimers / 3];
  while (ctx_err(spun) == 0) {
  }
  early += Now() < DeadlineOf(spun);
  const Scope& polled = timers[2 * kTimers / 3];
  ASSERT_TRUE(Readable(ctx_done_fd(polled), kLimitMs));
  early += Now() < DeadlineOf(polled);
  for (const auto& callback : callbacks) ASSERT_TRUE(callback->WaitDrop());
  EXPECT_EQ(early, 0);
}

// An earlier deadline that comes later moves the loop's wake-up forward, and a canceled one that
// was next does not hold up the others.
TEST(Deadline, Rule16_ANewEarlierDeadlineIsNotHeldUpByALaterOne) {
  const Scope late = WithTimeout(ctx_background(), kHour);
  const Scope canceled = WithTimeout(ctx_background(), kMillisecond);
  const Scope early = WithTimeout(ctx_background(), 10 * kMillisecond);
  canceled.Cancel();
  ASSERT_TRUE(Done(early));
  EXPECT_EQ(ctx_err(early), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(late), 0);
}

// Deadlines five milliseconds apart, made in another order than they are due, and the order in which
// their callbacks ran. Empty if the first of them was due before the last was made.
std::vector<int64_t> OrderOfFiring(int64_t first_in) {
  constexpr int64_t kTimers = 24;
  const int64_t first = Now() + first_in;
  std::mutex mutex;
  std::vector<int64_t> order;
  std::vector<Scope> timers;
  std::vector<std::unique_ptr<Callback>> callbacks;
  for (int64_t i = 0; i < kTimers; ++i) {
    const int64_t slot = i * 7 % kTimers;
    timers.push_back(WithDeadline(ctx_background(), first + slot * 5 * kMillisecond));
    callbacks.push_back(std::make_unique<Callback>([&mutex, &order, slot](ctx_t*) {
      std::lock_guard<std::mutex> lock(mutex);
      order.push_back(slot);
    }));
    callbacks.back()->Arm(timers.back(), i % 2 == 0 ? 0 : CTX_DEFER);
  }
  const bool in_time = Now() < first;
  for (const auto& callback : callbacks) EXPECT_TRUE(callback->WaitDrop());
  return in_time ? order : std::vector<int64_t>();
}

TEST(Deadline, Rule17_DeadlinesFireInTheirOrder) {
  std::vector<int64_t> order;
  for (int64_t in = 20 * kMillisecond; order.empty() && in < kLimit; in *= 2) {
    order = OrderOfFiring(in);
  }
  ASSERT_FALSE(order.empty());
  std::vector<int64_t> expected(order.size());
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order, expected);
}

TEST(Deadline, Rule40_ForeverIsNoDeadline) {
  const Scope never = WithDeadline(ctx_background(), CTX_FOREVER);
  int64_t untouched = 40;
  EXPECT_EQ(ctx_deadline(never, &untouched), 0);
  EXPECT_EQ(untouched, 40);
  EXPECT_EQ(ctx_remaining(never), CTX_FOREVER);
  EXPECT_EQ(ctx_err(never), 0);
  EXPECT_EQ(never.Cancel(), 1);
  EXPECT_EQ(ctx_remaining(never), CTX_FOREVER);
}

// Rule 40: sums beyond the end of time are the end of time.
TEST(Deadline, Rule40_TimeoutsNearTheEndOfTimeAreForever) {
  for (int64_t timeout : {CTX_FOREVER, CTX_FOREVER - 1, CTX_FOREVER - 1000}) {
    const Scope never = WithTimeout(ctx_background(), timeout);
    EXPECT_EQ(ctx_err(never), 0);
    EXPECT_EQ(DeadlineOf(never), CTX_FOREVER);
    EXPECT_EQ(ctx_remaining(never), CTX_FOREVER);
  }
}

TEST(Deadline, Rule40_TheLatestDeadlineThatIsOneIsKept) {
  const Scope far = WithDeadline(ctx_background(), CTX_FOREVER - 1);
  const Scope soon = WithTimeout(ctx_background(), kMillisecond);
  EXPECT_EQ(DeadlineOf(far), CTX_FOREVER - 1);
  ASSERT_TRUE(Done(soon));
  EXPECT_EQ(ctx_err(far), 0);
  EXPECT_GT(ctx_remaining(far), kHour);
}

TEST(Deadline, Rule40_RemainingCountsDownAndGoesNegative) {
  const Scope timed = WithTimeout(ctx_background(), kHour);
  const int64_t remaining = ctx_remaining(timed);
  EXPECT_GT(remaining, 0);
  EXPECT_LE(remaining, kHour);
  const Scope past = WithDeadline(ctx_background(), Now() - kSecond);
  EXPECT_LE(ctx_remaining(past), -kSecond);
  const Scope ancient = WithDeadline(ctx_background(), INT64_MIN);
  EXPECT_EQ(ctx_remaining(ancient), INT64_MIN + 1) << "INT64_MIN is the answer for a bad handle";
  const Scope fired = WithTimeout(ctx_background(), kMicrosecond);
  ASSERT_TRUE(Done(fired));
  EXPECT_LE(ctx_remaining(fired), 0);
}

TEST(Deadline, Rule40_RemainingMillisecondsAreRoundedUp) {
  const VirtualLoop test;
  EXPECT_EQ(ctx_remaining_ms(test.root), -1);
  EXPECT_EQ(ctx_remaining_ms(ctx_background()), -1);
  struct {
    int64_t ns;
    int ms;
  } const cases[] = {{1, 1},
                     {kMillisecond - 1, 1},
                     {kMillisecond, 1},
                     {kMillisecond + 1, 2},
                     {INT_MAX * kMillisecond - 1, INT_MAX},
                     {INT_MAX * kMillisecond + 1, INT_MAX},
                     {CTX_FOREVER - 1, INT_MAX},
                     {CTX_FOREVER, -1}};
  for (const auto& [ns, ms] : cases) {
    EXPECT_EQ(ctx_remaining_ms(WithTimeout(test.root, ns)), ms) << ns;
  }
  const Scope timed = WithTimeout(test.root, 5 * kMillisecond), canceled = WithCancel(timed);
  EXPECT_EQ(canceled.Cancel(), 1);
  EXPECT_EQ(ctx_remaining_ms(canceled), 5) << "the deadline stays";
  test.Advance(5 * kMillisecond);
  EXPECT_EQ(ctx_remaining_ms(timed), 0);
  test.Advance(kHour);
  EXPECT_EQ(ctx_remaining_ms(timed), 0);
}

TEST(Deadline, NowIsTheMonotonicClock) {
  timespec before{}, after{};
  const Scope timed = WithTimeout(ctx_background(), kHour);
  clock_gettime(CLOCK_MONOTONIC, &before);
  const int64_t now = ctx_now(timed);
  clock_gettime(CLOCK_MONOTONIC, &after);
  EXPECT_GE(now, before.tv_sec * kSecond + before.tv_nsec);
  EXPECT_LE(now, after.tv_sec * kSecond + after.tv_nsec);
}

}  // namespace
}  // namespace ctxtest
