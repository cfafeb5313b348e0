// SPDX-License-Identifier: MIT
//
// Rule 22: a context that ends with the first of several parents, and rules 7, 11, 12, 15 and 29 for it.
// Order and depth are in merge_order_test.cc, races in merge_race_test.cc.
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"

namespace ctxtest {
namespace {

const ctx_key_t kOther = {"other"};

TEST(Merge, Rule22_IsDoneWithTheFirstParentThatIsDone) {
  const Cause causes[] = {NewCause(1, "one"), NewCause(2, "two"), NewCause(3, "three")};
  for (size_t first = 0; first < 3; ++first) {
    for (int err : {CTX_CANCELED, CTX_DEADLINE_EXCEEDED}) {
      const Scope parents[] = {WithCancel(ctx_background()), WithCancel(ctx_background()),
                               WithCancel(ctx_background())};
      const Scope merged = Merge({parents[0], parents[1], parents[2]});
      const Scope below = WithCancel(merged);
      Callback callback;
      callback.Arm(merged);
      const int fd = ctx_done_fd(below);
      EXPECT_EQ(ctx_err(merged), 0);
      EXPECT_EQ(ctx_cause(merged), nullptr);
      EXPECT_FALSE(Readable(fd));
      for (size_t i = 0; i < 3; ++i) {
        const size_t next = (first + i) % 3;
        EXPECT_EQ(ctx_cancel_with(parents[next].canceler, err, causes[next]), 1);
        for (ctx_t* ctx : {merged.ctx.get(), below.ctx.get()}) {
          EXPECT_EQ(ctx_err(ctx), err);
          EXPECT_EQ(ctx_cause(ctx), causes[first].get()) << "rule 9: nothing replaces the first";
        }
        EXPECT_EQ(callback.runs(), 1);
      }
      EXPECT_TRUE(Readable(fd));
      EXPECT_EQ(merged.Cancel(), 0);
    }
  }
}

TEST(Merge, Rule22_OfOneParent) {
  const Scope parent = WithCancel(ctx_background());
  const Scope merged = Merge({parent});
  EXPECT_EQ(ctx_err(merged), 0);
  EXPECT_EQ(ctx_cancelable(merged), 1);
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(ctx_err(merged), CTX_CANCELED);
  EXPECT_EQ(ctx_cause(merged), ctx_cause(parent));
}

TEST(Merge, Rule22_OfTheSameParentManyTimes) {
  Drop drop;
  Scope parent = WithCancel(Watched(ctx_background(), &drop));
  const Scope other = WithCancel(ctx_background());
  Scope merged = Merge({parent, parent, other, parent});
  Scope freed = Merge({parent, parent});
  freed.reset();
  Callback callback;
  callback.Arm(merged);
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_EQ(ctx_cause(merged), ctx_cause(parent));
  parent.reset();
  EXPECT_EQ(drop.count(), 0);
  merged.reset();
  EXPECT_EQ(drop.count(), 1);
}

TEST(Merge, Rule08_WithAParentThatIsDoneIsDoneOnReturn) {
  const Cause cause = NewCause(8, "done");
  const Scope live = WithCancel(ctx_background()), done = WithTimeout(ctx_background(), 0, cause);
  for (const std::vector<ctx_t*>& parents :
       {std::vector<ctx_t*>{done}, {done, live}, {live, done}, {live, done, live}, {done, done}}) {
    const Scope merged = Merge(parents);
    EXPECT_EQ(ctx_err(merged), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(ctx_cause(merged), cause.get());
    EXPECT_EQ(merged.Cancel(), 0);
    Callback callback;
    EXPECT_EQ(callback.Arm(merged), 1);
  }
}

TEST(Merge, Rule09_WithSeveralThatAreDoneErrorAndCauseAreOfOneOfThem) {
  const Cause causes[] = {NewCause(1, "one"), NewCause(2, "two")};
  const Scope canceled = WithCancel(ctx_background());
  ctx_cancel_with(canceled.canceler, CTX_CANCELED, causes[0]);
  const Scope late = WithTimeout(ctx_background(), 0, causes[1]);
  for (const std::vector<ctx_t*>& parents :
       {std::vector<ctx_t*>{canceled, late}, {late, canceled}}) {
    const Scope merged = Merge(parents);
    const bool of_first = ctx_err(merged) == CTX_CANCELED;
    EXPECT_EQ(ctx_err(merged), of_first ? CTX_CANCELED : CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(ctx_cause(merged), causes[of_first ? 0 : 1].get());
  }
}

TEST(Merge, Rule22_RootsAndDetachedOnesAmongTheParentsNeverEndIt) {
  const Scope scope = WithCancel(ctx_background());
  const Ctx detached = WithoutCancel(scope);
  for (size_t place = 0; place < 4; ++place) {
    const Scope parent = WithCancel(ctx_background());
    std::vector<ctx_t*> parents = {ctx_background(), ctx_todo(), detached};
    parents.insert(parents.begin() + static_cast<ptrdiff_t>(place), parent);
    const Scope merged = Merge(parents), on_its_own = Merge(parents);
    EXPECT_EQ(on_its_own.Cancel(), 1);
    EXPECT_EQ(ctx_err(merged), 0);
    EXPECT_EQ(parent.Cancel(), 1);
    EXPECT_EQ(ctx_cause(merged), ctx_cause(parent));
  }
  const Scope of_roots = Merge({ctx_background(), ctx_todo(), detached});
  EXPECT_EQ(ctx_wait(of_roots, 0), 0);
  EXPECT_EQ(of_roots.Cancel(), 1);
  EXPECT_EQ(ctx_err(of_roots), CTX_CANCELED);
}

TEST(Merge, Rule22_WithoutACancelerItEndsWithItsParents) {
  const Scope one = WithCancel(ctx_background()), two = WithCancel(ctx_background());
  ctx_t* const parents[] = {one, two};
  Ctx merged;
  EXPECT_EQ(ctx_merge(parents, 2, merged.out(), nullptr), 0);
  EXPECT_EQ(ctx_cancelable(merged), 1);
  EXPECT_EQ(two.Cancel(), 1);
  EXPECT_EQ(ctx_err(merged), CTX_CANCELED);
}

TEST(Merge, Rule07_CanceledOnItsOwnItLeavesItsParentsAlone) {
  const Scope one = WithCancel(ctx_background()), two = WithTimeout(ctx_background(), kHour);
  const Scope merged = Merge({one, two}), sibling = Merge({two, one}), below = WithCancel(merged);
  const Cause cause = NewCause(7, "own");
  EXPECT_EQ(ctx_cancel_with(merged.canceler, CTX_CANCELED, cause), 1);
  EXPECT_EQ(ctx_cause(below), cause.get());
  for (ctx_t* ctx : {one.ctx.get(), two.ctx.get(), sibling.ctx.get()}) EXPECT_EQ(ctx_err(ctx), 0);
  EXPECT_EQ(two.Cancel(), 1);
  EXPECT_EQ(ctx_cause(merged), cause.get());
  EXPECT_EQ(ctx_cause(sibling), ctx_cause(two));
  EXPECT_EQ(ctx_err(one), 0);
}

TEST(Merge, Rule22_ItsDeadlineIsTheEarliest) {
  const VirtualLoop time;
  const Scope none = WithCancel(time.root), late = WithDeadline(time.root, 70);
  const Scope early = WithDeadline(time.root, 50), below_early = WithCancel(early);
  EXPECT_EQ(Deadline(Merge({none, none})), CTX_FOREVER);
  EXPECT_EQ(ctx_remaining(Merge({none, time.root})), CTX_FOREVER);
  for (const std::vector<ctx_t*>& parents : {std::vector<ctx_t*>{early},
                                             {early, late},
                                             {late, early},
                                             {none, early},
                                             {below_early, none},
                                             {late, none, below_early, time.root}}) {
    const Scope merged = Merge(parents);
    EXPECT_EQ(Deadline(merged), 50);
    EXPECT_EQ(ctx_remaining(merged), 50);
    EXPECT_EQ(Deadline(Merge({merged, late})), 50);
    EXPECT_EQ(merged.Cancel(), 1);
    EXPECT_EQ(Deadline(merged), 50) << "for ever";
  }
}

TEST(Merge, Rule15_ADeadlineOfAParentEndsItWithItsCause) {
  const VirtualLoop time;
  const Cause first = NewCause(1, "first"), second = NewCause(2, "second");
  const Scope late = WithDeadline(time.root, 70, second),
              early = WithDeadline(time.root, 50, first);
  const Scope merged = Merge({late, early});
  Recorder recorder;
  recorder.Arm(merged, 1);
  EXPECT_EQ(time.Advance(49), 0);
  EXPECT_EQ(ctx_err(merged), 0);
  EXPECT_EQ(time.Advance(100), 2) << "the two parents; the merge takes no timer of its own";
  EXPECT_EQ(ctx_err(merged), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_cause(merged), first.get());
  EXPECT_EQ(recorder.clocks(), (std::vector<int64_t>{50}));
}

// Canceled before its deadline, a parent takes the merge along; a context below the merge keeps to the
// earlier of its own and the merge's.
TEST(Merge, Rule12_DeadlinesBelowAMerge) {
  const VirtualLoop time;
  const Scope plain = WithCancel(time.root), timed = WithDeadline(time.root, 50);
  const Scope merged = Merge({plain, timed});
  const Cause own = NewCause(12, "own");
  const Scope sooner = WithDeadline(merged, 40, own), later = WithDeadline(merged, 60, own);
  const Scope equal = WithDeadline(merged, 50, own), again = Merge({WithCancel(time.root), later});
  EXPECT_EQ(Deadline(sooner), 40);
  EXPECT_EQ(Deadline(later), 50);
  EXPECT_EQ(Deadline(again), 50);
  EXPECT_EQ(time.Advance(40), 1);
  EXPECT_EQ(ctx_cause(sooner), own.get());
  EXPECT_EQ(ctx_err(merged), 0);
  EXPECT_EQ(time.Advance(100), 1);
  for (const Scope* scope : {&later, &equal, &again})
    EXPECT_EQ(ctx_cause(*scope), ctx_cause(timed));
  EXPECT_EQ(time.Next(), INT64_MAX);
}

TEST(Merge, Rule14_AParentsTimerIsGoneWhenItWasCanceled) {
  const VirtualLoop time;
  const Scope timed = WithDeadline(time.root, 50), plain = WithCancel(time.root);
  const Scope merged = Merge({plain, timed}), below = WithDeadline(merged, 20);
  EXPECT_EQ(plain.Cancel(), 1);
  EXPECT_EQ(ctx_err(below), CTX_CANCELED);
  EXPECT_EQ(time.Next(), 50) << "the parent that is live has its own";
  EXPECT_EQ(timed.Cancel(), 1);
  EXPECT_EQ(time.Next(), INT64_MAX);
}

TEST(Merge, Rule22_ItsValuesAreThoseOfTheFirstParent) {
  int first = 0, second = 0;
  const Ctx one = WithString(WithValue(ctx_background(), &kKey, &first), "name", "first");
  const Ctx two = WithString(
      WithValue(WithValue(ctx_background(), &kKey, &second), &kOther, &second), "name", "second");
  const Scope merged = Merge({WithCancel(one), two}), turned = Merge({two, one});
  const Scope none = Merge({ctx_background(), one, two}), below = WithCancel(merged);
  for (ctx_t* ctx : {merged.ctx.get(), below.ctx.get()}) {
    EXPECT_EQ(ctx_value(ctx, &kKey), &first);
    EXPECT_EQ(ctx_value(ctx, &kOther), nullptr);
    EXPECT_STREQ(ctx_string(ctx, "name"), "first");
  }
  EXPECT_EQ(ctx_value(turned, &kKey), &second);
  EXPECT_STREQ(ctx_string(turned, "name"), "second");
  EXPECT_EQ(ctx_value(none, &kKey), nullptr);
  EXPECT_EQ(ctx_value(Merge({none, merged}), &kKey), nullptr);
  EXPECT_EQ(merged.Cancel(), 1);
  EXPECT_EQ(ctx_value(below, &kKey), &first) << "rule 29: values outlive cancel";
}

TEST(Merge, Rule22_OfValueContexts) {
  const Scope one = WithCancel(ctx_background()), two = WithCancel(ctx_background());
  const Ctx first = WithValue(one, &kKey, nullptr), second = WithString(two, "name", "text");
  const Scope merged = Merge({first, second});
  EXPECT_EQ(two.Cancel(), 1);
  EXPECT_EQ(ctx_cause(merged), ctx_cause(two));
}

TEST(Merge, Rule11_KeepsTheFirstParentAndWhatTheOthersEndWith) {
  Drop drops[3];
  Scope merged;
  {
    const Scope first = WithCancel(Watched(ctx_background(), &drops[0]));
    const Scope second = WithTimeout(Watched(ctx_background(), &drops[1]), kHour);
    const Scope third = WithCancel(Watched(ctx_background(), &drops[2]));
    const Ctx value = WithValue(third, &kKey, nullptr);
    merged = Merge({first, second, value});
  }
  for (const Drop& drop : drops) EXPECT_EQ(drop.count(), 0);
  Scope below = WithCancel(merged);
  merged.reset();
  for (const Drop& drop : drops) EXPECT_EQ(drop.count(), 0);
  EXPECT_EQ(below.Cancel(), 1);
  below.reset();
  for (const Drop& drop : drops) EXPECT_EQ(drop.count(), 1);
}

TEST(Merge, Rule11_AForgottenMergeIsFreedWhileItsParentsLive) {
  Drop drop;
  const Scope one = WithCancel(ctx_background()), two = WithTimeout(ctx_background(), kHour);
  for (int i = 0; i < 100; ++i) {
    const Scope merged = Merge({Watched(one, &drop), two});
    const Scope below = WithTimeout(merged, i % 2 == 0 ? kHour / 2 : 2 * kHour);
    const int fd = i % 4 == 1 ? ctx_done_fd(below) : 0;
    EXPECT_GE(fd, 0);
    if (i % 4 == 2) merged.Cancel();
    EXPECT_EQ(drop.count(), i);
  }
  EXPECT_EQ(drop.count(), 100);
  EXPECT_EQ(two.Cancel(), 1);
  EXPECT_EQ(one.Cancel(), 1);
}

TEST(Merge, Rule11_AnArmedCallbackLivesUntilAnyParentEnds) {
  for (size_t which = 0; which < 2; ++which) {
    Drop drop;
    const Scope parents[] = {WithCancel(ctx_background()), WithCancel(ctx_background())};
    Callback callback;
    callback.Arm(Merge({Watched(parents[0], &drop), parents[1]}));
    EXPECT_EQ(drop.count(), 0);
    EXPECT_EQ(parents[which].Cancel(), 1);
    EXPECT_EQ(callback.runs(), 1);
    EXPECT_EQ(drop.count(), 1);
    EXPECT_EQ(parents[1 - which].Cancel(), 1) << "and nothing is left there";
  }
}

// The last reference to a merge goes while the call that ended it is still at work.
TEST(Merge, Rule11_GivenBackInACallbackOfAParent) {
  Drop drop;
  const Scope one = WithCancel(ctx_background()), two = WithCancel(ctx_background());
  Scope merged = Merge({Watched(one, &drop), two, one}), below = WithCancel(merged);
  Callback callback([&](ctx_t*) {
    merged.reset();
    below.reset();
  });
  callback.Arm(two);
  EXPECT_EQ(two.Cancel(), 1);
  EXPECT_EQ(drop.count(), 1);
  EXPECT_EQ(one.Cancel(), 1);
}

// More merges than a node counts; of the parents some, all or none are left when the last merge goes.
TEST(Merge, Rule11_ManyMergesBelowOneContextComeAndGo) {
  constexpr int kMany = 300;
  const Scope above = WithCancel(ctx_background());
  for (int at_once : {1, 2, 126, 127, 128, kMany}) {
    const Scope one = WithCancel(above), two = WithCancel(ctx_background());
    for (int round = 0; round < kMany / at_once; ++round) {
      std::vector<Scope> merges, below;
      for (int i = 0; i < at_once; ++i) {
        below.push_back(WithCancel(one));
        merges.push_back(i % 2 == 0 ? Merge({one, two}) : Merge({below[i], one, two}));
      }
      const Ctx held(ctx_ref(merges[at_once / 2]));
      merges.clear();
      EXPECT_EQ(ctx_err(held), 0);
    }
    const Scope last = Merge({one, two});
    EXPECT_EQ(one.Cancel(), 1);
    EXPECT_EQ(ctx_err(last), CTX_CANCELED) << at_once << " at once before";
  }
  const Scope last = Merge({above, WithCancel(ctx_background())});
  EXPECT_EQ(above.Cancel(), 1);
  EXPECT_EQ(ctx_err(last), CTX_CANCELED);
}

TEST(Merge, AThousandParents) {
  constexpr size_t kMany = 1'000;
  std::vector<Scope> scopes;
  std::vector<ctx_t*> parents;
  for (size_t i = 0; i < kMany; ++i) {
    scopes.push_back(WithCancel(ctx_background()));
    parents.push_back(scopes.back());
  }
  for (size_t which : {size_t{0}, size_t{499}, kMany - 1}) {
    const Scope merged = Merge(parents);
    EXPECT_EQ(scopes[which].Cancel(), 1);
    EXPECT_EQ(ctx_cause(merged), ctx_cause(scopes[which]));
    scopes[which] = WithCancel(ctx_background());
    parents[which] = scopes[which];
  }
}

TEST(Merge, WaitsEndWithAnyParent) {
  for (size_t which = 0; which < 2; ++which) {
    const Scope parents[] = {WithCancel(ctx_background()), WithCancel(ctx_background())};
    const Scope merged = Merge({parents[0], parents[1]});
    std::thread other([&] { parents[which].Cancel(); });
    EXPECT_EQ(ctx_wait(merged, CTX_FOREVER), 1);
    EXPECT_EQ(ctx_poll(merged, nullptr, 0, CTX_FOREVER), CTX_CANCELED);
    other.join();
  }
}

}  // namespace
}  // namespace ctxtest
