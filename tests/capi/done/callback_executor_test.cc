// SPDX-License-Identifier: MIT
//
// Rule 24: an executor of the program's own runs the callbacks of a threaded loop.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/held.h"
#include "support/loops.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

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

  // The drop of the executor.
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
  Loop loop = NewLoopWith(Pool::Post, &pool, Pool::Over);
  Ctx root = LoopBackground(loop);
  ~PooledLoop() {
    root.reset();
    loop.reset();
    EXPECT_TRUE(pool.over.WaitFor(1));
  }
};

TEST(CallbackExecutor, Rule24_RunsWhatTheLoopSetsOffAndWhatIsDeferred) {
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

// The executor's threads have other work to do.
TEST(CallbackExecutor, Rule24_BlockingOnesThatItsCallbackCancelsRunOnTheLane) {
  PooledLoop mine;
  const Scope timed = WithTimeout(ctx_background(), kHour);  // so that the default loop has threads
  const Scope first = WithCancel(mine.root), second = WithCancel(ctx_background());
  Callback blocking, cancels([&](ctx_t*) { EXPECT_EQ(second.Cancel(), 1); });
  blocking.Arm(second, CTX_BLOCKING);
  cancels.Arm(first, CTX_DEFER);
  first.Cancel();
  ASSERT_TRUE(blocking.WaitDrop());
  EXPECT_TRUE(cancels.WaitDrop());
  EXPECT_EQ(blocking.thread_name(), "ctx-lane");
}

TEST(CallbackExecutor, Rule24_WhatItRefusesTheLoopRuns) {
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

TEST(CallbackExecutor, Rule05_WhatACallbackCancelsRunsWhereverItRan) {
  Pool refusing;
  refusing.refuses = true;
  for (const bool inlined : {false, true}) {
    const Loop loop = NewLoopWith(inlined ? PostInline : Pool::Post, &refusing, Pool::Over);
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
TEST(CallbackExecutor, Rule24_ManyThreadsRunWhatIsStoppedCanceledAndGivenBackMeanwhile) {
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
      const Loop loop = NewLoopWith(Pools::Post, &pools, Pools::Over);
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

// The loop keeps the executor as long as work for it may come or run.
TEST(CallbackExecutor, Rule24_IsDroppedOnceWhenTheLoopNeedsItNoMore) {
  Drop drop;
  Pool pool;
  HeldCallback callback;
  static Pool* const to = &pool;
  const auto post = [](void*, void (*run)(void*), void* work) { return Pool::Post(to, run, work); };
  {
    const Loop loop = NewLoopWith(post, &drop, Drop::Run);
    const Scope scope = WithCancel(LoopBackground(loop));
    callback.Arm(scope, CTX_DEFER);
    scope.Cancel();
    ASSERT_TRUE(callback.begun.Wait());
  }
  EXPECT_EQ(drop.count(), 0);
  callback.go_on.Open();
  ASSERT_TRUE(drop.Wait());
  EXPECT_TRUE(callback.WaitDrop());
}

TEST(CallbackExecutor, Rule24_OfALoopThatNeverHadThreadsIsDroppedWithTheLoop) {
  Drop drop;
  Loop loop = NewLoopWith(PostInline, &drop, Drop::Run);
  Scope scope = WithCancel(LoopBackground(loop));
  loop.reset();
  EXPECT_EQ(drop.count(), 0);
  scope = Scope();
  EXPECT_EQ(drop.count(), 1);
}

TEST(CallbackExecutor, Rule26_WhatWaitsInItCanBeStopped) {
  PooledLoop mine;
  const Scope scope = WithCancel(mine.root);
  HeldCallback first;
  Callback second;
  first.Arm(scope, CTX_DEFER);
  second.Arm(scope, CTX_DEFER);
  scope.Cancel();
  ASSERT_TRUE(first.begun.Wait());
  EXPECT_EQ(second.StopWait(), 1);
  EXPECT_EQ(second.drops(), 1);
  first.go_on.Open();
  EXPECT_TRUE(first.WaitDrop());
  EXPECT_EQ(second.runs(), 0);
}

}  // namespace
}  // namespace ctxtest
