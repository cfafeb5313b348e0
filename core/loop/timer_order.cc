// SPDX-License-Identifier: MIT
#include "core/loop/timer_order.h"

#include "core/tree/grace_node.h"

namespace ctxcore {

namespace {

constinit Link none;

int64_t time_of(const Link* link) { return ctxcore::time_of(static_cast<const TimerNode*>(link)); }

// Two timers never have the same: each step is invertible.
uint64_t priority(const Link* link) {
  uint64_t bits = reinterpret_cast<uintptr_t>(link);
  bits *= 0x9E3779B97F4A7C15;  // the golden ratio's: spreads the low bits to the high ones
  bits ^= bits >> 32;
  return bits * 0xD1342543DE82EF95;
}

// The second timer of the first's time, or nullptr.
Link* second_of(const Link* first) {
  Link* const next = first->next;
  return next != &none && time_of(next) == time_of(first) ? next : nullptr;
}

Link*& earlier(Link* first) { return first->prev; }

Link*& later(Link* first) {
  Link* const second = second_of(first);
  return second != nullptr ? second->next : first->next;
}

// What follows the first timer if its second goes: the third in the second's place, or the later timers.
Link* without(Link* second) {
  Link* others = second->prev;
  Link* const third = pop_front(others);
  if (third == nullptr) return second->next;
  third->prev = others;
  third->next = second->next;
  return third;
}

// Joins two trees; all timers in `left` come before all in `right`.
Link* join(Link* left, Link* right) {
  Link* all = &none;
  Link** place = &all;
  while (left != &none && right != &none) {
    if (priority(left) > priority(right)) {
      *place = left;
      place = &later(left);
      left = *place;
    } else {
      *place = right;
      place = &earlier(right);
      right = *place;
    }
  }
  *place = left != &none ? left : right;
  return all;
}

// Splits a tree: timers before a time go to `before`, the others to `after`.
void split(Link* tree, int64_t time, Link** before, Link** after) {
  while (tree != &none) {
    if (time_of(tree) < time) {
      *before = tree;
      before = &later(tree);
      tree = *before;
    } else {
      *after = tree;
      after = &earlier(tree);
      tree = *after;
    }
  }
  *before = *after = &none;
}

TimerNode* take_first_at(Link** place) {
  Link* const first = *place;
  if (Link* const second = second_of(first); second != nullptr) {
    second->next = without(second);
    second->prev = first->prev;
    *place = second;
  } else {
    *place = join(first->prev, first->next);
  }
  first->next = first->prev = nullptr;
  return static_cast<TimerNode*>(first);
}

}  // namespace

// Where the timers of this time hang, or would hang.
Link** TimerOrder::place_of(int64_t time) {
  Link** place = &root_;
  while (*place != &none) {
    const int64_t here = time_of(*place);
    if (time == here) break;
    place = time < here ? &earlier(*place) : &later(*place);
  }
  return place;
}

void TimerOrder::insert(TimerNode* node) {
  Link* const link = node;
  if (root_ == nullptr) root_ = &none;
  const int64_t time = time_of(link);
  if (Link* const first = *place_of(time); first != &none) {
    if (Link* const second = second_of(first); second != nullptr) {
      return push_back(second->prev, link);
    }
    link->prev = nullptr;
    link->next = first->next;
    first->next = link;
    return;
  }
  Link** place = &root_;
  while (*place != &none && priority(*place) > priority(link)) {
    place = time < time_of(*place) ? &earlier(*place) : &later(*place);
  }
  Link* const below = *place;
  *place = link;
  split(below, time, &link->prev, &link->next);
}

bool TimerOrder::remove(TimerNode* node) {
  Link* const link = node;
  if (root_ == nullptr) return false;
  Link** const place = place_of(time_of(link));
  Link* const first = *place;
  if (first == &none) return false;
  if (link == first) {
    take_first_at(place);
    return true;
  }
  Link* const second = second_of(first);
  if (second == nullptr) return false;
  if (link == second) {
    first->next = without(second);
    link->next = link->prev = nullptr;
    return true;
  }
  if (second->prev == nullptr) return false;
  unlink(second->prev, link);  // of the others, or of a longer list somewhere else
  return true;
}

TimerNode* TimerOrder::first() const {
  Link* link = root_;
  if (link == nullptr || link == &none) return nullptr;
  while (link->prev != &none) link = link->prev;
  return static_cast<TimerNode*>(link);
}

TimerNode* TimerOrder::take_first(int64_t until) {
  if (root_ == nullptr || root_ == &none) return nullptr;
  Link** place = &root_;
  while ((*place)->prev != &none) place = &(*place)->prev;
  return time_of(*place) <= until ? take_first_at(place) : nullptr;
}

}  // namespace ctxcore
