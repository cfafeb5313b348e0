// SPDX-License-Identifier: MIT
//
// Rule 39: ctx_loop_close ends all that can be canceled on a loop, and what is made there afterwards is
// born done. What the last handle of a loop does is in loop_last_handle_test.cc.
#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// One context of each kind that can be canceled, and some that cannot.
struct Family {
  explicit Family(ctx_t* of) : root(ctx_ref(of)) {}

  Ctx root;
  Scope plain = WithCancel(root), timed = WithTimeout(root, kHour), below = WithCancel(timed);
  Ctx value = WithValue(below, &kKey, nullptr), detached = WithoutCancel(value);
  Scope below_detached = WithCancel(detached), timed_below_detached = WithTimeout(detached, kHour);
  Scope graceful = WithGrace(plain, kHour), grace_of_root = WithGrace(root, kHour);
  Scope merged = Merge({plain, timed}), merged_roots = Merge({root, detached});
  Ctx value_of_root = WithValue(root, &kKey, nullptr), detached_root = WithoutCancel(root);

  std::vector<ctx_t*> Cancelable() const {
    return {plain,    timed,         below,  value,       below_detached, timed_below_detached,
            graceful, grace_of_root, merged, merged_roots};
  }
  std::vector<ctx_t*> NeverDone() const { return {root, detached, value_of_root, detached_root}; }
};

void ExpectClosed(ctx_t* ctx) {
  EXPECT_EQ(ctx_err(ctx), CTX_CANCELED);
  ASSERT_NE(ctx_cause(ctx), nullptr);
  EXPECT_STREQ(ctx_cause_message(ctx_cause(ctx)), "loop closed");
  EXPECT_EQ(ctx_cause_given(ctx_cause(ctx)), 1);
}

TEST(LoopClose, Rule39_EndsAllThatCanBeCanceled) {
  for (int kind : kLoopKinds) {
    const Loop loop = NewLoop(kind);
    const Family family(LoopBackground(loop));
    std::vector<int> fds;
    for (ctx_t* ctx : family.Cancelable()) fds.push_back(ctx_done_fd(ctx));
    EXPECT_EQ(ctx_loop_close(loop), 0);
    for (ctx_t* ctx : family.Cancelable()) ExpectClosed(ctx);
    for (int fd : fds) EXPECT_TRUE(Readable(fd));
    for (ctx_t* ctx : family.NeverDone()) EXPECT_EQ(ctx_err(ctx), 0);
    EXPECT_EQ(family.plain.Cancel(), 0);
  }
}

TEST(LoopClose, Rule39_WhatCouldBeCanceledIsBornDoneFromThenOn) {
  for (int kind : kLoopKinds) {
    const Loop loop = NewLoop(kind);
    const Family before(LoopBackground(loop));
    EXPECT_EQ(ctx_loop_close(loop), 0);
    const Family after(LoopBackground(loop)), below(before.detached), further(before.value_of_root);
    for (const Family* family : {&after, &below, &further}) {
      for (ctx_t* ctx : family->Cancelable()) ExpectClosed(ctx);
      for (ctx_t* ctx : family->NeverDone()) EXPECT_EQ(ctx_err(ctx), 0);
    }
    ExpectClosed(WithGrace(before.plain, kHour));
    Callback callback;
    EXPECT_EQ(callback.Arm(after.plain), 1);
    EXPECT_EQ(callback.runs(), 1);
    EXPECT_EQ(ctx_wait(after.timed, 0), 1);
  }
}

TEST(LoopClose, Rule39_ClosingAgainDoesNothing) {
  for (int kind : kLoopKinds) {
    const Loop loop = NewLoop(kind);
    const Scope scope = WithCancel(LoopBackground(loop));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(ctx_loop_close(loop), 0);
    ExpectClosed(scope);
  }
}

// Also the call that comes second returns only when all is marked and woken.
TEST(LoopClose, Rule39_OfTwoCallsAtOnceEachReturnsWhenAllIsOver) {
  constexpr size_t kMany = 20'000, kDescriptors = 600;
  std::unique_ptr<ManualLoop> manual;
  std::vector<Scope> scopes(kMany);
  std::vector<int> fds(kDescriptors);
  std::atomic<int> live{0}, asleep{0};
  const auto close = [&] {
    EXPECT_EQ(ctx_loop_close(manual->loop), 0);
    for (const int fd : fds) asleep += !Readable(fd);  // the one that is told last comes first
    for (const Scope& scope : scopes) live += ctx_err(scope) == 0;
  };
  Race(
      Rounds(20),
      [&] {
        manual = std::make_unique<ManualLoop>();
        for (Scope& scope : scopes) scope = WithCancel(manual->root);
        for (size_t i = 0; i < kDescriptors; ++i) fds[i] = ctx_done_fd(scopes[i]);
      },
      {close, close},
      [&] {
        for (Scope& scope : scopes) scope.reset();
      });
  EXPECT_EQ(live, 0);
  EXPECT_EQ(asleep, 0);
}

TEST(LoopClose, Rule39_WhatWasDoneBeforeKeepsItsErrorAndCause) {
  for (int kind : kLoopKinds) {
    const Loop loop = NewLoop(kind);
    const Ctx root = LoopBackground(loop);
    const Cause cause = NewCause(39, "before");
    const Scope canceled = WithCancel(root), late = WithTimeout(root, 0, cause);
    ctx_cancel_with(canceled.canceler, CTX_CANCELED, cause);
    const Scope below = WithCancel(canceled);
    EXPECT_EQ(ctx_loop_close(loop), 0);
    for (ctx_t* ctx : {canceled.ctx.get(), late.ctx.get(), below.ctx.get()}) {
      EXPECT_EQ(ctx_cause(ctx), cause.get());
    }
    EXPECT_EQ(ctx_err(late), CTX_DEADLINE_EXCEEDED);
  }
}

TEST(LoopClose, Rule39_OtherLoopsGoOn) {
  const VirtualLoop closed, other;
  const Scope there = WithTimeout(other.root, 5), of_default = WithTimeout(ctx_background(), kHour);
  EXPECT_EQ(ctx_loop_close(closed.loop), 0);
  EXPECT_EQ(ctx_err(there), 0);
  EXPECT_EQ(ctx_err(of_default), 0);
  EXPECT_EQ(ctx_err(WithCancel(other.root)), 0);
  EXPECT_EQ(other.Advance(5), 1);
}

TEST(LoopClose, Rule24_CallbacksRunOnTheThreadThatCloses) {
  for (int kind : kLoopKinds) {
    const Loop loop = NewLoop(kind);
    const Ctx root = LoopBackground(loop);
    const Scope top = WithTimeout(root, kHour), below = WithCancel(top);
    Recorder recorder;
    recorder.Arm(below, 2);
    recorder.Arm(top, 1);
    EXPECT_EQ(ctx_loop_close(loop), 0);
    EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2})) << "rule 28";
    EXPECT_EQ(recorder.back().thread(), std::this_thread::get_id());
  }
}

TEST(LoopClose, DeferredCallbacksStayForWhoeverDrivesTheLoop) {
  const ManualLoop manual;
  const VirtualLoop time;
  const Loop threaded = NewLoop(CTX_LOOP_THREAD);
  Callback on_manual, on_virtual, on_thread, late;
  const Scope scope = WithCancel(manual.root);
  on_manual.Arm(scope, CTX_DEFER);
  on_virtual.Arm(WithCancel(time.root), CTX_DEFER);
  on_thread.Arm(WithCancel(LoopBackground(threaded)), CTX_DEFER);
  for (ctx_loop_t* loop : {manual.loop.get(), time.loop.get(), threaded.get()}) {
    EXPECT_EQ(ctx_loop_close(loop), 0);
  }
  EXPECT_EQ(on_manual.runs() + on_virtual.runs(), 0);
  EXPECT_EQ(late.Arm(scope, CTX_DEFER), 1);
  EXPECT_TRUE(Readable(manual.Fd()));
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(on_manual.runs() + late.runs(), 2);
  EXPECT_EQ(time.Next(), 0);
  EXPECT_EQ(time.Advance(10), 0);
  EXPECT_EQ(on_virtual.runs(), 1);
  EXPECT_EQ(time.Now(), 10) << "a closed clock goes on";
  EXPECT_TRUE(on_thread.WaitRun());
  EXPECT_EQ(on_thread.thread_name(), "ctx-calls");
}

TEST(LoopClose, Rule39_ItsDeadlinesAreGone) {
  const VirtualLoop time;
  const Scope timed = WithTimeout(time.root, 5), parent = WithCancel(time.root);
  const Scope graceful = WithGrace(parent, 5), waiting = WithGrace(parent, 7);
  parent.Cancel();
  EXPECT_EQ(ctx_err(waiting), 0) << "its grace has begun";
  EXPECT_EQ(ctx_loop_close(time.loop), 0);
  for (const Scope* scope : {&timed, &graceful, &waiting}) ExpectClosed(*scope);
  EXPECT_EQ(time.Next(), INT64_MAX);
  EXPECT_EQ(time.Advance(kHour), 0);
}

TEST(LoopClose, FromInsideACallback) {
  const ManualLoop manual;
  const VirtualLoop time;
  const Scope on_manual = WithCancel(manual.root), timed = WithTimeout(time.root, 5);
  const Family manual_family(manual.root), virtual_family(time.root);
  Callback close_manual([&](ctx_t*) { EXPECT_EQ(ctx_loop_close(manual.loop), 0); });
  Callback close_virtual([&](ctx_t*) { EXPECT_EQ(ctx_loop_close(time.loop), 0); });
  close_manual.Arm(on_manual, CTX_DEFER);
  close_virtual.Arm(timed);
  on_manual.Cancel();
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(time.Advance(kHour), 1);
  for (ctx_t* ctx : manual_family.Cancelable()) ExpectClosed(ctx);
  for (ctx_t* ctx : virtual_family.Cancelable()) ExpectClosed(ctx);
}

TEST(LoopClose, FromALoopsOwnThread) {
  const Loop loop = NewLoop(CTX_LOOP_THREAD);
  const Family family(LoopBackground(loop));
  const Scope timed = WithTimeout(family.root, 5 * kMillisecond);
  Callback callback([&](ctx_t*) { EXPECT_EQ(ctx_loop_close(loop), 0); });
  callback.Arm(timed, CTX_DEFER);
  for (ctx_t* ctx : family.Cancelable()) EXPECT_TRUE(Done(ctx));
  EXPECT_TRUE(callback.WaitDrop());
  for (ctx_t* ctx : family.Cancelable()) ExpectClosed(ctx);
}

TEST(LoopClose, WakesWaiters) {
  for (int kind : kLoopKinds) {
    const Loop loop = NewLoop(kind);
    const Ctx root = LoopBackground(loop);
    std::deque<Scope> scopes;
    std::vector<std::thread> waiters;
    for (int i = 0; i < 6; ++i) {
      scopes.push_back(i % 2 == 0 ? WithCancel(root) : WithTimeout(root, kHour));
      waiters.emplace_back([&scope = scopes.back()] { EXPECT_TRUE(Done(scope)); });
    }
    EXPECT_EQ(ctx_loop_close(loop), 0);
    for (std::thread& waiter : waiters) waiter.join();
  }
}

TEST(LoopClose, AHundredThousandAndADeepChain) {
  constexpr int kMany = kSanitized ? 10'000 : 100'000;
  OnSmallStack([] {
    Drop drop;
    {
      const VirtualLoop time;
      const Ctx watched = Watched(time.root, &drop);
      std::vector<Scope> fan;
      for (int i = 0; i < kMany; ++i) fan.push_back(WithTimeout(watched, 1 + i));
      Ctx last(ctx_ref(watched));
      for (int i = 0; i < kMany; ++i) last = WithCancel(last).ctx;
      EXPECT_EQ(ctx_loop_close(time.loop), 0);
      int live = 0;
      for (const Scope& scope : fan) live += ctx_err(scope) != CTX_CANCELED;
      EXPECT_EQ(live, 0);
      ExpectClosed(last);
      EXPECT_EQ(time.Next(), INT64_MAX);
    }
    EXPECT_EQ(drop.count(), 1);
  });
}

// Whoever closes, cancels and derives meanwhile: after the close all is done.
TEST(LoopClose, Rule39_ACloseMissesNothingThatIsDerivedMeanwhile) {
  Loop loop;
  Ctx root, detached;
  std::vector<Scope> derived(60);
  std::atomic<int> live{0}, failed{0};
  Stagger stagger(39);
  int round = 0;
  Race(
      Rounds(kSanitized ? 150 : 600),
      [&] {
        loop = NewLoop(kLoopKinds[++round % 3]);
        root = LoopBackground(loop);
        detached = WithoutCancel(root);
      },
      {[&] {
         stagger.Pass(4096);
         failed += ctx_loop_close(loop) != 0;
       },
       [&] {
         for (size_t i = 0; i < derived.size(); ++i) {
           ctx_t* const parent = i % 3 == 0 ? root : i % 3 == 1 ? detached : derived[i - 1].ctx;
           ctx_t** const ret = derived[i].ctx.out();
           ctx_canceler_t** const canceler = derived[i].canceler.out();
           ctx_t* const parents[] = {parent, root};
           switch (i % 5) {
             case 0:
               failed += ctx_merge(parents, 2, ret, canceler) != 0;
               break;
             case 1:
               failed += ctx_with_grace(parent, kHour, ret, canceler) != 0;
               break;
             default:
               failed += ctx_with_cancel(parent, ret, canceler) != 0;
           }
         }
       },
       [&] { failed += ctx_loop_close(loop) != 0; }},
      [&] {
        for (const Scope& scope : derived) live += ctx_err(scope) != CTX_CANCELED;
      });
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(live, 0);
}

// A close that comes back means all is marked and woken, whoever ended what.
TEST(LoopClose, Rule05_ACloseThatCrossesACancelWaitsForItsMarks) {
  VirtualLoop time;
  Scope top;
  std::vector<Scope> leaves(2'000);
  int live_for_closer = 0, live_for_canceler = 0;
  Stagger stagger(5);
  Race(
      kSanitized ? 60 : 200,
      [&] {
        time = VirtualLoop();
        top = WithCancel(time.root);
        for (Scope& leaf : leaves) leaf = WithCancel(top);
      },
      {[&] {
         stagger.Pass(20'000);
         ctx_loop_close(time.loop);
         for (const Scope& leaf : leaves) live_for_closer += ctx_err(leaf) == 0;
       },
       [&] {
         top.Cancel();
         for (const Scope& leaf : leaves) live_for_canceler += ctx_err(leaf) == 0;
       }},
      [] {});
  EXPECT_EQ(live_for_closer, 0);
  EXPECT_EQ(live_for_canceler, 0);
}

}  // namespace
}  // namespace ctxtest
