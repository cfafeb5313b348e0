// SPDX-License-Identifier: MIT
// Callbacks: each runs or is stopped, once.
#include "model/scenarios/family.h"

using namespace model;  // NOLINT

SCENARIO(stop_against_cancel) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  Armed armed;
  armed.arm(child.ctx);
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }}, {"stop", [&] { armed.stop(); }}});
  armed.expect_over();
}

SCENARIO(two_stops_against_cancel, .preemptions = 1) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  Armed armed;
  armed.arm(child.ctx);
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"stop", [&] { armed.stop(); }},
            {"stop and wait", [&] {
               armed.stop_wait();
               EXPECT(armed.counted.drops == 1);
             }}});
  armed.expect_over();
}

// Rule 26: when stop_wait has returned, neither fn nor drop runs any more.
SCENARIO(stop_wait_against_cancel) {
  struct Slow {
    static void run(ctx_t* ctx, void* self) {
      auto& slow = *static_cast<Slow*>(self);
      slow.inside = true;
      EXPECT(ctx_err(ctx) != 0);
      step("runs", nullptr, MODEL_WHERE);
      slow.inside = false;
      ++slow.runs;
    }
    static void drop(void* self) {
      auto& slow = *static_cast<Slow*>(self);
      slow.inside = true;
      step("drops", nullptr, MODEL_WHERE);
      slow.inside = false;
      ++slow.drops;
    }
    bool inside = false;
    int runs = 0, drops = 0;
  } slow;
  Family family;
  Cancelable parent(family.root);
  ctx_watch_t* watch = nullptr;
  EXPECT(ctx_after_func(parent.ctx, Slow::run, &slow, Slow::drop, 0, &watch) == 0);
  int stopped = 0;
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"stop", [&] {
               stopped = ctx_watch_stop_wait(watch);
               EXPECT(!slow.inside && slow.drops == 1);
               EXPECT(slow.runs + stopped == 1);
             }}});
  ctx_watch_unref(watch);
}

// Rule 25: it is armed, or runs before the call returns.
SCENARIO(register_against_cancel) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  Armed armed;
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }}, {"register", [&] {
                                                                  if (armed.arm(child.ctx) == 1)
                                                                    EXPECT(armed.counted.runs == 1);
                                                                }}});
  EXPECT(armed.counted.runs == 1);
  armed.expect_over();
}

// The first to register finds the cancel's error; the second finds only what the first has left.
SCENARIO(two_registers_against_cancel) {
  Family family;
  Cancelable parent(family.root);
  Armed armed[2];
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"register", [&] { armed[0].arm(parent.ctx); }},
            {"register too", [&] { armed[1].arm(parent.ctx); }}});
  for (Armed& each : armed) {
    EXPECT(each.counted.runs == 1);
    each.expect_over();
  }
}

SCENARIO(register_stop_and_release_against_cancel) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  Armed armed;
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }}, {"register", [&] {
                                                                  armed.arm(child.ctx);
                                                                  armed.stop();
                                                                  child.release();
                                                                }}});
  armed.expect_over();
}

// Rule 28: those of a parent come before those of its child, in the order of registration. One that comes when the
// parent is done already runs at once (rule 25).
SCENARIO(order_of_callbacks_against_register) {
  struct Noted {
    static void run(ctx_t*, void* self) {
      static_cast<Noted*>(self)->order->push_back(static_cast<Noted*>(self)->name);
    }
    std::string* order;
    char name;
  };
  std::string order;
  Noted first{&order, '1'}, second{&order, '2'}, below{&order, 'c'};
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  EXPECT(ctx_after_func(child.ctx, Noted::run, &below, nullptr, 0, nullptr) == 0);
  EXPECT(ctx_after_func(parent.ctx, Noted::run, &first, nullptr, 0, nullptr) == 0);
  int late = 0;
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"register", [&] {
               late = ctx_after_func(parent.ctx, Noted::run, &second, nullptr, 0, nullptr);
             }}});
  if (late == 0) EXPECT(order == "12c");
  EXPECT(order.size() == 3 && order.find('1') < order.find('c'));
}

// A callback that cancels another family, whose callback cancels this one: they do not nest, and do not wait.
SCENARIO(callbacks_that_cancel_each_other) {
  struct Cancels {
    static void run(ctx_t*, void* canceler) {
      EXPECT(locks_held() == 0);
      EXPECT(ctx_cancel(static_cast<ctx_canceler_t*>(canceler)) >= 0);
    }
  };
  Family family;
  Cancelable one(family.root), other(family.root);
  EXPECT(ctx_after_func(one.ctx, Cancels::run, other.canceler, nullptr, 0, nullptr) == 0);
  EXPECT(ctx_after_func(other.ctx, Cancels::run, one.canceler, nullptr, 0, nullptr) == 0);
  together({{"one", [&] { EXPECT(one.cancel() >= 0); }},
            {"other", [&] { EXPECT(other.cancel() >= 0); }}});
  EXPECT(one.error() != 0 && other.error() != 0);
}

// A waker runs before the callbacks of its thread, and can be stopped.
SCENARIO(waker_against_stop) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  Armed waker, callback;
  waker.arm(child.ctx, CTX_WAKER);
  callback.arm(parent.ctx);
  together(
      {{"cancel", [&] { EXPECT(parent.cancel() == 1); }}, {"stop", [&] { waker.stop_wait(); }}});
  waker.expect_over();
  callback.expect_over();
  EXPECT(callback.counted.runs == 1);
}

// On a loop with threads a deferred callback runs on one of them, unless it is stopped.
SCENARIO(deferred_against_stop, .preemptions = 1) {
  Family family(CTX_LOOP_THREAD);
  Cancelable parent(family.root);
  Armed armed;
  armed.arm(parent.ctx, CTX_DEFER);
  together(
      {{"cancel", [&] { EXPECT(parent.cancel() == 1); }}, {"stop", [&] { armed.stop_wait(); }}});
  armed.expect_over();
}

// It runs though nobody waits for it: a thread is woken.
SCENARIO(deferred_alone, .preemptions = 1) {
  Family family(CTX_LOOP_THREAD);
  Cancelable parent(family.root);
  Armed armed;
  armed.arm(parent.ctx, CTX_DEFER);
  EXPECT(parent.cancel() == 1);
  armed.await();
  armed.expect_over();
}

// A thread of the lane that has run something is told of the next.
SCENARIO(blocking_after_blocking, .preemptions = 1) {
  Family family(CTX_LOOP_THREAD);
  for (int i = 0; i < 2; ++i) {
    Cancelable parent(family.root);
    Armed armed;
    armed.arm(parent.ctx, CTX_DEFER | CTX_BLOCKING);
    EXPECT(parent.cancel() == 1);
    armed.await();
    armed.expect_over();
  }
}

// The lane starts a thread for a callback that may block.
SCENARIO(blocking_against_stop, .preemptions = 1) {
  Family family(CTX_LOOP_THREAD);
  Cancelable parent(family.root);
  Armed armed;
  armed.arm(parent.ctx, CTX_DEFER | CTX_BLOCKING);
  together(
      {{"cancel", [&] { EXPECT(parent.cancel() == 1); }}, {"stop", [&] { armed.stop_wait(); }}});
  armed.expect_over();
}

// Two blocking callbacks do not wait for each other.
SCENARIO(two_blocking, .preemptions = 1) {
  struct Meets {
    static void run(ctx_t*, void* self) {
      auto& meets = *static_cast<Meets*>(self);
      ++meets.there;
      block("meet", nullptr,
            {[](const void* of) { return static_cast<const Meets*>(of)->there == 2; }, self},
            &kForever, MODEL_WHERE);
      ++meets.left;
    }
    int there = 0, left = 0;
  } meets;
  Family family(CTX_LOOP_THREAD);
  Cancelable parent(family.root);
  EXPECT(ctx_after_func(parent.ctx, Meets::run, &meets, nullptr, CTX_DEFER | CTX_BLOCKING,
                        nullptr) == 0);
  EXPECT(ctx_after_func(parent.ctx, Meets::run, &meets, nullptr, CTX_DEFER | CTX_BLOCKING,
                        nullptr) == 0);
  EXPECT(parent.cancel() == 1);
  block("meet", nullptr,
        {[](const void* of) { return static_cast<const Meets*>(of)->left == 2; }, &meets},
        &kForever, MODEL_WHERE);
}

// The system refuses the lane a thread: the loop's runs the callback.
SCENARIO(blocking_without_a_thread, .preemptions = 1) {
  Family family(CTX_LOOP_THREAD);
  Cancelable parent(family.root);
  Armed armed;
  armed.arm(parent.ctx, CTX_DEFER | CTX_BLOCKING);
  refuse_threads(true);
  EXPECT(parent.cancel() == 1);
  armed.await();
  armed.expect_over();
}

// A cancel under a lock of the caller's: nothing runs on its thread.
SCENARIO(deferred_cancel_against_cancel, .preemptions = 1) {
  Family family(CTX_LOOP_THREAD);
  Cancelable parent(family.root), child(parent.ctx);
  Armed armed;
  armed.arm(child.ctx);
  int won = 0;
  together(
      {{"deferred", [&] { won += ctx_cancel_deferred(parent.canceler, CTX_CANCELED, nullptr); }},
       {"cancel", [&] { won += parent.cancel(); }}});
  EXPECT(won == 1 && child.error() != 0);
  armed.await();
  armed.expect_over();
}

// Whoever is told sees all below done, also one that registers during the cancel.
SCENARIO(register_sees_all_below_done) {
  struct Looks {
    static void run(ctx_t*, void* below) { EXPECT(static_cast<Cancelable*>(below)->error() != 0); }
  };
  Family family;
  Cancelable parent(family.root), child(parent.ctx), grandchild(child.ctx);
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"register", [&] {
               EXPECT(ctx_after_func(parent.ctx, Looks::run, &grandchild, nullptr, 0, nullptr) >=
                      0);
             }}});
}

// The loop's thread is in the midst of a round when the lane needs a thread.
SCENARIO(blocking_against_deadline, .timers = true, .preemptions = 1) {
  Family family(CTX_LOOP_THREAD);
  Cancelable parent(family.root), timed;
  timed.with_timeout(family.root, kMillisecond);
  Armed armed;
  armed.arm(parent.ctx, CTX_DEFER | CTX_BLOCKING);
  together({{"cancel",
             [&] {
               EXPECT(parent.cancel() == 1);
               armed.await();
             }},
            {"wait", [&] { EXPECT(ctx_wait(timed.ctx, CTX_FOREVER) == 1); }}});
  armed.expect_over();
}
