// SPDX-License-Identifier: MIT
#include "core/loop.h"

#include <sched.h>

#include <algorithm>

#include "core/error.h"
#include "core/node.h"
#include "core/walk.h"

namespace ctxcore {

uint8_t Loop::pick_wheel() {
  const int processor = sched_getcpu();
  return processor < 0 ? 0 : static_cast<uint8_t>(processor % kWheels);
}

int Loop::start() {
  if (started()) return 0;
  Guard guard(start_lock_);
  if (started_.load(std::memory_order_relaxed)) return 0;
  int result = poller_.open();
  if (result < 0) return result;
  result = calls_.start();
  if (result == 0) {
    result = start_thread("ctx-loop", run, this, &thread_);
    if (result < 0) calls_.stop();
  }
  if (result < 0) {
    poller_.close();
    return result;
  }
  started_.store(true, std::memory_order_release);
  return 0;
}

void Loop::arm(TimerNode* node, int64_t now) {
  const uint8_t wheel = node->wheel.load(std::memory_order_relaxed);
  const int64_t when = wheels_[wheel].insert(node, now);
  if (when < alarm_.load(std::memory_order_relaxed)) set_alarm_by(when);
}

void Loop::disarm(TimerNode* node) {
  const uint8_t wheel = node->wheel.load(std::memory_order_acquire);
  if (wheel != kNoWheel) wheels_[wheel].remove(node);
}

bool Loop::disarm_last(TimerNode* node) {
  const uint8_t wheel = node->wheel.load(std::memory_order_acquire);
  if (wheel != kNoWheel) return wheels_[wheel].remove_last(node);
  // Taken out to fire: the pin that came with it shows in the count.
  return node->refs.load(std::memory_order_acquire) == 1;
}

void Loop::set_alarm_by(int64_t when) {
  Guard guard(alarm_lock_);
  if (when >= alarm_.load(std::memory_order_relaxed)) return;
  alarm_.store(when, std::memory_order_relaxed);
  poller_.set_alarm(when);
}

void Loop::forget_alarm() {
  Guard guard(alarm_lock_);
  alarm_.store(kForever, std::memory_order_relaxed);
}

int64_t Loop::next() {
  int64_t earliest = kForever;
  for (unsigned i = 0; i < kWheels; ++i) earliest = std::min(earliest, wheels_[i].next());
  return earliest;
}

void Loop::fire_due() {
  const int64_t time = now();
  Link* due = nullptr;
  for (unsigned i = 0; i < kWheels; ++i) wheels_[i].expire(time, due);
  sort(due, [](const Link* a, const Link* b) {
    return static_cast<const TimerNode*>(a)->deadline < static_cast<const TimerNode*>(b)->deadline;
  });
  while (Link* link = pop_front(due)) {
    auto* node = static_cast<TimerNode*>(link);
    end(node, kDeadlineExceeded, node->deadline_cause, Callbacks::queued);
    release_later(node);
  }
}

void Loop::release_later(Node* node) {
  if (release_shared(node)) return;
  // Under this lock no walk from above can pin the node and take its `next`. One that comes later sees
  // that the cancel which ended the node is through: whoever calls this has made or awaited that.
  Guard guard(home(node).lock);
  if (!release_shared(node)) calls_.push_release(node);
}

void* Loop::run(void* self) {
  auto* loop = static_cast<Loop*>(self);
  for (;;) {
    loop->forget_alarm();
    loop->fire_due();
    loop->set_alarm_by(loop->next());
    loop->poller_.sleep();
  }
}

void Loop::abandon() { poller_.close(); }

}  // namespace ctxcore
