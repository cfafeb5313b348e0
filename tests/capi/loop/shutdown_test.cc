// SPDX-License-Identifier: MIT
//
// Rule 51: ctx_shutdown() ends the contexts of the default loop, runs what waits, and joins the threads. Each
// case needs a process of its own: it is the end of the default loop.
#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

void EndsContextsRunsCallbacksAndJoinsThreads() {
  const size_t before = ThreadCount();
  const Scope scope = WithTimeout(ctx_background(), kHour);
  Callback plain, deferred, blocking;
  plain.Arm(scope);
  deferred.Arm(scope, CTX_DEFER);
  blocking.Arm(scope, CTX_BLOCKING | CTX_DEFER);
  EXPECT_EQ(ThreadCount(), before + 2);
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  EXPECT_STREQ(ctx_cause_message(ctx_cause(scope)), "loop closed");
  EXPECT_EQ(plain.drops(), 1);
  EXPECT_EQ(deferred.drops(), 1);
  EXPECT_EQ(blocking.drops(), 1);
  EXPECT_EQ(ThreadCount(), before);
}
TEST(Shutdown, Rule51_EndsContextsRunsCallbacksAndJoinsThreads) {
  CTX_IN_NEW_PROCESS(EndsContextsRunsCallbacksAndJoinsThreads());
}

void AfterItContextsAreBornDoneAndNoThreadStarts() {
  const size_t before = ThreadCount();
  { const Scope scope = WithTimeout(ctx_background(), kHour); }
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(ctx_shutdown(0), 0);
  const Scope late = WithTimeout(ctx_background(), kHour);
  EXPECT_EQ(ctx_err(late), CTX_CANCELED);
  Callback inline_one, deferred;
  EXPECT_EQ(inline_one.Arm(late), 1);
  EXPECT_EQ(deferred.Arm(late, CTX_DEFER), -ESHUTDOWN);
  EXPECT_EQ(ThreadCount(), before);
}
TEST(Shutdown, Rule51_AfterItContextsAreBornDoneAndNoThreadStarts) {
  CTX_IN_NEW_PROCESS(AfterItContextsAreBornDoneAndNoThreadStarts());
}

void OfAProgramThatStartedNothing() {
  const size_t before = ThreadCount();
  const Scope scope = WithCancel(ctx_background());
  Callback callback;
  callback.Arm(scope);
  EXPECT_EQ(ctx_shutdown(0), 0);
  EXPECT_EQ(callback.thread(), std::this_thread::get_id());
  EXPECT_EQ(ThreadCount(), before);
}
TEST(Shutdown, Rule51_OfAProgramThatStartedNothing) {
  CTX_IN_NEW_PROCESS(OfAProgramThatStartedNothing());
}

void KeepsItsLimitAndGoesOnLater() {
  Gate gate;
  Gate begun;
  const Scope scope = WithTimeout(ctx_background(), kHour), other = WithCancel(ctx_background());
  Callback blocks([&](ctx_t*) {
    begun.Open();
    EXPECT_TRUE(gate.Wait());
  });
  blocks.Arm(other, CTX_DEFER);
  other.Cancel();
  ASSERT_TRUE(begun.Wait());
  EXPECT_EQ(ctx_shutdown(kMillisecond), -ETIMEDOUT);
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  gate.Open();
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(blocks.drops(), 1);
}
TEST(Shutdown, Rule51_KeepsItsLimitAndGoesOnLater) {
  CTX_IN_NEW_PROCESS(KeepsItsLimitAndGoesOnLater());
}

void WaitsForTheLaneToo() {
  Gate gate;
  Gate begun;
  const Scope other = WithCancel(ctx_background());
  Callback blocks([&](ctx_t*) {
    begun.Open();
    EXPECT_TRUE(gate.Wait());
  });
  blocks.Arm(other, CTX_DEFER | CTX_BLOCKING);
  other.Cancel();
  ASSERT_TRUE(begun.Wait());
  EXPECT_EQ(ctx_shutdown(kMillisecond), -ETIMEDOUT);
  gate.Open();
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(blocks.drops(), 1);
}
TEST(Shutdown, Rule51_WaitsForTheLaneToo) { CTX_IN_NEW_PROCESS(WaitsForTheLaneToo()); }

void FromSeveralThreadsAtOnce() {
  const size_t before = ThreadCount();
  { const Scope scope = WithTimeout(ctx_background(), kHour); }
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] { EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ThreadCount(), before);
}
TEST(Shutdown, Rule51_FromSeveralThreadsAtOnce) { CTX_IN_NEW_PROCESS(FromSeveralThreadsAtOnce()); }

void IsRefusedWhereItWouldWaitForItself() {
  const Scope scope = WithCancel(ctx_background());
  int inside = 0, deferred = 0;
  Callback callback([&](ctx_t*) { inside = ctx_shutdown(CTX_FOREVER); });
  Callback other([&](ctx_t*) { deferred = ctx_shutdown(CTX_FOREVER); });
  callback.Arm(scope);
  other.Arm(scope, CTX_DEFER);
  scope.Cancel();
  EXPECT_TRUE(other.WaitDrop());
  EXPECT_EQ(inside, -EDEADLK);
  EXPECT_EQ(deferred, -EDEADLK);
  EXPECT_EQ(ctx_shutdown(-1), -EINVAL);
}
TEST(Shutdown, Rule51_IsRefusedWhereItWouldWaitForItself) {
  CTX_IN_NEW_PROCESS(IsRefusedWhereItWouldWaitForItself());
}

void OfADefaultLoopThatTheProgramDrives() {
  ManualLoop mine;
  ASSERT_EQ(ctx_loop_set_default(mine.loop), 0);
  const Scope scope = WithTimeout(ctx_background(), kHour);
  Callback deferred;
  deferred.Arm(scope, CTX_DEFER);
  EXPECT_EQ(ctx_shutdown(0), 0);
  EXPECT_EQ(deferred.drops(), 1);
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
}
TEST(Shutdown, Rule51_OfADefaultLoopThatTheProgramDrives) {
  CTX_IN_NEW_PROCESS(OfADefaultLoopThatTheProgramDrives());
}

}  // namespace
}  // namespace ctxtest
