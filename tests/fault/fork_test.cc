// SPDX-License-Identifier: MIT
//
// Fork: whatever is new in the child works at once, from ctx_background() on; and the parent process notices nothing.
#include <ctx/ctx.h>

#include <cstdlib>
#include <thread>
#include <vector>

#include "fault/fork_work.h"
#include "support/callback.h"
#include "support/descriptor.h"
#include "support/forked.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(Fork, Rule47_NewContextsWorkWhenTheParentHadNoLoop) {
  CTX_IN_NEW_PROCESS({
    const Scope old = WithCancel(ctx_background());
    EXPECT_TRUE(Tasks("ctx-").empty());
    InChild(ExpectEverythingWorks);
    EXPECT_TRUE(Tasks("ctx-").empty());
    ExpectEverythingWorks();
  });
}

TEST(Fork, Rule47_NewContextsWorkWhileTheParentsLoopRuns) {
  const MadeBefore before;
  ExpectEverythingWorks();
  InChild([] {
    EXPECT_TRUE(Tasks("ctx-").empty());
    ExpectEverythingWorks();
    EXPECT_EQ(Tasks("ctx-").size(), 2u);
  });
  ExpectEverythingWorks();
}

// The checked build notes who waits for whom. (In the child, new threads take the memory of the stacks of the
// parent's threads, so that a note that still points there leads astray.)
TEST(Fork, Rule47_NewContextsWorkWhileAThreadOfTheParentsWaitsForACallback) {
  struct Waiting {
    Gate begun, over;
    std::atomic<pid_t> stopper{0};
    Scope scope = WithCancel(ctx_background());
    Watch watch = AfterFunc(
        scope,
        [](ctx_t*, void* arg) {
          auto* self = static_cast<Waiting*>(arg);
          self->begun.Open();
          EXPECT_TRUE(self->over.Wait());
        },
        this);
    std::thread cancels{[this] { EXPECT_EQ(scope.Cancel(), 1); }};
    std::thread stops{[this] {
      EXPECT_TRUE(begun.Wait());
      stopper = gettid();
      EXPECT_EQ(ctx_watch_stop_wait(watch), 0);
    }};
    // Returns when the second thread waits.
    void Settle() const {
      EXPECT_TRUE(Soon([&] { return stopper != 0 && IsAsleep(stopper); }));
    }
    ~Waiting() {
      over.Open();
      cancels.join();
      stops.join();
    }
  };
  const Waiting parents;
  parents.Settle();
  InChild([] {
    std::vector<std::thread> others;
    Gate over;
    for (int i = 0; i < 4; ++i) {
      others.emplace_back([&] {
        volatile char stack[6'000'000];
        for (volatile char& byte : stack) byte = 0x5a;
        EXPECT_TRUE(over.Wait());
      });
    }
    for (int i = 0; i < 3; ++i) {
      const Waiting childs;
      childs.Settle();
    }
    over.Open();
    for (std::thread& other : others) other.join();
  });
}

// The lane's threads are the parent's, and so is what was known of them.
TEST(Fork, Rule47_BlockingCallbacksRunThoughALaneThreadOfTheParentsIsIdle) {
  const auto run_one = [] {
    Callback blocking;
    const Scope scope = WithCancel(ctx_background());
    blocking.Arm(scope, CTX_DEFER | CTX_BLOCKING);
    EXPECT_EQ(scope.Cancel(), 1);
    EXPECT_TRUE(blocking.WaitRun());
  };
  run_one();
  Join(Fork(run_one));
  run_one();
}

TEST(Fork, Rule47_NewContextsWorkInAGrandchild) {
  const MadeBefore before;
  InChild([&] {
    ExpectEverythingWorks();
    const MadeBefore between;
    InChild([&] {
      EXPECT_EQ(ctx_cancel(before.timed.canceler), -ECHILD);
      EXPECT_EQ(ctx_cancel(between.timed.canceler), -ECHILD);
      EXPECT_EQ(ctx_err(between.done), CTX_DEADLINE_EXCEEDED);
      ExpectEverythingWorks();
    });
    EXPECT_EQ(ctx_cancel(between.timed.canceler), 1);
    ExpectEverythingWorks();
  });
  ExpectEverythingWorks();
}

// The child works, and leaves in the ways that children leave; nothing of it reaches the parent.
TEST(Fork, Rule47_TheChildsEndFiresNothingInTheParent) {
  void (*const ways[])(int) = {_exit, exit};
  for (const auto leave : ways) {
    MadeBefore before;
    InChild(
        [&] {
          ExpectEverythingWorks();
          before.watch.reset();
          before.timed.reset();
          before.root.reset();
        },
        leave);
    EXPECT_FALSE(Readable(before.fd));
    EXPECT_EQ(ctx_err(before.timed), 0);
    EXPECT_EQ(before.drop.count(), 0);
    EXPECT_EQ(before.root.Cancel(), 1);
    EXPECT_TRUE(Readable(before.fd));
  }
}

// A deadline of the parent's passes while the child, with timers of its own on descriptors that may
// still be the parent's, is at work: it ends the parent's context, in time, and not the child's copy.
TEST(Fork, Rule47_DeadlinesOfTheParentFireInTheParentAlone) {
  constexpr int kTooLate = 77;  // of a child that was forked after that
  for (int64_t timeout = 100 * kMillisecond;; timeout *= 2) {
    const Scope scope = WithTimeout(ctx_background(), timeout);
    Callback callback;
    EXPECT_GE(callback.Arm(scope), 0);
    const pid_t pid = Fork([&] {
      if (ctx_remaining(scope) <= 0) _exit(kTooLate);
      const Scope later =
          WithTimeout(ctx_background(), kHour);  // where the alarm could be moved to
      ExpectEverythingWorks();
      EXPECT_TRUE(Done(WithDeadline(ctx_background(), ctx_now(scope) + ctx_remaining(scope) + 1)));
      ExpectEverythingWorks();
      EXPECT_LT(ctx_remaining(scope), 0);
      EXPECT_EQ(ctx_err(scope), 0);
      EXPECT_EQ(callback.runs(), 0);
    });
    EXPECT_TRUE(Done(scope));
    EXPECT_LE(ctx_remaining(scope), 0);  // not early
    EXPECT_TRUE(callback.WaitRun());
    if (Join(pid, kTooLate) != kTooLate) break;
  }
}

// The child begins life inside a callback, and so inside a cancel that will never end there.
TEST(Fork, Rule47_InsideACallback) {
  const Scope scope = WithCancel(ctx_background());
  const Scope child = WithCancel(scope);
  pid_t pid = -1;
  Callback callback([&](ctx_t*) {
    pid = Fork([&] {
      EXPECT_EQ(ctx_err(child), CTX_CANCELED);
      EXPECT_EQ(ctx_wait(child, kLimit), -ECHILD);
      ExpectEverythingWorks();
    });
  });
  EXPECT_EQ(callback.Arm(scope), 0);
  EXPECT_EQ(scope.Cancel(), 1);
  Join(pid);
  ExpectEverythingWorks();
}

TEST(Fork, Rule47_InsideADeferredCallback) {
  const Scope scope = WithCancel(ctx_background());
  pid_t pid = -1;
  Callback callback([&](ctx_t*) { pid = Fork(ExpectEverythingWorks); });
  EXPECT_EQ(callback.Arm(scope, CTX_DEFER), 0);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_TRUE(callback.WaitRun());
  Join(pid);
  ExpectEverythingWorks();
}

// The child goes on where the parent was: it returns from the callback, into the cancel.
TEST(Fork, Rule47_InsideACallbackThatReturnsInTheChildToo) {
  const pid_t self = getpid();
  const Scope scope = WithCancel(ctx_background());
  const Scope child = WithTimeout(scope, kHour);
  pid_t pid = -1;
  Callback forks([&](ctx_t*) {
    fflush(nullptr);
    pid = fork();
    if (pid == 0) alarm(kLimit / kSecond);
  });
  Callback below;
  EXPECT_EQ(forks.Arm(scope), 0);
  EXPECT_EQ(below.Arm(child), 0);
  EXPECT_EQ(scope.Cancel(), 1);
  if (getpid() != self) {
    ExpectEverythingWorks();
    fflush(nullptr);
    _exit(HasFailure() ? 1 : 0);
  }
  EXPECT_EQ(below.runs(), 1);
  Join(pid);
}

}  // namespace
}  // namespace ctxtest
