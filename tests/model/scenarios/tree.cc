// SPDX-License-Identifier: MIT
// Deriving, canceling and releasing in one family.
#include "model/scenarios/family.h"

using namespace model;  // NOLINT

// A child is born done, or the cancel finds it.
SCENARIO(derive_against_cancel) {
  Family family;
  Cancelable parent(family.root);
  Cancelable child;
  bool canceled = false;
  together({{"derive",
             [&] {
               const bool before = canceled;
               child.derive(parent.ctx);
               if (before) EXPECT(child.error() != 0);
             }},
            {"cancel", [&] {
               EXPECT(parent.cancel() == 1);
               canceled = true;
             }}});
  EXPECT(child.error() == CTX_CANCELED);
  EXPECT(ctx_cause(child.ctx) == ctx_cause(parent.ctx));
}

// The parent has family already: the child is listed beside others while the walk is there.
SCENARIO(derive_beside_others_against_cancel) {
  Family family;
  Cancelable parent(family.root), older(parent.ctx), younger, youngest;
  together({{"derive", [&] { younger.derive(parent.ctx); }},
            {"derive too", [&] { youngest.derive(parent.ctx); }},
            {"cancel", [&] {
               EXPECT(parent.cancel() == 1);
               EXPECT(older.error() != 0);
             }}});
  EXPECT(younger.error() == CTX_CANCELED && youngest.error() == CTX_CANCELED);
}

// With shards: children on other processors than the first.
SCENARIO(derive_in_shards_against_cancel, .preemptions = 1) {
  Family family;
  Cancelable parent(family.root), first(parent.ctx);
  Cancelable children[3];
  together({{"derive 1", [&] { children[0].derive(parent.ctx); }},
            {"derive 2", [&] { children[1].derive(parent.ctx); }},
            {"derive 3", [&] { children[2].derive(parent.ctx); }},
            {"cancel", [&] { EXPECT(parent.cancel() == 1); }}});
  for (const Cancelable& child : children) EXPECT(child.error() == CTX_CANCELED);
}

// Rule 6: a cancel that comes back has ended all below, also where another cancel was there first.
SCENARIO(crossing_cancels) {
  Family family;
  Cancelable top(family.root), middle(top.ctx), leaf(middle.ctx);
  Armed armed;
  armed.arm(leaf.ctx);
  const int fd = ctx_done_fd(leaf.ctx);
  together({{"above",
             [&] {
               EXPECT(top.cancel() == 1);
               EXPECT(middle.error() != 0 && leaf.error() != 0 && is_readable(fd));
             }},
            {"below", [&] {
               const int result = middle.cancel();
               EXPECT(result == 0 || result == 1);
               EXPECT(leaf.error() != 0 && is_readable(fd));
             }}});
  armed.expect_over();
  EXPECT(ctx_cause(middle.ctx) != nullptr && ctx_cause(leaf.ctx) == ctx_cause(middle.ctx));
}

// Whoever is told that the upper one is done sees all below done, also what the lower cancel has still to mark.
SCENARIO(wait_above_crossing_cancels) {
  Family family;
  Cancelable top(family.root), middle(top.ctx), leaf(middle.ctx);
  together({{"above", [&] { EXPECT(top.cancel() == 1); }},
            {"below", [&] { EXPECT(middle.cancel() >= 0); }},
            {"wait", [&] { EXPECT(ctx_wait(top.ctx, CTX_FOREVER) == 1 && leaf.error() != 0); }}});
}

SCENARIO(crossing_cancels_of_three, .preemptions = 1) {
  Family family;
  Cancelable top(family.root), middle(top.ctx), leaf(middle.ctx);
  together({{"top", [&] { EXPECT(top.cancel() == 1 && leaf.error() != 0); }},
            {"middle", [&] { EXPECT(middle.cancel() >= 0 && leaf.error() != 0); }},
            {"leaf", [&] { EXPECT(leaf.cancel() >= 0 && leaf.error() != 0); }}});
}

// Two cancels of one context: one wins, and the other one comes back when all is woken.
SCENARIO(cancel_twice) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  const int fd = ctx_done_fd(child.ctx);
  int won = 0;
  const auto cancel = [&] {
    const int result = parent.cancel();
    EXPECT(child.error() != 0 && is_readable(fd));
    won += result;
  };
  together({{"first", cancel}, {"second", cancel}});
  EXPECT(won == 1);
}

// The parent's last handle and its last child's go at once: whoever comes last frees both.
SCENARIO(release_of_parent_and_last_child) {
  Family family;
  Valued above(family.root);
  Cancelable parent = above.only_child(), child(parent.ctx);
  together({{"parent", [&] { parent.release(); }}, {"child", [&] { child.release(); }}});
  EXPECT(above.value.drops == 1);
}

SCENARIO(release_of_parent_and_two_children, .preemptions = 1) {
  Family family;
  Valued above(family.root);
  Cancelable parent = above.only_child(), first(parent.ctx), second(parent.ctx);
  together({{"parent", [&] { parent.release(); }},
            {"first", [&] { first.release(); }},
            {"second", [&] { second.release(); }}});
  EXPECT(above.value.drops == 1);
}

// The last child is in a shard, and so a release takes the locks of all.
SCENARIO(release_of_parent_with_shards, .preemptions = 1) {
  Family family;
  Valued above(family.root);
  Cancelable parent = above.only_child();
  together({{"one", [&] { Cancelable child(parent.ctx); }},
            {"two", [&] { Cancelable child(parent.ctx); }},
            {"three", [&] { Cancelable child(parent.ctx); }}});
  Cancelable last;
  set_processor(3);
  last.derive(parent.ctx);
  together({{"parent", [&] { parent.release(); }}, {"child", [&] { last.release(); }}});
  EXPECT(above.value.drops == 1);
}

// A walk pins what it finds; the last handles go meanwhile.
SCENARIO(release_against_cancel) {
  Family family;
  Cancelable top(family.root), middle(top.ctx);
  Valued above(middle.ctx);
  Cancelable leaf = above.only_child();
  together({{"cancel", [&] { EXPECT(top.cancel() == 1); }}, {"release", [&] {
                                                               middle.release();
                                                               leaf.release();
                                                             }}});
  EXPECT(above.value.drops == 1);
}

SCENARIO(release_of_watched_against_cancel) {
  Family family;
  Cancelable top(family.root), leaf(top.ctx);
  Armed armed;
  armed.arm(leaf.ctx);
  EXPECT(ctx_done_fd(leaf.ctx) >= 0);
  together({{"cancel", [&] { EXPECT(top.cancel() == 1); }}, {"release", [&] { leaf.release(); }}});
  armed.expect_over();
  EXPECT(armed.counted.runs == 1);
}

// Whoever sees the error sees the cause as well.
SCENARIO(cause_against_cancel) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  ctx_cause_t* cause = nullptr;
  EXPECT(ctx_cause_new(7, "seven", &cause) == 0);
  together({{"cancel", [&] { EXPECT(ctx_cancel_with(parent.canceler, CTX_CANCELED, cause) == 1); }},
            {"look", [&] {
               if (parent.error() != 0) EXPECT(ctx_cause_code(ctx_cause(parent.ctx)) == 7);
               if (child.error() == 0) return;
               EXPECT(ctx_cause_code(ctx_cause(child.ctx)) == 7);
               EXPECT(parent.error() != 0);
             }}});
  EXPECT(ctx_ended_by(child.ctx, parent.ctx) == 1);
  ctx_cause_unref(cause);
}

// Rule 55: a context tells which one ended it, also while it happens.
SCENARIO(ended_by_against_cancels) {
  Family family;
  Cancelable top(family.root), middle(top.ctx), leaf(middle.ctx);
  together({{"top", [&] { top.cancel(); }},
            {"leaf", [&] { leaf.cancel(); }},
            {"look", [&] {
               const int by_top = ctx_ended_by(leaf.ctx, top.ctx);
               const int by_leaf = ctx_ended_by(leaf.ctx, leaf.ctx);
               EXPECT(by_top >= 0 && by_leaf >= 0);
               EXPECT(by_top + by_leaf <= 1 || leaf.error() != 0);
             }}});
  EXPECT(ctx_ended_by(leaf.ctx, top.ctx) + ctx_ended_by(leaf.ctx, leaf.ctx) == 1);
}

// A description and values are read while the family ends.
SCENARIO(describe_against_cancel_and_release) {
  Family family;
  Cancelable top(family.root);
  ctx_t* valued = nullptr;
  EXPECT(ctx_with_string(top.ctx, "name", "text", &valued) == 0);
  Cancelable leaf(valued);
  ctx_unref(valued);
  together({{"cancel and release",
             [&] {
               top.cancel();
               top.release();
             }},
            {"look", [&] {
               char text[128];
               EXPECT(ctx_describe(leaf.ctx, text, sizeof text) > 0);
               EXPECT(ctx_string(leaf.ctx, "name") != nullptr);
               EXPECT(ctx_cancelable(leaf.ctx) == 1);
             }}});
}

// A walk meets another one, whose node is released meanwhile.
SCENARIO(crossing_cancels_and_release) {
  Family family;
  Cancelable top(family.root), middle(top.ctx), leaf(middle.ctx);
  together({{"above", [&] { EXPECT(top.cancel() == 1); }}, {"below", [&] {
                                                              EXPECT(middle.cancel() >= 0);
                                                              leaf.release();
                                                              middle.release();
                                                            }}});
}

// A callback gives back all handles of the context that is being canceled.
SCENARIO(callback_releases_all) {
  struct Gives {
    static void run(ctx_t*, void* self) { static_cast<Cancelable*>(self)->release(); }
  };
  Family family;
  Cancelable parent(family.root), child(parent.ctx), grandchild(child.ctx);
  EXPECT(ctx_after_func(parent.ctx, Gives::run, &parent, nullptr, 0, nullptr) == 0);
  EXPECT(ctx_after_func(child.ctx, Gives::run, &child, nullptr, 0, nullptr) == 0);
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"release", [&] { grandchild.release(); }}});
}

// The shard of the last processor is walked, too.
SCENARIO(derive_in_the_last_shard) {
  Family family;
  Cancelable parent(family.root);
  together({{"one", [&] { Cancelable child(parent.ctx); }},
            {"two", [&] { Cancelable child(parent.ctx); }},
            {"three", [&] { Cancelable child(parent.ctx); }}});
  Cancelable children[2];
  set_processor(15);
  together({{"one", [&] { children[0].derive(parent.ctx); }},
            {"two", [&] { children[1].derive(parent.ctx); }}});
  EXPECT(parent.cancel() == 1);
  for (const Cancelable& child : children) EXPECT(child.error() != 0);
}

// A child whose only children are in other shards than the first is no leaf.
SCENARIO(cancel_above_children_in_shards) {
  Family family;
  Cancelable parent(family.root), node(parent.ctx), child;
  together(
      {{"one", [&] { Cancelable gone(node.ctx); }}, {"two", [&] { Cancelable gone(node.ctx); }}});
  child.derive(node.ctx);
  EXPECT(parent.cancel() == 1 && child.error() == CTX_CANCELED);
}
