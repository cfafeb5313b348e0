// SPDX-License-Identifier: MIT
// Queues and groups.
#include "model/scenarios/family.h"

using namespace model;  // NOLINT

namespace {

struct Queue {
  Queue() { EXPECT(ctx_queue_new(&queue) == 0); }
  ~Queue() { release(); }
  void release() { queue = ctx_queue_unref(queue); }
  void add(ctx_t* ctx, uint64_t token, ctx_watch_t** watch = nullptr) {
    EXPECT(ctx_queue_add(queue, ctx, token, watch) == 0);
  }
  // How many events wait, each taken out.
  int drain() {
    ctx_event_t events[8];
    const int64_t count = ctx_queue_drain(queue, events, 8);
    EXPECT(count >= 0);
    for (int64_t i = 0; i < count; ++i) EXPECT(events[i].err != 0);
    return static_cast<int>(count);
  }
  ctx_queue_t* queue = nullptr;
};

}  // namespace

SCENARIO(queue_add_against_cancel) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  Queue queue;
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"add", [&] { queue.add(child.ctx, 1); }}});
  EXPECT(queue.drain() == 1 && queue.drain() == 0);
}

// Rule 26: an event or a stop that answers 1.
SCENARIO(queue_stop_against_cancel_and_drain) {
  Family family;
  Cancelable parent(family.root);
  Queue queue;
  ctx_watch_t* watch = nullptr;
  queue.add(parent.ctx, 1, &watch);
  int stopped = 0, events = 0;
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"stop", [&] { stopped = ctx_watch_stop(watch); }},
            {"drain", [&] { events = queue.drain(); }}});
  events += queue.drain();
  EXPECT(stopped + events == 1);
  ctx_watch_unref(watch);
}

SCENARIO(queue_stop_against_release_of_the_watch) {
  Family family;
  Cancelable parent(family.root);
  Queue queue;
  ctx_watch_t* watch = nullptr;
  queue.add(parent.ctx, 1, &watch);
  int events = 0;
  together({{"cancel and drain",
             [&] {
               EXPECT(parent.cancel() == 1);
               events = queue.drain();
             }},
            {"unref", [&] { ctx_watch_unref(watch); }}});
  EXPECT(events == 1);
}

// The descriptor is readable exactly while events wait.
SCENARIO(queue_descriptor_against_cancels) {
  Family family;
  Cancelable one(family.root), other(family.root);
  Queue queue;
  queue.add(one.ctx, 1);
  queue.add(other.ctx, 2);
  const int fd = ctx_queue_fd(queue.queue);
  int events = 0;
  together({{"one", [&] { EXPECT(one.cancel() == 1); }},
            {"other", [&] { EXPECT(other.cancel() == 1); }},
            {"drain", [&] { events = queue.drain(); }}});
  EXPECT(is_readable(fd) == (events < 2));
  events += queue.drain();
  EXPECT(events == 2 && !is_readable(fd));
}

SCENARIO(queue_descriptor_made_against_cancel) {
  Family family;
  Cancelable parent(family.root);
  Queue queue;
  queue.add(parent.ctx, 1);
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"descriptor", [&] { EXPECT(ctx_queue_fd(queue.queue) >= 0); }}});
  EXPECT(is_readable(ctx_queue_fd(queue.queue)));
}

SCENARIO(queue_wait_against_cancel) {
  Family family;
  Cancelable parent(family.root);
  Queue queue;
  queue.add(parent.ctx, 1);
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"wait", [&] {
               ctx_event_t event;
               EXPECT(ctx_queue_wait(queue.queue, &event, 1, CTX_FOREVER) == 1 && event.token == 1);
             }}});
}

SCENARIO(two_queue_waits_against_two_cancels, .preemptions = 1) {
  Family family;
  Cancelable one(family.root), other(family.root);
  Queue queue;
  queue.add(one.ctx, 1);
  queue.add(other.ctx, 2);
  const auto wait = [&] {
    ctx_event_t event;
    EXPECT(ctx_queue_wait(queue.queue, &event, 1, CTX_FOREVER) == 1);
  };
  together({{"cancel",
             [&] {
               EXPECT(one.cancel() == 1);
               EXPECT(other.cancel() == 1);
             }},
            {"wait", wait},
            {"wait too", wait}});
  EXPECT(queue.drain() == 0);
}

// The last handle of a queue goes while a cancel posts to it.
SCENARIO(queue_destroyed_against_cancel) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  Queue queue;
  ctx_watch_t* watch = nullptr;
  queue.add(child.ctx, 1, &watch);
  queue.add(parent.ctx, 2);
  together(
      {{"cancel", [&] { EXPECT(parent.cancel() == 1); }}, {"destroy", [&] { queue.release(); }}});
  EXPECT(ctx_watch_stop(watch) == 0);
  ctx_watch_unref(watch);
}

SCENARIO(queue_destroyed_against_stop) {
  Family family;
  Cancelable parent(family.root);
  Queue queue;
  ctx_watch_t* watch = nullptr;
  queue.add(parent.ctx, 1, &watch);
  together({{"stop",
             [&] {
               EXPECT(ctx_watch_stop(watch) >= 0);
               ctx_watch_unref(watch);
             }},
            {"destroy", [&] { queue.release(); }}});
}

// A drain gives back the last reference while another thread cancels the parent.
SCENARIO(queue_drain_of_last_reference_against_cancel) {
  Counted value;
  Family family;
  Cancelable top(family.root);
  ctx_t* valued = nullptr;
  EXPECT(ctx_with_value(top.ctx, &kKey, &value, Counted::drop, &valued) == 0);
  Cancelable leaf(valued);
  ctx_unref(valued);
  Queue queue;
  queue.add(leaf.ctx, 1);
  EXPECT(leaf.cancel() == 1);
  leaf.release();
  together({{"cancel", [&] { EXPECT(top.cancel() == 1); }},
            {"drain", [&] { EXPECT(queue.drain() == 1); }}});
  EXPECT(value.drops == 1);
}

SCENARIO(group_wait_against_ends) {
  Family family;
  ctx_group_t* group = nullptr;
  EXPECT(ctx_group_new(family.root, &group) == 0);
  EXPECT(ctx_group_begin(group) == 0 && ctx_group_begin(group) == 0);
  int ended = 0;
  const auto end = [&] {
    ++ended;
    EXPECT(ctx_group_end(group, nullptr) == 0);
  };
  together({{"end", end}, {"end too", end}, {"wait", [&] {
                                               EXPECT(ctx_group_wait(group, CTX_FOREVER) == 1);
                                               EXPECT(ended == 2);
                                             }}});
  ctx_group_unref(group);
}

// If the context is done, nothing begins after the wait.
SCENARIO(group_begin_against_cancel_and_wait) {
  Family family;
  ctx_group_t* group = nullptr;
  EXPECT(ctx_group_new(family.root, &group) == 0);
  bool gone = false;
  together({{"begin",
             [&] {
               if (ctx_group_begin(group) != 0) return;
               EXPECT(!gone);
               EXPECT(ctx_group_end(group, nullptr) == 0);
             }},
            {"cancel and wait", [&] {
               EXPECT(ctx_cancel(ctx_group_canceler(group)) >= 0);
               EXPECT(ctx_group_wait(group, CTX_FOREVER) == 1);
               gone = true;
             }}});
  ctx_group_unref(group);
}

SCENARIO(group_failures) {
  Family family;
  ctx_group_t* group = nullptr;
  EXPECT(ctx_group_new(family.root, &group) == 0);
  EXPECT(ctx_group_begin(group) == 0 && ctx_group_begin(group) == 0);
  ctx_cause_t* causes[2];
  EXPECT(ctx_cause_new(1, "one", &causes[0]) == 0 && ctx_cause_new(2, "two", &causes[1]) == 0);
  const auto fail_with = [&](int i) {
    EXPECT(ctx_group_end(group, causes[i]) == 0);
    ctx_cause_unref(causes[i]);
  };
  together({{"one", [&] { fail_with(0); }}, {"two", [&] { fail_with(1); }}});
  EXPECT(ctx_err(ctx_group_context(group)) != 0);
  EXPECT(ctx_cause_code(ctx_group_cause(group)) ==
         ctx_cause_code(ctx_cause(ctx_group_context(group))));
  ctx_group_unref(group);
}

SCENARIO(group_over_against_end_and_release) {
  Family family;
  ctx_group_t* group = nullptr;
  EXPECT(ctx_group_new(family.root, &group) == 0);
  EXPECT(ctx_group_begin(group) == 0);
  ctx_t* over = nullptr;
  Armed armed;
  together({{"end", [&] { EXPECT(ctx_group_end(group, nullptr) == 0); }},
            {"over", [&] {
               EXPECT(ctx_group_over(group, &over) == 0);
               armed.arm(over);
               ctx_group_unref(group);
             }}});
  EXPECT(ctx_err(over) != 0 && armed.counted.runs == 1);
  armed.expect_over();
  ctx_unref(over);
}

SCENARIO(nested_groups_against_release) {
  Family family;
  ctx_group_t *outer = nullptr, *inner = nullptr;
  EXPECT(ctx_group_new(family.root, &outer) == 0 && ctx_group_new_below(outer, &inner) == 0);
  EXPECT(ctx_group_begin(inner) == 0);
  ctx_cause_t* cause = nullptr;
  EXPECT(ctx_cause_new(3, "three", &cause) == 0);
  together({{"work", [&] { EXPECT(ctx_group_end(inner, cause) == 0); }},
            {"unref", [&] { ctx_group_unref(inner); }},
            {"wait", [&] {
               EXPECT(ctx_group_wait(outer, CTX_FOREVER) == 1);
               EXPECT(ctx_cause_code(ctx_group_cause(outer)) == 3);
             }}});
  ctx_cause_unref(cause);
  ctx_group_unref(outer);
}

SCENARIO(group_descriptor_against_begin_and_end) {
  Family family;
  ctx_group_t* group = nullptr;
  EXPECT(ctx_group_new(family.root, &group) == 0);
  const int fd = ctx_group_fd(group);
  together({{"work",
             [&] {
               EXPECT(ctx_group_begin(group) == 0);
               EXPECT(ctx_group_end(group, nullptr) == 0);
             }},
            {"more", [&] { EXPECT(ctx_group_begin(group) == 0); }}});
  EXPECT(!is_readable(fd));
  EXPECT(ctx_group_end(group, nullptr) == 0 && is_readable(fd));
  ctx_group_unref(group);
}

// An event tells that all below is done, also that of a context which was added during the cancel.
SCENARIO(queue_add_sees_all_below_done) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx), grandchild(child.ctx);
  Queue queue;
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }}, {"add", [&] {
                                                                  queue.add(parent.ctx, 1);
                                                                  if (queue.drain() == 1)
                                                                    EXPECT(grandchild.error() != 0);
                                                                }}});
}

// The entry alone holds the context, which a drain gives back while a stop looks at it.
SCENARIO(queue_stop_of_last_reference_against_drain) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  Queue queue;
  ctx_watch_t* watch = nullptr;
  queue.add(child.ctx, 1, &watch);
  child.release();
  int stopped = 0, events = 0;
  together({{"cancel and drain",
             [&] {
               EXPECT(parent.cancel() == 1);
               events = queue.drain();
             }},
            {"stop", [&] { stopped = ctx_watch_stop(watch); }}});
  events += queue.drain();
  EXPECT(stopped + events == 1);
  ctx_watch_unref(watch);
}
