// SPDX-License-Identifier: MIT
//
// Rule 5: a cancel inside a callback marks and wakes before it returns, and what it sets off runs on the
// same thread when that callback has returned. So callbacks that cancel never nest.

#include <atomic>
#include <deque>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr int kLinks = 30'000;  // nested, they would need more stack than a thread has

// Contexts of which each one's callback cancels the next.
struct Chain {
  struct Link {
    Chain* chain;
    int index;
    ctx_t* ctx;
    ctx_canceler_t* canceler;
    ctx_watch_t* watch;
  };

  Chain(ctx_t* root, uint32_t flags) : links(kLinks) {
    for (int i = 0; i < kLinks; ++i) {
      Link& link = links[i];
      link.chain = this;
      link.index = i;
      EXPECT_EQ(ctx_with_cancel(root, &link.ctx, &link.canceler), 0);
      EXPECT_EQ(ctx_after_func(link.ctx, Run, &link, nullptr, flags, &link.watch), 0);
    }
  }
  ~Chain() {
    for (const Link& link : links) {
      ctx_watch_stop_wait(link.watch);  // on the lane it may still be returning
      ctx_watch_unref(link.watch);
      ctx_unref(link.ctx);
      ctx_canceler_unref(link.canceler);
    }
  }

  static void Run(ctx_t*, void* arg) {
    auto* const link = static_cast<Link*>(arg);
    Chain* const chain = link->chain;
    if (chain->ran++ != link->index) chain->in_order = false;
    if (link->index + 1 == kLinks) {
      chain->over.Open();
      return;
    }
    const Link& next = chain->links[link->index + 1];
    if (ctx_cancel(next.canceler) != 1 || ctx_err(next.ctx) == 0) chain->in_order = false;
  }

  std::vector<Link> links;
  int ran = 0;
  bool in_order = true;
  Gate over;
};

TEST(CallbackChain, Rule05_OfAnyLengthRunsBeforeTheOuterCancelReturns) {
  Chain chain(ctx_background(), 0);
  EXPECT_EQ(ctx_cancel(chain.links[0].canceler), 1);
  EXPECT_EQ(chain.ran, kLinks);
  EXPECT_TRUE(chain.in_order);
}

TEST(CallbackChain, Rule05_OfAnyLengthRunsOnTheCallbackThread) {
  Chain chain(ctx_background(), CTX_DEFER);
  EXPECT_EQ(ctx_cancel(chain.links[0].canceler), 1);
  ASSERT_TRUE(chain.over.Wait());
  EXPECT_TRUE(chain.in_order);
}

TEST(CallbackChain, Rule05_OfAnyLengthRunsOnTheLane) {
  Chain chain(ctx_background(), CTX_DEFER | CTX_BLOCKING);
  EXPECT_EQ(ctx_cancel(chain.links[0].canceler), 1);
  ASSERT_TRUE(chain.over.Wait());
  EXPECT_TRUE(chain.in_order);
}

TEST(CallbackChain, Rule05_OfAnyLengthRunsInOneAdvance) {
  const VirtualLoop test;
  Chain chain(test.root, 0);
  const Scope first = WithTimeout(test.root, 1);
  Callback start([&](ctx_t*) { ctx_cancel(chain.links[0].canceler); });
  start.Arm(first);
  EXPECT_EQ(test.Advance(1), 1);
  EXPECT_EQ(chain.ran, kLinks);
  EXPECT_TRUE(chain.in_order);
}

TEST(CallbackChain, Rule05_OfAnyLengthStartsInADrop) {
  Chain chain(ctx_background(), 0);
  ctx_watch_t* watch = nullptr;
  const Scope scope = WithCancel(ctx_background());
  ctx_after_func(
      scope, [](ctx_t*, void*) {}, &chain,
      [](void* arg) { ctx_cancel(static_cast<Chain*>(arg)->links[0].canceler); }, 0, &watch);
  EXPECT_EQ(ctx_watch_stop(watch), 1);
  ctx_watch_unref(watch);
  EXPECT_EQ(chain.ran, kLinks);
}

TEST(CallbackChain, Rule05_WhatACallbackCancelsRunsBeforeTheNextCallback) {
  const Scope scope = WithCancel(ctx_background()), other = WithCancel(ctx_background());
  Recorder recorder;
  recorder.Arm(scope, 1, 0, [&](ctx_t*) {
    EXPECT_EQ(other.Cancel(), 1);
    EXPECT_EQ(ctx_err(other), CTX_CANCELED);
    EXPECT_EQ(recorder.runs(), 1);
  });
  recorder.Arm(scope, 3);
  recorder.Arm(other, 2);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2, 3}));
}

// As if it had been called there: before the callbacks that an earlier cancel of the same turn has left.
TEST(CallbackChain, Rule05_WhatACallbackCancelsRunsBeforeWhatWaitsAlready) {
  const Scope scope = WithCancel(ctx_background()), other = WithCancel(ctx_background()),
              third = WithCancel(ctx_background());
  Recorder recorder;
  recorder.Arm(scope, 1, 0, [&](ctx_t*) { other.Cancel(); });
  recorder.Arm(other, 2, 0, [&](ctx_t*) { third.Cancel(); });
  recorder.Arm(other, 5);
  recorder.Arm(third, 3);
  recorder.Arm(third, 4);
  recorder.Arm(scope, 6);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2, 3, 4, 5, 6}));
}

// Each is stopped from where it waits: at the front, in the middle, at the end, and alone.
TEST(CallbackChain, Rule26_WhatWaitsIsStoppedWhereverItStands) {
  for (int first = 0; first < 4; ++first) {
    const Scope scope = WithCancel(ctx_background()), other = WithCancel(ctx_background()),
                third = WithCancel(ctx_background());
    Recorder recorder;
    std::deque<Callback> waiting;
    recorder.Arm(scope, 1, 0, [&](ctx_t*) {
      other.Cancel();
      third.Cancel();
      for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(waiting[static_cast<size_t>(first + i) % 4].StopWait(), 1);
      }
    });
    int ran = -1;
    for (int i = 0; i < 4; ++i) {
      waiting.emplace_back([&ran, i](ctx_t*) { ran = i; });
      waiting.back().Arm(i < 2 ? other : third);
    }
    recorder.Arm(third, 2);
    EXPECT_EQ(scope.Cancel(), 1);
    EXPECT_EQ(ran, (first + 3) % 4);
    EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2}));
  }
}

// A callback runs inside another one if it is registered there on a context that is done. The callbacks that it sets
// off follow it.
TEST(CallbackChain, Rule05_WhatAnInnerCallbackCancelsRunsAsSoonAsThatReturns) {
  const Scope scope = WithCancel(ctx_background()), other = WithCancel(ctx_background());
  Recorder recorder;
  recorder.Arm(other, 3);
  Callback inner([&](ctx_t*) {
    other.Cancel();
    EXPECT_EQ(recorder.order(), (std::vector<int>{1}));
  });
  recorder.Arm(scope, 1, 0, [&](ctx_t*) {
    EXPECT_EQ(inner.Arm(scope), 1);
    EXPECT_EQ(recorder.order(), (std::vector<int>{1, 3}));
  });
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(inner.runs(), 1);
}

TEST(CallbackChain, Rule05_WhatAnInnerAdvanceSetsOffRunsBeforeItReturns) {
  const VirtualLoop test;
  const Scope scope = WithCancel(ctx_background()), other = WithCancel(ctx_background());
  const Scope timed = WithTimeout(test.root, 1);
  Callback last, cancels([&](ctx_t*) { other.Cancel(); });
  last.Arm(other);
  cancels.Arm(timed);
  Callback outer([&](ctx_t*) {
    EXPECT_EQ(test.Advance(1), 1);
    EXPECT_EQ(last.runs(), 1);
  });
  outer.Arm(scope);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(outer.runs(), 1);
}

// A drop that the loop runs, of a value or of a callback's argument, is users' code as well.
TEST(CallbackChain, Rule05_WhatADropOfTheLoopsCancelsRuns) {
  static const ctx_key_t key = {"key"};
  const Scope other = WithCancel(ctx_background());
  Callback set_off;
  set_off.Arm(other);
  const VirtualLoop test;
  {
    const auto cancels = [](void* arg) { ctx_cancel(static_cast<ctx_canceler_t*>(arg)); };
    const Scope timed = WithTimeout(WithValue(test.root, &key, other.canceler.get(), cancels), 1);
    AfterFunc(
        timed, [](ctx_t*, void*) {}, nullptr, CTX_WAKER);
  }
  EXPECT_EQ(test.Advance(1), 1);
  EXPECT_EQ(ctx_err(other), CTX_CANCELED);
  EXPECT_EQ(set_off.runs(), 1);
}

// On a loop without threads the thread of the waker runs all.
void OfAnyLengthStartsInAWaker() {
  Chain chain(ctx_background(), 0);
  const Scope scope = WithCancel(ctx_background());
  Callback waker([&](ctx_t*) { ctx_cancel(chain.links[0].canceler); });
  waker.Arm(scope, CTX_WAKER);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(chain.ran, kLinks);
  EXPECT_TRUE(chain.in_order);
}
TEST(CallbackChain, Rule05_OfAnyLengthStartsInAWaker) {
  CTX_IN_NEW_PROCESS(OfAnyLengthStartsInAWaker());
}

// Wakers must not cancel, but those of a bridge to another library may have to.
TEST(CallbackChain, Rule05_OfAnyLengthOfWakers) {
  for (const bool by_loop : {false, true}) {
    Chain chain(ctx_background(), CTX_WAKER);
    const Pipe pipe;
    const Scope scope = WithFd(ctx_background(), pipe.read_end, POLLIN);
    Callback waker([&](ctx_t*) { ctx_cancel(chain.links[0].canceler); });
    EXPECT_EQ(waker.Arm(scope, CTX_WAKER), 0);
    if (by_loop) {
      pipe.Write();
    } else {
      EXPECT_EQ(scope.Cancel(), 1);
    }
    ASSERT_TRUE(chain.over.Wait());
    EXPECT_TRUE(chain.in_order);
  }
}

TEST(CallbackChain, Rule24_WhatAWakerCancelsTheLoopCallsBack) {
  const Pipe pipe;
  const Scope scope = WithFd(ctx_background(), pipe.read_end, POLLIN);
  const Scope second = WithCancel(ctx_background()), third = WithCancel(ctx_background());
  Callback after_second, after_third;
  after_second.Arm(second);
  after_third.Arm(third);
  Callback by_loop([&](ctx_t*) { EXPECT_EQ(second.Cancel(), 1); });
  EXPECT_EQ(by_loop.Arm(scope, CTX_WAKER), 0);
  pipe.Write();
  ASSERT_TRUE(after_second.WaitDrop());
  EXPECT_EQ(after_second.thread_name(), "ctx-calls");
  EXPECT_TRUE(by_loop.WaitDrop());

  const Scope fourth = WithCancel(ctx_background());
  Callback inline_one([&](ctx_t*) { EXPECT_EQ(third.Cancel(), 1); });
  inline_one.Arm(fourth, CTX_WAKER);
  EXPECT_EQ(fourth.Cancel(), 1);
  ASSERT_TRUE(after_third.WaitDrop());
  EXPECT_EQ(after_third.thread_name(), "ctx-calls");
}

TEST(CallbackChain, Rule24_WhatAWakerCancelsOnAManualLoopItsHostCallsBack) {
  const ManualLoop manual;
  const Scope first = WithCancel(manual.root), second = WithCancel(manual.root);
  Callback plain, waker([&](ctx_t*) { EXPECT_EQ(second.Cancel(), 1); });
  waker.Arm(first, CTX_WAKER);
  plain.Arm(second);
  EXPECT_EQ(first.Cancel(), 1);
  EXPECT_EQ(ctx_err(second), CTX_CANCELED);
  EXPECT_EQ(plain.runs(), 0);
  ASSERT_TRUE(Readable(manual.Fd(), kLimitMs));
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(plain.runs(), 1);
}

// Many threads whose turns are in one table.
TEST(CallbackChain, Rule05_ThreadsDoNotMixTheirTurns) {
  constexpr int kThreads = 16, kRounds = 300;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const Scope scope = WithCancel(ctx_background()), other = WithCancel(ctx_background());
        Callback last, first([&](ctx_t*) {
          other.Cancel();
          std::this_thread::yield();
          if (last.runs() != 0) ++wrong;
        });
        first.Arm(scope);
        last.Arm(other);
        scope.Cancel();
        if (last.runs() != 1 || last.thread() != std::this_thread::get_id()) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(CallbackChain, Rule26_WhatACallbackCanceledCanStillBeStopped) {
  const Scope scope = WithCancel(ctx_background()), other = WithCancel(ctx_background());
  Callback prevented;
  prevented.Arm(other);
  Callback outer([&](ctx_t*) {
    EXPECT_EQ(other.Cancel(), 1);
    EXPECT_EQ(prevented.StopWait(), 1);
    EXPECT_EQ(prevented.drops(), 1);
  });
  outer.Arm(scope);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(outer.runs(), 1);
  EXPECT_EQ(prevented.runs(), 0);
}

TEST(CallbackChain, Rule26_AnotherThreadStopsWhatWaitsForTheOuterOne) {
  for (int round = 0; round < 300; ++round) {
    const Scope scope = WithCancel(ctx_background()), other = WithCancel(ctx_background());
    Callback contested;
    contested.Arm(other);
    StartLine line(2);
    int stopped = -1;
    std::thread stopper([&] {
      line.Meet();
      stopped = contested.StopWait();
    });
    Callback outer([&](ctx_t*) {
      other.Cancel();
      line.Meet();
    });
    outer.Arm(scope);
    EXPECT_EQ(scope.Cancel(), 1);
    stopper.join();
    EXPECT_EQ(stopped + contested.runs(), 1);
    EXPECT_EQ(contested.drops(), 1);
  }
}

TEST(CallbackChain, Rule05_WakesBeforeItReturns) {
  const Scope scope = WithCancel(ctx_background()), other = WithCancel(ctx_background());
  const int fd = ctx_done_fd(other);
  Callback outer([&](ctx_t*) {
    other.Cancel();
    EXPECT_TRUE(Readable(fd));
    EXPECT_EQ(ctx_wait(other, CTX_FOREVER), 1);
  });
  outer.Arm(scope);
  scope.Cancel();
  EXPECT_EQ(outer.runs(), 1);
}

}  // namespace
}  // namespace ctxtest
