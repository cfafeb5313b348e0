// SPDX-License-Identifier: MIT
// Deadlines and idle times: armed, fired, canceled, touched, and in which order.
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
