// SPDX-License-Identifier: MIT
//
// A loop with threads of its own: as the default one (rules 16, 17 and 24), but it comes and goes with
// the program's handles and contexts (rule 39).
#include <signal.h>

#include <deque>
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

struct ThreadLoop {
  Loop loop = NewLoop(CTX_LOOP_THREAD);
  Ctx root = LoopBackground(loop);
};

size_t Threads() { return Tasks("ctx-").size(); }

TEST(ThreadLoop, ADeadlineFires) {
  const ThreadLoop own;
  const Scope timed = WithTimeout(own.root, 2 * kMillisecond);
  const Scope below = WithCancel(timed);
  EXPECT_TRUE(Done(below));
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
  EXPECT_LE(ctx_remaining(timed), 0) << "rule 16: never early";
}

TEST(ThreadLoop, Rule24_CallbacksRunOnItsCallbackThread) {
  const ThreadLoop own;
  const Scope scope = WithCancel(own.root), of_background = WithCancel(ctx_background());
  Callback deferred, at_once, of_default;
  deferred.Arm(scope, CTX_DEFER);
  at_once.Arm(scope);
  of_default.Arm(of_background, CTX_DEFER);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(of_background.Cancel(), 1);
  EXPECT_EQ(at_once.thread(), std::this_thread::get_id());
  std::deque<Callback> on_time(1);
  for (int64_t timeout = 10 * kMillisecond; on_time.back().Arm(WithTimeout(own.root, timeout)) == 1;
       timeout *= 2) {
    on_time.emplace_back();  // that one was armed too late, and ran here
  }
  Callback& on_timed = on_time.back();
  for (Callback* callback : {&on_timed, &deferred, &of_default}) {
    ASSERT_TRUE(callback->WaitRun());
    EXPECT_EQ(callback->thread_name(), "ctx-calls");
  }
  EXPECT_EQ(on_timed.thread(), deferred.thread());
  EXPECT_NE(on_timed.thread(), of_default.thread());
}

void StartTwoLoops() {
  const ThreadLoop one, other;
  const Scope plain = WithCancel(one.root), merged = Merge({plain, plain});
  EXPECT_EQ(Threads(), 0u) << "none before the first deadline";
  const Scope timed = WithTimeout(one.root, kHour), again = WithTimeout(one.root, kHour);
  EXPECT_EQ(Threads(), 2u) << "ctx-loop and ctx-calls";
  Callback deferred;
  deferred.Arm(WithCancel(other.root), CTX_DEFER);
  EXPECT_EQ(Threads(), 4u) << "the other's, and none of the default loop";
  EXPECT_EQ(Tasks("ctx-loop").size(), 2u);
  const uint64_t ours = uint64_t{1} << (SIGUSR1 - 1) | uint64_t{1} << (SIGTERM - 1);
  for (const Task& task : Tasks("ctx-")) EXPECT_EQ(task.blocked_signals & ours, ours);
}

TEST(ThreadLoop, TwoThreadsOfItsOwnStartWhenTheyAreNeeded) { CTX_IN_NEW_PROCESS(StartTwoLoops()); }

TEST(ThreadLoop, Rule17_DeadlinesFireInTheirOrder) {
  constexpr int kDeadlines = 60;
  const ThreadLoop own;
  for (int64_t lead = 30 * kMillisecond;; lead *= 2) {
    Recorder recorder;
    std::vector<Scope> timed;
    std::vector<int> expected;
    const int64_t start = ctx_now(own.root) + lead;
    for (int i = 0; i < kDeadlines; ++i) {
      const int place = i * 7 % kDeadlines;
      timed.push_back(WithDeadline(own.root, start + place * kMillisecond));
      recorder.Arm(timed.back(), place, CTX_DEFER);
      expected.push_back(i);
    }
    const bool set_in_time = ctx_now(own.root) < start;
    for (const Scope& scope : timed) ASSERT_TRUE(Done(scope));
    ASSERT_TRUE(Soon([&] { return recorder.runs() == kDeadlines; }));
    if (!set_in_time) continue;  // some were due before others were there
    EXPECT_EQ(recorder.order(), expected);
    break;
  }
}

// A loop may keep the timers of each processor apart: what comes due together, or late, is put in order.
TEST(ThreadLoop, Rule17_SetByThreadsOnDifferentProcessors) {
  constexpr int kThreads = 3, kMany = 1'200;
  const ThreadLoop own;
  Recorder recorder;
  std::vector<Scope> timed(kMany);
  std::vector<std::thread> threads;
  const int64_t start = ctx_now(own.root) + 100 * kMillisecond;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const Pin pin(t);
      for (int i = kMany - 1 - t; i >= 0; i -= kThreads) {
        timed[static_cast<size_t>(i)] = WithDeadline(own.root, start + i * 70 * kMicrosecond);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<int> expected;
  for (int i = 0; i < kMany; ++i) {
    // On one that is done already it runs in its turn as well, for it is deferred.
    recorder.Arm(timed[static_cast<size_t>(i)], i, CTX_DEFER);
    expected.push_back(i);
  }
  EXPECT_TRUE(Soon([&] { return recorder.runs() == kMany; }));
  EXPECT_EQ(recorder.order(), expected);
}

TEST(ThreadLoop, ACallbackThatBlocksDelaysNoDeadlineAndNoOtherLoop) {
  const ThreadLoop blocked, other;
  Gate inside, go_on;
  bool went_on = false;
  Callback blocking([&](ctx_t*) {
    inside.Open();
    went_on = go_on.Wait();
  });
  Callback on_other, on_default;
  const Scope first = WithTimeout(blocked.root, kMillisecond);
  blocking.Arm(first, CTX_DEFER);
  ASSERT_TRUE(inside.Wait());
  EXPECT_TRUE(Done(WithTimeout(blocked.root, kMillisecond)));
  on_other.Arm(WithTimeout(other.root, kMillisecond), CTX_DEFER);
  on_default.Arm(WithTimeout(ctx_background(), kMillisecond), CTX_DEFER);
  EXPECT_TRUE(on_other.WaitRun());
  EXPECT_TRUE(on_default.WaitRun());
  go_on.Open();
  EXPECT_TRUE(blocking.WaitDrop());
  EXPECT_TRUE(went_on);
}

TEST(ThreadLoop, Rule39_ItGoesOnWithoutItsHandleForItsContexts) {
  ThreadLoop own;
  const Scope timed = WithTimeout(own.root, 20 * kMillisecond), plain = WithCancel(own.root);
  own.loop.reset();
  EXPECT_EQ(ctx_err(plain), 0);
  const Scope later = WithTimeout(plain, 5 * kMillisecond);
  Callback on_later;
  on_later.Arm(later);
  EXPECT_TRUE(Done(timed));
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
  EXPECT_TRUE(on_later.WaitRun());
  EXPECT_EQ(plain.Cancel(), 1);
  own.root.reset();
  EXPECT_TRUE(Done(WithTimeout(plain, kMillisecond)));
}

void ReleaseInAnyOrder() {
  const size_t descriptors = OpenDescriptors();
  for (int order = 0; order < 6; ++order) {
    ThreadLoop own;
    Scope timed = WithTimeout(own.root, kHour);
    EXPECT_EQ(Threads(), 2u);
    const std::function<void()> release[] = {[&] { own.loop.reset(); }, [&] { own.root.reset(); },
                                             [&] { timed.reset(); }};
    release[order % 3]();
    release[(order + 1 + order / 3) % 3]();
    EXPECT_EQ(Threads(), 2u) << "one is left";
    release[(order + 2 - order / 3) % 3]();
    EXPECT_TRUE(Soon([&] { return Threads() == 0; })) << order;
    EXPECT_TRUE(Soon([&] { return OpenDescriptors() == descriptors; })) << order;
  }
}

TEST(ThreadLoop, Rule39_ItsThreadsEndWithTheLastHandleAndContext) {
  CTX_IN_NEW_PROCESS(ReleaseInAnyOrder());
}

// The last reference is an armed callback's, and goes on the loop's own thread.
void EndOnItsOwnThread() {
  for (int64_t timeout : {int64_t{0}, kMillisecond, 20 * kMillisecond}) {
    for (uint32_t flags : {uint32_t{0}, CTX_DEFER}) {
      Drop drop;
      Callback callback;
      {
        ThreadLoop own;
        callback.Arm(WithTimeout(Watched(own.root, &drop), timeout), flags);
      }
      EXPECT_TRUE(callback.WaitDrop());
      EXPECT_EQ(callback.runs(), 1) << "never silently lost";
      callback.Disarm();
      EXPECT_TRUE(drop.Wait());
      EXPECT_NE(drop.thread_name(), "ctx-loop") << "rule 30";
      EXPECT_TRUE(Soon([&] { return Threads() == 0; }));
    }
  }
}

TEST(ThreadLoop, Rule39_ItMayEndOnItsOwnThread) { CTX_IN_NEW_PROCESS(EndOnItsOwnThread()); }

// The callback gives back the last handles of the loop it runs on.
void EndInsideACallback() {
  auto own = std::make_unique<ThreadLoop>();
  Scope timed = WithTimeout(own->root, kMillisecond);
  Gate armed;
  Callback callback([&](ctx_t* ctx) {
    EXPECT_TRUE(armed.Wait());
    timed.reset();
    own.reset();
    EXPECT_EQ(ctx_err(ctx), CTX_DEADLINE_EXCEEDED) << "borrowed for the length of the call";
    EXPECT_EQ(ctx_err(WithTimeout(ctx, kHour)), CTX_DEADLINE_EXCEEDED);
  });
  callback.Arm(timed, CTX_DEFER);
  armed.Open();
  EXPECT_TRUE(callback.WaitDrop());
  callback.Disarm();
  EXPECT_TRUE(Soon([&] { return Threads() == 0; }));
}

TEST(ThreadLoop, Rule39_ItMayEndInsideACallbackOfItsOwn) {
  CTX_IN_NEW_PROCESS(EndInsideACallback());
}

void Churn() {
  const size_t descriptors = OpenDescriptors();
  const auto churn = [] {
    for (int i = 0; i < (kSanitized ? 40 : 150); ++i) {
      ThreadLoop own;
      const Scope timed = WithTimeout(own.root, i % 3 == 0 ? 50 * kMicrosecond : kHour);
      if (i % 2 == 0) own.loop.reset();
      Callback callback;
      callback.Arm(timed, i % 4 < 2 ? CTX_DEFER : 0);
      if (i % 3 == 0 && !callback.WaitRun()) ADD_FAILURE() << "lost";
    }
  };
  std::thread other(churn);
  churn();
  other.join();
  EXPECT_TRUE(Soon([&] { return Threads() == 0; }));
  EXPECT_TRUE(Soon([&] { return OpenDescriptors() == descriptors; }));
}

TEST(ThreadLoop, ManyComeAndGoAndLeaveNothing) { CTX_IN_NEW_PROCESS(Churn()); }

TEST(ThreadLoop, ALoopThatNeverStartedLeavesNothing) {
  const size_t descriptors = OpenDescriptors();
  Drop drop;
  {
    ThreadLoop own;
    const Scope scope = WithCancel(Watched(own.root, &drop));
    own.loop.reset();
    EXPECT_EQ(scope.Cancel(), 1);
  }
  EXPECT_EQ(drop.count(), 1);
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

}  // namespace
}  // namespace ctxtest
