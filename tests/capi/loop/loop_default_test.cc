// SPDX-License-Identifier: MIT
//
// ctx_loop_set_default: a loop of the program's own under ctx_background() and ctx_todo(). Each test is in
// a process that has used neither.
#include <functional>
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

void DriveTheDefaultLoop() {
  const size_t threads = Tasks("").size();
  const ManualLoop manual;
  EXPECT_EQ(ctx_loop_set_default(manual.loop), 0);
  const Scope timed = WithTimeout(ctx_background(), 2 * kMillisecond);
  const Scope todo = WithTimeout(ctx_todo(), 2 * kMillisecond);
  Callback callback;
  callback.Arm(timed);
  EXPECT_NE(manual.DriveUntil([&] { return callback.runs() == 1 && ctx_err(todo) != 0; }), -1);
  EXPECT_EQ(callback.thread(), std::this_thread::get_id());
  EXPECT_EQ(Tasks("").size(), threads) << "not one library thread";
}

TEST(DefaultLoop, AManualOneIsDrivenByTheHost) { CTX_IN_NEW_PROCESS(DriveTheDefaultLoop()); }

void MoveTheDefaultClock() {
  const VirtualLoop time;
  EXPECT_EQ(time.Advance(7), 0);
  EXPECT_EQ(ctx_loop_set_default(time.loop), 0);
  EXPECT_EQ(ctx_now(ctx_background()), 7);
  EXPECT_EQ(ctx_now(ctx_todo()), 7);
  const Scope timed = WithTimeout(ctx_background(), 5), todo = WithTimeout(ctx_todo(), 6);
  const Scope of_root = WithTimeout(time.root, 4), merged = Merge({timed, todo, of_root});
  EXPECT_EQ(ctx_err(merged), 0) << "all of them live on one loop";
  EXPECT_EQ(time.Next(), 11);
  EXPECT_EQ(time.Advance(4), 1);
  EXPECT_EQ(ctx_err(merged), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(time.Advance(2), 2);
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(todo), CTX_DEADLINE_EXCEEDED);
}

TEST(DefaultLoop, AVirtualOneMovesOnlyWhenTold) { CTX_IN_NEW_PROCESS(MoveTheDefaultClock()); }

void UseAThreadedOne() {
  Loop loop = NewLoop(CTX_LOOP_THREAD);
  EXPECT_EQ(ctx_loop_set_default(loop), 0);
  loop.reset();
  EXPECT_TRUE(Done(WithTimeout(ctx_background(), kMillisecond)));
  EXPECT_EQ(Tasks("ctx-").size(), 2u) << "its own, and no others";
  EXPECT_TRUE(Done(WithTimeout(ctx_todo(), kMillisecond))) << "it stays for good";
}

TEST(DefaultLoop, AThreadedOneStaysForGood) { CTX_IN_NEW_PROCESS(UseAThreadedOne()); }

void SetItTwice() {
  const VirtualLoop time, other;
  EXPECT_EQ(ctx_loop_set_default(time.loop), 0);
  EXPECT_EQ(ctx_loop_set_default(other.loop), -EBUSY);
  EXPECT_EQ(ctx_loop_set_default(time.loop), -EBUSY) << "the very same, too";
  time.Advance(5);
  EXPECT_EQ(ctx_now(ctx_background()), 5);
}

TEST(DefaultLoop, OnlyOnce) { CTX_IN_NEW_PROCESS(SetItTwice()); }

// Whatever is derived from a root is a use of the default loop.
void UseFirst(const std::function<void(ctx_t*)>& use, bool of_todo) {
  const VirtualLoop time;
  use(of_todo ? ctx_todo() : ctx_background());
  ASSERT_EQ(ctx_loop_set_default(time.loop), -EBUSY);
  EXPECT_NE(ctx_now(ctx_background()), 0);
  EXPECT_TRUE(Done(WithTimeout(ctx_background(), kMillisecond)));
}

TEST(DefaultLoop, NotOnceSomethingWasDerivedFromARoot) {
  const std::function<void(ctx_t*)> uses[] = {
      [](ctx_t* root) { WithCancel(root); },
      [](ctx_t* root) { WithTimeout(root, kHour); },
      [](ctx_t* root) { WithTimeout(root, 0); },
      [](ctx_t* root) { WithValue(root, &kKey, nullptr); },
      [](ctx_t* root) { WithString(root, "name", "text"); },
      [](ctx_t* root) { WithoutCancel(root); },
      [](ctx_t* root) { Merge({root}); },
      [](ctx_t* root) { WithGrace(root, kSecond); },
  };
  for (const auto& use : uses) {
    CTX_IN_NEW_PROCESS(UseFirst(use, false));
    CTX_IN_NEW_PROCESS(UseFirst(use, true));
  }
}

void OnlyLookFirst() {
  for (ctx_t* root : {ctx_background(), ctx_todo()}) {
    EXPECT_EQ(ctx_err(root), 0);
    EXPECT_GT(ctx_now(root), 0);
    EXPECT_EQ(ctx_remaining(root), CTX_FOREVER);
    EXPECT_EQ(ctx_value(root, &kKey), nullptr);
    EXPECT_GT(ctx_describe(root, nullptr, 0), 0);
    EXPECT_EQ(ctx_wait(root, 0), 0);
    EXPECT_EQ(ctx_done_fd(root), -ENOTSUP);
    EXPECT_EQ(ctx_unref(ctx_ref(root)), nullptr);
  }
  const VirtualLoop time;
  const Scope elsewhere = WithTimeout(time.root, 5);
  EXPECT_EQ(ctx_loop_set_default(time.loop), 0);
}

TEST(DefaultLoop, LookingAtARootIsNoUse) { CTX_IN_NEW_PROCESS(OnlyLookFirst()); }

void GiveItsLastHandleBack(int kind) {
  Loop loop = NewLoop(kind);
  EXPECT_EQ(ctx_loop_set_default(loop), 0);
  const Scope scope = WithTimeout(ctx_background(), kHour);
  Callback deferred;
  deferred.Arm(scope, CTX_DEFER);
  loop.reset();
  EXPECT_EQ(deferred.runs(), 1);
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  for (ctx_t* root : {ctx_background(), ctx_todo()}) {
    EXPECT_EQ(ctx_err(root), 0);
    EXPECT_EQ(ctx_err(WithCancel(root)), CTX_CANCELED);
  }
}

TEST(DefaultLoop, Rule39_ItsLastHandleClosesItAllTheSame) {
  CTX_IN_NEW_PROCESS(GiveItsLastHandleBack(CTX_LOOP_MANUAL));
  CTX_IN_NEW_PROCESS(GiveItsLastHandleBack(CTX_LOOP_VIRTUAL));
}

void CloseIt(int kind) {
  const Loop loop = NewLoop(kind);
  EXPECT_EQ(ctx_loop_set_default(loop), 0);
  const Scope scope = WithCancel(ctx_background()), todo = WithCancel(ctx_todo());
  EXPECT_EQ(ctx_loop_close(loop), 0);
  for (const Scope* one : {&scope, &todo}) {
    EXPECT_STREQ(ctx_cause_message(ctx_cause(*one)), "loop closed");
  }
  EXPECT_EQ(ctx_err(WithCancel(ctx_todo())), CTX_CANCELED);
}

TEST(DefaultLoop, Rule39_ClosingItEndsWhatIsBelowTheRoots) {
  for (int kind : kLoopKinds) CTX_IN_NEW_PROCESS(CloseIt(kind));
}

// One of them wins; and what the other derives is on the one loop or the other, never on both.
void RaceForIt() {
  const VirtualLoop one, other;
  int first = 1, second = 1;
  Scope scope;
  StartLine line(3);
  std::thread setter([&] {
    line.Meet();
    first = ctx_loop_set_default(one.loop);
  });
  std::thread deriver([&] {
    line.Meet();
    scope = WithTimeout(ctx_background(), 5);
  });
  line.Meet();
  second = ctx_loop_set_default(other.loop);
  setter.join();
  deriver.join();
  EXPECT_TRUE(first == 0 || first == -EBUSY);
  EXPECT_TRUE(second == 0 || second == -EBUSY);
  EXPECT_LE((first == 0) + (second == 0), 1);
  if (first == 0 || second == 0) {
    const VirtualLoop& set = first == 0 ? one : other;
    EXPECT_EQ(ctx_now(scope), 0);
    EXPECT_EQ(set.Advance(5), 1);
    EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
  } else {
    EXPECT_TRUE(Done(scope)) << "on the library's own";
  }
  EXPECT_EQ(ctx_loop_set_default(other.loop), -EBUSY);
}

TEST(DefaultLoop, ARaceForItHasOneWinner) {
  for (int i = 0; i < (kSanitized ? 5 : 20); ++i) CTX_IN_NEW_PROCESS(RaceForIt());
}

}  // namespace
}  // namespace ctxtest
