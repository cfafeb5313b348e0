// SPDX-License-Identifier: MIT
//
// Queues.
#include "fuzz/api/session.h"

namespace fuzz {

void Session::NewQueue() {
  if (queues_.size() >= 4) return;
  ctx_queue_t* queue = nullptr;
  FUZZ_EQ(ctx_queue_new(&queue), 0);
  queues_.push_back({queue, 1});
  queue_fds_.push_back(-1);
  model_.queues.push_back({});
  Say("q%zu = ctx_queue_new()", queues_.size() - 1);
}

void Session::AddToQueue() {
  const int queue = AnyQueue();
  if (queue == kNone || model_.watches.size() >= 2 * kMostContexts) return;
  const int ctx = AnyContext();
  const bool held = in_.Pick(2) == 1;
  const int watch = NewWatch();
  Watch& w = model_.watches[watch];
  w.token = static_cast<uint64_t>(watch) * 0x100000001u;
  w.held = held;
  Say("w%d = ctx_queue_add(q%d, c%d)", watch, queue, ctx);
  model_.Add(queue, ctx, watch);
  FUZZ_EQ(ctx_queue_add(queues_[queue].first, contexts_[ctx].ctx, w.token,
                        held ? &watches_[watch] : nullptr),
          0);
  if (!held && w.state == Watch::kIdle) w.state = Watch::kOver;
}

void Session::Drain() {
  const int queue = AnyQueue();
  if (queue == kNone) return;
  const size_t n = in_.Pick(6);
  const size_t how = in_.Pick(6);
  if (how == 0) return DropQueue(queue);
  if (how == 1) {
    queue_fds_[queue] = ctx_queue_fd(queues_[queue].first);
    REQUIRE(queue_fds_[queue] >= 0);
    return;
  }
  ctx_event_t events[6];
  ctx_t* contexts[6];
  int64_t count = 0;
  if (how == 2) {
    count = ctx_queue_drain_ctxs(queues_[queue].first, events, contexts, n);
  } else if (how == 3 && n > 0) {
    count = ctx_queue_wait(queues_[queue].first, events, n, in_.Byte());
  } else {
    count = ctx_queue_drain(queues_[queue].first, events, n);
  }
  Say("ctx_queue_drain(q%d, %zu): %lld", queue, n, static_cast<long long>(count));
  for (int64_t i = 0; i < count; ++i) {
    if (!model_.Drained(queue, events[i].token, events[i].err)) {
      BROKEN("an event came that must not, or not yet");
    }
    FUZZ_EQ(events[i].reserved, 0);
    if (how != 2) continue;
    const int ctx = model_.watches[model_.drained].ctx;
    REQUIRE(contexts[i] == contexts_[ctx].ctx);
    ++model_.contexts[ctx].handles;
  }
  if (static_cast<size_t>(count) < n) REQUIRE(!model_.Readable(queue));
}

void Session::DropQueue(int queue) {
  Say("ctx_queue_unref(q%d)", queue);
  if (--queues_[queue].second == 0) model_.FreeQueue(queue);
  ctx_queue_t* handle = queues_[queue].first;
  if (in_.Pick(2) == 0) {
    REQUIRE(ctx_queue_unref(handle) == nullptr);
  } else {
    ctx_queue_unrefp(&handle);
    REQUIRE(handle == nullptr);
  }
}

}  // namespace fuzz
