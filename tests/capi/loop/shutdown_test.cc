// SPDX-License-Identifier: MIT
//
// Rule 51: ctx_shutdown() ends the contexts of the default loop, runs what waits, and joins the threads. Each
// case needs a process of its own: it is the end of the default loop.
#include <cerrno>
#include <memory>

#include "support/callback.h"
#include "support/handles.h"
#include "support/held.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// The system forgets a thread a moment after it was joined.
bool NoThreadIsLeft() {
  return Soon([] { return Tasks("ctx-").empty(); });
}

void EndsContextsRunsCallbacksAndJoinsThreads() {
  const Scope scope = WithTimeout(ctx_background(), kHour);
  Callback plain, deferred, blocking;
  plain.Arm(scope);
  deferred.Arm(scope, CTX_DEFER);
  blocking.Arm(scope, CTX_BLOCKING | CTX_DEFER);
  EXPECT_EQ(Tasks("ctx-").size(), 2u);
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  EXPECT_STREQ(ctx_cause_message(ctx_cause(scope)), "loop closed");
  EXPECT_EQ(plain.drops(), 1);
  EXPECT_EQ(deferred.drops(), 1);
  EXPECT_EQ(blocking.drops(), 1);
  EXPECT_TRUE(NoThreadIsLeft());
}
TEST(Shutdown, Rule51_EndsContextsRunsCallbacksAndJoinsThreads) {
  CTX_IN_NEW_PROCESS(EndsContextsRunsCallbacksAndJoinsThreads());
}

void AfterItContextsAreBornDoneAndNoThreadStarts() {
  { const Scope scope = WithTimeout(ctx_background(), kHour); }
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(ctx_shutdown(0), 0);
  const Scope late = WithTimeout(ctx_background(), kHour);
  EXPECT_EQ(ctx_err(late), CTX_CANCELED);
  Callback inline_one, deferred;
  EXPECT_EQ(inline_one.Arm(late), 1);
  EXPECT_EQ(deferred.Arm(late, CTX_DEFER), -ESHUTDOWN);
  EXPECT_TRUE(NoThreadIsLeft());
}
TEST(Shutdown, Rule51_AfterItContextsAreBornDoneAndNoThreadStarts) {
  CTX_IN_NEW_PROCESS(AfterItContextsAreBornDoneAndNoThreadStarts());
}

void OfAProgramThatStartedNothing() {
  const Scope scope = WithCancel(ctx_background());
  Callback callback;
  callback.Arm(scope);
  EXPECT_EQ(ctx_shutdown(0), 0);
  EXPECT_EQ(callback.thread(), std::this_thread::get_id());
  EXPECT_TRUE(NoThreadIsLeft());
}
TEST(Shutdown, Rule51_OfAProgramThatStartedNothing) {
  CTX_IN_NEW_PROCESS(OfAProgramThatStartedNothing());
}

void KeepsItsLimitAndGoesOnLater() {
  const Scope scope = WithTimeout(ctx_background(), kHour), other = WithCancel(ctx_background());
  HeldCallback blocks;
  blocks.Arm(other, CTX_DEFER);
  other.Cancel();
  ASSERT_TRUE(blocks.begun.Wait());
  EXPECT_EQ(ctx_shutdown(kMillisecond), -ETIMEDOUT);
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  blocks.go_on.Open();
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(blocks.drops(), 1);
}
TEST(Shutdown, Rule51_KeepsItsLimitAndGoesOnLater) {
  CTX_IN_NEW_PROCESS(KeepsItsLimitAndGoesOnLater());
}

void ACallThatWaitsForAnotherKeepsItsLimit() {
  const Scope other = WithCancel(ctx_background());
  HeldCallback blocks;
  blocks.Arm(other, CTX_DEFER);
  other.Cancel();
  ASSERT_TRUE(blocks.begun.Wait());
  const Scope last = WithCancel(ctx_background());
  std::thread first([] { EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0); });
  EXPECT_TRUE(Done(last));  // the first call is under way, and cannot end before the callback
  EXPECT_EQ(ctx_shutdown(0), -ETIMEDOUT);
  EXPECT_EQ(ctx_shutdown(kMillisecond), -ETIMEDOUT);
  EXPECT_EQ(blocks.drops(), 0);
  blocks.go_on.Open();
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(blocks.drops(), 1);
  first.join();
}
TEST(Shutdown, Rule51_ACallThatWaitsForAnotherKeepsItsLimit) {
  CTX_IN_NEW_PROCESS(ACallThatWaitsForAnotherKeepsItsLimit());
}

void WaitsForTheLaneToo() {
  const Scope other = WithCancel(ctx_background());
  HeldCallback blocks;
  blocks.Arm(other, CTX_DEFER | CTX_BLOCKING);
  other.Cancel();
  ASSERT_TRUE(blocks.begun.Wait());
  EXPECT_EQ(ctx_shutdown(kMillisecond), -ETIMEDOUT);
  blocks.go_on.Open();
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(blocks.drops(), 1);
}
TEST(Shutdown, Rule51_WaitsForTheLaneToo) { CTX_IN_NEW_PROCESS(WaitsForTheLaneToo()); }

void FromSeveralThreadsAtOnce() {
  { const Scope scope = WithTimeout(ctx_background(), kHour); }
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] { EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(NoThreadIsLeft());
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

// The end waits until the executor has run its work.
void WaitsForTheExecutor() {
  struct Box {
    Gate full;
    void (*run)(void*);
    void* work;
    static int Post(void* self, void (*run)(void*), void* work) {
      auto* const box = static_cast<Box*>(self);
      if (box->full.IsOpen()) return -EAGAIN;
      box->run = run;
      box->work = work;
      box->full.Open();
      return 0;
    }
  };
  auto box = std::make_unique<Box>();
  Drop drop;
  static Box* const to = box.get();
  const auto post = [](void*, void (*run)(void*), void* work) { return Box::Post(to, run, work); };
  const Loop mine = NewLoopWith(post, &drop, Drop::Run);
  ASSERT_EQ(ctx_loop_set_default(mine), 0);
  const Scope scope = WithTimeout(ctx_background(), kHour), late = WithCancel(ctx_background());
  Callback posted, refused, stopped;
  posted.Arm(late, CTX_DEFER);
  late.Cancel();
  ASSERT_TRUE(box->full.Wait());
  refused.Arm(scope, CTX_DEFER);
  EXPECT_EQ(ctx_shutdown(kMillisecond), -ETIMEDOUT);
  EXPECT_EQ(posted.drops() + drop.count(), 0);
  std::thread pool([&] { box->run(box->work); });
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(drop.count(), 1);
  EXPECT_EQ(posted.drops() + refused.drops(), 2);
  pool.join();
  box.reset();
  // Nothing is posted any more.
  const Scope after = WithTimeout(ctx_background(), kHour);
  Callback inline_one;
  EXPECT_EQ(inline_one.Arm(after), 1);
  EXPECT_EQ(inline_one.drops(), 1);
}
TEST(Shutdown, Rule51_WaitsForTheExecutor) { CTX_IN_NEW_PROCESS(WaitsForTheExecutor()); }

// The executor's drop is users' code within the call, as a callback is.
void IsRefusedInTheDropOfTheExecutor() {
  struct Executor {
    Scope other;
    int inside = 0;
    static void Drop(void* self) {
      auto* const executor = static_cast<Executor*>(self);
      executor->inside = ctx_shutdown(kMillisecond);
      EXPECT_EQ(executor->other.Cancel(), 0);
    }
  };
  const auto post = [](void*, void (*)(void*), void*) { return -EAGAIN; };
  Executor executor;
  const Loop mine = NewLoopWith(post, &executor, Executor::Drop);
  ASSERT_EQ(ctx_loop_set_default(mine), 0);
  executor.other = WithCancel(ctx_background());
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(executor.inside, -EDEADLK);
}
TEST(Shutdown, Rule51_IsRefusedInTheDropOfTheExecutor) {
  CTX_IN_NEW_PROCESS(IsRefusedInTheDropOfTheExecutor());
}

// If a callback is stopped while the executor has its work, the executor must still run that, which does nothing.
void WaitsForStoppedWorkToo() {
  static void (*run)(void*) = nullptr;
  static void* work = nullptr;
  static Gate full;
  const auto post = [](void*, void (*given)(void*), void* given_work) {
    run = given;
    work = given_work;
    full.Open();
    return 0;
  };
  const Loop mine = NewLoopWith(post, nullptr);
  ASSERT_EQ(ctx_loop_set_default(mine), 0);
  Callback stopped;
  {
    const Scope scope = WithCancel(ctx_background());
    stopped.Arm(scope, CTX_DEFER);
    scope.Cancel();
  }
  ASSERT_TRUE(full.Wait());
  EXPECT_EQ(stopped.StopWait(), 1);
  stopped.Disarm();
  EXPECT_EQ(ctx_shutdown(kMillisecond), -ETIMEDOUT);
  run(work);
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(stopped.runs(), 0);
}
TEST(Shutdown, Rule51_WaitsForStoppedWorkToo) { CTX_IN_NEW_PROCESS(WaitsForStoppedWorkToo()); }

void EndsWhileOwnLoopsGoOn() {
  const Loop mine = NewLoop(CTX_LOOP_THREAD);
  const Ctx root = LoopBackground(mine);
  const Scope timed = WithTimeout(ctx_background(), kHour), own = WithTimeout(root, kHour);
  Callback before, after;
  const Scope first = WithCancel(root), second = WithCancel(root);
  before.Arm(first, CTX_DEFER | CTX_BLOCKING);
  first.Cancel();
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_TRUE(before.WaitDrop());
  EXPECT_EQ(ctx_err(own), 0);
  EXPECT_EQ(after.Arm(second, CTX_DEFER | CTX_BLOCKING), 0);
  second.Cancel();
  EXPECT_TRUE(after.WaitDrop());
  EXPECT_EQ(after.thread_name(), "ctx-lane");
}
TEST(Shutdown, Rule51_OwnLoopsGoOn) { CTX_IN_NEW_PROCESS(EndsWhileOwnLoopsGoOn()); }

void RunsWakersAndWhatDropsCancel() {
  static const ctx_key_t key = {"key"};
  const Loop mine = NewLoop(CTX_LOOP_THREAD);
  const Scope own = WithCancel(LoopBackground(mine));
  Callback waker, set_off;
  set_off.Arm(own);
  {
    const auto cancels = [](void* arg) { ctx_cancel(static_cast<ctx_canceler_t*>(arg)); };
    const Scope scope =
        WithTimeout(WithValue(ctx_background(), &key, own.canceler.get(), cancels), kHour);
    EXPECT_EQ(waker.Arm(scope, CTX_WAKER), 0);
  }
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(waker.drops(), 1);
  EXPECT_EQ(ctx_err(own), CTX_CANCELED);
  EXPECT_EQ(set_off.drops(), 1);
}
TEST(Shutdown, Rule51_RunsWakersAndWhatDropsCancel) {
  CTX_IN_NEW_PROCESS(RunsWakersAndWhatDropsCancel());
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
