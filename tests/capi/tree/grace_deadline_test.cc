// SPDX-License-Identifier: MIT
//
// Rules 12, 23 and 40: the deadline of a grace, which is its parent's and the grace, of what is below it,
// of graces of graces, and for ever.
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

TEST(GraceDeadline, Rule23_ItsDeadlineIsTheParentsPlusTheGrace) {
  const VirtualLoop time;
  const Cause cause = NewCause(23, "the deadline's");
  const Scope parent = WithDeadline(time.root, 100, cause), graceful = WithGrace(parent, 5);
  EXPECT_EQ(Deadline(graceful), 105);
  EXPECT_EQ(ctx_remaining(graceful), 105);
  EXPECT_EQ(Deadline(WithCancel(graceful)), 105);
  EXPECT_EQ(Deadline(WithGrace(WithCancel(time.root), 5)), CTX_FOREVER);
  Recorder recorder;
  recorder.Arm(graceful, 1);
  EXPECT_EQ(time.Advance(1000), 2);
  EXPECT_EQ(recorder.clocks(), (std::vector<int64_t>{105}));
  EXPECT_EQ(ctx_err(graceful), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_cause(graceful), cause.get());
}

TEST(GraceDeadline, Rule23_WhenTheParentEndsBeforeItsDeadlineTheGraceCountsFromThere) {
  const VirtualLoop time;
  const Scope parent = WithDeadline(time.root, 100), graceful = WithGrace(parent, 5);
  const Scope plain = WithCancel(time.root), of_plain = WithGrace(plain, 5);
  time.Advance(10);
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(plain.Cancel(), 1);
  EXPECT_EQ(time.Next(), 15);
  EXPECT_EQ(time.Advance(5), 2);
  EXPECT_EQ(ctx_err(graceful), CTX_CANCELED);
  EXPECT_EQ(Deadline(graceful), 105) << "rule 12: the same for ever";
  EXPECT_EQ(Deadline(of_plain), CTX_FOREVER);
}

// The loop's host comes when the parent's deadline and the grace after it have passed.
TEST(GraceDeadline, Rule23_ItCountsFromTheParentsDeadlineHoweverLateTheLoopIs) {
  constexpr int64_t kGrace = 100 * kMillisecond;
  const ManualLoop manual;
  const Scope parent = WithTimeout(manual.root, kMillisecond), graceful = WithGrace(parent, kGrace);
  SleepUntil(Deadline(graceful) + 20 * kMillisecond);
  int fired = 0, result = 0;
  while ((result = manual.Dispatch()) > 0) fired += result;
  EXPECT_EQ(fired, 2);
  EXPECT_EQ(ctx_err(parent), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(graceful), CTX_DEADLINE_EXCEEDED);
}

TEST(GraceDeadline, Rule23_OverWhenItsParentEndsLateItEndsInTheSameDispatch) {
  const ManualLoop manual;
  const Scope parent = WithTimeout(manual.root, kMillisecond);
  const Scope first = WithGrace(parent, kMillisecond), second = WithGrace(first, kMicrosecond);
  SleepUntil(Deadline(second) + kPast);
  EXPECT_EQ(manual.Dispatch(), 3);
  EXPECT_EQ(ctx_err(second), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(manual.Next(), INT64_MAX);
}

// The same for a merge on another loop, which passes on the deadlines of its parents.
TEST(GraceDeadline, Rule23_AMergeOfAnotherLoopEndsWithTheGrace) {
  const ManualLoop manual, other;
  const Scope parent = WithTimeout(manual.root, kMillisecond),
              graceful = WithGrace(parent, kMillisecond);
  const Scope merged = Merge({WithCancel(other.root), graceful});
  EXPECT_EQ(Deadline(merged), Deadline(graceful));
  SleepUntil(Deadline(graceful) + kPast);
  EXPECT_EQ(manual.Dispatch(), 2);
  EXPECT_GE(other.DriveUntil([&] { return ctx_err(merged) != 0; }), 1);
  EXPECT_EQ(ctx_err(merged), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_ended_by(merged, graceful), 1);
}

// A grace begins when the loop ends its parent, however late that is.
// False if the parent's deadline passed before all was made: then the order is another one.
bool GracesEndInTheirOrder(int64_t parent_ns) {
  const ManualLoop manual;
  const Queue queue = NewQueue();
  const Scope parent = WithTimeout(manual.root, parent_ns);
  const Scope sooner = WithDeadline(manual.root, Deadline(parent) + kMillisecond);
  const Scope first = WithGrace(parent, 2 * kMillisecond), second = WithGrace(first, kMillisecond);
  const Scope between = WithDeadline(manual.root, Deadline(first) + kMillisecond / 2);
  const Scope later = WithDeadline(manual.root, Deadline(second) + kMillisecond);
  std::vector<Watch> watches;
  for (const Scope* scope : {&parent, &sooner, &first, &between, &second, &later}) {
    watches.push_back(Add(queue, *scope, watches.size()));
  }
  if (manual.Now() >= Deadline(parent)) return false;
  SleepUntil(Deadline(later) + kPast);
  EXPECT_EQ(manual.Dispatch(), 6);
  EXPECT_EQ(Tokens(queue), (std::vector<uint64_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(manual.Next(), INT64_MAX);
  return true;
}
TEST(GraceDeadline, Rule17_AGraceEndsInItsOrderHoweverLateTheLoopIs) {
  int64_t parent_ns = kMillisecond;
  while (!GracesEndInTheirOrder(parent_ns)) parent_ns *= 2;
}

// Below a grace, deadlines count as below any other context.
TEST(GraceDeadline, Rule12_DeadlinesBelow) {
  const VirtualLoop time;
  const Scope parent = WithDeadline(time.root, 100), graceful = WithGrace(parent, 5);
  const Scope sooner = WithDeadline(graceful, 103), later = WithDeadline(graceful, 200);
  EXPECT_EQ(Deadline(sooner), 103);
  EXPECT_EQ(Deadline(later), 105);
  const Scope unlimited = WithGrace(WithCancel(time.root), 5), timed = WithDeadline(unlimited, 104);
  EXPECT_EQ(Deadline(timed), 104);
  EXPECT_EQ(time.AdvanceTo(102), 1);
  EXPECT_EQ(time.AdvanceTo(103), 1);
  EXPECT_EQ(time.AdvanceTo(104), 1);
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(later), 0);
  EXPECT_EQ(time.AdvanceTo(105), 1);
  EXPECT_EQ(ctx_err(later), CTX_DEADLINE_EXCEEDED);
}

TEST(GraceDeadline, Rule23_Nested) {
  const VirtualLoop time;
  const Scope parent = WithDeadline(time.root, 100);
  const Scope first = WithGrace(parent, 5), second = WithGrace(WithCancel(first), 3);
  const Scope third = WithGrace(second, 1);
  EXPECT_EQ(Deadline(third), 109);
  Recorder recorder;
  recorder.Arm(third, 3);
  recorder.Arm(first, 1);
  recorder.Arm(second, 2);
  time.Advance(10);
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(time.Advance(100), 3);
  EXPECT_EQ(recorder.clocks(), (std::vector<int64_t>{15, 18, 19}));
  EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(ctx_cause(third), ctx_cause(parent));
}

TEST(GraceDeadline, Rule37_AParentsDeadlineAndTheGraceInOneAdvance) {
  const VirtualLoop time;
  const Scope parent = WithDeadline(time.root, 10), graceful = WithGrace(parent, 5);
  const Scope between = WithDeadline(time.root, 12), after = WithDeadline(time.root, 16);
  Recorder recorder;
  recorder.Arm(after, 16);
  recorder.Arm(graceful, 15);
  recorder.Arm(between, 12);
  recorder.Arm(parent, 10, 0, [&](ctx_t* ctx) { recorder.Arm(WithGrace(ctx, 3), 13); });
  EXPECT_EQ(time.Advance(100), 5);
  EXPECT_EQ(recorder.order(), (std::vector<int>{10, 12, 13, 15, 16}));
  EXPECT_EQ(recorder.clocks(), (std::vector<int64_t>{10, 12, 13, 15, 16}));
}

TEST(GraceDeadline, Rule40_ForEverIsNeverByIt) {
  const VirtualLoop time;
  const Scope plain = WithCancel(time.root), timed = WithDeadline(time.root, 100);
  const Scope forever = WithGrace(plain, CTX_FOREVER), of_timed = WithGrace(timed, CTX_FOREVER);
  const Scope saturated = WithGrace(timed, CTX_FOREVER - 50),
              of_done = WithGrace(plain, CTX_FOREVER - 1);
  for (const Scope* scope : {&forever, &of_timed, &saturated})
    EXPECT_EQ(Deadline(*scope), CTX_FOREVER);
  EXPECT_EQ(plain.Cancel(), 1);
  EXPECT_EQ(time.Advance(INT64_MAX - 2), 1) << "the deadline alone";
  EXPECT_EQ(ctx_err(of_done), 0);
  EXPECT_EQ(time.Advance(1), 1) << "a grace that ends with time itself";
  for (const Scope* scope : {&forever, &of_timed, &saturated}) {
    EXPECT_EQ(ctx_err(*scope), 0);
    EXPECT_EQ(scope->Cancel(), 1);
  }
  EXPECT_EQ(ctx_err(WithGrace(plain, CTX_FOREVER)), 0);
}

TEST(GraceDeadline, OfWhatIsNeverDoneItNeverEndsByIt) {
  const VirtualLoop time;
  const Ctx detached = WithoutCancel(WithDeadline(time.root, 5)),
            value = WithValue(time.root, &kKey, nullptr);
  std::vector<Scope> graceful;
  for (ctx_t* parent : {time.root.get(), detached.get(), value.get()}) {
    graceful.push_back(WithGrace(parent, 5));
  }
  time.Advance(kHour);
  for (const Scope& scope : graceful) {
    EXPECT_EQ(ctx_err(scope), 0);
    EXPECT_EQ(Deadline(scope), CTX_FOREVER);
    EXPECT_EQ(scope.Cancel(), 1);
  }
}

TEST(GraceDeadline, OfAMergeAndMerged) {
  const VirtualLoop time;
  const Scope one = WithCancel(time.root), two = WithDeadline(time.root, 50);
  const Scope merged = Merge({one, two}), graceful = WithGrace(merged, 5);
  EXPECT_EQ(Deadline(graceful), 55);
  const Scope of_both = Merge({merged, graceful}), late = WithCancel(time.root);
  const Scope of_grace = Merge({late, graceful});
  EXPECT_EQ(one.Cancel(), 1);
  EXPECT_EQ(ctx_err(of_both), CTX_CANCELED);
  EXPECT_EQ(ctx_err(of_grace), 0);
  EXPECT_EQ(time.Advance(5), 1);
  EXPECT_EQ(ctx_cause(of_grace), ctx_cause(one));
}

}  // namespace
}  // namespace ctxtest
