// SPDX-License-Identifier: MIT
#include "core/loop/wheel.h"

#include <algorithm>
#include <bit>

#include "core/base/check.h"
#include "core/system/clock.h"
#include "core/tree/grace_node.h"

namespace ctxcore {

uint64_t Wheel::tick_of(int64_t time) const {
  return (static_cast<uint64_t>(time) + (uint64_t{1} << shift()) - 1) >> shift();
}

// When a tick begins; one beyond the last time there is never does.
int64_t Wheel::begin_of(uint64_t tick) const {
  const uint64_t last = static_cast<uint64_t>(kForever) >> shift();
  return tick > last ? kForever : static_cast<int64_t>(tick << shift());
}

// To a ring, of which the head is a part.
void Wheel::append(Link& head, Link* link) {
  if (!head.linked()) head.next = head.prev = &head;
  link->next = &head;
  link->prev = head.prev;
  head.prev->next = link;
  head.prev = link;
}

unsigned Wheel::lowest_level() const {
  unsigned level = 0;
  while (level < kLevels && occupied_[level] == 0) ++level;
  return level;
}

void Wheel::place(TimerNode* node, uint64_t tick) {
  if (tick <= elapsed_) return append(moving_, node);
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
  Link* const link = node;
  Link* const after = link->next;
  after->prev = link->prev;
  link->prev->next = after;
  link->next = link->prev = nullptr;
  if (after->next == after && after != &moving_) {  // a slot's head alone is left
    const auto index = static_cast<unsigned>(after - &slots_[0][0]);
    occupied_[index / kSlots] &= ~(uint64_t{1} << (index % kSlots));
  }
}

int64_t Wheel::insert(TimerNode* node, int64_t now) {
  Guard guard(lock_);
  // The walk that ended it has been here, or will find it unlinked.
  if (error_of(node) != 0) return kForever;
  // An idle wheel stands still: bring it up to date, or what follows would be put too high.
  if (lowest_level() == kLevels) {
    elapsed_ = std::max(elapsed_, static_cast<uint64_t>(now) >> shift());
  }
  const uint64_t tick = tick_of(time_of(node));
  place(node, tick);
  return begin_of(std::max(tick, elapsed_));
}

void Wheel::remove(TimerNode* node) {
  Guard guard(lock_);
  if (is_armed(node) && node->Link::linked()) take_out(node);
}

bool Wheel::remove_last(TimerNode* node) {
  Guard guard(lock_);
  if (node->refs.load(std::memory_order_acquire) != 1) return false;
  if (is_armed(node) && node->Link::linked()) take_out(node);
  return true;
}

uint64_t Wheel::next_tick() const {
  const unsigned level = lowest_level();
  if (level == kLevels) return UINT64_MAX;
  const auto slot = static_cast<uint64_t>(std::countr_zero(occupied_[level]));
  const unsigned above = (level + 1) * kDigit;
  const uint64_t base = above >= 64 ? 0 : elapsed_ >> above << above;
  return base | slot << (level * kDigit);
}

int64_t Wheel::next() {
  Guard guard(lock_);
  return begin_of(moving() ? elapsed_ : next_tick());
}

int64_t Wheel::next_due() {
  Guard guard(lock_);
  if (moving()) return begin_of(elapsed_);
  const unsigned level = lowest_level();
  if (level == kLevels) return kForever;
  const Link& head = slots_[level][std::countr_zero(occupied_[level])];
  uint64_t first = UINT64_MAX;
  for (const Link* link = head.next; link != &head; link = link->next) {
    first = std::min(first, tick_of(time_of(static_cast<const TimerNode*>(link))));
  }
  return begin_of(first);
}

// Moves some timers of the first slot that begins by `until`; false if there is none.
bool Wheel::expire_some(uint64_t until, Link*& due) {
  Guard guard(lock_);
  if (!moving()) {
    const uint64_t tick = next_tick();
    if (tick > until) {
      elapsed_ = std::max(elapsed_, until);
      return false;
    }
    elapsed_ = tick;
    const unsigned level = lowest_level();
    const int slot = std::countr_zero(occupied_[level]);
    const Link& head = slots_[level][slot];
    moving_ = head;
    moving_.next->prev = moving_.prev->next = &moving_;
    occupied_[level] &= ~(uint64_t{1} << slot);
  }
  for (unsigned i = 0; i < kChunk && moving(); ++i) {
    auto* node = static_cast<TimerNode*>(moving_.next);
    take_out(node);
    const uint64_t when = tick_of(time_of(node));
    if (when > elapsed_) {
      place(node, when);
    } else {
      add_ref(node);
      // After the pin: release.cc relies on it.
      node->armed.store(kUnarmed, std::memory_order_release);
      push_back(due, node);
    }
  }
  return true;
}

void Wheel::expire(int64_t now, Link*& due) {
  while (expire_some(static_cast<uint64_t>(now) >> shift(), due)) {
  }
}

}  // namespace ctxcore
