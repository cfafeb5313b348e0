// SPDX-License-Identifier: MIT
// The default loop: its first use, its end, and fork.
#include "model/scenarios/family.h"

using namespace model;  // NOLINT

SCENARIO(first_use_by_two_threads, .own_loops = false, .preemptions = 1) {
  const auto use = [] {
    Cancelable timed;
    timed.with_timeout(ctx_background(), kMillisecond);
    Armed armed;
    armed.arm(timed.ctx, CTX_DEFER);
    EXPECT(ctx_wait(timed.ctx, CTX_FOREVER) == 1);
    armed.stop_wait();
    armed.expect_over();
  };
  together({{"one", use}, {"other", use}});
}

SCENARIO(first_derivations, .own_loops = false) {
  Cancelable children[2];
  together({{"one", [&] { children[0].derive(ctx_background()); }},
            {"other", [&] { children[1].derive(ctx_todo()); }}});
  EXPECT(children[0].cancel() == 1 && children[1].cancel() == 1);
}

// A loop becomes the default one, or somebody was first.
SCENARIO(set_default_against_first_use, .own_loops = false) {
  ctx_loop_t* loop = nullptr;
  EXPECT(ctx_loop_new(CTX_LOOP_VIRTUAL, nullptr, &loop) == 0);
  Cancelable timed;
  int set = 1;
  together({{"set", [&] { set = ctx_loop_set_default(loop); }},
            {"derive", [&] { timed.with_timeout(ctx_background(), kMillisecond); }}});
  EXPECT(set == 0 || set == -EBUSY);
  EXPECT((ctx_loop_next(loop) == kMillisecond) == (set == 0));
  ctx_loop_unref(loop);
  if (set == 0) EXPECT(timed.error() == CTX_CANCELED);
}

SCENARIO(set_default_twice, .own_loops = false) {
  ctx_loop_t* loops[2];
  int won = 0;
  const auto set = [&](int i) {
    EXPECT(ctx_loop_new(CTX_LOOP_VIRTUAL, nullptr, &loops[i]) == 0);
    const int result = ctx_loop_set_default(loops[i]);
    EXPECT(result == 0 || result == -EBUSY);
    won += result == 0;
  };
  together({{"one", [&] { set(0); }}, {"other", [&] { set(1); }}});
  EXPECT(won == 1);
  ctx_loop_unref(loops[0]);
  ctx_loop_unref(loops[1]);
}

SCENARIO(shutdown_against_derive, .own_loops = false, .preemptions = 1) {
  Cancelable before(ctx_background()), during;
  together({{"shutdown",
             [&] {
               EXPECT(ctx_shutdown(CTX_FOREVER) == 0);
               EXPECT(before.error() != 0);
             }},
            {"derive", [&] { during.with_timeout(ctx_background(), kMillisecond); }}});
  EXPECT(during.error() != 0);
}

// What was deferred has run when it returns, whoever runs it.
SCENARIO(shutdown_against_deferred_callback, .own_loops = false, .preemptions = 1) {
  Cancelable parent(ctx_background());
  Armed armed;
  armed.arm(parent.ctx, CTX_DEFER);
  together({{"shutdown", [&] { EXPECT(ctx_shutdown(CTX_FOREVER) == 0); }},
            {"cancel", [&] { EXPECT(parent.cancel() >= 0); }}});
  EXPECT(armed.counted.runs == 1);
  armed.expect_over();
}

SCENARIO(shutdown_against_blocking_callback, .own_loops = false, .preemptions = 1) {
  Cancelable parent(ctx_background());
  Armed armed;
  armed.arm(parent.ctx, CTX_DEFER | CTX_BLOCKING);
  together({{"shutdown", [&] { EXPECT(ctx_shutdown(CTX_FOREVER) == 0); }},
            {"cancel", [&] { EXPECT(parent.cancel() >= 0); }}});
  EXPECT(armed.counted.runs == 1);
  armed.expect_over();
}

SCENARIO(two_shutdowns, .own_loops = false, .preemptions = 1) {
  Cancelable timed;
  timed.with_timeout(ctx_background(), kMillisecond);
  const auto shut_down = [&] {
    EXPECT(ctx_shutdown(CTX_FOREVER) == 0);
    EXPECT(timed.error() != 0);
  };
  together({{"one", shut_down}, {"other", shut_down}});
}

namespace {

// What a child does: all works at once, and what the parent has made is not its own.
void use_all_in_child(ctx_t* parents, ctx_canceler_t* canceler) {
  EXPECT(ctx_cancel(canceler) == -ECHILD);
  ctx_t* none = nullptr;
  EXPECT(ctx_with_cancel(parents, &none, nullptr) == -ECHILD || none == nullptr);
  ctx_unref(parents);
  Cancelable own(ctx_background()), below(own.ctx);
  Armed armed, deferred;
  armed.arm(below.ctx);
  deferred.arm(below.ctx, CTX_DEFER);
  EXPECT(own.cancel() == 1 && below.error() != 0);
  armed.expect_over();
  deferred.stop_wait();
  deferred.expect_over();
  Cancelable timed;
  timed.with_timeout(ctx_background(), kMillisecond);
  EXPECT(ctx_wait(timed.ctx, CTX_FOREVER) == 1);
  Family family;
  Cancelable merged;
  Cancelable one(family.root), other(family.root);
  merged.merge({one.ctx, other.ctx});
  EXPECT(one.cancel() == 1 && merged.error() != 0);
}

}  // namespace

// Rule 47: whatever other threads are doing at the fork, the child can use everything.
SCENARIO(fork_against_cancel, .own_loops = false) {
  Cancelable parent(ctx_background()), child(parent.ctx);
  Armed armed;
  armed.arm(child.ctx);
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"fork", [&] { fork_child([&] { use_all_in_child(child.ctx, parent.canceler); }); }}});
  armed.expect_over();
}

SCENARIO(fork_against_derive_and_release, .own_loops = false) {
  Cancelable parent(ctx_background());
  together({{"derive",
             [&] {
               Cancelable child(parent.ctx), below(child.ctx);
               Cancelable merged;
               merged.merge({child.ctx, parent.ctx});
             }},
            {"fork", [&] { fork_child([&] { use_all_in_child(parent.ctx, parent.canceler); }); }}});
}

SCENARIO(fork_against_first_use, .own_loops = false, .preemptions = 1) {
  Cancelable parent(ctx_background());
  together({{"use",
             [&] {
               Cancelable timed;
               timed.with_timeout(ctx_background(), kMillisecond);
               Armed armed;
               armed.arm(timed.ctx, CTX_DEFER);
               EXPECT(ctx_wait(timed.ctx, CTX_FOREVER) == 1);
               armed.stop_wait();
               armed.expect_over();
             }},
            {"fork", [&] { fork_child([&] { use_all_in_child(parent.ctx, parent.canceler); }); }}});
}

SCENARIO(fork_against_sources_and_queues, .own_loops = false, .preemptions = 1) {
  Cancelable parent(ctx_background());
  ctx_queue_t* queue = nullptr;
  EXPECT(ctx_queue_new(&queue) == 0);
  EXPECT(ctx_queue_fd(queue) >= 0);
  const int fd = open_descriptor();
  together({{"use",
             [&] {
               Cancelable source;
               source.with_fd(ctx_background(), fd);
               EXPECT(ctx_queue_add(queue, source.ctx, 1, nullptr) == 0);
               make_readable(fd);
               ctx_event_t event;
               EXPECT(ctx_queue_wait(queue, &event, 1, CTX_FOREVER) == 1);
             }},
            {"fork", [&] { fork_child([&] { use_all_in_child(parent.ctx, parent.canceler); }); }}});
  ctx_queue_unref(queue);
  close_descriptor(fd);
}
