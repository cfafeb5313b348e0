// SPDX-License-Identifier: MIT
//
// Rule 39 for the last handle of a manual or a virtual loop: nobody could drive it again, so it closes the
// loop and runs what was waiting for a dispatch. Contexts may outlive it.
#include <array>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/held.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr int kDriven[] = {CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL};

TEST(LoopLastHandle, Rule39_ClosesTheLoop) {
  for (int kind : kDriven) {
    Loop loop = NewLoop(kind);
    Loop second(ctx_loop_ref(loop));
    const Ctx root = LoopBackground(loop);
    const Scope scope = WithCancel(root), timed = WithTimeout(root, kHour);
    loop.reset();
    EXPECT_EQ(ctx_err(scope), 0);
    second.reset();
    for (ctx_t* ctx : {scope.ctx.get(), timed.ctx.get()}) {
      EXPECT_EQ(ctx_err(ctx), CTX_CANCELED);
      EXPECT_STREQ(ctx_cause_message(ctx_cause(ctx)), "loop closed");
    }
  }
}

TEST(LoopLastHandle, Rule39_ContextsOutliveIt) {
  for (int kind : kDriven) {
    Drop drop;
    Loop loop = NewLoop(kind);
    Ctx root = LoopBackground(loop);
    const bool is_virtual = kind == CTX_LOOP_VIRTUAL;
    EXPECT_EQ(ctx_loop_advance(loop, 77), is_virtual ? 0 : -ENOTSUP);
    Scope timed = WithTimeout(Watched(root, &drop), kHour);
    int64_t deadline = 0;
    EXPECT_EQ(ctx_deadline(timed, &deadline), 1);
    loop.reset();
    EXPECT_EQ(ctx_now(timed) == 77, is_virtual) << "it has a clock all the same";
    EXPECT_LE(ctx_remaining(timed), kHour);
    EXPECT_GT(ctx_describe(timed, nullptr, 0), 0);
    EXPECT_EQ(ctx_wait(timed, 0), 1);
    EXPECT_TRUE(Readable(ctx_done_fd(timed)));
    EXPECT_EQ(timed.Cancel(), 0);
    for (ctx_t* parent : {root.get(), timed.ctx.get()}) {
      EXPECT_EQ(ctx_err(WithCancel(parent)), CTX_CANCELED);
      EXPECT_EQ(ctx_err(WithTimeout(parent, 5)), CTX_CANCELED);
      EXPECT_EQ(ctx_err(WithGrace(parent, 5)), CTX_CANCELED);
      EXPECT_EQ(ctx_err(Merge({parent, root})), CTX_CANCELED);
    }
    EXPECT_EQ(ctx_err(root), 0);
    Callback callback;
    EXPECT_EQ(callback.Arm(timed), 1);
    callback.Disarm();
    EXPECT_EQ(drop.count(), 0);
    timed.reset();
    EXPECT_EQ(drop.count(), 1);
  }
}

TEST(LoopLastHandle, Rule39_TheLoopGoesWithItsLastContext) {
  const size_t before = OpenDescriptors();
  ManualLoop manual;
  Scope timed = WithTimeout(manual.root, kHour);
  EXPECT_GE(manual.Fd(), 0);
  EXPECT_GT(OpenDescriptors(), before);
  manual.loop.reset();
  manual.root.reset();
  timed.reset();
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(LoopLastHandle, Rule39_WhatWaitedForADispatchRunsOnThatThread) {
  for (int kind : kDriven) {
    Loop loop = NewLoop(kind);
    const Ctx root = LoopBackground(loop);
    const Scope canceled = WithCancel(root), live = WithTimeout(root, kHour);
    Callback waiting, at_once, deferred;
    waiting.Arm(canceled, CTX_DEFER);
    at_once.Arm(live);
    deferred.Arm(live, CTX_DEFER);
    canceled.Cancel();
    EXPECT_EQ(waiting.runs(), 0);
    std::thread::id releasing;
    std::thread other([&] {
      releasing = std::this_thread::get_id();
      loop.reset();
      EXPECT_EQ(waiting.runs() + at_once.runs() + deferred.runs(), 3) << "nothing is lost";
    });
    other.join();
    for (Callback* callback : {&waiting, &at_once, &deferred}) {
      EXPECT_EQ(callback->thread(), releasing);
      EXPECT_EQ(callback->drops(), 1);
    }
  }
}

TEST(LoopLastHandle, Rule39_CallbacksThatAWaiterLeftBehindRun) {
  ManualLoop manual;
  const Scope timed = WithTimeout(manual.root, kMillisecond);
  Callback callback;
  callback.Arm(timed);
  EXPECT_TRUE(Done(timed));
  EXPECT_EQ(callback.runs(), 0);
  manual.loop.reset();
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
}

// With nobody to dispatch, a callback that is to run there, and nowhere else, is refused.
TEST(LoopLastHandle, Rule39_WhatNobodyWouldRunIsRefused) {
  for (int kind : kDriven) {
    Loop loop = NewLoop(kind);
    const Scope scope = WithCancel(LoopBackground(loop));
    Callback first, refused, here;
    first.Arm(scope, CTX_DEFER);
    loop.reset();
    EXPECT_EQ(first.runs(), 1);
    EXPECT_EQ(refused.Arm(scope, CTX_DEFER), -ESHUTDOWN);
    EXPECT_EQ(refused.runs() + refused.drops(), 0) << "nothing was taken";
    EXPECT_EQ(here.Arm(scope), 1);
    EXPECT_EQ(here.runs(), 1);
  }
}

// Whatever is deferred while the last handle goes, by its callbacks or by another thread: what was
// accepted runs, once, and what was refused does not.
TEST(LoopLastHandle, Rule39_WhatIsDeferredMeanwhileRunsOrIsRefused) {
  for (int kind : kDriven) {
    Loop loop = NewLoop(kind);
    const Scope scope = WithCancel(LoopBackground(loop)), done = WithTimeout(scope, 0);
    Callback by_close, by_deferred;
    int accepted = 0;
    const auto defer = [&](Callback& callback) { accepted += callback.Arm(done, CTX_DEFER) == 1; };
    Callback at_once([&](ctx_t*) { defer(by_close); }),
        deferred([&](ctx_t*) { defer(by_deferred); });
    at_once.Arm(scope);
    deferred.Arm(scope, CTX_DEFER);
    loop.reset();
    EXPECT_EQ(at_once.runs() + deferred.runs(), 2);
    EXPECT_EQ(by_close.runs() + by_deferred.runs(), accepted);
  }
}

TEST(LoopLastHandle, Rule39_ADeferThatRacesWithTheLastHandleRunsOrIsRefused) {
  Loop loop;
  Scope live, done;
  int runs = 0, accepted = 0, wrong = 0, round = 0;
  std::array<int, 2> results{};
  const auto run = [](ctx_t*, void* arg) {
    __atomic_add_fetch(static_cast<int*>(arg), 1, __ATOMIC_RELAXED);
  };
  Stagger stagger(39);
  Race(
      Rounds(kSanitized ? 300 : 1500),
      [&] {
        loop = NewLoop(kDriven[++round % 2]);
        const Ctx root = LoopBackground(loop);
        live = WithCancel(root);
        done = WithTimeout(root, 0);
        runs = 0;
      },
      {[&] {
         stagger.Pass(4'000);
         loop.reset();
       },
       [&] {
         results[0] = ctx_after_func(live, run, &runs, nullptr, CTX_DEFER, nullptr);
         results[1] = ctx_after_func(done, run, &runs, nullptr, CTX_DEFER, nullptr);
       }},
      [&] {
        int expected = 0;
        for (int result : results) {
          wrong += result != 0 && result != 1 && result != -ESHUTDOWN;
          expected += result >= 0;
        }
        wrong += runs != expected;
        accepted += expected;
      });
  EXPECT_EQ(wrong, 0);
  RecordProperty("accepted", accepted);
}

// The loop is dispatched through its last handle, which its own callback gives back.
TEST(LoopLastHandle, Rule39_FromInsideItsOwnCallback) {
  for (int kind : kDriven) {
    for (bool contexts_too : {false, true}) {
      Drop drop;
      auto loop = std::make_unique<Loop>(NewLoop(kind));
      Ctx root = Watched(LoopBackground(*loop), &drop);
      Scope scope = WithCancel(root), live = WithTimeout(root, kHour);
      Recorder recorder;
      recorder.Arm(scope, 1, CTX_DEFER, [&](ctx_t* ctx) {
        loop.reset();
        EXPECT_EQ(ctx_err(live), CTX_CANCELED) << "closed";
        EXPECT_EQ(ctx_err(WithCancel(ctx)), CTX_CANCELED);
        if (!contexts_too) return;
        root.reset();
        scope.reset();
        live.reset();
      });
      recorder.Arm(scope, 2, CTX_DEFER);
      recorder.Arm(live, 3, CTX_DEFER);
      scope.Cancel();
      ctx_loop_t* const driven = *loop;
      EXPECT_EQ(kind == CTX_LOOP_MANUAL ? ctx_loop_dispatch(driven) : ctx_loop_advance(driven, 1),
                0);
      EXPECT_EQ(recorder.order(), (std::vector<int>{1, 2, 3})) << "nothing is lost";
      EXPECT_EQ(drop.count(), contexts_too ? 1 : 0);
    }
  }
}

// As above, where a deadline called back, with more of them due.
TEST(LoopLastHandle, Rule39_FromInsideTheCallbackOfADeadline) {
  auto loop = std::make_unique<Loop>(NewLoop(CTX_LOOP_VIRTUAL));
  const Ctx root = LoopBackground(*loop);
  std::vector<Scope> timed;
  Recorder recorder;
  for (int i = 1; i <= 10; ++i) {
    timed.push_back(WithTimeout(root, i));
    recorder.Arm(timed.back(), i, 0, [&, i](ctx_t*) {
      if (i == 4) loop.reset();
    });
  }
  EXPECT_EQ(ctx_loop_advance(*loop, 100), 4) << "the others were closed, not fired";
  EXPECT_EQ(recorder.runs(), 10);
  for (size_t i = 0; i < timed.size(); ++i) {
    EXPECT_EQ(ctx_err(timed[i]), i < 4 ? CTX_DEADLINE_EXCEEDED : CTX_CANCELED);
  }
}

TEST(LoopLastHandle, Rule39_WhileAnotherThreadDispatches) {
  for (int kind : kDriven) {
    Loop loop = NewLoop(kind);
    const Ctx root = LoopBackground(loop);
    const Scope scope = WithCancel(root), live = WithCancel(root);
    HeldCallback blocking;
    Callback next, on_live;
    blocking.Arm(scope, CTX_DEFER);
    next.Arm(scope, CTX_DEFER);
    on_live.Arm(live, CTX_DEFER);
    scope.Cancel();
    Loop driven(ctx_loop_ref(loop));
    std::thread host([&] {
      const int result =
          kind == CTX_LOOP_MANUAL ? ctx_loop_dispatch(driven) : ctx_loop_advance(driven, 1);
      EXPECT_EQ(result, 0);
      driven.reset();
    });
    EXPECT_TRUE(blocking.begun.Wait());
    loop.reset();  // not the last one: that goes with the dispatch
    EXPECT_EQ(ctx_err(live), 0);
    blocking.go_on.Open();
    host.join();
    EXPECT_EQ(next.runs(), 1);
    EXPECT_EQ(on_live.runs(), 1);
    EXPECT_EQ(ctx_err(live), CTX_CANCELED);
  }
}

TEST(LoopLastHandle, Rule39_ItWakesWaiters) {
  for (int kind : kDriven) {
    Loop loop = NewLoop(kind);
    const Scope scope = WithTimeout(LoopBackground(loop), kHour);
    std::thread waiter([&] { EXPECT_TRUE(Done(scope)); });
    loop.reset();
    waiter.join();
  }
}

TEST(LoopLastHandle, Rule39_HandlesThatGoOnManyThreadsCloseOnce) {
  std::vector<Loop> handles(3);
  Scope scope;
  Callback* callback = nullptr;
  std::unique_ptr<Callback> armed;
  int wrong = 0, round = 0;
  Race(
      Rounds(kSanitized ? 150 : 600),
      [&] {
        handles[0] = NewLoop(kDriven[++round % 2]);
        handles[1].reset(ctx_loop_ref(handles[0]));
        handles[2].reset(ctx_loop_ref(handles[0]));
        scope = WithCancel(LoopBackground(handles[0]));
        armed = std::make_unique<Callback>();
        callback = armed.get();
        callback->Arm(scope, CTX_DEFER);
      },
      {[&] { handles[0].reset(); }, [&] { handles[1].reset(); }, [&] { handles[2].reset(); }},
      [&] {
        wrong += ctx_err(scope) != CTX_CANCELED;
        wrong += callback->runs() != 1;
      });
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace ctxtest
