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

struct Group {
  Group() = default;
  explicit Group(ctx_t* parent) { EXPECT(ctx_group_new(parent, &group) == 0); }
  Group(const Group&) = delete;
  ~Group() { release(); }
  void below(const Group& outer) { EXPECT(ctx_group_new_below(outer.group, &group) == 0); }
  void release() { group = ctx_group_unref(group); }
  void begin() { EXPECT(ctx_group_begin(group) == 0); }
  void end(ctx_cause_t* cause = nullptr) { EXPECT(ctx_group_end(group, cause) == 0); }
  void wait() { EXPECT(ctx_group_wait(group, CTX_FOREVER) == 1); }
  ctx_group_t* group = nullptr;
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

// As above, but the entry is a leaf's, which leaves with the walk of the cancel above it.
SCENARIO(queue_stop_of_a_leaf_against_cancel_and_drain) {
  Family family;
  Cancelable parent(family.root), leaf(parent.ctx);
  Queue queue;
  ctx_watch_t* watch = nullptr;
  queue.add(leaf.ctx, 1, &watch);
  const int fd = ctx_queue_fd(queue.queue);
  int stopped = 0, events = 0;
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"stop", [&] { stopped = ctx_watch_stop(watch); }},
            {"drain", [&] { events = queue.drain(); }}});
  events += queue.drain();
  EXPECT(stopped + events == 1 && !is_readable(fd));
  ctx_watch_unref(watch);
}

SCENARIO(queue_stop_of_a_leaf_against_cancel) {
  Family family;
  Cancelable parent(family.root), leaf(parent.ctx);
  Queue queue;
  ctx_watch_t *first = nullptr, *second = nullptr;
  queue.add(leaf.ctx, 1, &first);
  queue.add(leaf.ctx, 2, &second);
  const int fd = ctx_queue_fd(queue.queue);
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"stop",
             [&] {
               EXPECT(ctx_watch_stop(first) == 1);
               EXPECT(ctx_watch_stop(first) == 0);
             }},
            {"stop the other", [&] { EXPECT(ctx_watch_stop(second) == 1); }}});
  EXPECT(!is_readable(fd) && queue.drain() == 0);
  ctx_watch_unref(first);
  ctx_watch_unref(second);
}

// One cancel posts to two queues; each is drained, and one goes.
SCENARIO(queues_of_leaves_against_cancel_and_drains, .preemptions = 1) {
  Family family;
  Cancelable parent(family.root), one(parent.ctx), two(parent.ctx), three(parent.ctx);
  Queue queue, other;
  queue.add(one.ctx, 1);
  other.add(two.ctx, 2);
  queue.add(three.ctx, 3);
  int events = 0;
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"drain", [&] { events = queue.drain(); }},
            {"release", [&] { other.release(); }}});
  EXPECT(events + queue.drain() == 2);
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

// As above, for a leaf's entry: the walk of the cancel above posts it, and tells who waits or polls.
SCENARIO(queue_wait_for_a_leaf_against_cancel) {
  Family family;
  Cancelable parent(family.root), leaf(parent.ctx);
  Queue queue, polled;
  queue.add(leaf.ctx, 1);
  polled.add(leaf.ctx, 2);
  const int fd = ctx_queue_fd(polled.queue);
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"wait", [&] {
               ctx_event_t event;
               EXPECT(ctx_queue_wait(queue.queue, &event, 1, CTX_FOREVER) == 1 && event.token == 1);
             }}});
  EXPECT(is_readable(fd) && polled.drain() == 1);
}

// Entries before and behind a callback of a leaf.
SCENARIO(queue_stop_around_a_callback_of_a_leaf) {
  Family family;
  Cancelable parent(family.root), leaf(parent.ctx);
  Queue queue;
  ctx_watch_t *before = nullptr, *behind = nullptr;
  Armed armed;
  queue.add(leaf.ctx, 1, &before);
  armed.arm(leaf.ctx);
  queue.add(leaf.ctx, 2, &behind);
  int stopped = 0;
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }}, {"stop", [&] {
                                                                  stopped += ctx_watch_stop(before);
                                                                  armed.stop();
                                                                  stopped += ctx_watch_stop(behind);
                                                                }}});
  EXPECT(stopped == 2 && queue.drain() == 0);
  armed.expect_over();
  ctx_watch_unref(before);
  ctx_watch_unref(behind);
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
  Family family;
  Cancelable top(family.root);
  Valued above(top.ctx);
  Cancelable leaf = above.only_child();
  Queue queue;
  queue.add(leaf.ctx, 1);
  EXPECT(leaf.cancel() == 1);
  leaf.release();
  together({{"cancel", [&] { EXPECT(top.cancel() == 1); }},
            {"drain", [&] { EXPECT(queue.drain() == 1); }}});
  EXPECT(above.value.drops == 1);
}

SCENARIO(group_wait_against_ends) {
  Family family;
  Group group(family.root);
  group.begin();
  group.begin();
  int ended = 0;
  const auto end = [&] {
    ++ended;
    group.end();
  };
  together({{"end", end}, {"end too", end}, {"wait", [&] {
                                               group.wait();
                                               EXPECT(ended == 2);
                                             }}});
}

// If the context is done, nothing begins after the wait.
SCENARIO(group_begin_against_cancel_and_wait) {
  Family family;
  Group group(family.root);
  bool gone = false;
  together({{"begin",
             [&] {
               if (ctx_group_begin(group.group) != 0) return;
               EXPECT(!gone);
               group.end();
             }},
            {"cancel and wait", [&] {
               EXPECT(ctx_cancel(ctx_group_canceler(group.group)) >= 0);
               group.wait();
               gone = true;
             }}});
}

SCENARIO(group_failures) {
  Family family;
  Group group(family.root);
  group.begin();
  group.begin();
  ctx_cause_t* causes[2];
  EXPECT(ctx_cause_new(1, "one", &causes[0]) == 0 && ctx_cause_new(2, "two", &causes[1]) == 0);
  const auto fail_with = [&](int i) {
    group.end(causes[i]);
    ctx_cause_unref(causes[i]);
  };
  together({{"one", [&] { fail_with(0); }}, {"two", [&] { fail_with(1); }}});
  ctx_t* const context = ctx_group_context(group.group);
  EXPECT(ctx_err(context) != 0);
  EXPECT(ctx_cause_code(ctx_group_cause(group.group)) == ctx_cause_code(ctx_cause(context)));
}

SCENARIO(group_over_against_end_and_release) {
  Family family;
  Group group(family.root);
  group.begin();
  ctx_t* over = nullptr;
  Armed armed;
  together({{"end", [&] { group.end(); }}, {"over", [&] {
                                              EXPECT(ctx_group_over(group.group, &over) == 0);
                                              armed.arm(over);
                                              ctx_group_unref(group.group);
                                            }}});
  group.group = nullptr;  // "end" went on with it
  EXPECT(ctx_err(over) != 0 && armed.counted.runs == 1);
  armed.expect_over();
  ctx_unref(over);
}

SCENARIO(nested_groups_against_release) {
  Family family;
  Group outer(family.root), inner;
  inner.below(outer);
  inner.begin();
  ctx_cause_t* cause = nullptr;
  EXPECT(ctx_cause_new(3, "three", &cause) == 0);
  together({{"work", [&] { EXPECT(ctx_group_end(inner.group, cause) == 0); }},
            {"unref", [&] { ctx_group_unref(inner.group); }},
            {"wait", [&] {
               outer.wait();
               EXPECT(ctx_cause_code(ctx_group_cause(outer.group)) == 3);
             }}});
  inner.group = nullptr;
  ctx_cause_unref(cause);
}

SCENARIO(group_descriptor_against_begin_and_end) {
  Family family;
  Group group(family.root);
  const int fd = ctx_group_fd(group.group);
  together({{"work",
             [&] {
               group.begin();
               group.end();
             }},
            {"more", [&] { group.begin(); }}});
  EXPECT(!is_readable(fd));
  group.end();
  EXPECT(is_readable(fd));
}

// Made while the last work ends, it is readable, whoever is first.
SCENARIO(group_descriptor_made_against_end) {
  Family family;
  Group group(family.root);
  group.begin();
  together({{"end", [&] { group.end(); }},
            {"descriptor", [&] { EXPECT(ctx_group_fd(group.group) >= 0); }}});
  EXPECT(is_readable(ctx_group_fd(group.group)));
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
