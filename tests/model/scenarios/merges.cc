// SPDX-License-Identifier: MIT
// Merges and graces.
#include "model/scenarios/family.h"

using namespace model;  // NOLINT

SCENARIO(merge_against_cancel_of_a_parent) {
  Family family;
  Cancelable one(family.root), other(family.root), merged;
  together({{"cancel", [&] { EXPECT(one.cancel() == 1); }}, {"merge", [&] {
                                                               merged.merge({one.ctx, other.ctx});
                                                             }}});
  EXPECT(merged.error() == CTX_CANCELED && other.error() == 0);
}

// The flag that merges are below a context goes up while that is canceled.
SCENARIO(merge_in_a_new_family_against_cancel) {
  Family family;
  Cancelable top(family.root), one(top.ctx), other(top.ctx), merged;
  together({{"cancel", [&] { EXPECT(top.cancel() == 1); }}, {"merge", [&] {
                                                               merged.merge({one.ctx, other.ctx});
                                                               merged.release();
                                                             }}});
}

// Two merges count themselves upwards. The second finds the first's count in a parent, and must not take that for one
// that has come to the top: the cancel there would find a proxy without the lock of the merges.
SCENARIO(two_merges_in_a_new_family_against_cancel, .preemptions = 1) {
  Family family;
  Cancelable top(family.root), one(top.ctx), other(family.root), left;
  for (int i = 0; i < 8; ++i) one = Cancelable(one.ctx);
  together({{"merge",
             [&] {
               left.merge({one.ctx, other.ctx});
             }},
            {"merge and release",
             [&] {
               Cancelable right;
               right.merge({one.ctx, other.ctx});
             }},
            {"cancel", [&] { EXPECT(top.cancel() == 1); }}});
  EXPECT(left.error() != 0);
}

SCENARIO(merge_below_two_cancels) {
  Family family;
  Cancelable one(family.root), other(family.root), merged, below;
  merged.merge({one.ctx, other.ctx});
  below.derive(merged.ctx);
  Armed armed;
  armed.arm(below.ctx);
  together({{"one", [&] { EXPECT(one.cancel() == 1 && below.error() != 0); }},
            {"other", [&] { EXPECT(other.cancel() == 1 && below.error() != 0); }}});
  armed.expect_over();
  EXPECT(armed.counted.runs == 1);
}

// Two merges of the same parents in the other order: cancels that meet must not wait for each other.
SCENARIO(merges_that_cross) {
  Family family;
  Cancelable one(family.root), other(family.root), left, right;
  left.merge({one.ctx, other.ctx});
  right.merge({other.ctx, one.ctx});
  together(
      {{"one", [&] { EXPECT(one.cancel() == 1 && left.error() != 0 && right.error() != 0); }},
       {"other", [&] { EXPECT(other.cancel() == 1 && left.error() != 0 && right.error() != 0); }}});
}

// A ladder: each rung is merged from the one above and a parent of its own.
SCENARIO(merge_ladder_against_cancels, .preemptions = 1) {
  Family family;
  Cancelable a(family.root), b(family.root), c(family.root), first, second;
  first.merge({a.ctx, b.ctx});
  second.merge({first.ctx, c.ctx});
  Armed armed[2];
  armed[0].arm(first.ctx);
  armed[1].arm(second.ctx);
  together({{"a", [&] { EXPECT(a.cancel() == 1 && second.error() != 0); }},
            {"c", [&] { EXPECT(c.cancel() == 1 && second.error() != 0); }},
            {"first", [&] { EXPECT(first.cancel() >= 0 && second.error() != 0); }}});
  armed[0].expect_over();
  armed[1].expect_over();
}

SCENARIO(merge_canceled_against_a_parent) {
  Family family;
  Cancelable one(family.root), other(family.root), merged, below;
  merged.merge({one.ctx, other.ctx});
  below.derive(merged.ctx);
  const int fd = ctx_done_fd(below.ctx);
  together(
      {{"parent", [&] { EXPECT(one.cancel() == 1 && below.error() != 0 && is_readable(fd)); }},
       {"itself", [&] { EXPECT(merged.cancel() >= 0 && below.error() != 0 && is_readable(fd)); }}});
}

SCENARIO(merge_released_against_cancel) {
  Family family;
  Cancelable one(family.root), other(family.root), merged, below;
  merged.merge({one.ctx, other.ctx});
  below.derive(merged.ctx);
  together({{"cancel", [&] { EXPECT(one.cancel() == 1); }}, {"release", [&] {
                                                               merged.release();
                                                               below.release();
                                                             }}});
}

SCENARIO(merge_released_against_its_parents, .preemptions = 1) {
  Family family;
  Valued above(family.root);
  Cancelable one = above.only_child(), other(family.root), merged;
  merged.merge({one.ctx, other.ctx});
  together({{"merged", [&] { merged.release(); }},
            {"one", [&] { one.release(); }},
            {"other", [&] { other.cancel(); }}});
  EXPECT(above.value.drops == 1);
}

// A parent of another loop ends it at that loop's next turn.
SCENARIO(merge_of_two_loops_against_cancel) {
  Family here, there;
  Cancelable near(here.root), far(there.root), below(far.ctx), merged;
  bool canceled = false;
  together({{"far",
             [&] {
               EXPECT(far.cancel() == 1);
               canceled = true;
             }},
            {"merge", [&] {
               const bool before = canceled;
               merged.merge({near.ctx, far.ctx});
               if (before) EXPECT(merged.error() != 0);
               if (merged.error() != 0) EXPECT(below.error() != 0);
             }}});
  EXPECT(ctx_loop_advance(here.loop, 0) >= 0);
  EXPECT(merged.error() == CTX_CANCELED && near.error() == 0);
}

SCENARIO(merge_of_two_loops_released_against_cancel, .preemptions = 1) {
  Family here, there;
  Cancelable near(here.root), far(there.root), merged;
  merged.merge({near.ctx, far.ctx});
  together({{"far", [&] { EXPECT(far.cancel() == 1); }},
            {"release", [&] { merged.release(); }},
            {"advance", [&] { EXPECT(ctx_loop_advance(here.loop, 0) >= 0); }}});
}

// A grace begins with its parent's end, or is canceled first.
SCENARIO(grace_begin_against_cancel) {
  Family family;
  Cancelable parent(family.root), grace, below;
  grace.with_grace(parent.ctx, kMillisecond);
  below.derive(grace.ctx);
  together({{"parent", [&] { EXPECT(parent.cancel() == 1); }},
            {"grace", [&] { EXPECT(grace.cancel() == 1 && below.error() != 0); }}});
  EXPECT(ctx_loop_next(family.loop) == kForever);  // its timer is gone (rule 14)
  EXPECT(ctx_loop_advance(family.loop, 2 * kMillisecond) >= 0);
}

SCENARIO(grace_begin_against_release) {
  Family family;
  Cancelable parent(family.root), grace;
  grace.with_grace(parent.ctx, kMillisecond);
  together(
      {{"parent", [&] { EXPECT(parent.cancel() == 1); }}, {"release", [&] { grace.release(); }}});
  EXPECT(ctx_loop_advance(family.loop, 2 * kMillisecond) >= 0);
}

SCENARIO(grace_made_against_cancel) {
  Family family;
  Cancelable parent(family.root), grace;
  together({{"parent", [&] { EXPECT(parent.cancel() == 1); }},
            {"make", [&] { grace.with_grace(parent.ctx, kMillisecond); }}});
  EXPECT(grace.error() == 0);
  EXPECT(ctx_loop_next(family.loop) == kMillisecond);
  EXPECT(ctx_loop_advance(family.loop, kMillisecond) == 1 && grace.error() == CTX_CANCELED);
}

// The clock moves while a grace is made below a parent that is done already.
SCENARIO(grace_made_against_advance) {
  Family family;
  Cancelable parent(family.root), grace;
  EXPECT(parent.cancel() == 1);
  together({{"make", [&] { grace.with_grace(parent.ctx, kMillisecond); }},
            {"advance", [&] { EXPECT(ctx_loop_advance(family.loop, 2 * kMillisecond) >= 0); }}});
  EXPECT(ctx_loop_next(family.loop) > ctx_loop_now(family.loop));
}

// The clock moves while the grace begins: it is in time, or ends at once.
SCENARIO(grace_begin_against_advance) {
  Family family;
  Cancelable parent(family.root), grace;
  grace.with_grace(parent.ctx, kMillisecond);
  together({{"parent", [&] { EXPECT(parent.cancel() == 1); }},
            {"advance", [&] { EXPECT(ctx_loop_advance(family.loop, 2 * kMillisecond) >= 0); }}});
  EXPECT(ctx_loop_next(family.loop) > ctx_loop_now(family.loop));
  if (grace.error() == 0) EXPECT(ctx_loop_advance(family.loop, kMillisecond) == 1);
  EXPECT(grace.error() == CTX_CANCELED);
}
