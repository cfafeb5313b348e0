// SPDX-License-Identifier: MIT
//
// Rule 22 for parents of several loops: a merge lives on the loop of its first parent, and the end of another one comes
// to it there.
#include <atomic>
#include <string>
#include <thread>
#include <tuple>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"

namespace ctxtest {
namespace {

struct AnyLoop {
  explicit AnyLoop(int which) : kind(which), loop(NewLoop(which)), root(LoopBackground(loop)) {}

  // Does what the loop's host does; a loop with threads needs none.
  void Drive() const {
    if (kind == CTX_LOOP_MANUAL) {
      EXPECT_GE(ctx_loop_dispatch(loop), 0);
    } else if (kind == CTX_LOOP_VIRTUAL) {
      EXPECT_GE(ctx_loop_advance(loop, 0), 0);
    }
  }
  [[nodiscard]] bool DriveUntilDone(ctx_t* ctx) const {
    return Soon([&] {
      Drive();
      return ctx_err(ctx) != 0;
    });
  }

  int kind;
  Loop loop;
  Ctx root;
};

class MergeLoops : public ::testing::TestWithParam<std::tuple<int, int>> {
 protected:
  AnyLoop here{std::get<0>(GetParam())}, there{std::get<1>(GetParam())};
};

std::string Name(const ::testing::TestParamInfo<std::tuple<int, int>>& info) {
  const auto name = [](int kind) {
    return kind == CTX_LOOP_THREAD ? "Thread" : kind == CTX_LOOP_MANUAL ? "Manual" : "Virtual";
  };
  return std::string(name(std::get<0>(info.param))) + "With" + name(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Loops, MergeLoops,
                         ::testing::Combine(::testing::ValuesIn(kLoopKinds),
                                            ::testing::ValuesIn(kLoopKinds)),
                         Name);

TEST_P(MergeLoops, Rule22_EndsWithAParentOfAnotherLoop) {
  const Cause cause = NewCause(7, "elsewhere");
  for (int err : {CTX_CANCELED, CTX_DEADLINE_EXCEEDED}) {
    const Scope near = WithCancel(here.root), far = WithCancel(there.root);
    const Scope merged = Merge({near, far}), below = WithCancel(merged);
    Callback callback;
    callback.Arm(below);
    EXPECT_EQ(ctx_err(merged), 0);
    EXPECT_EQ(ctx_cancel_with(far.canceler, err, cause), 1);
    ASSERT_TRUE(here.DriveUntilDone(merged));
    for (const Scope* scope : {&merged, &below}) {
      EXPECT_EQ(ctx_err(*scope), err);
      EXPECT_EQ(ctx_cause(*scope), cause.get());
    }
    EXPECT_TRUE(Soon([&] {
      here.Drive();
      return callback.runs() == 1;
    }));
    EXPECT_EQ(ctx_err(near), 0);
    EXPECT_EQ(ctx_ended_by(merged, far), 1);
    EXPECT_EQ(ctx_ended_by(below, far), 1);
    EXPECT_EQ(ctx_ended_by(below, merged), 1);
    EXPECT_EQ(ctx_ended_by(merged, near), 0);
    EXPECT_EQ(ctx_ended_by(merged, merged), 0);
  }
}

TEST_P(MergeLoops, Rule22_AParentOfItsOwnLoopEndsItAtOnce) {
  const Scope near = WithCancel(here.root), far = WithCancel(there.root);
  const Scope merged = Merge({near, far}), turned = Merge({far, near});
  EXPECT_EQ(near.Cancel(), 1);
  EXPECT_EQ(ctx_err(merged), CTX_CANCELED);
  EXPECT_EQ(ctx_ended_by(merged, near), 1);
  EXPECT_TRUE(there.DriveUntilDone(turned));
  EXPECT_EQ(ctx_err(far), 0);
  EXPECT_EQ(far.Cancel(), 1);
  EXPECT_EQ(ctx_ended_by(merged, far), 0);
}

TEST_P(MergeLoops, Rule08_OfADoneParentItIsDoneOnReturn) {
  const Cause cause = NewCause(7, "over");
  const Scope far = WithCancel(there.root);
  ctx_cancel_with(far.canceler, CTX_CANCELED, cause);
  const Scope merged = Merge({here.root, far});
  EXPECT_EQ(ctx_err(merged), CTX_CANCELED);
  EXPECT_EQ(ctx_cause(merged), cause.get());
}

// A context that is done has no deadline any more, neither its own nor its parent's.
TEST_P(MergeLoops, Rule22_TheDeadlineOfADoneParentIsNotItsOwn) {
  const Cause late = NewCause(5, "late"), cause = NewCause(7, "over");
  const Scope top = WithTimeout(there.root, kHour, late), below = WithCancel(top),
              soon = WithTimeout(there.root, kMillisecond, late),
              both = Merge({WithCancel(there.root), top});
  for (const Scope* far : {&below, &both, &soon, &top}) {
    const int canceled = ctx_cancel_with(far->canceler, CTX_CANCELED, cause);
    if (far == &soon && canceled == 0) continue;  // its time had come
    EXPECT_EQ(canceled, 1);
    const Scope near = WithCancel(here.root);
    const Scope merged = Merge({near, *far});
    EXPECT_EQ(ctx_err(merged), CTX_CANCELED);
    EXPECT_EQ(ctx_cause(merged), cause.get());
    EXPECT_EQ(ctx_ended_by(merged, *far), 1);
    EXPECT_EQ(Deadline(merged), CTX_FOREVER);
  }
}

TEST_P(MergeLoops, Rule22_ValuesAreThoseOfTheFirstParent) {
  const Ctx near = WithString(here.root, "name", "near"),
            far = WithString(there.root, "name", "far");
  const Scope near_first = Merge({near, WithCancel(far).ctx}),
              far_first = Merge({WithCancel(far).ctx, near});
  EXPECT_STREQ(ctx_string(near_first, "name"), "near");
  EXPECT_STREQ(ctx_string(far_first, "name"), "far");
}

TEST_P(MergeLoops, Rule11_NothingIsLeftWhenItGoes) {
  Drop near_drop, far_drop;
  {
    const Scope near = WithCancel(Watched(here.root, &near_drop)),
                far = WithTimeout(Watched(there.root, &far_drop), kHour);
    for (int i = 0; i < 3; ++i) {
      const Scope merged = Merge({near, far, far}), below = WithCancel(merged);
      if (i == 1) merged.Cancel();
      if (i == 2) near.Cancel();
    }
    EXPECT_EQ(far_drop.count() + near_drop.count(), 0);
  }
  here.Drive();
  there.Drive();
  EXPECT_TRUE(near_drop.Wait());
  EXPECT_TRUE(far_drop.Wait());
}

// The parent of another loop stays in memory, and with it that loop, until the merge goes.
TEST_P(MergeLoops, Rule39_ItOutlivesItsParentsHandlesAndLoop) {
  Drop drop;
  AnyLoop gone(there.kind);
  Scope far = WithCancel(Watched(gone.root, &drop));
  {
    const Scope merged = Merge({here.root, far});
    gone.root.reset();
    far.ctx.reset();
    if (there.kind == CTX_LOOP_THREAD) {
      gone.loop.reset();
      EXPECT_EQ(ctx_err(merged), 0);
      EXPECT_EQ(far.Cancel(), 1);
    } else {
      gone.loop.reset();  // nobody can drive it: it is closed
    }
    EXPECT_TRUE(here.DriveUntilDone(merged));
    EXPECT_EQ(ctx_err(merged), CTX_CANCELED);
    far.canceler.reset();
    here.Drive();
    EXPECT_EQ(drop.count(), 0);
  }
  here.Drive();
  EXPECT_TRUE(drop.Wait());
}

// A loop whose last context is a merge with one of another loop goes with it.
TEST_P(MergeLoops, Rule39_ItsOwnLoopIsFreedWithIt) {
  const Scope far = WithTimeout(there.root, kHour);
  EXPECT_GE(ctx_done_fd(far), 0);
  there.Drive();
  const size_t before = OpenDescriptors();
  {
    AnyLoop gone(here.kind);
    const Scope merged = Merge({gone.root, far}), timed = WithTimeout(merged, kHour);
    gone.Drive();
    gone.root.reset();
    gone.loop.reset();
  }
  EXPECT_TRUE(Soon([&] { return OpenDescriptors() <= before; }));
}

TEST_P(MergeLoops, Rule22_OnOneClockItHasTheEarliestDeadline) {
  const Scope near = WithTimeout(here.root, 2 * kHour), far = WithTimeout(there.root, kHour);
  const Scope merged = Merge({near, far});
  int64_t near_deadline = 0, far_deadline = 0, deadline = 0;
  EXPECT_EQ(ctx_deadline(near, &near_deadline) + ctx_deadline(far, &far_deadline), 2);
  EXPECT_EQ(ctx_deadline(merged, &deadline), 1);
  const bool one_clock = here.kind != CTX_LOOP_VIRTUAL && there.kind != CTX_LOOP_VIRTUAL;
  EXPECT_EQ(deadline, one_clock ? far_deadline : near_deadline);
}

TEST(MergeLoopsOfTwoClocks, Rule22_TheDeadlineOfTheOtherClockIsNotItsOwn) {
  ctx_loop_options_t boot_time = LoopOptions();
  boot_time.clock = CTX_CLOCK_BOOTTIME;
  const Loop loop = NewLoop(CTX_LOOP_MANUAL, &boot_time);
  const Ctx here = LoopBackground(loop);
  const AnyLoop there(CTX_LOOP_MANUAL);
  const Scope near = WithCancel(here), far = WithTimeout(there.root, kHour);
  EXPECT_EQ(Deadline(Merge({near, far})), CTX_FOREVER);
  EXPECT_EQ(Deadline(Merge({far, near})), Deadline(far));
}

TEST(MergeLoopsOnTheDefaultLoop, Rule22_ItHasTheEarliestDeadline) {
  const AnyLoop there(CTX_LOOP_MANUAL);
  const Cause cause = NewCause(7, "late");
  const Scope near = WithCancel(ctx_background()), far = WithTimeout(there.root, kHour, cause);
  EXPECT_EQ(Deadline(Merge({near, far})), Deadline(far));
  const Scope soon = WithTimeout(there.root, kMillisecond, cause), merged = Merge({near, soon});
  EXPECT_TRUE(Done(merged));
  EXPECT_EQ(ctx_err(merged), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_cause(merged), cause.get());
}

TEST_P(MergeLoops, Rule15_TheDeadlineOfAnotherLoopHasItsCause) {
  const Cause cause = NewCause(7, "too slow there");
  Scope far;
  ASSERT_EQ(
      ctx_with_timeout_cause(there.root, kMillisecond, cause, far.ctx.out(), far.canceler.out()),
      0);
  const Scope merged = Merge({here.root, far});
  ctx_loop_advance(there.loop, kMillisecond);  // nothing, but on a virtual one
  EXPECT_TRUE(Soon([&] {
    here.Drive();
    there.Drive();
    return ctx_err(merged) != 0;
  }));
  EXPECT_EQ(ctx_err(merged), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_cause(merged), cause.get());
}

// On one clock the merge's own loop ends it, before the parent's loop has looked.
TEST(MergeOfAnIdleLoop, Rule55_TheDeadlineOfAnotherLoopHasEndedIt) {
  const AnyLoop here(CTX_LOOP_MANUAL), there(CTX_LOOP_MANUAL);
  const Scope above = WithDeadline(there.root, Now() + kMillisecond), far = WithCancel(above);
  const Scope near = WithCancel(here.root), merged = Merge({near, far});
  EXPECT_TRUE(here.DriveUntilDone(merged));
  EXPECT_EQ(ctx_err(merged), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_ended_by(merged, far), 1);
  EXPECT_EQ(ctx_ended_by(merged, near), 0);
  EXPECT_EQ(ctx_ended_by(merged, merged), 0);
}

// The parent on the other loop, which nobody drives, is a merge itself: whichever of its own parents comes first.
TEST(MergeOfAnIdleLoop, Rule15_OfAMergeTheCauseIsThatOfItsEarliestDeadline) {
  for (size_t first = 0; first < 3; ++first) {
    const ManualLoop idle, near;
    const Cause early = NewCause(1, "early"), late = NewCause(2, "late");
    const Scope scopes[] = {WithTimeout(idle.root, kMillisecond, early),
                            WithTimeout(idle.root, kHour, late), WithCancel(idle.root)};
    const Scope there = Merge({scopes[first], scopes[(first + 1) % 3], scopes[(first + 2) % 3]});
    const Scope own = WithCancel(near.root);
    const Scope merged = Merge({own, there});
    EXPECT_EQ(Deadline(merged), Deadline(scopes[0]));
    EXPECT_GE(near.DriveUntilDone(merged), 0);
    EXPECT_EQ(ctx_err(merged), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(ctx_cause(merged), early.get());
  }
}

// When a grace has begun, its own loop alone ends it.
TEST(MergeOfAnIdleLoop, Rule22_ABegunGraceHasNoDeadlineForAnotherLoop) {
  const ManualLoop idle, near;
  const Scope parent = WithTimeout(idle.root, kHour), own = WithCancel(near.root);
  const Scope grace = WithGrace(parent, kHour);
  const Scope before = Merge({own, grace});
  EXPECT_EQ(Deadline(before), Deadline(grace));
  parent.Cancel();
  EXPECT_EQ(ctx_err(grace), 0);
  const Scope after = Merge({own, grace});
  EXPECT_EQ(Deadline(after), CTX_FOREVER);
  EXPECT_EQ(grace.Cancel(), 1);
  for (const Scope* merged : {&before, &after}) {
    EXPECT_GE(near.DriveUntilDone(*merged), 0);
    EXPECT_EQ(ctx_err(*merged), CTX_CANCELED);
  }
}

TEST_P(MergeLoops, Rule22_AMergeOfMerges) {
  const Scope near = WithCancel(here.root), far = WithCancel(there.root);
  const Scope one = Merge({near, far}), two = Merge({far, near}), both = Merge({one, two, near});
  EXPECT_EQ(far.Cancel(), 1);
  EXPECT_TRUE(here.DriveUntilDone(both));
  EXPECT_TRUE(here.DriveUntilDone(one));
  EXPECT_EQ(ctx_err(two), CTX_CANCELED);
  EXPECT_EQ(ctx_cause(both), ctx_cause(far));
}

TEST_P(MergeLoops, Rule22_RootsAndDetachedOnesEndNothing) {
  const Scope far = WithCancel(there.root);
  const Ctx detached = WithoutCancel(far);
  const size_t before = OpenDescriptors();
  const Scope merged = Merge({here.root, there.root, detached, ctx_background()});
  EXPECT_EQ(OpenDescriptors(), before) << "nothing had to be watched";
  EXPECT_EQ(far.Cancel(), 1);
  here.Drive();
  EXPECT_EQ(ctx_err(merged), 0);
  EXPECT_EQ(merged.Cancel(), 1);
}

// Cancels on both loops, and last handles, from several threads at once.
TEST_P(MergeLoops, Rule04_OneEndWinsAndNothingIsLost) {
  constexpr int kRounds = 100;
  std::atomic<bool> over{false};
  std::thread driver([&] {
    while (!over) {
      here.Drive();
      there.Drive();
      std::this_thread::yield();
    }
  });
  const Cause near_cause = NewCause(1, "near"), far_cause = NewCause(2, "far");
  Drop drop;
  for (int round = 0; round < kRounds; ++round) {
    const Ctx watched = Watched(there.root, &drop);
    const Scope near = WithCancel(here.root), far = WithCancel(watched);
    Scope merged = Merge({near, far});
    const Scope below = WithCancel(merged);
    std::thread one([&] { ctx_cancel_with(near.canceler, CTX_CANCELED, near_cause); });
    std::thread two([&] { ctx_cancel_with(far.canceler, CTX_CANCELED, far_cause); });
    if (round % 3 == 0) merged = Scope();
    ASSERT_TRUE(Done(below));
    const ctx_cause_t* const cause = ctx_cause(below);
    EXPECT_TRUE(cause == near_cause.get() || cause == far_cause.get());
    one.join();
    two.join();
    EXPECT_EQ(ctx_cause(below), cause);
  }
  over = true;
  driver.join();
  here.Drive();
  there.Drive();
  EXPECT_TRUE(drop.Wait(kRounds));
}

}  // namespace
}  // namespace ctxtest
