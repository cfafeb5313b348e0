// SPDX-License-Identifier: MIT
// Common to all loops: starting, arming and disarming, and the alarm.
#include "core/loop/loop.h"

#include <poll.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/loop/signals.h"
#include "core/system/thread.h"

namespace ctxcore {

int Loop::open_poller() {
  {
    Guard guard(alarm_lock_);
    if (poller_.is_open()) return 0;
    if (const int result = poller_.open(options_.clock); result < 0) return result;
  }
  set_next_alarm();  // for work that was pushed before
  return 0;
}

void Loop::close_poller() {
  Guard guard(alarm_lock_);
  poller_.close();
}

int Loop::start_named(const char* suffix, void* (*body)(void*)) {
  char name[LoopOptions::kLongestName + sizeof "-calls"];
  std::strcpy(name, options_.name);
  std::strcat(name, suffix);
  return start_thread(name, body, this);
}

int Loop::start_threads() {
  starters_mask_ = signal_mask();
  enter_busy(2);
  int result = start_named("-calls", run_calls);
  if (result < 0) {
    leave_busy();
    leave_busy();
    return result;
  }
  result = start_named("-loop", run);
  if (result < 0) {
    leave_busy();
    stop_.store(Stop::join, std::memory_order_release);
    ring_calls();
    await_busy(kForever);
    join_ended();
    stop_.store(Stop::no, std::memory_order_relaxed);
  }
  return result;
}

int Loop::start() {
  if (started()) return 0;
  Guard guard(start_lock_);
  if (started_.load(std::memory_order_relaxed)) return 0;
  if (drive_ != Drive::virtual_time) {
    if (const int result = open_poller(); result < 0) return result;
    watching_.store(true, std::memory_order_release);
  }
  if (drive_ == Drive::thread && !orphaned()) {
    if (const int result = start_threads(); result < 0) {
      watching_.store(false, std::memory_order_relaxed);
      close_poller();
      return result;
    }
  }
  started_.store(true, std::memory_order_release);
  return 0;
}

int Loop::start_watching() {
  if (drive_ != Drive::virtual_time) return start();
  if (watching_.load(std::memory_order_acquire)) return 0;
  Guard guard(start_lock_);
  const int result = open_poller();
  if (result == 0) watching_.store(true, std::memory_order_release);
  return result;
}

uint8_t Loop::pick_wheel() const {
  if (wheel_count_ == 1) return 0;
  const int processor = this_processor();
  static_assert((kWheels & (kWheels - 1)) == 0);  // a mask: a division would cost five nanoseconds
  return processor < 0 ? 0 : static_cast<uint8_t>(processor & (kWheels - 1));
}

void Loop::arm(TimerNode* node, int64_t now) {
  const uint8_t wheel = node->armed.load(std::memory_order_relaxed);
  if (wheel == kUnarmed) return;  // it ended meanwhile
  const int64_t when = wheels_[wheel].insert(node, now);
  if (when < alarm_.load(std::memory_order_relaxed)) set_alarm_by(when);
}

void Loop::disarm(Node* node) {
  const uint8_t armed = node->armed.load(std::memory_order_acquire);
  if (armed == kUnarmed) return;  // a loop has taken it out since the cancel looked
  switch (armed) {
    case kByDescriptor:
      return sources_.remove(static_cast<FdNode*>(node));
    case kBySignal:
      return remove_signals(static_cast<SignalNode*>(node));
    default:
      return wheels_[armed].remove(static_cast<TimerNode*>(node));
  }
}

bool Loop::disarm_last(Node* node) {
  const uint8_t armed = node->armed.load(std::memory_order_acquire);
  switch (armed) {
    case kUnarmed:
      // If it was taken out to fire, the pin that came with it shows in the count; if not, nobody has it.
      return is_last(node);
    case kByDescriptor:
      return sources_.remove_last(static_cast<FdNode*>(node));
    case kBySignal:
      return remove_signals_last(static_cast<SignalNode*>(node));
    default:
      return wheels_[armed].remove_last(static_cast<TimerNode*>(node));
  }
}

int Loop::watch_signals(int fd) {
  sources_.forget(fd);  // first: leaving an empty place takes nothing out of the poller
  const int result = poller_.watch(fd, POLLIN, kSignalsId, false);
  return result == -EEXIST ? 0 : result;
}

void Loop::post(SignalNode* node, Loop& reader) {
  users_.fetch_add(1, std::memory_order_relaxed);  // the node that kept the loop may go meanwhile
  {
    Guard guard(posted_lock_);
    posted_.push_back(node);
  }
  if (orphaned_.load(std::memory_order_acquire)) {
    fire_posted(reader);
  } else {
    set_alarm_by(kAtOnce);
  }
  leave();
}

bool Loop::has_posted() {
  Guard guard(posted_lock_);
  return !posted_.empty();
}

void Loop::set_alarm_by(int64_t when) {
  if (drive_ == Drive::virtual_time) return;
  Guard guard(alarm_lock_);
  if (!poller_.is_open() || when >= alarm_.load(std::memory_order_relaxed)) return;
  alarm_.store(when, std::memory_order_relaxed);
  poller_.set_alarm(when);
}

// Sets the alarm to the next work, and silences one without a reason. From any thread.
void Loop::set_next_alarm() {
  if (drive_ == Drive::virtual_time) return;
  next_timer();  // moves timers that have come near, while nobody has to wait for the lock
  Guard guard(alarm_lock_);
  if (!poller_.is_open()) return;
  alarm_.store(kForever, std::memory_order_relaxed);
  const bool at_once = has_posted() || summoned_.load(std::memory_order_relaxed) ||
                       backlog_.any_waker() || (drive_ == Drive::manual && backlog_.any());
  const int64_t when = at_once ? kAtOnce : next_timer();
  alarm_.store(when, std::memory_order_relaxed);
  poller_.set_alarm(when);
}

int64_t Loop::next_timer() {
  // The acquire pairs with fire_some(): a thread that has left timers behind sets the alarm afterwards.
  if (left_due_.load(std::memory_order_acquire)) return kAtOnce;
  const int64_t time = now();
  int64_t earliest = kForever;
  for (unsigned i = 0; i < wheel_count_; ++i) {
    earliest = std::min(earliest, wheels_[i].next(time));
  }
  return earliest;
}

void Loop::release_later(Node* node) {
  if (release_shared(node)) return;
  // Under this lock no walk from above can pin the node and take its `next`. A walk that comes later sees that the
  // cancel which ended the node is through: the caller of this has done or awaited that.
  Guard guard(home(node).lock);
  if (!release_shared(node)) backlog_.push_release(node);
}

bool Loop::untouched() { return !started() && start_lock_.try_lock(); }

void Loop::abandon() { poller_.close(); }

}  // namespace ctxcore
