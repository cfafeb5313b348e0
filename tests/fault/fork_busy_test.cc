// SPDX-License-Identifier: MIT
//
// Fork while other threads are in the middle of everything: whatever they hold at that moment, the
// child does its own work without waiting for any of it.
#include <thread>
#include <vector>

#include "fault/busy.h"
#include "support/callback.h"
#include "support/descriptor.h"
#include "support/forked.h"
#include "support/handles.h"
#include "support/process.h"

namespace ctxtest {
namespace {

void DeriveAndRelease(ctx_t* shared) {
  Ctx made[8];
  Canceler canceler;
  for (Ctx& ctx : made) ctx_with_cancel(shared, ctx.out(), canceler.out());
}

void CancelSubtree(ctx_t* shared) {
  Ctx parent, child, timed;
  Canceler canceler, other;
  ctx_with_cancel(shared, parent.out(), canceler.out());
  ctx_with_cancel(parent, child.out(), other.out());
  ctx_with_timeout(child, kHour, timed.out(), nullptr);
  ctx_cancel(canceler);
}

void WaitForDeadline(ctx_t* shared) {
  Ctx timed;
  ctx_with_timeout(shared, 50 * kMicrosecond, timed.out(), nullptr);
  ctx_wait(timed, kLimit);
}

void CallBack(ctx_t* shared) {
  Ctx ctx;
  Canceler canceler;
  Watch watch, deferred;
  ctx_with_cancel(shared, ctx.out(), canceler.out());
  const auto fn = [](ctx_t*, void*) {};
  ctx_after_func(ctx, fn, nullptr, nullptr, 0, watch.out());
  ctx_after_func(ctx, fn, nullptr, nullptr, CTX_DEFER, deferred.out());
  ctx_cancel(canceler);
  ctx_watch_stop_wait(deferred);
}

void MakeDescriptor(ctx_t* shared) {
  Ctx ctx;
  Canceler canceler;
  ctx_with_cancel(shared, ctx.out(), canceler.out());
  ctx_done_fd(ctx);
  ctx_cancel(canceler);
}

// What the child does: some of everything, and it ends. Every wait is for what this process does.
void WorkInChild(ctx_t* shared) {
  EXPECT_EQ(ctx_err(shared), 0);
  EXPECT_EQ(ctx_wait(shared, kLimit), -ECHILD);
  const Scope parent = WithCancel(ctx_background());
  std::vector<Scope> children;
  for (int i = 0; i < 10; ++i) children.push_back(WithCancel(parent));
  Callback callback, deferred;
  EXPECT_EQ(callback.Arm(children[9]), 0);
  EXPECT_EQ(deferred.Arm(children[9], CTX_DEFER), 0);
  EXPECT_GE(ctx_done_fd(children[9]), 0);
  EXPECT_TRUE(Done(WithTimeout(parent, kMillisecond)));
  EXPECT_EQ(parent.Cancel(), 1);
  for (const Scope& child : children) EXPECT_EQ(ctx_err(child), CTX_CANCELED);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_TRUE(deferred.WaitRun());
  EXPECT_TRUE(Readable(ctx_done_fd(children[9])));
}

void ForkWhile(const std::vector<Busy::Step>& steps, int rounds = Rounds(60)) {
  ctxtest::ForkWhile(steps, rounds, WorkInChild);
}

TEST(ForkWhileBusy, Rule47_Deriving) { ForkWhile({DeriveAndRelease, DeriveAndRelease}); }

TEST(ForkWhileBusy, Rule47_Canceling) { ForkWhile({CancelSubtree, CancelSubtree}); }

TEST(ForkWhileBusy, Rule47_Waiting) { ForkWhile({WaitForDeadline, WaitForDeadline}); }

TEST(ForkWhileBusy, Rule47_CallingBack) { ForkWhile({CallBack, CallBack}); }

TEST(ForkWhileBusy, Rule47_MakingDescriptors) { ForkWhile({MakeDescriptor, MakeDescriptor}, 60); }

TEST(ForkWhileBusy, Rule47_AllOfIt) {
  ForkWhile({DeriveAndRelease, CancelSubtree, WaitForDeadline, CallBack, MakeDescriptor});
}

// Many children forked while the loop's thread is on its way into and out of its sleep.
TEST(ForkWhileBusy, Rule47_StartingTheLoop) {
  for (int round = 0; round < 20; ++round) {
    InChild([] {
      std::thread starts([] { EXPECT_TRUE(Done(WithTimeout(ctx_background(), kMicrosecond))); });
      InChild([] { EXPECT_TRUE(Done(WithTimeout(ctx_background(), kMicrosecond))); });
      starts.join();
    });
  }
}

}  // namespace
}  // namespace ctxtest
