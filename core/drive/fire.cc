// SPDX-License-Identifier: MIT
// Ending all that is due on a loop: timers, sources and signals. The driver does it, or a thread that cannot wait
// for the driver.
#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/base/nap.h"
#include "core/base/text.h"
#include "core/life/cancel.h"
#include "core/life/import.h"
#include "core/loop/import_node.h"
#include "core/loop/loop.h"
#include "core/loop/mirror_node.h"
#include "core/loop/signals.h"
#include "core/tree/grace_node.h"

namespace ctxcore {

namespace {

bool fire_source(Source* source) {
  Node* const node = source->node;
  if (node->kind == Kind::mirror) {
    const Node* const followed = static_cast<MirrorNode*>(node)->followed;
    // Not 0, unless somebody has closed the library's descriptor.
    const int error = error_of(followed);
    return error != 0 && cancel(node, error, cause_of(followed), Callbacks::queued);
  }
  if (node->kind == Kind::imported && source->reason != nullptr) {
    const Cause* cause = nullptr;
    const int error = take_end(static_cast<ImportNode*>(node), &cause);
    return cancel(node, error, cause, Callbacks::queued);
  }
  if (source->reason == nullptr) return cancel(node, kCanceled, nullptr, Callbacks::queued);
  source->reason->code = static_cast<int>(source->came);
  write_events(blank_text(source->reason), source->fd, source->came);
  return cancel(node, kCanceled, source->reason, Callbacks::queued);
}

}  // namespace

bool fire(TimerNode* node) {
  if (node->kind == Kind::grace) {
    const Node* const parent = static_cast<GraceNode*>(node)->graced();
    return cancel(node, error_of(parent), cause_of(parent), Callbacks::queued, Node::kFollowed);
  }
  return cancel(node, kDeadlineExceeded, node->reason, Callbacks::queued);
}

// Sleeps if `sleep` says so, and takes the sources that are ready, with their nodes pinned.
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

// Nodes posted to an orphaned loop were ended before, so this queues none of their callbacks: it only gives back
// the pins, and leaves that to the releaser, a loop that goes on.
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

// Takes the timers that are due by a time into due_, in order. Each wheel gives at most kBatch, in their order. If it has
// more, all of these are due no earlier than the last one it gave. So up to the earliest such time, which this returns,
// the timers of all wheels are there.
int64_t Loop::take_due(int64_t until, bool* more) {
  unsigned runs = due_.empty() ? 0 : 1;  // each in its order
  for (unsigned i = 0; i < wheel_count_; ++i) {
    Ring<TimerNode> taken;
    if (wheels_[i].expire(until, taken, kBatch)) {
      until = time_of(taken.back());
      *more = true;
    }
    runs += taken.empty() ? 0 : 1;
    due_.take_all(taken);
  }
  if (runs > 1) {
    due_.sort([](const TimerNode& a, const TimerNode& b) { return time_of(&a) < time_of(&b); });
  }
  return until;
}

// Ends some due timers, the earliest first; false if no more are due. One thread at a time: otherwise a
// waiter on a later deadline could return before an earlier one fires.
//
// Timers that cannot be ended yet wait in due_, and come first the next time; what the wheels have beyond the first of
// them comes after that. A grace begins with the end of its parent, and may then be over at once: it comes in its place.
// Since graces may join, the batch has a size of its own.
bool Loop::fire_some(int* fired, Ring<TimerNode>& ended) {
  bool more = !due_.empty();
  const int64_t time = now();
  int64_t until = take_due(more ? std::min(time, time_of(due_.front())) : time, &more);
  for (size_t left = kBatch * wheel_count_; left > 0 && !due_.empty(); --left) {
    TimerNode* const node = due_.front();
    if (time_of(node) > until) break;
    due_.remove(node);
    *fired += fire(node) ? 1 : 0;
    ended.push_back(node);
    if (armed_late_.load(std::memory_order_relaxed)) {
      armed_late_.store(false, std::memory_order_relaxed);
      until = take_due(until, &more);
    }
  }
  left_due_.store(!due_.empty(), std::memory_order_release);  // pairs with next_timer()
  return more || !due_.empty();
}

// Gives back the pins of a batch, with no lock held. Its wakers are left to the thread that drives the loop: one that
// derives or waits runs nobody's code.
void Loop::release_batch(Ring<TimerNode>& ended) {
  while (TimerNode* const node = ended.pop_front()) release_later(node);
}

bool Loop::fire_batch(int* fired) {
  Ring<TimerNode> ended;
  bool more = false;
  {
    Guard guard(firing_lock_);
    more = fire_some(fired, ended);
  }
  release_batch(ended);
  return more;
}

// Ends all due timers. Callbacks need not wait for the last of many.
int Loop::fire_timers() {
  const Process process;
  int fired = 0;
  bool more = true;
  while (more && process.is_ours()) {  // else a waker has forked, and returned in the child
    more = fire_batch(&fired);
    run_wakers();
    if (more && drive_ == Drive::thread && process.is_ours()) ring();
  }
  return fired;
}

// One round of a loop: ends all that is due. The caller sets the next alarm afterwards.
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
  return fired;
}

void Loop::fire_due(const Node* node, int64_t until_ns) {
  int fired = 0;
  while (fire_batch(&fired) && error_of(node) == 0 && monotonic_now() < until_ns) {
  }
}

void Loop::settle() {
  set_next_alarm();
  ring();
}

void Loop::catch_up() {
  if (drive_ != Drive::virtual_time || next_timer() > now()) return;
  int fired = 0;
  while (fire_batch(&fired)) {
  }
  settle();
}

int64_t Loop::fire_for_waiter(int64_t until_ns) {
  if (!started()) return kForever;
  int fired = 0;
  bool has_fired = false;
  bool more = true;
  bool met = false;
  while (more && next_timer() <= now()) {
    // The thread that has the lock ends due timers, and may keep it longer than this thread wants to wait.
    if (!firing_lock_.try_lock()) {
      met = true;
      break;
    }
    Ring<TimerNode> ended;
    more = fire_some(&fired, ended) && monotonic_now() < until_ns;
    firing_lock_.unlock();
    release_batch(ended);
    has_fired = true;
  }
  // Also if all of them had been ended before: some may be left, and last references wait.
  if (has_fired) settle();
  return met ? monotonic_now() + kNap : to_monotonic(next_timer());
}

// When a thread that sleeps on CLOCK_MONOTONIC must look again for a time on this loop's clock. If that clock counts the
// time in which the system is suspended, the other one stands still meanwhile: so look every now and then.
int64_t Loop::to_monotonic(int64_t time) const {
  if (options_.clock == CLOCK_MONOTONIC || time == kForever) return time;
  return saturating_add(monotonic_now(), std::min(saturating_sub(time, now()), kSecond));
}

}  // namespace ctxcore
