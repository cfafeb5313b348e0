// SPDX-License-Identifier: MIT
//
// Callbacks, whose turn it is, and the events of queues.
#include <algorithm>
#include <cstdio>

#include "fuzz/reference/reference.h"

namespace fuzz {

bool Reference::Readable(int queue) const {
  for (const auto& moment : queues[queue].events) {
    if (!moment.empty()) return true;
  }
  return false;
}

void Reference::Leave() {
  Settle(true);
  if (!ambiguous && !frames_.back().now.empty()) fail("a callback was not run");
  if (frames_.back().driving != kNone) {
    Loop& loop = loops[frames_.back().driving];
    loop.driven = loop.may_release = false;
  }
  frames_.pop_back();
  Collect();
}

bool Reference::InCallback() const {
  return std::any_of(frames_.begin(), frames_.end(),
                     [](const Frame& frame) { return frame.running != kNone; });
}

bool Reference::InWaker() const {
  return std::any_of(frames_.begin(), frames_.end(), [&](const Frame& frame) {
    return frame.running != kNone && frame.running_waker;
  });
}

int Reference::Arm(int watch, int ctx, bool waker, bool deferred) {
  Watch& w = watches[watch];
  w.waker = waker;
  w.deferred = deferred;
  w.ctx = ctx;
  const Context& node = NodeOf(ctx);
  if (node.is_root()) {
    w.state = Watch::kIdle;
    return 0;
  }
  if (deferred && loops[node.loop].orphaned) return -ESHUTDOWN;
  w.state = Watch::kArmed;
  if (node.err == 0) return 0;
  Batch batch{{watch}, waker};
  if (deferred) {
    loops[node.loop].backlog.push_back(batch);
  } else {
    frames_.back().now.push_back(batch);
  }
  return 1;
}

void Reference::Called(int watch) {
  Settle(false);
  if (ambiguous) return;
  Frame& frame = frames_.back();
  if (watches[watch].state != Watch::kArmed) return fail("a callback ran that was not armed");
  if (frame.now.empty()) return fail("a callback ran that nothing had set off");
  Batch& batch = frame.now.front();
  const auto found = std::find(batch.watches.begin(), batch.watches.end(), watch);
  if (found == batch.watches.end()) return fail("a callback ran before its time");
  for (int other : batch.watches) {
    if (watches[other].state == Watch::kArmed && MustPrecede(other, watch)) {
      std::fprintf(stderr, "w%d of c%d comes before w%d of c%d\n", other, watches[other].ctx, watch,
                   watches[watch].ctx);
      return fail("a callback ran before one that must come first");
    }
  }
  frame.running_waker = batch.wakers;
  batch.watches.erase(found);
  frame.running = watch;
  watches[watch].state = Watch::kRunning;
}

void Reference::Returned(int watch) {
  Frame& frame = frames_.back();
  if (ambiguous) return;
  frame.running = kNone;
  watches[watch].state = Watch::kOver;
  frame.now.insert(frame.now.begin(), frame.left.begin(), frame.left.end());
  frame.left.clear();
  Collect();
}

bool Reference::Stop(int watch) {
  Watch& w = watches[watch];
  if (w.state != Watch::kArmed && w.state != Watch::kIdle) return false;
  w.state = Watch::kOver;
  if (w.queue != kNone) {
    for (auto& moment : queues[w.queue].events) {
      moment.erase(std::remove(moment.begin(), moment.end(), watch), moment.end());
    }
  }
  return true;
}

void Reference::Add(int queue, int ctx, int watch) {
  Watch& w = watches[watch];
  w.queue = queue;
  w.ctx = ctx;
  w.state = NodeOf(ctx).is_root() ? Watch::kIdle : Watch::kArmed;
  if (NodeOf(ctx).err != 0) Post(queue, watch, ++moments_);
}

bool Reference::Drained(int queue, uint64_t token, int err) {
  auto& events = queues[queue].events;
  while (!events.empty() && events.front().empty()) events.pop_front();
  if (events.empty()) return false;
  auto& moment = events.front();
  const auto found =
      std::find_if(moment.begin(), moment.end(), [&](int w) { return watches[w].token == token; });
  if (found == moment.end() || NodeOf(watches[*found].ctx).err != err) return false;
  drained = *found;
  watches[*found].state = Watch::kOver;
  moment.erase(found);
  return true;
}

void Reference::FreeQueue(int queue) {
  queues[queue].alive = false;
  queues[queue].events.clear();
  for (Watch& w : watches) {
    if (w.queue == queue) w.state = Watch::kOver;
  }
}

bool Reference::Waits(const Batch& batch) const {
  return std::any_of(batch.watches.begin(), batch.watches.end(),
                     [&](int w) { return watches[w].state == Watch::kArmed; });
}

void Reference::Post(int queue, int watch, int moment) {
  Queue& q = queues[queue];
  if (q.moment != moment || q.events.empty()) q.events.push_back({});
  q.moment = moment;
  q.events.back().push_back(watch);
}

// Goes on to what comes next, if all before it has run.
void Reference::Settle(bool to_the_end) {
  if (ambiguous || frames_.empty()) return;
  for (;;) {
    Frame& frame = frames_.back();
    if (frame.running != kNone) return;
    while (!frame.now.empty() && !Waits(frame.now.front())) frame.now.pop_front();
    if (!frame.now.empty()) return;
    if (!frame.stages.empty()) {
      const auto stage = frame.stages.front();
      frame.stages.pop_front();
      stage();
      continue;
    }
    if (frame.driving == kNone || !loops[frame.driving].is_virtual) return;
    if (!GoOn(frame, to_the_end)) return;
  }
}

// Parents' callbacks come before those of what ended with them, those of one context in their order.
bool Reference::MustPrecede(int first, int second) const {
  const Watch &a = watches[first], &b = watches[second];
  if (NodeOf(a.ctx).end != NodeOf(b.ctx).end) return false;
  if (a.ctx == b.ctx) return first < second;
  return IsAbove(a.ctx, b.ctx);
}

bool Reference::IsAbove(int above, int ctx) const {
  const Context& c = contexts[ctx];
  if (c.kind == Kind::kDetached || c.kind == Kind::kGrace || c.is_root()) return false;
  const std::vector<int> parents = c.kind == Kind::kMerge ? c.parents : std::vector<int>{c.parent};
  for (int parent : parents) {
    const Context& node = NodeOf(parent);
    if (node.is_root() || node.end != NodeOf(ctx).end || node.loop != c.loop) continue;
    if (parent == above || IsAbove(above, parent)) return true;
  }
  return false;
}

}  // namespace fuzz
