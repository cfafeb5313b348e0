// SPDX-License-Identifier: MIT
#include "core/loop/wheel.h"

#include <algorithm>
#include <bit>

#include "core/base/check.h"
#include "core/loop/idle.h"
#include "core/system/clock.h"
#include "core/tree/node.h"

namespace ctxcore {

namespace {

bool is_touched(const TimerNode* node) {
  return node->kind == Kind::idle && static_cast<const IdleNode*>(node)->is_touched();
}

// What place() reads first: most often these are two cache lines, and the link is in a third.
void fetch(const TimerNode* node) {
  __builtin_prefetch(&node->kind);
  __builtin_prefetch(&node->deadline);
}

}  // namespace

// The tick that the time lies in.
uint64_t Wheel::tick_of(int64_t time) const {
  CTX_ASSERT(time >= 0);
  return tick_ == Tick::coarse ? static_cast<uint64_t>(time) >> 14 : 0;
}

// Adds to a ring, of which the head is a part.
void Wheel::append(Link& head, Link* link) {
  if (!head.linked()) head.next = head.prev = &head;
  link->next = &head;
  link->prev = head.prev;
  head.prev->next = link;
  head.prev = link;
}

// Adds all of a slot's ring to those that are moving.
void Wheel::move_all(const Link& head) {
  if (!moving_.linked()) moving_.next = moving_.prev = &moving_;
  head.next->prev = moving_.prev;
  moving_.prev->next = head.next;
  head.prev->next = &moving_;
  moving_.prev = head.prev;
}

unsigned Wheel::lowest_level() const {
  unsigned level = 0;
  while (level < kLevels && occupied_[level] == 0) ++level;
  return level;
}

void Wheel::place(TimerNode* node) {
  const uint64_t tick = tick_of(time_of(node));
  if (tick <= elapsed_) return soon_.insert(node);
  const unsigned level = (63 - static_cast<unsigned>(std::countl_zero(tick ^ elapsed_))) / kDigit;
  const unsigned slot = (tick >> (level * kDigit)) & (kSlots - 1);
  CTX_ASSERT(level < kLevels);
  Link& head = slots_[level][slot];
  const uint64_t bit = uint64_t{1} << slot;
  if ((occupied_[level] & bit) == 0) {
    occupied_[level] |= bit;
    head.next = nullptr;  // empty
  }
  append(head, node);
}

void Wheel::take_out(TimerNode* node) {
  if (!is_armed(node)) return;
  node->armed.store(kUnarmed, std::memory_order_release);
  if (!node->Link::linked()) return;
  if (tick_of(time_of(node)) <= elapsed_ && soon_.remove(node)) return;
  Link* const link = node;
  Link* const after = link->next;
  after->prev = link->prev;
  link->prev->next = after;
  link->next = link->prev = nullptr;
  if (after->next == after && after != &moving_) {  // only a slot's head is left
    const auto index = static_cast<unsigned>(after - &slots_[0][0]);
    occupied_[index / kSlots] &= ~(uint64_t{1} << (index % kSlots));
  }
}

// Puts a timer that was taken out back at a later time, if its node is an idle one that was touched.
bool Wheel::goes_on(TimerNode* node) {
  if (node->kind != Kind::idle || !put_off(static_cast<IdleNode*>(node))) return false;
  place(node);
  return true;
}

int64_t Wheel::insert(TimerNode* node, int64_t now) {
  Guard guard(lock_);
  // The walk that ended it was here already, or will find it unlinked.
  if (error_of(node) != 0) return kForever;
  // An idle wheel stands still: bring it up to date, else new timers would be put too high.
  if (lowest_level() == kLevels) elapsed_ = std::max(elapsed_, tick_of(now));
  place(node);
  return time_of(node);
}

void Wheel::remove(TimerNode* node) {
  Guard guard(lock_);
  take_out(node);
}

bool Wheel::remove_last(TimerNode* node) {
  Guard guard(lock_);
  if (!is_last(node)) return false;
  take_out(node);
  return true;
}

uint64_t Wheel::next_tick() const {
  const unsigned level = lowest_level();
  if (level == kLevels) return UINT64_MAX;
  const auto slot = static_cast<uint64_t>(std::countr_zero(occupied_[level]));
  const unsigned above = (level + 1) * kDigit;
  return elapsed_ >> above << above | slot << (level * kDigit);
}

// Goes on to a later tick: the timers of all slots that begin by then are moving.
void Wheel::go_on_to(uint64_t tick) {
  bool same = false;  // the digits of the ticks above a level
  for (unsigned level = 0; level < kLevels && !same; ++level) {
    const unsigned above = (level + 1) * kDigit;
    same = tick >> above == elapsed_ >> above;
    const unsigned digit = (tick >> (level * kDigit)) & (kSlots - 1);
    uint64_t begun = occupied_[level];
    if (same) begun &= ~uint64_t{0} >> (kSlots - 1 - digit);
    occupied_[level] &= ~begun;
    for (; begun != 0; begun &= begun - 1) move_all(slots_[level][std::countr_zero(begun)]);
  }
  elapsed_ = tick;
}

// Moves some of the timers of slots that begin by `until` to where they belong then; false if there are none.
bool Wheel::move_some(uint64_t until) {
  if (!moving()) {
    if (next_tick() > until) return false;
    go_on_to(until);
  }
  for (unsigned i = 0; i < kChunk && moving(); ++i) {
    Link* const link = moving_.next;
    moving_.next = link->next;
    link->next->prev = &moving_;
    if (moving()) fetch(static_cast<TimerNode*>(moving_.next));
    place(static_cast<TimerNode*>(link));
  }
  return true;
}

bool Wheel::expire(int64_t now, Ring<TimerNode>& due, size_t most) {
  const uint64_t tick = tick_of(now);
  for (size_t taken = 0; taken == 0;) {
    Guard guard(lock_);
    if (move_some(tick)) continue;
    elapsed_ = std::max(elapsed_, tick);
    for (unsigned i = 0; i < kChunk; ++i) {
      if (taken == most) return true;
      TimerNode* const node = soon_.take_first(now);
      if (node == nullptr) return false;
      if (goes_on(node)) continue;
      add_ref(node);
      // After the pin: release.cc relies on it.
      node->armed.store(kUnarmed, std::memory_order_release);
      due.push_back(node);
      ++taken;
    }
  }
  return true;
}

int64_t Wheel::next(int64_t now) {
  const uint64_t until = tick_of(saturating_add(now, kLookahead));
  for (;;) {
    Guard guard(lock_);
    if (!moving()) {
      TimerNode* const first = soon_.first();
      if (first != nullptr && is_touched(first)) {
        soon_.remove(first);
        if (!goes_on(first)) soon_.insert(first);
        continue;
      }
      if (first != nullptr) return time_of(first);
    }
    if (move_some(until)) continue;
    const uint64_t tick = next_tick();
    return tick == UINT64_MAX ? kForever : static_cast<int64_t>(tick << 14);
  }
}

}  // namespace ctxcore
