// SPDX-License-Identifier: MIT
//
// Rules 14 and 15: a deadline that was canceled is gone, and one that fired gives its own cause.
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"

namespace ctxtest {
namespace {

TEST(DeadlineEnd, Rule14_CanceledBeforeExpiryItIsCanceledWithThatCancelsCause) {
  const Cause deadlines = NewCause(1, "the deadline's"), cancels = NewCause(2, "the cancel's");
  const Scope plain = CanceledInTime(ctx_background(), deadlines, nullptr);
  const Scope given = CanceledInTime(ctx_background(), deadlines, cancels);
  PassDeadlineOf(plain);
  PassDeadlineOf(given);
  EXPECT_EQ(ctx_err(plain), CTX_CANCELED);
  EXPECT_EQ(ctx_cause_code(ctx_cause(plain)), CTX_CANCELED);
  EXPECT_STREQ(ctx_cause_message(ctx_cause(plain)), "context canceled");
  EXPECT_EQ(ctx_err(given), CTX_CANCELED);
  EXPECT_EQ(ctx_cause(given), cancels.get());
}

TEST(DeadlineEnd, Rule14_NothingIsCalledAgainAtTheDeadlineOfACanceledContext) {
  const Scope timed = CanceledInTime(ctx_background(), nullptr, nullptr);
  const Scope below = WithTimeout(timed, 5 * kMillisecond);
  Callback on_timed, on_below;
  EXPECT_EQ(on_timed.Arm(timed), 1);
  EXPECT_EQ(on_below.Arm(below), 1);
  PassDeadlineOf(timed);
  EXPECT_EQ(on_timed.runs(), 1);
  EXPECT_EQ(on_below.runs(), 1);
  EXPECT_EQ(ctx_err(below), CTX_CANCELED);
}

// A timer that were left running would keep its context, and so what is above it, until it fires.
TEST(DeadlineEnd, Rule14_ACanceledDeadlineKeepsNothingAlive) {
  Drop drop;
  Ctx watched = Watched(ctx_background(), &drop);
  Scope timed = WithTimeout(watched, kHour);
  watched.reset();
  EXPECT_EQ(timed.Cancel(), 1);
  EXPECT_EQ(drop.count(), 0);
  timed.reset();
  EXPECT_EQ(drop.count(), 1);
}

TEST(DeadlineEnd, Rule14_ADeadlineCanceledByItsAncestorKeepsNothingAlive) {
  Drop drop;
  const Scope top = WithTimeout(ctx_background(), 2 * kHour);
  Ctx watched = Watched(top, &drop);
  Scope between = WithCancel(watched);
  Scope timed = WithTimeout(between, kHour);
  watched.reset();
  between.reset();
  EXPECT_EQ(top.Cancel(), 1);
  EXPECT_EQ(ctx_err(timed), CTX_CANCELED);
  timed.reset();
  EXPECT_EQ(drop.count(), 1);
}

TEST(DeadlineEnd, Rule14_ALiveDeadlineGivenBackKeepsNothingAlive) {
  Drop drop;
  {
    const Ctx watched = Watched(ctx_background(), &drop);
    const Scope timed = WithTimeout(watched, kHour);
    const Scope below = WithTimeout(timed, kHour / 2);
  }
  EXPECT_EQ(drop.count(), 1);
}

// How often the loop's thread went to sleep while the deadlines of 400 contexts passed, a millisecond
// apart, that end() had ended before and that are all still held. Those that it came too late for count
// as none.
template <typename Make, typename End>
int WakeUpsOfCanceled(Make make, End end) {
  constexpr int kTimers = 400;
  const int64_t first = Now() + 20 * kMillisecond;
  std::vector<Scope> timers;
  for (int i = 0; i < kTimers; ++i) timers.push_back(make(first + i * kMillisecond));
  const Scope last = WithDeadline(ctx_background(), first + (kTimers + 20) * kMillisecond);
  end(timers);
  int too_late = 0;
  for (const Scope& timer : timers) too_late += ctx_err(timer) != CTX_CANCELED;
  const std::vector<Task> before = Tasks("ctx-loop");
  EXPECT_TRUE(Done(last));
  const std::vector<Task> after = Tasks("ctx-loop");
  EXPECT_EQ(before.size() + after.size(), 2u);
  if (before.empty() || after.empty()) return 0;
  return static_cast<int>(after[0].voluntary_switches - before[0].voluntary_switches) - too_late;
}

constexpr int kFewWakeUps = 100;  // of the 400 that there were if the timers were left running

void CancelEach(const std::vector<Scope>& timers) {
  for (const Scope& timer : timers) timer.Cancel();
}

TEST(DeadlineEnd, Rule14_ACanceledDeadlineNeverWakesTheLoop) {
  const auto make = [](int64_t deadline) { return WithDeadline(ctx_background(), deadline); };
  EXPECT_LT(WakeUpsOfCanceled(make, CancelEach), kFewWakeUps);
}

TEST(DeadlineEnd, Rule14_ACanceledDeadlineWithChildrenNeverWakesTheLoop) {
  std::vector<Scope> children;
  const auto make = [&](int64_t deadline) {
    Scope timed = WithDeadline(ctx_background(), deadline);
    children.push_back(WithCancel(timed));
    return timed;
  };
  EXPECT_LT(WakeUpsOfCanceled(make, CancelEach), kFewWakeUps);
}

TEST(DeadlineEnd, Rule14_ADeadlineCanceledByItsAncestorNeverWakesTheLoop) {
  const Scope top = WithCancel(ctx_background());
  const Scope between = WithCancel(top);
  const auto make = [&](int64_t deadline) { return WithDeadline(between, deadline); };
  EXPECT_LT(WakeUpsOfCanceled(make, [&](const auto&) { top.Cancel(); }), kFewWakeUps);
}

TEST(DeadlineEnd, Rule15_TheCauseIsThatOfTheDeadlineWhichFired) {
  const Cause own = NewCause(15, "own"), above = NewCause(16, "above");
  const Scope parent = WithTimeout(ctx_background(), kHour, above);
  const Scope child = WithTimeout(parent, 5 * kMillisecond, own);
  const Scope below = WithCancel(child);
  ASSERT_TRUE(Done(below));
  EXPECT_EQ(ctx_cause(child), own.get());
  EXPECT_EQ(ctx_cause(below), own.get());
  EXPECT_EQ(ctx_cause(parent), nullptr);
}

TEST(DeadlineEnd, Rule15_AnAncestorsDeadlineGivesTheAncestorsCause) {
  const Cause own = NewCause(15, "own"), above = NewCause(16, "above");
  const Scope parent = WithTimeout(ctx_background(), 5 * kMillisecond, above);
  const Scope middle = WithCancel(parent);
  const Scope child = WithTimeout(middle, kHour, own);
  ASSERT_TRUE(Done(child));
  EXPECT_EQ(ctx_cause(child), above.get());
  EXPECT_EQ(ctx_cause(middle), above.get());
  EXPECT_EQ(ctx_cause(parent), above.get());
}

TEST(DeadlineEnd, Rule15_WithoutACauseItIsThePlainOne) {
  const Scope timed = WithTimeout(ctx_background(), kMillisecond);
  const Scope below = WithTimeout(timed, kHour, NewCause(1, "never fires"));
  ASSERT_TRUE(Done(below));
  for (ctx_t* ctx : {timed.ctx.get(), below.ctx.get()}) {
    EXPECT_EQ(ctx_cause_code(ctx_cause(ctx)), CTX_DEADLINE_EXCEEDED);
    EXPECT_STREQ(ctx_cause_message(ctx_cause(ctx)), "context deadline exceeded");
  }
}

TEST(DeadlineEnd, Rule15_TheContextKeepsTheCauseAndLetsItGo) {
  Drop drop;
  ctx_cause_t* cause = nullptr;
  ASSERT_EQ(ctx_cause_new_data(3, "kept", &kKey, &drop, Drop::Run, &cause), 0);
  Scope timed = WithTimeout(ctx_background(), kMillisecond, cause);
  Scope canceled = WithTimeout(ctx_background(), kHour, cause);
  ctx_cause_unref(cause);
  ASSERT_TRUE(Done(timed));
  EXPECT_STREQ(ctx_cause_message(ctx_cause(timed)), "kept");
  EXPECT_EQ(ctx_cause_data(ctx_cause(timed), &kKey), &drop);
  EXPECT_EQ(canceled.Cancel(), 1);
  canceled.reset();
  EXPECT_EQ(drop.count(), 0);
  timed.reset();
  EXPECT_TRUE(drop.Wait()) << "the loop may hold it for a moment longer";
}

}  // namespace
}  // namespace ctxtest
