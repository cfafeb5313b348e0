// SPDX-License-Identifier: MIT
//
// Rules 3, 4, 7 and 9, and what rule 5 says of a cancel that meets no other: who is ended, by whom,
// and that it stays so. Cancels that race are in cancel_race_test.cc.
#include <array>
#include <climits>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// One of each kind of context that ends with its parent, in and below one scope.
struct Tree {
  explicit Tree(ctx_t* parent)
      : top(WithCancel(parent)),
        value(WithValue(top, &kKey, nullptr)),
        text(WithString(top, "name", "text")),
        child(WithCancel(top)),
        timed(WithTimeout(value, kHour)),
        grandchild(WithCancel(timed)),
        leaf(WithValue(grandchild, &kKey, nullptr)) {}

  std::vector<ctx_t*> All() const { return {top, value, text, child, timed, grandchild, leaf}; }

  Scope top;
  Ctx value, text;
  Scope child, timed, grandchild;
  Ctx leaf;
};

TEST(Cancel, Rule03_ErrIsZeroWhileLiveAndThenCanceledForEver) {
  const Scope scope = WithCancel(ctx_background());
  const volatile int32_t* word = ctx_err_word(scope);
  ASSERT_NE(word, nullptr);
  EXPECT_EQ(ctx_err(scope), 0);
  EXPECT_EQ(*word, 0);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  EXPECT_EQ(*word, CTX_CANCELED);
  EXPECT_EQ(ctx_err_word(scope), word);
}

TEST(Cancel, Rule03_TheTwoErrorsAreErrnos) {
  EXPECT_EQ(CTX_CANCELED, -ECANCELED);
  EXPECT_EQ(CTX_DEADLINE_EXCEEDED, -ETIMEDOUT);
}

TEST(Cancel, Rule03_NothingLaterChangesTheError) {
  const Scope parent = WithCancel(ctx_background());
  const Scope child = CanceledInTime(parent, nullptr, nullptr);
  EXPECT_EQ(ctx_cancel_with(child.canceler, CTX_DEADLINE_EXCEEDED, nullptr), 0);
  EXPECT_EQ(ctx_cancel_with(parent.canceler, CTX_DEADLINE_EXCEEDED, nullptr), 1);
  PassDeadlineOf(child);
  EXPECT_EQ(ctx_err(child), CTX_CANCELED);
  EXPECT_EQ(*ctx_err_word(child), CTX_CANCELED);
  EXPECT_EQ(ctx_err(parent), CTX_DEADLINE_EXCEEDED);
}

TEST(Cancel, Rule03_NoOtherErrorCanBeSet) {
  const Scope scope = WithCancel(ctx_background());
  for (int err : {0, 1, -1, ECANCELED, ETIMEDOUT, -EINVAL, -EINTR, INT_MAX, INT_MIN}) {
    EXPECT_EQ(ctx_cancel_with(scope.canceler, err, nullptr), -EINVAL) << err;
    EXPECT_EQ(ctx_err(scope), 0);
    EXPECT_EQ(ctx_cause(scope), nullptr);
  }
  EXPECT_EQ(scope.Cancel(), 1);
}

TEST(Cancel, Rule04_OnlyTheFirstCallGets1) {
  const Scope scope = WithCancel(ctx_background());
  EXPECT_EQ(scope.Cancel(), 1);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(scope.Cancel(), 0);
  EXPECT_EQ(ctx_cancel_with(scope.canceler, CTX_DEADLINE_EXCEEDED, nullptr), 0);
}

TEST(Cancel, Rule04_WhatItsParentEndedIsDoneAlready) {
  const Scope parent = WithCancel(ctx_background());
  const Scope child = WithCancel(parent);
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(child.Cancel(), 0);
}

TEST(Cancel, Rule04_EveryReferenceToACancelerCancelsTheSameContext) {
  const Scope scope = WithCancel(ctx_background());
  const Canceler second(ctx_canceler_ref(scope.canceler));
  ASSERT_EQ(second.get(), scope.canceler.get());
  EXPECT_EQ(ctx_cancel(second), 1);
  EXPECT_EQ(scope.Cancel(), 0);
}

TEST(Cancel, ACancelerKeepsItsContextAndDoesNotCancelIt) {
  Drop drop;
  Ctx watched = Watched(ctx_background(), &drop);
  Scope scope = WithCancel(watched);
  const Ctx child = WithValue(scope, &kKey, nullptr);
  watched.reset();
  scope.ctx.reset();
  scope.canceler.reset();
  EXPECT_EQ(ctx_err(child), 0) << "a canceler given back cancels nothing";

  Scope kept = WithCancel(child);
  kept.ctx.reset();
  EXPECT_EQ(ctx_cancel(kept.canceler), 1) << "a canceler alone still cancels";
  EXPECT_EQ(drop.count(), 0);
}

TEST(Cancel, Rule05_OnReturnTheWholeSubtreeIsMarked) {
  const Tree tree(ctx_background());
  const Cause cause = NewCause(-7, "stop it");
  ASSERT_EQ(ctx_cancel_with(tree.top.canceler, CTX_CANCELED, cause), 1);
  for (ctx_t* ctx : tree.All()) {
    EXPECT_EQ(ctx_err(ctx), CTX_CANCELED);
    EXPECT_EQ(ctx_cause(ctx), cause.get());
  }
}

TEST(Cancel, Rule05_OnReturnTheWholeSubtreeIsWoken) {
  const Tree tree(ctx_background());
  std::vector<int> fds;
  for (ctx_t* ctx : tree.All()) {
    fds.push_back(ctx_done_fd(ctx));
    EXPECT_FALSE(Readable(fds.back()));
  }
  ASSERT_EQ(tree.top.Cancel(), 1);
  for (int fd : fds) EXPECT_TRUE(Readable(fd));
}

TEST(Cancel, Rule05_OnReturnTheCallbacksHaveRun) {
  const Tree tree(ctx_background());
  std::array<Callback, 7> callbacks;
  for (size_t i = 0; i < callbacks.size(); ++i) EXPECT_EQ(callbacks[i].Arm(tree.All()[i]), 0);
  ASSERT_EQ(tree.top.Cancel(), 1);
  for (const Callback& callback : callbacks) {
    EXPECT_EQ(callback.runs(), 1);
    EXPECT_EQ(callback.drops(), 1);
  }
}

// A callback sees everything of the subtree marked and its descriptors readable.
TEST(Cancel, Rule05_MarksThenWakesThenCallsBack) {
  const Tree tree(ctx_background());
  std::vector<int> fds;
  for (ctx_t* ctx : tree.All()) fds.push_back(ctx_done_fd(ctx));
  int unmarked = 0, not_woken = 0;
  const auto look = [&](ctx_t*) {
    for (ctx_t* ctx : tree.All()) unmarked += ctx_err(ctx) == 0 || ctx_cause(ctx) == nullptr;
    for (int fd : fds) not_woken += !Readable(fd);
  };
  Callback on_top(look), on_child(look), on_leaf(look);
  on_top.Arm(tree.top);
  on_child.Arm(tree.child);
  on_leaf.Arm(tree.leaf);
  ASSERT_EQ(tree.top.Cancel(), 1);
  EXPECT_EQ(on_top.runs() + on_child.runs() + on_leaf.runs(), 3);
  EXPECT_EQ(unmarked, 0);
  EXPECT_EQ(not_woken, 0);
}

// Threads that wait anywhere in the subtree come back while the first callback still runs.
TEST(Cancel, Rule05_WaitersAreWokenBeforeCallbacksRun) {
  const Tree tree(ctx_background());
  Counter woken;
  std::vector<std::thread> waiters;
  for (ctx_t* ctx : tree.All()) {
    waiters.emplace_back([&woken, ctx] {
      if (Done(ctx)) woken.Add();
    });
  }
  bool all_came_back = false;
  Callback first([&](ctx_t*) { all_came_back = woken.WaitFor(static_cast<int>(waiters.size())); });
  first.Arm(tree.top);
  ASSERT_EQ(tree.top.Cancel(), 1);
  EXPECT_TRUE(all_came_back);
  for (std::thread& waiter : waiters) waiter.join();
}

TEST(Cancel, Rule05_DoesNotDescendBelowWhatIsDone) {
  const Tree tree(ctx_background());
  const Cause first = NewCause(1, "first"), second = NewCause(2, "second");
  ASSERT_EQ(ctx_cancel_with(tree.timed.canceler, CTX_DEADLINE_EXCEEDED, first), 1);
  ASSERT_EQ(ctx_cancel_with(tree.top.canceler, CTX_CANCELED, second), 1);
  for (ctx_t* ctx : {tree.timed.ctx.get(), tree.grandchild.ctx.get(), tree.leaf.get()}) {
    EXPECT_EQ(ctx_err(ctx), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(ctx_cause(ctx), first.get());
  }
  for (ctx_t* ctx : {tree.top.ctx.get(), tree.value.get(), tree.child.ctx.get()}) {
    EXPECT_EQ(ctx_err(ctx), CTX_CANCELED);
    EXPECT_EQ(ctx_cause(ctx), second.get());
  }
}

TEST(Cancel, Rule05_WhatIsDetachedBelowIsNotPartOfTheSubtree) {
  const Scope top = WithCancel(ctx_background());
  const Ctx detached = WithoutCancel(top);
  const Scope below = WithCancel(detached);
  Callback callback;
  callback.Arm(below);
  ASSERT_EQ(top.Cancel(), 1);
  EXPECT_EQ(ctx_err(detached), 0);
  EXPECT_EQ(ctx_err(below), 0);
  EXPECT_EQ(callback.runs(), 0);
  EXPECT_EQ(below.Cancel(), 1);
  EXPECT_EQ(callback.runs(), 1);
}

TEST(Cancel, Rule07_LeavesParentAndSiblingsAlone) {
  const Tree tree(ctx_background());
  const Scope sibling = WithCancel(tree.top);
  const Scope cousin = WithTimeout(tree.value, kHour);
  const std::array<ctx_t*, 5> others = {tree.top, tree.value, tree.text, sibling, cousin};
  std::array<Callback, 5> callbacks;
  for (size_t i = 0; i < others.size(); ++i) callbacks[i].Arm(others[i]);
  ASSERT_EQ(tree.child.Cancel(), 1);
  ASSERT_EQ(tree.timed.Cancel(), 1);
  for (size_t i = 0; i < others.size(); ++i) {
    EXPECT_EQ(ctx_err(others[i]), 0);
    EXPECT_EQ(ctx_cause(others[i]), nullptr);
    EXPECT_FALSE(Readable(ctx_done_fd(others[i])));
    EXPECT_EQ(ctx_wait(others[i], 0), 0);
    EXPECT_EQ(callbacks[i].runs(), 0);
  }
}

TEST(Cancel, Rule09_DescendantsTakeErrorAndCauseOfTheAncestorThatEndedThem) {
  const Tree tree(ctx_background());
  const Cause cause = NewCause(110, "upstream gave up");
  ASSERT_EQ(ctx_cancel_with(tree.timed.canceler, CTX_DEADLINE_EXCEEDED, cause), 1);
  for (ctx_t* ctx : {tree.timed.ctx.get(), tree.grandchild.ctx.get(), tree.leaf.get()}) {
    EXPECT_EQ(ctx_err(ctx), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(ctx_cause(ctx), cause.get());
  }
  EXPECT_EQ(ctx_err(tree.child), 0);
}

TEST(Cancel, Rule09_TheFirstWinsAndNothingLaterReplacesIt) {
  const Scope parent = WithCancel(ctx_background());
  const Scope child = WithCancel(parent);
  const Cause own = NewCause(1, "own"), from_above = NewCause(2, "from above"),
              again = NewCause(3, "again");
  ASSERT_EQ(ctx_cancel_with(child.canceler, CTX_DEADLINE_EXCEEDED, own), 1);
  ASSERT_EQ(ctx_cancel_with(parent.canceler, CTX_CANCELED, from_above), 1);
  ASSERT_EQ(ctx_cancel_with(child.canceler, CTX_CANCELED, again), 0);
  ASSERT_EQ(ctx_cancel_with(parent.canceler, CTX_DEADLINE_EXCEEDED, again), 0);
  EXPECT_EQ(ctx_err(child), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_cause(child), own.get());
  EXPECT_EQ(ctx_err(parent), CTX_CANCELED);
  EXPECT_EQ(ctx_cause(parent), from_above.get());
}

TEST(Cancel, Rule09_TheChildsPlainCauseIsNotReplacedByTheParentsGivenOne) {
  const Scope parent = WithCancel(ctx_background());
  const Scope child = WithCancel(parent);
  const Cause from_above = NewCause(2, "from above");
  ASSERT_EQ(child.Cancel(), 1);
  const ctx_cause_t* plain = ctx_cause(child);
  ASSERT_EQ(ctx_cancel_with(parent.canceler, CTX_CANCELED, from_above), 1);
  EXPECT_EQ(ctx_cause(child), plain);
  EXPECT_EQ(ctx_cause_code(ctx_cause(child)), CTX_CANCELED);
}

}  // namespace
}  // namespace ctxtest
