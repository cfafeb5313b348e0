// SPDX-License-Identifier: MIT
// Ending what is due on a loop: timers, sources and signals, by its driver or by a thread that cannot leave it
// to that one.
#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/life/cancel.h"
#include "core/loop/loop.h"
#include "core/loop/signals.h"
#include "core/tree/grace_node.h"

namespace ctxcore {

namespace {

bool fire_source(Source* source) {
  Node* const node = source->node;
  if (source->reason == nullptr) return cancel(node, kCanceled, nullptr, Callbacks::queued);
  source->reason->code = static_cast<int>(source->came);
  write_events(blank_text(source->reason), source->fd, source->came);
  return cancel(node, kCanceled, source->reason, Callbacks::queued);
}

}  // namespace

bool fire(TimerNode* node) {
  if (node->kind == Kind::grace) {
    const Node* const parent = static_cast<GraceNode*>(node)->graced();
    return cancel(node, error_of(parent), cause_of(parent), Callbacks::queued);
  }
  return cancel(node, kDeadlineExceeded, node->reason, Callbacks::queued);
}

// Sleeps if it is told to, and takes the sources that are ready, their nodes pinned.
void Loop::collect(bool sleep, Link*& sources) {
  Poller::Ready ready[Poller::kBatch];
  int count = 0;
  do {
    count = poller_.wait(sleep, ready);
    sleep = false;
    for (int i = 0; i < count; ++i) {
      if (ready[i].id == kSignalsId) {
        receive_signals(*this);
      } else {
        sources_.take(ready[i], sources);
      }
    }
  } while (count >= Poller::kBatch - 1);  // one more may have been the alarm
}

// What was posted to an orphaned loop has been ended, so no callback is queued here: all that is left to do
// is to give back the pins, and whoever takes them out of the list leaves that to a loop that goes on.
int Loop::fire_posted(Loop& releaser) {
  Ring<SignalNode> due;
  {
    Guard guard(posted_lock_);
    due.take_all(posted_);
  }
  int fired = 0;
  while (SignalNode* const node = due.pop_front()) {
    fired += cancel(node, kCanceled, node->reason, Callbacks::queued) ? 1 : 0;
    releaser.release_later(node);
  }
  return fired;
}

// One thread at a time, or who waits for a later deadline could come back before an earlier one is fired.
int Loop::fire_timers() {
  Link* due = nullptr;
  const int fired = fire_timers_into(due);
  while (Link* link = pop_front(due)) release_later(static_cast<TimerNode*>(link));
  return fired;
}

int Loop::fire_timers_into(Link*& due) {
  Guard guard(firing_lock_);
  const int64_t time = now();
  for (unsigned i = 0; i < wheel_count_; ++i) wheels_[i].expire(time, due);
  if (wheel_count_ > 1) {  // those of one wheel come in order
    sort(due, [](const Link* a, const Link* b) {
      return time_of(static_cast<const TimerNode*>(a)) < time_of(static_cast<const TimerNode*>(b));
    });
  }
  int fired = 0;
  for (Link* link = due; link != nullptr; link = link->next == due ? nullptr : link->next) {
    fired += fire(static_cast<TimerNode*>(link)) ? 1 : 0;
  }
  return fired;
}

// One round of a loop: what is due is ended. The caller sets the next alarm afterwards.
int Loop::turn(bool sleep) {
  Link* sources = nullptr;
  if (watching_.load(std::memory_order_acquire)) collect(sleep, sources);
  int fired = 0;
  while (Link* link = pop_front(sources)) {
    auto* source = static_cast<Source*>(link);
    Node* const node = source->node;
    fired += fire_source(source) ? 1 : 0;
    release_later(node);
  }
  fired += fire_posted(*this);
  fired += fire_timers();
  run_wakers();
  return fired;
}

void Loop::fire_due() {
  fire_timers();
  set_next_alarm();
  ring();
}

int64_t Loop::fire_for_waiter() {
  if (!started()) return kForever;
  if (next_timer() <= now()) fire_due();
  return next_timer();
}

}  // namespace ctxcore
