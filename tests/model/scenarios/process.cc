// SPDX-License-Identifier: MIT
// The default loop: its first use, its end, and fork.
#include "model/scenarios/child.h"
#include "model/scenarios/family.h"

using namespace model;  // NOLINT

namespace {

// Threads of the default loop start, end a deadline and run its callback.
void use_threads(uint32_t flags = CTX_DEFER) {
  Cancelable timed;
  timed.with_timeout(ctx_background(), kMillisecond);
  Armed armed;
  armed.arm(timed.ctx, flags);
  EXPECT(ctx_wait(timed.ctx, CTX_FOREVER) == 1);
  armed.await();
  armed.expect_over();
}

}  // namespace

SCENARIO(first_use_by_two_threads, .own_loops = false, .preemptions = 1) {
  together({{"one", [] { use_threads(); }}, {"other", [] { use_threads(); }}});
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

// A close ends what is below the static roots, too, if its loop is or becomes the default one.
SCENARIO(set_default_against_close, .own_loops = false) {
  ctx_loop_t* loop = nullptr;
  EXPECT(ctx_loop_new(CTX_LOOP_VIRTUAL, nullptr, &loop) == 0);
  Cancelable child;
  together({{"set",
             [&] {
               EXPECT(ctx_loop_set_default(loop) == 0);
               child.derive(ctx_background());
             }},
            {"close", [&] { EXPECT(ctx_loop_close(loop) == 0); }}});
  EXPECT(child.error() == CTX_CANCELED);
  ctx_loop_unref(loop);
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
  for (int i = 1; i < threads_started(); ++i) EXPECT(is_finished(i));
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

// A default loop that its host drives: nobody else runs what is deferred.
ctx_loop_t* set_manual_default() {
  ctx_loop_t* loop = nullptr;
  EXPECT(ctx_loop_new(CTX_LOOP_MANUAL, nullptr, &loop) == 0 && ctx_loop_set_default(loop) == 0);
  return loop;
}

}  // namespace

// Each call returns when what waited has run, whichever call runs it.
SCENARIO(two_shutdowns_of_a_manual_loop, .own_loops = false) {
  ctx_loop_t* const loop = set_manual_default();
  Cancelable parent(ctx_background());
  Armed armed;
  armed.arm(parent.ctx, CTX_DEFER);
  const auto shut_down = [&] {
    EXPECT(ctx_shutdown(CTX_FOREVER) == 0);
    EXPECT(armed.counted.drops == 1);
  };
  together({{"one", shut_down}, {"other", shut_down}});
  armed.expect_over();
  ctx_loop_unref(loop);
}

// Rule 1: the static roots are not counted. Who gives one back, or frees what hangs on one, takes nothing from the
// walk that ends all below it.
SCENARIO(shutdown_against_release_of_roots, .own_loops = false, .preemptions = 1) {
  use_threads();
  Valued valued(ctx_background());
  together({{"shutdown", [&] { EXPECT(ctx_shutdown(CTX_FOREVER) == 0); }},
            {"root", [&] { ctx_unref(ctx_background()); }},
            {"value", [&] { valued.release(); }}});
  EXPECT(valued.value.drops == 1);
}

// The loop's thread takes a timer out while its handle goes and the loop is shut down: what it gives back comes after
// the last look of the thread that runs callbacks.
SCENARIO(shutdown_against_deadline_and_release, .timers = true, .own_loops = false,
         .preemptions = 1) {
  Valued above(ctx_background());
  Cancelable timed;
  timed.with_timeout(above.ctx, kMillisecond);
  above.release();
  together({{"shutdown", [&] { EXPECT(ctx_shutdown(CTX_FOREVER) == 0); }},
            {"release", [&] { timed.release(); }}});
  EXPECT(above.value.drops == 1);
}

namespace {

// What a child does to handles of its parent: they are not its own.
void touch_parents(ctx_t* ctx, ctx_canceler_t* canceler) {
  EXPECT(ctx_cancel(canceler) == -ECHILD);
  Cancelable none;
  EXPECT(ctx_with_cancel(ctx, &none.ctx, &none.canceler) == -ECHILD && none.ctx == nullptr);
  ctx_unref(ctx);
}

void wait_for_descriptor() {
  const int fd = open_descriptor();
  Cancelable source;
  source.with_fd(ctx_background(), fd);
  make_readable(fd);
  EXPECT(ctx_wait(source.ctx, CTX_FOREVER) == 1);
  source.release();
  close_descriptor(fd);
}

void wait_for_signal() {
  const int number = 10;
  Cancelable signaled;
  EXPECT(ctx_with_signal(ctx_background(), &number, 1, &signaled.ctx, &signaled.canceler) == 0);
  send_signal(number);
  EXPECT(ctx_wait(signaled.ctx, CTX_FOREVER) == 1);
}

void use_queue() {
  ctx_queue_t* queue = nullptr;
  EXPECT(ctx_queue_new(&queue) == 0 && ctx_queue_fd(queue) >= 0);
  Cancelable parent(ctx_background());
  EXPECT(ctx_queue_add(queue, parent.ctx, 1, nullptr) == 0);
  EXPECT(parent.cancel() == 1);
  ctx_event_t event;
  EXPECT(ctx_queue_wait(queue, &event, 1, CTX_FOREVER) == 1);
  ctx_queue_unref(queue);
}

void use_group() {
  ctx_group_t* group = nullptr;
  EXPECT(ctx_group_new(ctx_background(), &group) == 0 && ctx_group_fd(group) >= 0);
  EXPECT(ctx_group_begin(group) == 0 && ctx_group_end(group, nullptr) == 0);
  EXPECT(ctx_group_wait(group, CTX_FOREVER) == 1);
  ctx_group_unref(group);
}

void use_merges() {
  Family here, there;
  Cancelable near(here.root), far(there.root), other(here.root), merged, mirrored;
  merged.merge({near.ctx, other.ctx});
  mirrored.merge({near.ctx, far.ctx});
  EXPECT(far.cancel() == 1 && ctx_loop_advance(here.loop, 0) >= 0 && mirrored.error() != 0);
  EXPECT(near.cancel() == 1 && merged.error() != 0);
}

void use_late_timers() {
  Family family(CTX_LOOP_MANUAL);
  Cancelable parent(family.root), grace, idle;
  grace.with_grace(parent.ctx, kMillisecond);
  EXPECT(ctx_with_idle(family.root, kMillisecond, nullptr, &idle.ctx, &idle.canceler) == 0);
  EXPECT(ctx_touch(idle.ctx) == 0 && parent.cancel() == 1);
  family.drive_until([&] { return grace.error() != 0 && idle.error() != 0; });
}

}  // namespace

void model::use_all_in_child() {
  Cancelable own(ctx_background()), below(own.ctx);
  Armed armed;
  armed.arm(below.ctx);
  EXPECT(ctx_done_fd(below.ctx) >= 0);
  EXPECT(own.cancel() == 1 && below.error() != 0 && is_readable(ctx_done_fd(below.ctx)));
  armed.expect_over();
  use_threads();
  use_threads(CTX_DEFER | CTX_BLOCKING);
  wait_for_descriptor();
  wait_for_signal();
  use_queue();
  use_group();
  use_merges();
  use_late_timers();
  EXPECT(ctx_shutdown(CTX_FOREVER) == 0);
}

namespace {

// Rule 47: whatever other threads are doing at the fork, whatever locks they hold, the child can use everything. With
// one preemption the fork comes at every point of what is used, and of the library's own threads.
void fork_against(const char* name, const std::function<void()>& use) {
  Cancelable parent(ctx_background());
  together({{name, use}, {"fork", [&] {
                            fork_child([&] {
                              touch_parents(parent.ctx, parent.canceler);
                              use_all_in_child();
                            });
                          }}});
}

}  // namespace

SCENARIO(fork_against_cancel, .own_loops = false) {
  Cancelable parent(ctx_background()), child(parent.ctx);
  Armed armed;
  armed.arm(child.ctx);
  fork_against("cancel", [&] { EXPECT(parent.cancel() == 1); });
  armed.expect_over();
}

SCENARIO(fork_against_derive_and_release, .own_loops = false) {
  Cancelable parent(ctx_background());
  fork_against("derive", [&] {
    Cancelable child(parent.ctx), below(child.ctx);
    Cancelable merged;
    merged.merge({child.ctx, parent.ctx});
  });
}

SCENARIO(fork_against_first_use, .own_loops = false, .preemptions = 1) {
  fork_against("use", [] { use_threads(); });
}

SCENARIO(fork_against_blocking, .own_loops = false, .preemptions = 1) {
  fork_against("use", [] { use_threads(CTX_DEFER | CTX_BLOCKING); });
}

SCENARIO(fork_against_source, .own_loops = false, .preemptions = 1) {
  fork_against("use", wait_for_descriptor);
}

SCENARIO(fork_against_signal, .own_loops = false, .preemptions = 1) {
  fork_against("use", wait_for_signal);
}

SCENARIO(fork_against_queue, .own_loops = false, .preemptions = 1) {
  fork_against("use", use_queue);
}

SCENARIO(fork_against_group, .own_loops = false, .preemptions = 1) {
  fork_against("use", use_group);
}

SCENARIO(fork_against_merges, .own_loops = false, .preemptions = 1) {
  fork_against("use", use_merges);
}

SCENARIO(fork_against_grace_and_idle, .own_loops = false, .preemptions = 1) {
  fork_against("use", use_late_timers);
}

SCENARIO(fork_against_shutdown, .own_loops = false, .preemptions = 1) {
  fork_against("use", [] {
    use_threads(CTX_DEFER | CTX_BLOCKING);
    EXPECT(ctx_shutdown(CTX_FOREVER) == 0);
  });
}

SCENARIO(fork_against_an_own_loop, .own_loops = false, .preemptions = 1) {
  fork_against("use", [] {
    Family family(CTX_LOOP_THREAD);
    Cancelable timed;
    timed.with_timeout(family.root, kMillisecond);
    EXPECT(ctx_wait(timed.ctx, CTX_FOREVER) == 1);
    EXPECT(ctx_loop_close(family.loop) == 0);
  });
}

SCENARIO(fork_against_set_default, .own_loops = false, .preemptions = 1) {
  together({{"set",
             [] {
               ctx_loop_t* const loop = set_manual_default();
               use_queue();
               ctx_loop_unref(loop);
             }},
            {"fork", [] { fork_child(use_all_in_child); }}});
}
