// SPDX-License-Identifier: MIT
//
// Rules 24, 25 and 27: that a callback runs, how often, and where. The order of several is in
// callback_order_test.cc, stopping one in callback_stop_test.cc, what one may do in
// callback_inside_test.cc.
#include "support/callback.h"

#include <atomic>
#include <memory>
#include <vector>

#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(Callback, Rule24_RunsOnceOnTheThreadThatCancels) {
  const Scope scope = WithCancel(ctx_background());
  ctx_t* seen = nullptr;
  Callback callback([&](ctx_t* ctx) { seen = ctx; });
  ASSERT_EQ(callback.Arm(scope), 0);
  EXPECT_EQ(callback.runs(), 0);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_EQ(callback.thread(), std::this_thread::get_id());
  EXPECT_EQ(seen, scope.ctx.get());
  EXPECT_EQ(scope.Cancel(), 0);
  EXPECT_EQ(callback.runs(), 1);
}

TEST(Callback, Rule24_ThoseOfDescendantsRunOnTheThreadThatCancelsToo) {
  const Scope top = WithCancel(ctx_background());
  const Scope middle = WithTimeout(top, kHour);
  const Ctx leaf = WithValue(middle, &kKey, nullptr);
  ctx_t* seen = nullptr;
  Callback callback([&](ctx_t* ctx) { seen = ctx; });
  ASSERT_EQ(callback.Arm(leaf), 0);
  std::thread canceler([&] { top.Cancel(); });
  const std::thread::id id = canceler.get_id();
  canceler.join();
  EXPECT_EQ(callback.thread(), id);
  EXPECT_EQ(seen, leaf.get()) << "the context it was registered on";
}

TEST(Callback, Rule24_OfADeadlineRunsOnTheCallbackThread) {
  for (int64_t timeout = 10 * kMillisecond;; timeout *= 2) {
    const Scope timed = WithTimeout(ctx_background(), timeout);
    const Scope below = WithCancel(timed);
    Callback on_timed, on_below;
    const bool armed_in_time = on_timed.Arm(timed) == 0 && on_below.Arm(below) == 0;
    ASSERT_TRUE(Done(timed));
    if (!armed_in_time) continue;  // on a context that was done they ran here, as they must
    ASSERT_TRUE(on_timed.WaitDrop());
    ASSERT_TRUE(on_below.WaitDrop());
    EXPECT_EQ(on_timed.thread_name(), "ctx-calls");
    EXPECT_EQ(on_below.thread_name(), "ctx-calls");
    EXPECT_EQ(on_timed.drop().thread_name(), "ctx-calls");
    break;
  }
}

TEST(Callback, Rule24_WithDeferAlwaysOnTheCallbackThread) {
  const Scope scope = WithCancel(ctx_background());
  Callback callback;
  ASSERT_EQ(callback.Arm(scope, CTX_DEFER), 0);
  EXPECT_EQ(scope.Cancel(), 1);
  ASSERT_TRUE(callback.WaitDrop());
  EXPECT_EQ(callback.thread_name(), "ctx-calls");
  EXPECT_EQ(callback.drop().thread_name(), "ctx-calls");
}

// Why CTX_DEFER is there: the caller holds a lock that fn takes.
TEST(Callback, Rule24_WithDeferACancelUnderALockThatTheCallbackTakes) {
  const Scope scope = WithCancel(ctx_background());
  std::mutex mutex;
  Callback callback([&](ctx_t*) { std::lock_guard<std::mutex> lock(mutex); });
  ASSERT_EQ(callback.Arm(scope, CTX_DEFER), 0);
  {
    std::lock_guard<std::mutex> lock(mutex);
    EXPECT_EQ(scope.Cancel(), 1);
    EXPECT_EQ(callback.runs(), 0);
  }
  EXPECT_TRUE(callback.WaitRun());
}

TEST(Callback, Rule24_AtMostOnceHoweverManyEndTheContext) {
  Scope top, middle;
  std::unique_ptr<Callback> plain, deferred;
  int wrong = 0;
  Race(
      kSanitized ? 200 : 1000,
      [&] {
        top = WithCancel(ctx_background());
        middle = WithCancel(top);
        plain = std::make_unique<Callback>();
        deferred = std::make_unique<Callback>();
        plain->Arm(middle);
        deferred->Arm(middle, CTX_DEFER);
      },
      {[&] { top.Cancel(); }, [&] { middle.Cancel(); }},
      [&] {
        wrong += !plain->WaitDrop() || !deferred->WaitDrop();
        wrong += plain->runs() != 1 || deferred->runs() != 1;
        wrong += plain->drops() != 1 || deferred->drops() != 1;
      });
  EXPECT_EQ(wrong, 0);
}

TEST(Callback, Rule25_OnADoneContextItRunsHereBeforeTheCallReturns1) {
  const Scope scope = WithCancel(ctx_background());
  scope.Cancel();
  const Ctx value = WithValue(scope, &kKey, nullptr);
  for (ctx_t* ctx : {scope.ctx.get(), value.get()}) {
    ctx_t* seen = nullptr;
    Callback callback([&](ctx_t* of) { seen = of; });
    EXPECT_EQ(callback.Arm(ctx), 1);
    EXPECT_EQ(callback.runs(), 1);
    EXPECT_EQ(callback.drops(), 1);
    EXPECT_EQ(callback.thread(), std::this_thread::get_id());
    EXPECT_EQ(seen, ctx);
  }
}

TEST(Callback, Rule25_TheHandleIsStoredBeforeItRuns) {
  const Scope scope = WithCancel(ctx_background());
  scope.Cancel();
  for (uint32_t flags : {uint32_t{0}, CTX_DEFER}) {
    struct Seen {
      ctx_watch_t* handle = nullptr;
      std::atomic<ctx_watch_t*> in_callback{nullptr};
      Gate over;
    } seen;
    const auto fn = [](ctx_t*, void* arg) {
      auto* self = static_cast<Seen*>(arg);
      self->in_callback = self->handle;
      self->over.Open();
    };
    EXPECT_EQ(ctx_after_func(scope, fn, &seen, nullptr, flags, &seen.handle), 1);
    ASSERT_TRUE(seen.over.Wait());
    EXPECT_NE(seen.in_callback, nullptr);
    EXPECT_EQ(seen.in_callback, seen.handle);
    ctx_watch_stop_wait(seen.handle);
    ctx_watch_unref(seen.handle);
  }
}

TEST(Callback, Rule25_OnADoneContextWithDeferItRunsOnTheCallbackThread) {
  const Scope scope = WithCancel(ctx_background());
  scope.Cancel();
  Callback callback;
  EXPECT_EQ(callback.Arm(scope, CTX_DEFER), 1);
  ASSERT_TRUE(callback.WaitDrop());
  EXPECT_EQ(callback.thread_name(), "ctx-calls");
  EXPECT_EQ(callback.runs(), 1);
}

TEST(Callback, Rule25_TheCallbackThreadIsThereBeforeRegistrationSucceeds) {
  CTX_IN_NEW_PROCESS({
    const Scope scope = WithCancel(ctx_background());
    Callback plain;
    EXPECT_EQ(plain.Arm(scope), 0);
    EXPECT_EQ(Tasks("ctx-calls").size(), 0u) << "nothing has asked for it";
    Callback deferred;
    EXPECT_EQ(deferred.Arm(scope, CTX_DEFER), 0);
    EXPECT_EQ(Tasks("ctx-calls").size(), 1u);
  });
}

// Registered while the marking goes on, it waits for the marking and then runs.
TEST(Callback, Rule25_RegisteredDuringACancelItRunsOnceAllIsMarked) {
  struct Family {
    Scope top;
    std::vector<Scope> below;
  } family;
  std::atomic<int> unmarked{0};
  const auto look = [&](ctx_t*) {
    for (const Scope& scope : family.below) unmarked += ctx_err(scope) == 0;
  };
  std::unique_ptr<Callback> on_top, on_below;
  int wrong = 0, inlined = 0;
  Stagger stagger(25);
  Race(
      kSanitized ? 200 : 1000,
      [&] {
        family.top = WithCancel(ctx_background());
        family.below.clear();
        for (int i = 0; i < 100; ++i) family.below.push_back(WithCancel(family.top));
        on_top = std::make_unique<Callback>(look);
        on_below = std::make_unique<Callback>(look);
      },
      {[&] { family.top.Cancel(); },
       [&] {
         stagger.Pass(1024);
         inlined += on_top->Arm(family.top);
         inlined += on_below->Arm(family.below[0]);
       }},
      [&] {
        wrong += on_top->runs() != 1 || on_below->runs() != 1;
        wrong += on_top->drops() != 1 || on_below->drops() != 1;
      });
  EXPECT_EQ(unmarked, 0);
  EXPECT_EQ(wrong, 0);
  RecordProperty("inlined", inlined);
}

TEST(Callback, Rule27_DropRunsOnceAfterFn) {
  const Scope scope = WithCancel(ctx_background());
  struct Order {
    std::vector<int> seen;
  } order;
  const auto fn = [](ctx_t*, void* arg) { static_cast<Order*>(arg)->seen.push_back(1); };
  const auto drop = [](void* arg) { static_cast<Order*>(arg)->seen.push_back(2); };
  ASSERT_EQ(ctx_after_func(scope, fn, &order, drop, 0, nullptr), 0);
  scope.Cancel();
  EXPECT_EQ(order.seen, (std::vector<int>{1, 2}));
  ASSERT_EQ(ctx_after_func(scope, fn, &order, drop, 0, nullptr), 1);
  EXPECT_EQ(order.seen, (std::vector<int>{1, 2, 1, 2}));
}

TEST(Callback, Rule27_DropMayBeLeftOut) {
  const Scope scope = WithCancel(ctx_background());
  int runs = 0;
  const auto fn = [](ctx_t*, void* arg) { ++*static_cast<int*>(arg); };
  const Watch stopped = AfterFunc(scope, fn, &runs);
  const Watch left = AfterFunc(scope, fn, &runs);
  EXPECT_EQ(ctx_watch_stop(stopped), 1);
  scope.Cancel();
  EXPECT_EQ(runs, 1);
}

TEST(Callback, Rule27_ARegistrationThatFailedDropsNothing) {
  Drop drop;
  const Scope scope = WithCancel(ctx_background());
  const auto fn = [](ctx_t*, void*) { ADD_FAILURE() << "this was refused"; };
  ctx_watch_t* untouched = reinterpret_cast<ctx_watch_t*>(&drop);
  EXPECT_EQ(ctx_after_func(scope, fn, &drop, Drop::Run, 8, &untouched), -EINVAL);
  EXPECT_EQ(ctx_after_func(scope, fn, &drop, Drop::Run, ~uint32_t{0}, &untouched), -EINVAL);
  EXPECT_EQ(ctx_after_func(scope, nullptr, &drop, Drop::Run, 0, &untouched), -EINVAL);
  EXPECT_EQ(ctx_after_func(nullptr, fn, &drop, Drop::Run, 0, &untouched), -EINVAL);
  EXPECT_EQ(untouched, reinterpret_cast<ctx_watch_t*>(&drop));
  scope.Cancel();
  EXPECT_EQ(drop.count(), 0);
}

TEST(Callback, Rule11_ForgettingItsHandleLeavesItArmed) {
  const Scope scope = WithCancel(ctx_background());
  int runs = 0;
  const auto fn = [](ctx_t*, void* arg) { ++*static_cast<int*>(arg); };
  ASSERT_EQ(ctx_after_func(scope, fn, &runs, nullptr, 0, nullptr), 0);
  EXPECT_EQ(ctx_watch_unref(AfterFunc(scope, fn, &runs).release()), nullptr);
  scope.Cancel();
  EXPECT_EQ(runs, 2);
}

}  // namespace
}  // namespace ctxtest
