// SPDX-License-Identifier: MIT
//
// Rule 24: no callback keeps another one waiting: deferred ones start at once, those that may block have
// threads of their own, wakers come first, and a program may bring an executor.
#include <deque>
#include <functional>
#include <memory>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(CallbackLane, Rule24_ADeferredOneStartsWhileAnInlineOneOfTheSameCancelRuns) {
  const Scope scope = WithCancel(ctx_background());
  Callback deferred;
  Callback inline_one([&](ctx_t*) { EXPECT_TRUE(deferred.WaitRun()); });
  inline_one.Arm(scope);
  deferred.Arm(scope, CTX_DEFER);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(inline_one.runs(), 1);
}

TEST(CallbackLane, Rule24_ADeferredOneOfADescendantDoesNotWaitEither) {
  const Scope scope = WithCancel(ctx_background()), child = WithCancel(scope);
  Callback deferred;
  Callback inline_one([&](ctx_t*) { EXPECT_TRUE(deferred.WaitRun()); });
  inline_one.Arm(scope);
  deferred.Arm(child, CTX_DEFER);
  EXPECT_EQ(scope.Cancel(), 1);
}

TEST(CallbackLane, Rule24_BlockingOnesDoNotWaitForEachOther) {
  constexpr int kMany = 20;
  Gate gate;
  Counter running;
  const Scope scope = WithCancel(ctx_background());
  std::deque<Callback> callbacks;
  for (int i = 0; i < kMany; ++i) {
    callbacks.emplace_back([&](ctx_t*) {
      running.Add();
      EXPECT_TRUE(gate.Wait());
    });
    EXPECT_EQ(callbacks.back().Arm(scope, CTX_BLOCKING | CTX_DEFER), 0);
  }
  scope.Cancel();
  EXPECT_TRUE(running.WaitFor(kMany));  // all at once
  gate.Open();
  for (Callback& callback : callbacks) EXPECT_TRUE(callback.WaitDrop());
}

TEST(CallbackLane, Rule24_OneThatBlocksDelaysNoOther) {
  Gate gate;
  const Scope first = WithTimeout(ctx_background(), kMillisecond);
  Callback blocks([&](ctx_t*) { EXPECT_TRUE(gate.Wait()); });
  blocks.Arm(first, CTX_BLOCKING | CTX_DEFER);
  const Scope later = WithTimeout(ctx_background(), 2 * kMillisecond);
  Callback plain, deferred, blocking;  // on this thread, if the time has come already
  plain.Arm(later);
  deferred.Arm(later, CTX_DEFER);
  blocking.Arm(later, CTX_BLOCKING);
  EXPECT_TRUE(plain.WaitRun());
  EXPECT_TRUE(deferred.WaitRun());
  EXPECT_TRUE(blocking.WaitRun());
  EXPECT_EQ(blocks.runs(), 0);
  gate.Open();
  EXPECT_TRUE(blocks.WaitDrop());
}

// While no thread of the lane is there yet, and the one of the clock is to start it.
void AnotherCallbackMaySetOffOneThatBlocks() {
  Gate gate, begun;
  const Scope first = WithCancel(ctx_background()), second = WithCancel(ctx_background());
  Callback blocks([&](ctx_t*) {
    begun.Open();
    EXPECT_TRUE(gate.Wait());
  });
  Callback sets_off([&](ctx_t*) { second.Cancel(); });
  blocks.Arm(second, CTX_BLOCKING | CTX_DEFER);
  sets_off.Arm(first, CTX_DEFER);
  first.Cancel();
  ASSERT_TRUE(begun.Wait());
  const Scope third = WithCancel(ctx_background());
  Callback plain;
  plain.Arm(third, CTX_DEFER);
  third.Cancel();
  EXPECT_TRUE(plain.WaitRun());
  gate.Open();
  EXPECT_TRUE(blocks.WaitDrop());
}
TEST(CallbackLane, Rule24_AnotherCallbackMaySetOffOneThatBlocks) {
  CTX_IN_NEW_PROCESS(AnotherCallbackMaySetOffOneThatBlocks());
}

// Whatever runs there, a thread of the library leaves to the lane what may block.
TEST(CallbackLane, Rule24_BlockingOnesThatACallbackOfTheLibraryCancelsRunOnTheLane) {
  for (const uint32_t flags : {CTX_DEFER, CTX_DEFER | CTX_BLOCKING}) {
    const Scope first = WithCancel(ctx_background()), second = WithCancel(ctx_background());
    Gate gate, left;
    Callback plain, blocking([&](ctx_t*) { EXPECT_TRUE(gate.Wait()); });
    Callback cancels([&](ctx_t*) {
      EXPECT_EQ(second.Cancel(), 1);
      left.Open();
    });
    blocking.Arm(second, CTX_BLOCKING);
    plain.Arm(second);
    cancels.Arm(first, flags);
    first.Cancel();
    ASSERT_TRUE(left.Wait());
    EXPECT_TRUE(plain.WaitRun());
    EXPECT_EQ(blocking.runs(), 0);
    gate.Open();
    ASSERT_TRUE(blocking.WaitDrop());
    EXPECT_EQ(blocking.thread_name(), "ctx-lane");
  }
}

TEST(CallbackLane, Rule24_APlainOneThatBlocksDelaysNoBlockingOneAndNoWaker) {
  Gate gate;
  Gate begun;
  const Scope first = WithCancel(ctx_background());
  Callback plain([&](ctx_t*) {
    begun.Open();
    EXPECT_TRUE(gate.Wait());
  });
  plain.Arm(first, CTX_DEFER);
  first.Cancel();
  ASSERT_TRUE(begun.Wait());
  const Scope later = WithTimeout(ctx_background(), kMillisecond);
  Callback blocking, waker;
  EXPECT_GE(blocking.Arm(later, CTX_BLOCKING | CTX_DEFER), 0);
  EXPECT_GE(waker.Arm(later, CTX_WAKER), 0);
  const Scope canceled = WithCancel(ctx_background());
  Callback deferred;
  EXPECT_EQ(deferred.Arm(canceled, CTX_BLOCKING | CTX_DEFER), 0);
  canceled.Cancel();
  EXPECT_TRUE(blocking.WaitRun());
  EXPECT_TRUE(waker.WaitRun());
  EXPECT_TRUE(deferred.WaitRun());
  EXPECT_EQ(plain.runs(), 0);
  gate.Open();
  EXPECT_TRUE(plain.WaitDrop());
}

TEST(CallbackLane, Rule24_BlockingOnesRunOnTheThreadThatCancels) {
  const Scope scope = WithCancel(ctx_background());
  Callback callback;
  callback.Arm(scope, CTX_BLOCKING);
  scope.Cancel();
  EXPECT_EQ(callback.thread(), std::this_thread::get_id());
}

TEST(CallbackLane, Rule24_ThreadsHaveTheirNames) {
  const Scope scope = WithTimeout(ctx_background(), kMillisecond);
  Callback plain, blocking, waker;
  plain.Arm(scope);
  blocking.Arm(scope, CTX_BLOCKING | CTX_DEFER);
  const bool in_time = waker.Arm(scope, CTX_WAKER) == 0;
  ASSERT_TRUE(plain.WaitRun() && blocking.WaitRun() && waker.WaitRun());
  EXPECT_EQ(blocking.thread_name(), "ctx-lane");
  if (in_time) {
    EXPECT_EQ(waker.thread_name(), "ctx-loop");
  }
}

TEST(CallbackLane, Rule24_WakersComeBeforeAllOtherCallbacks) {
  const Scope scope = WithCancel(ctx_background()), child = WithCancel(scope);
  Recorder recorder;
  recorder.Arm(scope, 3);
  recorder.Arm(scope, 1, CTX_WAKER);
  recorder.Arm(child, 4);
  recorder.Arm(child, 2, CTX_WAKER);
  scope.Cancel();
  EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2, 3, 4}));
}

TEST(CallbackLane, Rule24_WakersRunInDispatchAndInAdvance) {
  const VirtualLoop test;
  const Scope hour = WithTimeout(test.root, kHour);
  Callback waker, plain;
  waker.Arm(hour, CTX_WAKER);
  plain.Arm(hour, CTX_BLOCKING | CTX_DEFER);
  EXPECT_EQ(test.Advance(kHour), 1);
  EXPECT_EQ(waker.runs(), 1);
  EXPECT_EQ(plain.thread(), std::this_thread::get_id());
  const ManualLoop manual;
  const Scope soon = WithTimeout(manual.root, kMillisecond);
  Callback second;
  second.Arm(soon, CTX_WAKER);
  EXPECT_GE(manual.DriveUntilDone(soon), 0);
  EXPECT_EQ(second.runs(), 1);
}

// Who ends a deadline that its loop has not come to wakes, too: nobody else may come.
TEST(CallbackLane, Rule24_AWakerIsStoppedAsAnyCallback) {
  const Scope scope = WithCancel(ctx_background());
  Callback waker;
  EXPECT_EQ(waker.Arm(scope, CTX_WAKER), 0);
  EXPECT_EQ(waker.Stop(), 1);
  scope.Cancel();
  EXPECT_EQ(waker.runs(), 0);
  EXPECT_EQ(waker.drops(), 1);
  Callback late;
  EXPECT_EQ(late.Arm(scope, CTX_WAKER), 1);
  EXPECT_EQ(late.runs(), 1);
}

TEST(CallbackLane, Rule26_AWakerIsStoppedUntilItsTurnComes) {
  for (const bool timed : {false, true}) {
    const VirtualLoop test;
    const Scope scope = WithTimeout(test.root, 1), child = WithCancel(scope);
    Callback plain, second, third, first([&](ctx_t*) {
      EXPECT_EQ(second.StopWait(), 1);
      EXPECT_EQ(third.StopWait(), 1);
    });
    plain.Arm(scope);
    first.Arm(scope, CTX_WAKER);
    second.Arm(scope, CTX_WAKER);
    third.Arm(child, CTX_WAKER);
    EXPECT_EQ(timed ? test.Advance(1) : scope.Cancel(), 1);
    EXPECT_EQ(first.runs(), 1);
    EXPECT_EQ(second.runs() + third.runs(), 0);
    EXPECT_EQ(second.drops() + third.drops(), 2);
    EXPECT_EQ(plain.runs(), 1);
  }
}

TEST(CallbackLane, Rule26_AnotherThreadStopsAWakerWhileTheOneBeforeItRuns) {
  for (const bool by_loop : {false, true}) {
    const Pipe pipe;
    const Scope scope = WithFd(ctx_background(), pipe.read_end, POLLIN);
    Gate begun, stopped;
    Callback second, first([&](ctx_t*) {
      begun.Open();
      EXPECT_TRUE(stopped.Wait());
    });
    EXPECT_EQ(first.Arm(scope, CTX_WAKER), 0);
    EXPECT_EQ(second.Arm(scope, CTX_WAKER), 0);
    std::thread stopper([&] {
      EXPECT_TRUE(begun.Wait());
      EXPECT_EQ(second.StopWait(), 1);
      stopped.Open();
    });
    if (by_loop) {
      pipe.Write();
    } else {
      EXPECT_EQ(scope.Cancel(), 1);
    }
    stopper.join();
    EXPECT_TRUE(first.WaitDrop());
    EXPECT_EQ(second.runs(), 0);
  }
}

// Whoever derives or waits runs nobody's code: the host finds the wakers of what such a call has ended.
TEST(CallbackLane, Rule38_WakersOfWhatAWaiterEndedAreLeftToTheHost) {
  const ManualLoop manual;
  EXPECT_GE(manual.Fd(), 0);
  const Scope soon = WithTimeout(manual.root, kMillisecond);
  Callback waker;
  EXPECT_EQ(waker.Arm(soon, CTX_WAKER), 0);
  EXPECT_TRUE(Done(soon));
  EXPECT_EQ(waker.runs(), 0);
  EXPECT_TRUE(manual.WorkWaits());
  ASSERT_TRUE(Readable(manual.Fd(), kLimitMs));
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(waker.runs(), 1);
  EXPECT_TRUE(manual.Settles());
}

TEST(CallbackLane, Rule38_WakersOfWhatADerivationEndedAreLeftToTheHost) {
  const ManualLoop manual;
  const Scope soon = WithTimeout(manual.root, kMillisecond);
  Callback waker;
  EXPECT_EQ(waker.Arm(soon, CTX_WAKER), 0);
  SleepUntil(Deadline(soon));
  const Scope below = WithTimeout(soon, kHour);
  EXPECT_EQ(ctx_err(below), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(waker.runs(), 0);
  EXPECT_TRUE(manual.WorkWaits());
  ASSERT_TRUE(Readable(manual.Fd(), kLimitMs));
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(waker.runs(), 1);
}

TEST(CallbackLane, Rule24_WakersOfWhatADerivationEndedRunOnTheClocksThread) {
  for (int round = 0; round < 200; ++round) {
    const Scope soon = WithTimeout(ctx_background(), 50 * kMicrosecond);
    Callback waker;
    const bool armed = waker.Arm(soon, CTX_WAKER) == 0;
    while (ctx_err(soon) == 0) WithTimeout(soon, kHour);
    ASSERT_TRUE(waker.WaitRun());
    EXPECT_TRUE(!armed || waker.thread_name() == "ctx-loop") << waker.thread_name();
  }
}

// The last handle of a loop that its host has ceased to drive.
TEST(CallbackLane, Rule39_WakersThatWaitForADispatchRunWhenTheLoopIsGivenUp) {
  ManualLoop manual;
  const Scope soon = WithTimeout(manual.root, kMillisecond);
  Callback waker;
  EXPECT_EQ(waker.Arm(soon, CTX_WAKER), 0);
  EXPECT_TRUE(Done(soon));
  EXPECT_EQ(waker.runs(), 0);
  manual.loop.reset();
  EXPECT_EQ(waker.runs(), 1);
}

// The loop lives as long as the callback, which was the last to know it.
TEST(CallbackLane, Rule39_TheLaneKeepsTheLoopOfWhatItRuns) {
  const size_t before = Tasks("ctx-loop").size();
  Gate begun, gate;
  Callback callback([&](ctx_t* ctx) {
    begun.Open();
    EXPECT_TRUE(gate.Wait());
    EXPECT_GE(ctx_now(ctx), 0);
    EXPECT_EQ(ctx_err(ctx), CTX_DEADLINE_EXCEEDED);
  });
  {
    const Loop loop = NewLoop(CTX_LOOP_THREAD);
    const Scope scope = WithTimeout(LoopBackground(loop), kMillisecond);
    EXPECT_GE(callback.Arm(scope, CTX_BLOCKING | CTX_DEFER), 0);
    EXPECT_TRUE(begun.Wait());
  }
  EXPECT_EQ(Tasks("ctx-loop").size(), before + 1);
  gate.Open();
  EXPECT_TRUE(callback.WaitDrop());
  EXPECT_TRUE(Soon([&] { return Tasks("ctx-loop").size() == before; }));
}

// The last handle goes inside the last callback.
TEST(CallbackLane, Rule39_ALoopMayEndInItsOwnLastCallback) {
  for (const int kind : {CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL, CTX_LOOP_THREAD}) {
    const Pipe pipe;
    Loop loop = NewLoop(kind);
    Scope scope = WithFd(LoopBackground(loop), pipe.read_end, POLLIN);
    ctx_loop_t* const raw = loop;
    Callback deferred;
    Gate armed, over;
    AfterFunc(
        scope, [](ctx_t*, void* arg) { (*static_cast<std::function<void()>*>(arg))(); },
        new std::function<void()>([&] {
          EXPECT_TRUE(armed.Wait());
          scope.reset();
          loop.reset();
        }),
        0, [](void* arg) { delete static_cast<std::function<void()>*>(arg); });
    deferred.Arm(scope, CTX_DEFER);
    armed.Open();
    pipe.Write();
    if (kind == CTX_LOOP_MANUAL) {
      while (deferred.drops() == 0 && Readable(ctx_loop_fd(raw), kLimitMs)) ctx_loop_dispatch(raw);
    } else if (kind == CTX_LOOP_VIRTUAL) {
      EXPECT_EQ(ctx_loop_advance(raw, 0), 1);
    }
    EXPECT_TRUE(deferred.WaitDrop());
    EXPECT_FALSE(loop);
  }
}

// Rule 30: the waker's was the last reference, and it is the clock's thread that ran it.
TEST(CallbackLane, Rule30_AValueIsNotDroppedByTheThreadOfTheWaker) {
  Drop drop;
  Callback waker;
  const Pipe pipe;
  {
    const Ctx value = Watched(ctx_background(), &drop);
    const Scope scope = WithFd(value, pipe.read_end, POLLIN);
    const Ctx below = Watched(scope, &drop);
    EXPECT_EQ(waker.Arm(below, CTX_WAKER), 0);
  }
  pipe.Write();
  EXPECT_TRUE(drop.Wait(2));
  EXPECT_EQ(drop.thread_name(), "ctx-calls");
}

TEST(CallbackLane, Rule43_FlagsThatDoNotGoTogetherAreRefused) {
  const Scope scope = WithCancel(ctx_background());
  for (const uint32_t flags : {CTX_WAKER | CTX_DEFER, CTX_WAKER | CTX_BLOCKING, UINT32_C(8),
                               UINT32_C(128), UINT32_C(256), UINT32_C(257)}) {
    Callback callback;
    EXPECT_EQ(callback.Arm(scope, flags), -EINVAL) << flags;
    EXPECT_EQ(callback.drops(), 0);
  }
}

// A thread pool of a program's own, with one thread, that can refuse.
class Pool {
 public:
  Pool() : thread_([this] { Run(); }) {}
  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  static int Post(void* self, void (*run)(void*), void* work) {
    auto* const pool = static_cast<Pool*>(self);
    if (pool->refuses) return -EAGAIN;
    {
      std::lock_guard<std::mutex> lock(pool->mutex_);
      pool->works_.emplace_back(run, work);
    }
    pool->changed_.notify_all();
    return 0;
  }

  // For a loop that needs it no more.
  static void Over(void* self) { static_cast<Pool*>(self)->over.Add(); }

  std::thread::id id() const { return thread_.get_id(); }
  std::atomic<bool> refuses{false};
  Counter over;

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return over_ || !works_.empty(); });
      if (works_.empty()) return;
      const auto [run, work] = works_.front();
      works_.pop_front();
      lock.unlock();
      run(work);
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<void (*)(void*), void*>> works_;
  bool over_ = false;
  std::thread thread_;
};

struct PooledLoop {
  Pool pool;
  Loop loop = NewLoop(CTX_LOOP_THREAD);
  Ctx root = LoopBackground(loop);
  PooledLoop() { EXPECT_EQ(ctx_loop_set_executor(loop, Pool::Post, &pool, Pool::Over), 0); }
  ~PooledLoop() {
    root.reset();
    loop.reset();
    EXPECT_TRUE(pool.over.WaitFor(1));
  }
};

TEST(Executor, Rule24_RunsWhatTheLoopSetsOffAndWhatIsDeferred) {
  PooledLoop mine;
  const Scope timed = WithTimeout(mine.root, kMillisecond), scope = WithCancel(mine.root);
  Callback plain, blocking, deferred, inline_one;
  plain.Arm(timed, CTX_DEFER);
  blocking.Arm(timed, CTX_BLOCKING | CTX_DEFER);
  deferred.Arm(scope, CTX_DEFER);
  inline_one.Arm(scope);
  scope.Cancel();
  ASSERT_TRUE(plain.WaitDrop() && blocking.WaitDrop() && deferred.WaitDrop());
  EXPECT_EQ(plain.thread(), mine.pool.id());
  EXPECT_EQ(blocking.thread(), mine.pool.id());
  EXPECT_EQ(deferred.thread(), mine.pool.id());
  EXPECT_EQ(inline_one.thread(), std::this_thread::get_id());
}

TEST(Executor, Rule24_WhatItRefusesTheLoopRuns) {
  PooledLoop mine;
  mine.pool.refuses = true;
  const Scope scope = WithCancel(mine.root);
  Callback deferred;
  deferred.Arm(scope, CTX_DEFER);
  scope.Cancel();
  ASSERT_TRUE(deferred.WaitDrop());
  EXPECT_EQ(deferred.thread_name(), "ctx-calls");
}

// Runs at once, on the thread that posts.
int PostInline(void*, void (*run)(void*), void* work) {
  run(work);
  return 0;
}

TEST(Executor, Rule05_WhatACallbackCancelsRunsWhereverItRan) {
  Pool refusing;
  refusing.refuses = true;
  for (const bool inlined : {false, true}) {
    const Loop loop = NewLoop(CTX_LOOP_THREAD);
    EXPECT_EQ(ctx_loop_set_executor(loop, inlined ? PostInline : Pool::Post, &refusing, Pool::Over),
              0);
    const Ctx root = LoopBackground(loop);
    const Scope scope = WithCancel(root), other = WithCancel(root), third = WithCancel(root);
    Recorder recorder;
    Callback over;
    recorder.Arm(scope, 1, CTX_DEFER, [&](ctx_t*) { other.Cancel(); });
    recorder.Arm(scope, 3, CTX_DEFER, [&](ctx_t*) { third.Cancel(); });
    recorder.Arm(other, 2);
    over.Arm(third);
    scope.Cancel();
    EXPECT_TRUE(over.WaitDrop());
    EXPECT_EQ(over.thread_name(), "ctx-calls");
    EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2, 3}));
  }
  EXPECT_TRUE(refusing.over.WaitFor(2));
}

// A pool of several threads, whose work comes back in any order and when the loop may be gone.
TEST(Executor, Rule24_ManyThreadsRunWhatIsStoppedCanceledAndGivenBackMeanwhile) {
  constexpr int kRounds = 30;
  struct Pools {
    Pool pools[3];
    std::atomic<unsigned> next{0};
    Counter over;
    static void Over(void* self) { static_cast<Pools*>(self)->over.Add(); }
    static int Post(void* self, void (*run)(void*), void* work) {
      auto* const pools = static_cast<Pools*>(self);
      const unsigned number = pools->next++;
      if (number % 7 == 0) return -EAGAIN;
      if (number % 7 == 1) return PostInline(nullptr, run, work);
      return Pool::Post(&pools->pools[number % 3], run, work);
    }
  } pools;
  for (int round = 0; round < kRounds; ++round) {
    std::deque<Callback> callbacks;
    int stopped = 0;
    {
      const Loop loop = NewLoop(CTX_LOOP_THREAD);
      EXPECT_EQ(ctx_loop_set_executor(loop, Pools::Post, &pools, Pools::Over), 0);
      const Ctx root = LoopBackground(loop);
      const Scope scope = WithTimeout(root, kMillisecond);
      for (int i = 0; i < 40; ++i) {
        callbacks.emplace_back();
        EXPECT_GE(callbacks.back().Arm(scope, CTX_DEFER | (i % 2 == 0 ? CTX_BLOCKING : 0)), 0);
      }
      scope.Cancel();
      for (int i = 0; i < 40; i += 3) stopped += callbacks[static_cast<size_t>(i)].StopWait();
    }
    int ran = 0;
    for (Callback& callback : callbacks) {
      EXPECT_TRUE(callback.WaitDrop());
      ran += callback.runs();
    }
    EXPECT_EQ(ran + stopped, 40);
  }
  EXPECT_TRUE(pools.over.WaitFor(kRounds));
}

// The loop keeps it as long as work of it may come or run.
TEST(Executor, Rule24_IsDroppedOnceWhenTheLoopNeedsItNoMore) {
  Drop first, second;
  Pool pool;
  Gate begun, gate;
  Callback callback([&](ctx_t*) {
    begun.Open();
    EXPECT_TRUE(gate.Wait());
  });
  static Pool* const to = &pool;
  const auto post = [](void*, void (*run)(void*), void* work) { return Pool::Post(to, run, work); };
  {
    const Loop loop = NewLoop(CTX_LOOP_THREAD);
    EXPECT_EQ(ctx_loop_set_executor(loop, nullptr, &first, Drop::Run), -EINVAL);
    EXPECT_EQ(ctx_loop_set_executor(loop, post, &first, Drop::Run), 0);
    EXPECT_EQ(ctx_loop_set_executor(loop, post, &second, Drop::Run), 0);
    EXPECT_EQ(first.count(), 1);
    const Scope scope = WithCancel(LoopBackground(loop));
    callback.Arm(scope, CTX_DEFER);
    EXPECT_EQ(ctx_loop_set_executor(loop, post, &first, Drop::Run), -EBUSY);
    scope.Cancel();
    ASSERT_TRUE(begun.Wait());
  }
  EXPECT_EQ(second.count(), 0);
  gate.Open();
  ASSERT_TRUE(second.Wait());
  EXPECT_TRUE(callback.WaitDrop());
  EXPECT_EQ(first.count(), 1);
}

TEST(Executor, Rule26_WhatWaitsInItCanBeStopped) {
  PooledLoop mine;
  Gate gate;
  Gate begun;
  const Scope scope = WithCancel(mine.root);
  Callback first([&](ctx_t*) {
    begun.Open();
    EXPECT_TRUE(gate.Wait());
  });
  Callback second;
  first.Arm(scope, CTX_DEFER);
  second.Arm(scope, CTX_DEFER);
  scope.Cancel();
  ASSERT_TRUE(begun.Wait());
  EXPECT_EQ(second.StopWait(), 1);
  EXPECT_EQ(second.drops(), 1);
  gate.Open();
  EXPECT_TRUE(first.WaitDrop());
  EXPECT_EQ(second.runs(), 0);
}

TEST(Executor, Rule41_IsRefusedWhereItComesTooLateOrHasNothingToDo) {
  const VirtualLoop test;
  const ManualLoop manual;
  Pool pool;
  EXPECT_EQ(ctx_loop_set_executor(test.loop, Pool::Post, &pool, nullptr), -ENOTSUP);
  EXPECT_EQ(ctx_loop_set_executor(manual.loop, Pool::Post, &pool, nullptr), -ENOTSUP);
  EXPECT_EQ(ctx_loop_set_executor(nullptr, Pool::Post, &pool, nullptr), -EINVAL);
  const Loop loop = NewLoop(CTX_LOOP_THREAD);
  EXPECT_EQ(ctx_loop_set_executor(loop, nullptr, &pool, nullptr), -EINVAL);
  EXPECT_EQ(ctx_loop_set_executor(loop, Pool::Post, &pool, nullptr), 0);
  const Ctx root = LoopBackground(loop);
  const Scope timed = WithTimeout(root, kHour);
  EXPECT_EQ(ctx_loop_set_executor(loop, Pool::Post, &pool, nullptr), -EBUSY);
}

}  // namespace
}  // namespace ctxtest
