// SPDX-License-Identifier: MIT
// Deadlines, and loops that are closed and freed.
#include "model/scenarios/family.h"

using namespace model;  // NOLINT

// The loop's thread fires it, or the cancel comes first.
SCENARIO(deadline_against_cancel, .timers = true, .preemptions = 1) {
  Family family(CTX_LOOP_THREAD);
  Cancelable timed;
  timed.with_timeout(family.root, kMillisecond);
  together({{"cancel", [&] { EXPECT(timed.cancel() >= 0 && timed.error() != 0); }},
            {"wait", [&] { EXPECT(ctx_wait(timed.ctx, CTX_FOREVER) == 1); }}});
}

SCENARIO(deadline_against_release, .timers = true, .preemptions = 1) {
  Family family(CTX_LOOP_THREAD);
  Cancelable timed;
  timed.with_timeout(family.root, kMillisecond);
  together({{"release", [&] { timed.release(); }}});
}

// A loop that sleeps, or is about to, learns of an earlier deadline.
SCENARIO(arm_against_the_loops_look, .preemptions = 1) {
  Family family(CTX_LOOP_THREAD);
  Cancelable late, early;
  late.with_timeout(family.root, 3'600'000 * kMillisecond);
  together({{"arm",
             [&] {
               early.with_timeout(family.root, 5 * kMillisecond);
               EXPECT(ctx_wait(early.ctx, CTX_FOREVER) == 1);
             }},
            {"arm too", [&] {
               Cancelable other;
               other.with_timeout(family.root, 5 * kMillisecond);
               EXPECT(ctx_wait(other.ctx, CTX_FOREVER) == 1);
             }}});
}

// As above, on the wheels of two processors, with the clock moving at any step.
SCENARIO(arm_on_two_wheels, .timers = true, .preemptions = 1) {
  Family family(CTX_LOOP_THREAD);
  const auto arm_and_wait = [&] {
    Cancelable timed;
    timed.with_timeout(family.root, kMillisecond);
    EXPECT(ctx_wait(timed.ctx, CTX_FOREVER) == 1);
  };
  together({{"arm", arm_and_wait}, {"arm too", arm_and_wait}});
}

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

// Rule 37: whoever derives while the clock moves, what is due by its new time is done.
SCENARIO(advance_against_derive) {
  Family family;
  Cancelable timed;
  together({{"advance", [&] { EXPECT(ctx_loop_advance(family.loop, 2 * kMillisecond) >= 0); }},
            {"derive", [&] {
               EXPECT(ctx_with_deadline(family.root, kMillisecond, &timed.ctx, &timed.canceler) ==
                      0);
             }}});
  EXPECT(timed.error() == CTX_DEADLINE_EXCEEDED);
}

SCENARIO(two_advances) {
  Family family;
  Cancelable timed;
  EXPECT(ctx_with_deadline(family.root, kMillisecond, &timed.ctx, &timed.canceler) == 0);
  int advanced = 0;
  const auto advance = [&] {
    const int result = ctx_loop_advance(family.loop, kMillisecond);
    EXPECT(result >= 0 || result == -EBUSY);
    advanced += result >= 0;
  };
  together({{"one", advance}, {"other", advance}});
  EXPECT(advanced >= 1 && timed.error() == CTX_DEADLINE_EXCEEDED);
  EXPECT(ctx_loop_now(family.loop) == advanced * kMillisecond);
}

// Rule 17: who sees a deadline fired sees every earlier one fired, whoever fires them: the host, or a thread that
// derives below one that has passed.
SCENARIO(order_of_deadlines_against_derive) {
  Family family(CTX_LOOP_MANUAL);
  Cancelable early, late, below;
  early.with_timeout(family.root, kMillisecond);
  late.with_timeout(family.root, 2 * kMillisecond);
  sleep_for(3 * kMillisecond);
  together({{"host", [&] { EXPECT(ctx_loop_dispatch(family.loop) >= 0); }},
            {"derive", [&] {
               below.with_timeout(late.ctx, kMillisecond);
               EXPECT(below.error() != 0 && late.error() != 0 && early.error() != 0);
             }}});
}

// The same for graces that are over when they begin, since the host comes late. The last of them is not left behind.
SCENARIO(order_of_late_graces_against_derive) {
  Family family(CTX_LOOP_MANUAL);
  Cancelable parent, between, first, late, last, below;
  parent.with_timeout(family.root, kMillisecond);
  between.with_timeout(family.root, 2 * kMillisecond);
  late.with_timeout(family.root, 4 * kMillisecond);
  first.with_grace(parent.ctx, 2 * kMillisecond);
  last.with_grace(parent.ctx, 4 * kMillisecond);
  sleep_for(6 * kMillisecond);
  together({{"host", [&] { EXPECT(ctx_loop_dispatch(family.loop) >= 0); }},
            {"derive", [&] {
               below.with_timeout(late.ctx, kMillisecond);
               EXPECT(below.error() != 0 && late.error() != 0);
               EXPECT(parent.error() != 0 && between.error() != 0 && first.error() != 0);
             }}});
  EXPECT(last.error() != 0);
}

// Rule 14: a context that its parent's cancel meets while its timer is armed leaves none behind.
SCENARIO(deadline_made_against_cancel) {
  Family family;
  Cancelable parent(family.root), timed, idle;
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"make", [&] {
               timed.with_timeout(parent.ctx, kMillisecond);
               EXPECT(ctx_with_idle(parent.ctx, kMillisecond, nullptr, &idle.ctx, &idle.canceler) ==
                      0);
             }}});
  EXPECT(timed.error() == CTX_CANCELED && idle.error() == CTX_CANCELED);
  EXPECT(ctx_loop_next(family.loop) == kForever);
}

// Rule 14, for one that is canceled itself.
SCENARIO(deadlines_that_are_canceled) {
  Family family;
  Cancelable alone, with_family;
  alone.with_timeout(family.root, kMillisecond);
  with_family.with_timeout(family.root, kMillisecond);
  Cancelable child(with_family.ctx);
  EXPECT(alone.cancel() == 1 && with_family.cancel() == 1);
  EXPECT(ctx_loop_next(family.loop) == kForever);
}

// The clock ends a context that another cancel meets from above, while its handle goes: the pin of the clock is the
// last reference, or the walk's.
SCENARIO(deadline_below_a_cancel_and_release, .preemptions = 1) {
  Family family;
  Valued above(family.root);
  Cancelable top = above.only_child(), timed;
  timed.with_timeout(top.ctx, kMillisecond);
  EXPECT(ctx_done_fd(timed.ctx) >= 0);
  together({{"advance", [&] { EXPECT(ctx_loop_advance(family.loop, kMillisecond) >= 0); }},
            {"cancel",
             [&] {
               EXPECT(top.cancel() == 1);
               top.release();
             }},
            {"release", [&] { timed.release(); }}});
  EXPECT(ctx_loop_advance(family.loop, 0) >= 0);
  EXPECT(above.value.drops == 1);
}

// As above, for two that their children keep, and that a waiter ends: its pins are the last references, which join the
// nodes in a list for the host. A walk that comes too late to pin them must leave that list alone.
SCENARIO(deadlines_below_a_cancel) {
  Family family(CTX_LOOP_MANUAL);
  Cancelable top(family.root), timed[2], below[2];
  for (int i = 0; i < 2; ++i) {
    timed[i].with_timeout(top.ctx, kMillisecond);
    below[i].derive(timed[i].ctx);
    timed[i].release();
  }
  sleep_for(2 * kMillisecond);
  together({{"wait", [&] { EXPECT(ctx_wait(below[0].ctx, CTX_FOREVER) == 1); }},
            {"cancel", [&] { EXPECT(top.cancel() == 1); }}});
  EXPECT(below[0].error() != 0 && below[1].error() != 0);
  EXPECT(ctx_loop_dispatch(family.loop) >= 0);  // gives back what the waiter has left to it
}

// The clock takes a timer out while its last reference goes.
SCENARIO(deadline_released_against_advance) {
  Family family;
  Cancelable timed;
  timed.with_timeout(family.root, kMillisecond);
  together({{"advance", [&] { EXPECT(ctx_loop_advance(family.loop, kMillisecond) >= 0); }},
            {"release", [&] { timed.release(); }}});
}

SCENARIO(deadline_canceled_against_advance) {
  Family family;
  Cancelable timed, below;
  timed.with_timeout(family.root, kMillisecond);
  below.derive(timed.ctx);
  together(
      {{"advance",
        [&] { EXPECT(ctx_loop_advance(family.loop, kMillisecond) >= 0 && below.error() != 0); }},
       {"cancel", [&] {
          EXPECT(timed.cancel() >= 0 && below.error() != 0);
          timed.release();
        }}});
}

// Rule 53: it never ends earlier than its limit after a touch, also one that comes while the loop looks.
SCENARIO(touch_against_look, .timers = true, .lasts = 1'000 * kMillisecond) {
  constexpr int64_t kLimit = 4 * kMillisecond;
  Family family(CTX_LOOP_MANUAL);
  Cancelable idle;
  EXPECT(ctx_with_idle(family.root, kLimit, nullptr, &idle.ctx, &idle.canceler) == 0);
  int64_t touched = 0;
  together({{"touch",
             [&] {
               const int64_t before = ctx_now(idle.ctx);
               if (ctx_touch(idle.ctx) == 0 && idle.error() == 0) touched = before;
             }},
            {"host", [&] {
               family.drive_until([&] { return idle.error() != 0; });
               EXPECT(ctx_now(idle.ctx) >= touched + kLimit);
             }}});
}

// A third thread looks at the time of the next work, and so at the timer: what it takes for the time of the touch is
// never earlier.
SCENARIO(touch_against_advance_and_look) {
  constexpr int64_t kLimit = 16 * kMillisecond;
  Family family;
  Cancelable idle;
  EXPECT(ctx_with_idle(family.root, kLimit, nullptr, &idle.ctx, &idle.canceler) == 0);
  int64_t touched = 0;
  together({{"advance", [&] { EXPECT(ctx_loop_advance(family.loop, 8 * kMillisecond) >= 0); }},
            {"touch",
             [&] {
               touched = ctx_now(idle.ctx);
               EXPECT(ctx_touch(idle.ctx) == 0);
             }},
            {"look", [&] { EXPECT(ctx_loop_next(family.loop) > 0); }}});
  EXPECT(ctx_loop_next(family.loop) >= touched + kLimit);
}

SCENARIO(touch_against_advance) {
  Family family;
  Cancelable idle;
  EXPECT(ctx_with_idle(family.root, 16 * kMillisecond, nullptr, &idle.ctx, &idle.canceler) == 0);
  int touched = 1;
  together({{"touch", [&] { touched = ctx_touch(idle.ctx); }},
            {"advance", [&] { EXPECT(ctx_loop_advance(family.loop, 16 * kMillisecond) >= 0); }}});
  EXPECT(touched == 0 || touched == CTX_DEADLINE_EXCEEDED);
  EXPECT(ctx_loop_advance(family.loop, 16 * kMillisecond) >= 0);
  EXPECT(idle.error() == CTX_DEADLINE_EXCEEDED);
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
