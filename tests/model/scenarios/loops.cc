// SPDX-License-Identifier: MIT
// Loops: hosts that drive them, executors, and loops that are closed and freed.
#include "model/scenarios/family.h"

using namespace model;  // NOLINT

// A host that sleeps in poll(2) on the loop's descriptor alone.
SCENARIO(host_against_arm) {
  Family family(CTX_LOOP_MANUAL);
  Cancelable late, early;
  late.with_timeout(family.root, 3'600'000 * kMillisecond);
  const auto over = [&] { return early.ctx != nullptr && early.error() != 0; };
  together({{"host", [&] { family.drive_until(over); }},
            {"arm", [&] { early.with_timeout(family.root, 5 * kMillisecond); }}});
}

// A host and a waiter that ends what is due in its place.
SCENARIO(host_against_waiter, .timers = true) {
  Family family(CTX_LOOP_MANUAL);
  Cancelable timed;
  Armed armed;
  timed.with_timeout(family.root, kMillisecond);
  armed.arm(timed.ctx);
  together({{"host", [&] { family.drive_until([&] { return armed.counted.runs > 0; }); }},
            {"wait", [&] { EXPECT(ctx_wait(timed.ctx, CTX_FOREVER) == 1); }}});
  armed.expect_over();
}

// Two waiters end what is due, one after the other: what the first has left to the host keeps the alarm.
SCENARIO(host_against_two_waiters, .timers = true, .preemptions = 1) {
  Family family(CTX_LOOP_MANUAL);
  Cancelable early, late;
  Armed armed;
  early.with_timeout(family.root, kMillisecond);
  late.with_timeout(family.root, 2 * kMillisecond);
  armed.arm(early.ctx);
  together({{"host", [&] { family.drive_until([&] { return armed.counted.runs > 0; }); }},
            {"early", [&] { EXPECT(ctx_wait(early.ctx, CTX_FOREVER) == 1); }},
            {"late", [&] { EXPECT(ctx_wait(late.ctx, CTX_FOREVER) == 1); }}});
  armed.expect_over();
}

// A waiter ends a context whose last handle goes: the host gives back the rest, and is woken for it.
SCENARIO(host_against_waiter_and_release, .timers = true, .preemptions = 1) {
  Family family(CTX_LOOP_MANUAL);
  Valued above(family.root);
  Cancelable timed, other;
  timed.with_timeout(above.ctx, kMillisecond);
  other.with_timeout(family.root, kMillisecond);
  above.release();
  const auto dropped = [&] { return above.value.drops > 0; };  // by the release, if not here
  together({{"host", [&] { family.drive_until(dropped, dropped); }},
            {"wait", [&] { EXPECT(ctx_wait(other.ctx, CTX_FOREVER) == 1); }},
            {"release", [&] { timed.release(); }}});
}

// What is deferred while the host looks makes its descriptor readable.
SCENARIO(host_against_deferred_callback) {
  Family family(CTX_LOOP_MANUAL);
  Cancelable parent(family.root);
  Armed armed;
  armed.arm(parent.ctx, CTX_DEFER);
  together({{"host", [&] { family.drive_until([&] { return armed.counted.runs > 0; }); }},
            {"cancel", [&] { EXPECT(parent.cancel() == 1); }}});
  armed.expect_over();
}

// Work that came before the host has asked for the descriptor makes it readable.
SCENARIO(host_opens_against_deferred_cancel) {
  Family family(CTX_LOOP_MANUAL);
  Cancelable parent(family.root);
  Armed armed;
  armed.arm(parent.ctx);
  together({{"host", [&] { family.drive_until([&] { return armed.counted.runs > 0; }); }},
            {"cancel",
             [&] { EXPECT(ctx_cancel_deferred(parent.canceler, CTX_CANCELED, nullptr) == 1); }}});
  armed.expect_over();
}

SCENARIO(close_against_derive) {
  Family family;
  Cancelable before(family.root), during;
  bool closed = false;
  together({{"close",
             [&] {
               EXPECT(ctx_loop_close(family.loop) == 0);
               EXPECT(before.error() == CTX_CANCELED);
               closed = true;
             }},
            {"derive", [&] {
               const bool late = closed;
               during.derive(family.root);
               if (late) EXPECT(during.error() != 0);
             }}});
  EXPECT(during.error() == CTX_CANCELED);
}

// Whoever is born done by a close knows why.
SCENARIO(cause_against_close) {
  Family family;
  Cancelable during;
  together({{"close", [&] { EXPECT(ctx_loop_close(family.loop) == 0); }},
            {"derive", [&] {
               during.derive(family.root);
               if (during.error() != 0) EXPECT(ctx_cause(during.ctx) != nullptr);
             }}});
}

// The second one to close comes back when all is ended.
SCENARIO(two_closes) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  const int fd = ctx_done_fd(child.ctx);
  const auto close = [&] {
    EXPECT(ctx_loop_close(family.loop) == 0);
    EXPECT(child.error() != 0 && is_readable(fd));
  };
  together({{"one", close}, {"other", close}});
}

// A walk from the root finds merged nodes that the walk of a parent has chained.
SCENARIO(close_against_cancel_of_many_merges) {
  Family family;
  Cancelable oldest(family.root), one(family.root), other(family.root), merged[3];
  Armed armed[3];
  for (int i = 0; i < 3; ++i) {
    merged[i].merge({one.ctx, other.ctx});
    armed[i].arm(merged[i].ctx);
  }
  oldest.release();  // the youngest takes its place: the root's walk finds them in another order
  together({{"close", [&] { EXPECT(ctx_loop_close(family.loop) == 0); }},
            {"cancel", [&] { EXPECT(one.cancel() >= 0); }}});
  for (Armed& each : armed) each.expect_over();
}

SCENARIO(close_against_cancel_below_merges) {
  Family family;
  Cancelable one(family.root), other(family.root), merged;
  merged.merge({one.ctx, other.ctx});
  Armed armed;
  armed.arm(merged.ctx);
  together({{"close", [&] { EXPECT(ctx_loop_close(family.loop) == 0 && merged.error() != 0); }},
            {"cancel", [&] { EXPECT(one.cancel() >= 0 && merged.error() != 0); }}});
  armed.expect_over();
}

// The last handle closes a loop that only its holder could drive.
SCENARIO(last_handle_against_derive_and_release) {
  ctx_loop_t* loop = nullptr;
  ctx_t* const root = new_loop(CTX_LOOP_VIRTUAL, &loop);
  together({{"handle", [&] { ctx_loop_unref(loop); }}, {"derive", [&] {
                                                          Cancelable child(root);
                                                          ctx_unref(root);
                                                        }}});
}

SCENARIO(last_handle_against_deferred_callback) {
  Armed armed;
  ctx_loop_t* loop = nullptr;
  ctx_t* const root = new_loop(CTX_LOOP_MANUAL, &loop);
  Cancelable parent(root);
  ctx_unref(root);
  armed.arm(parent.ctx, CTX_DEFER);
  together({{"handle", [&] { ctx_loop_unref(loop); }},
            {"cancel", [&] { EXPECT(parent.cancel() >= 0); }}});
  armed.expect_over();
  EXPECT(armed.counted.runs == 1);
}

// The last context of a threaded loop goes: its threads end, and then it is freed.
SCENARIO(last_context_of_a_threaded_loop, .preemptions = 1) {
  ctx_loop_t* loop = nullptr;
  ctx_t* const root = new_loop(CTX_LOOP_THREAD, &loop);
  Cancelable timed;
  timed.with_timeout(root, kMillisecond);
  ctx_unref(root);
  together({{"handle", [&] { ctx_loop_unref(loop); }}, {"context", [&] { timed.release(); }}});
}

// As above, but the loop's thread sleeps without an alarm: it must be told.
SCENARIO(last_context_of_a_sleeping_loop, .preemptions = 1) {
  ctx_loop_t* loop = nullptr;
  ctx_t* const root = new_loop(CTX_LOOP_THREAD, &loop);
  Cancelable parent(root);
  ctx_unref(root);
  Armed armed;
  armed.arm(parent.ctx, CTX_DEFER);
  armed.stop();
  armed.expect_over();
  together({{"handle", [&] { ctx_loop_unref(loop); }}, {"context", [&] { parent.release(); }}});
}

// A waiter ends a due timer and holds the last reference while the loop goes.
SCENARIO(waiter_against_last_handle, .timers = true) {
  ctx_loop_t* loop = nullptr;
  ctx_t* const root = new_loop(CTX_LOOP_MANUAL, &loop);
  Cancelable timed;
  timed.with_timeout(root, kMillisecond);
  ctx_unref(root);
  together({{"handle", [&] { ctx_loop_unref(loop); }}, {"wait", [&] {
                                                          EXPECT(ctx_wait(timed.ctx, CTX_FOREVER) ==
                                                                 1);
                                                          timed.release();
                                                        }}});
}

// Two threads start a loop's threads at once.
SCENARIO(two_starts, .preemptions = 1) {
  Family family(CTX_LOOP_THREAD);
  const auto use = [&] {
    Cancelable timed;
    timed.with_timeout(family.root, kMillisecond);
    EXPECT(ctx_wait(timed.ctx, CTX_FOREVER) == 1);
  };
  together({{"one", use}, {"other", use}});
}

namespace {

// An executor that runs what it is given on a thread of its own.
struct Executor {
  static int post(void*, void (*run)(void*), void* work) {
    EXPECT(locks_held() == 0);
    start("executor", [=] { run(work); });
    return 0;
  }
  static void drop(void* self) {
    EXPECT(locks_held() == 0);
    ++static_cast<Executor*>(self)->drops;
  }
  int drops = 0;
};

}  // namespace

// The executor is dropped once, after all that it was given has run.
SCENARIO(executor_against_last_handle, .preemptions = 1) {
  static Executor executor;
  executor = {};
  Armed armed;
  {
    ctx_loop_options_t options = {};
    options.size = sizeof options;
    options.post = Executor::post;
    options.executor = &executor;
    options.drop = Executor::drop;
    Family family(CTX_LOOP_THREAD, &options);
    Cancelable parent(family.root);
    armed.arm(parent.ctx, CTX_DEFER);
    EXPECT(parent.cancel() == 1);
  }
  armed.await();
  armed.expect_over();
  block("drop", nullptr, {[](const void*) { return executor.drops > 0; }, nullptr}, &kForever,
        MODEL_WHERE);
  EXPECT(executor.drops == 1);
}

// What the executor was given is there until it comes to it, also if a stop has finished with it.
SCENARIO(executor_against_stop, .preemptions = 1) {
  static Executor executor;
  executor = {};
  ctx_loop_options_t options = {};
  options.size = sizeof options;
  options.post = Executor::post;
  options.executor = &executor;
  Family family(CTX_LOOP_THREAD, &options);
  Cancelable parent(family.root);
  Armed armed;
  armed.arm(parent.ctx, CTX_DEFER);
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }}, {"stop", [&] {
                                                                  armed.stop_wait();
                                                                  armed.expect_over();
                                                                }}});
}
