// SPDX-License-Identifier: MIT
//
// Rules 24, 25, 27 and 30: fn and drop run with no lock held and may call any function of the library, on
// the very context they run for; also to release the last handles of everything.
#include <poll.h>

#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// Calls every function that takes a context, on one that is done with CTX_CANCELED.
void UseDone(ctx_t* ctx) {
  Ctx held(ctx_ref(ctx));
  EXPECT_EQ(ctx_err(ctx), CTX_CANCELED);
  EXPECT_EQ(*ctx_err_word(ctx), CTX_CANCELED);
  EXPECT_NE(ctx_cause(ctx), nullptr);
  EXPECT_EQ(ctx_cancelable(ctx), 1);
  int64_t deadline = 0;
  ctx_deadline(ctx, &deadline);
  ctx_remaining(ctx);
  EXPECT_GT(ctx_now(ctx), 0);
  char text[512];
  EXPECT_GT(ctx_describe(ctx, text, sizeof text), 0);
  EXPECT_EQ(ctx_value(ctx, &kKey), nullptr);
  EXPECT_EQ(ctx_string(ctx, "name"), nullptr);
  EXPECT_TRUE(Readable(ctx_done_fd(ctx)));
  const int fd = ctx_done_fd_dup(ctx);
  EXPECT_TRUE(Readable(fd));
  close(fd);
  EXPECT_EQ(ctx_wait(ctx, kLimit), 1);
  size_t index = 1;
  EXPECT_EQ(ctx_wait_any(&ctx, 1, kLimit, &index), 1);
  EXPECT_EQ(index, 0u);
  EXPECT_EQ(ctx_poll(ctx, nullptr, 0, kLimit), CTX_CANCELED);
  const Scope child = WithCancel(ctx), timed = WithTimeout(ctx, kHour);
  EXPECT_EQ(ctx_err(child), CTX_CANCELED);
  EXPECT_EQ(ctx_err(timed), CTX_CANCELED);
  EXPECT_EQ(ctx_err(WithValue(ctx, &kKey, nullptr)), CTX_CANCELED);
  EXPECT_EQ(ctx_err(WithString(ctx, "name", "text")), CTX_CANCELED);
  const Scope detached = WithCancel(WithoutCancel(ctx));
  EXPECT_EQ(detached.Cancel(), 1);
  Callback nested;
  EXPECT_EQ(nested.Arm(ctx), 1);
  EXPECT_EQ(nested.runs(), 1);
  EXPECT_EQ(nested.StopWait(), 0);
}

TEST(CallbackInside, Rule24_MayCallAnyFunctionOnItsContextAndItsFamily) {
  const Scope parent = WithCancel(ctx_background());
  const Scope scope = WithTimeout(parent, kHour), sibling = WithCancel(parent);
  const Scope child = WithCancel(scope);
  Callback callback([&](ctx_t* ctx) {
    UseDone(ctx);
    UseDone(child);
    EXPECT_EQ(scope.Cancel(), 0);
    EXPECT_EQ(child.Cancel(), 0);
    EXPECT_EQ(sibling.Cancel(), 1);
    UseDone(sibling);
    EXPECT_EQ(ctx_cancel_with(parent.canceler, CTX_CANCELED, nullptr), 1);
    UseDone(parent);
  });
  callback.Arm(scope);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(callback.runs(), 1);
}

TEST(CallbackInside, Rule24_SoMayADeferredOne) {
  const Scope scope = WithCancel(ctx_background());
  Callback callback(UseDone);
  callback.Arm(scope, CTX_DEFER);
  scope.Cancel();
  EXPECT_TRUE(callback.WaitDrop());
}

TEST(CallbackInside, Rule24_SoMayItsDrop) {
  const Scope scope = WithCancel(ctx_background());
  const auto use = [](void* arg) { UseDone(static_cast<ctx_t*>(arg)); };
  const Watch watch = AfterFunc(
      scope, [](ctx_t*, void*) {}, scope.ctx.get(), 0, use);
  EXPECT_EQ(scope.Cancel(), 1);
}

// No lock is held: what another thread does to the same family comes to an end while fn waits for it.
TEST(CallbackInside, Rule24_NoLockIsHeldAgainstOtherThreads) {
  const Scope parent = WithCancel(ctx_background());
  const Scope scope = WithCancel(parent), sibling = WithCancel(parent);
  Callback callback([&](ctx_t* ctx) {
    std::thread other([&] {
      UseDone(ctx);
      EXPECT_EQ(sibling.Cancel(), 1);
      EXPECT_EQ(scope.Cancel(), 0);
      WithCancel(parent);
      EXPECT_EQ(parent.Cancel(), 1);
    });
    other.join();
  });
  callback.Arm(scope);
  EXPECT_EQ(scope.Cancel(), 1);
}

TEST(CallbackInside, Rule24_NoLockIsHeldWhenADeadlineRunsIt) {
  const Scope parent = WithTimeout(ctx_background(), kHour);
  const Scope timed = WithTimeout(parent, 5 * kMillisecond);
  Callback callback([&](ctx_t*) {
    std::thread other([&] {
      const Scope more = WithTimeout(parent, kMillisecond);
      EXPECT_TRUE(Done(more)) << "the clock goes on";
      EXPECT_EQ(parent.Cancel(), 1);
    });
    other.join();
  });
  callback.Arm(timed);
  EXPECT_TRUE(callback.WaitDrop());
}

TEST(CallbackInside, Rule25_RegisteringOnItsOwnContextRunsInline) {
  const Scope scope = WithCancel(ctx_background());
  std::vector<int> order;
  Callback later([&](ctx_t*) { order.push_back(2); });
  Callback nested([&](ctx_t*) { order.push_back(1); });
  Callback first([&](ctx_t* ctx) {
    order.push_back(0);
    EXPECT_EQ(nested.Arm(ctx), 1);
  });
  first.Arm(scope);
  later.Arm(scope);
  scope.Cancel();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
}

// All handles of the family, the watch's own included, are given back inside: the context lives to
// the end of the call, and then all of it goes.
TEST(CallbackInside, Rule24_MayReleaseTheLastHandlesOfEverything) {
  for (uint32_t flags : {uint32_t{0}, CTX_DEFER}) {
    struct Family {
      Drop drop;
      Scope parent, scope, child;
      Ctx value;
      Watch own;
    } family;
    Drop dropped;
    const auto fn = [](ctx_t* ctx, void* arg) {
      auto* self = static_cast<Family*>(arg);
      self->parent.reset();
      self->child.reset();
      self->value.reset();
      self->scope.reset();
      self->own.reset();
      EXPECT_EQ(self->drop.count(), 0);
      EXPECT_EQ(ctx_err(ctx), CTX_CANCELED) << "borrowed for the length of the call";
      char text[256];
      EXPECT_GT(ctx_describe(ctx, text, sizeof text), 0);
    };
    Ctx watched = Watched(ctx_background(), &family.drop);
    family.parent = WithCancel(watched);
    family.scope = WithCancel(family.parent);
    family.child = WithCancel(family.scope);
    family.value = WithValue(family.child, &kKey, nullptr);
    watched.reset();
    family.own = AfterFunc(family.scope, fn, &family, flags);
    const Watch second = AfterFunc(
        family.value, [](ctx_t*, void*) {}, &dropped, flags, Drop::Run);
    Canceler canceler(ctx_canceler_ref(family.parent.canceler));
    EXPECT_EQ(ctx_cancel(canceler), 1);
    EXPECT_TRUE(dropped.Wait());
    EXPECT_EQ(family.drop.count(), 0) << "one canceler is left";
    canceler.reset();
    EXPECT_TRUE(family.drop.Wait());
  }
}

TEST(CallbackInside, Rule24_MayReleaseTheCancelerThatIsCanceling) {
  Drop drop;
  Ctx watched = Watched(ctx_background(), &drop);
  Scope scope = WithCancel(watched);
  watched.reset();
  ctx_canceler_t* canceler = scope.canceler.release();
  struct Handles {
    Scope* scope;
    ctx_canceler_t* canceler;
  } handles{&scope, canceler};
  const auto fn = [](ctx_t*, void* arg) {
    auto* self = static_cast<Handles*>(arg);
    self->scope->reset();
    ctx_canceler_unref(self->canceler);
  };
  ASSERT_EQ(ctx_after_func(scope, fn, &handles, nullptr, 0, nullptr), 0);
  EXPECT_EQ(ctx_cancel(canceler), 1);
  EXPECT_EQ(drop.count(), 1) << "all went, at the latest when the cancel was over";
}

TEST(CallbackInside, Rule24_ItsDropMayReleaseTheLastHandles) {
  Drop drop;
  Ctx watched = Watched(ctx_background(), &drop);
  auto* scope = new Scope(WithCancel(watched));
  watched.reset();
  const auto release = [](void* arg) { delete static_cast<Scope*>(arg); };
  ASSERT_EQ(ctx_after_func(
                *scope, [](ctx_t*, void*) {}, scope, release, 0, nullptr),
            0);
  Canceler canceler(ctx_canceler_ref(scope->canceler));
  EXPECT_EQ(ctx_cancel(canceler), 1);
  EXPECT_EQ(drop.count(), 0);
  canceler.reset();
  EXPECT_EQ(drop.count(), 1);
}

// The same when a stop runs the drop.
TEST(CallbackInside, Rule27_TheDropOfAStopMayReleaseTheLastHandlesAndTheWatch) {
  struct Held {
    Scope scope;
    Watch watch;
  };
  Drop drop;
  Ctx watched = Watched(ctx_background(), &drop);
  auto* held = new Held{WithCancel(watched), Watch()};
  watched.reset();
  const auto release = [](void* arg) { delete static_cast<Held*>(arg); };
  ASSERT_EQ(ctx_after_func(
                held->scope, [](ctx_t*, void*) {}, held, release, 0, held->watch.out()),
            0);
  EXPECT_EQ(ctx_watch_stop(held->watch), 1);
  EXPECT_EQ(drop.count(), 1);
}

// Drop of a value, run from within a release inside a callback.
TEST(CallbackInside, Rule30_DropsThatReleaseMoreContextsNest) {
  struct Link {
    Ctx next;
    Drop* last;
  };
  Drop last;
  Ctx first;
  const auto drop = [](void* arg) {
    auto* link = static_cast<Link*>(arg);
    if (!link->next.get()) Drop::Run(link->last);
    delete link;
  };
  for (int i = 0; i < 200; ++i) {
    auto* link = new Link{std::move(first), &last};
    first = WithValue(ctx_background(), &kKey, link, drop);
  }
  const Scope scope = WithCancel(ctx_background());
  Callback callback([&](ctx_t*) { first.reset(); });
  callback.Arm(scope);
  EXPECT_EQ(last.count(), 0);
  scope.Cancel();
  EXPECT_EQ(last.count(), 1);
}

}  // namespace
}  // namespace ctxtest
