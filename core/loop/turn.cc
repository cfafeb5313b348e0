// SPDX-License-Identifier: MIT
#include "core/loop/turn.h"

#include <algorithm>
#include <climits>

#include "core/base/check.h"
#include "core/base/lock.h"
#include "core/loop/backlog.h"
#include "core/system/atomic.h"
#include "core/system/futex.h"
#include "core/tree/context.h"

namespace ctxcore {

struct TurnTable {
  struct alignas(64) Slot {
    Lock lock;
    // Written under the lock. Without it a thread may look whether there is any turn: it sees one that it has
    // listed itself, and no other thread takes that out.
    Atomic<Turn*> first{nullptr};
  };

  static uint8_t number_of(pthread_t thread) {
    // Threads' numbers are addresses of their stacks: pages apart, and mostly much farther.
    const auto page = static_cast<uint64_t>(thread) >> 12;
    return static_cast<uint8_t>((page * 0x9E3779B97F4A7C15) >> (64 - kBits));
  }
  Slot& of(pthread_t thread) { return slots[number_of(thread)]; }

  // The innermost of a thread.
  static Turn* find(Slot& slot, pthread_t thread) CTX_REQUIRES(slot.lock) {
    Turn* turn = slot.first.load(std::memory_order_relaxed);
    while (turn != nullptr && turn->thread_ != thread) turn = turn->next_;
    return turn;
  }

  static void remove(Slot& slot, Turn* turn) CTX_REQUIRES(slot.lock) {
    Turn* other = slot.first.load(std::memory_order_relaxed);
    if (other == turn) {
      slot.first.store(turn->next_, std::memory_order_relaxed);
      return;
    }
    while (other->next_ != turn) other = other->next_;
    other->next_ = turn->next_;
  }

  static constexpr unsigned kBits = 6;
  Slot slots[1u << kBits];
};

namespace {

constinit TurnTable table;

}  // namespace

Turn::Turn(Kind kind) : kind_(kind) {
  TurnTable::Slot& slot = table.of(thread_);
  {
    Guard guard(slot.lock);
    const Turn* const around = TurnTable::find(slot, thread_);
    if (around != nullptr) kind_ = std::max(kind_, around->kind_);
    next_ = slot.first.load(std::memory_order_relaxed);
    slot.first.store(this, std::memory_order_relaxed);
  }
}

Turn::~Turn() {
  if (is_ours()) {
    CTX_ASSERT(fresh_.empty() && older_.empty());
    TurnTable::Slot& slot = table.of(thread_);
    Guard guard(slot.lock);
    TurnTable::remove(slot, this);
  }
}

Turn::Kind Turn::current() {
  const pthread_t self = this_thread();
  TurnTable::Slot& slot = table.of(self);
  if (slot.first.load(std::memory_order_relaxed) == nullptr) return Kind::none;
  Guard guard(slot.lock);
  const Turn* const turn = TurnTable::find(slot, self);
  return turn == nullptr ? Kind::none : turn->kind_;
}

void Turn::push(Callback* callback) {
  const pthread_t self = this_thread();
  TurnTable::Slot& slot = table.of(self);
  Guard guard(slot.lock);
  Turn* const turn = TurnTable::find(slot, self);
  CTX_ASSERT(turn != nullptr);
  callback->place = Callback::Place::turn;  // change() publishes these three
  callback->slot = TurnTable::number_of(self);
  callback->turn = turn;
  if (!callback->change(Callback::armed, Callback::queued)) return;
  turn->fresh_.push_back(callback);
  turn->pushed_ = true;
}

void Turn::withdraw(Callback* callback) {
  Guard guard(table.slots[callback->slot].lock);
  if (!callback->linked()) return;
  Turn* const turn = callback->turn;  // which goes on, for the callback is linked
  // Only the first one of a list needs to know the list.
  (turn->fresh_.front() == callback ? turn->fresh_ : turn->older_).remove(callback);
}

// The next one, claimed; nullptr if there is none.
Callback* Turn::take() {
  if (!pushed_ || !is_ours()) return nullptr;
  TurnTable::Slot& slot = table.of(thread_);
  Guard guard(slot.lock);
  fresh_.take_all(older_);
  older_.take_all(fresh_);
  while (Callback* const callback = older_.pop_front()) {
    if (callback->claim(Callback::queued)) return callback;  // else it is being stopped
  }
  pushed_ = false;
  return nullptr;
}

void Turn::run(Callback* callback, Backlog* later) {
  do {
    set_runner(callback);
    callback->fn(reinterpret_cast<::ctx_context*>(callback->context), callback->arg);
    finish(callback, later);
    callback = take();
  } while (callback != nullptr);
}

void Turn::run_left() {
  if (Callback* const callback = take()) run(callback);
}

void finish(Callback* callback, Backlog* later) {
  // In a child that fn or drop forked, and returned in, the callback is the parent's.
  if (stamp::check(callback->stamp, stamp::kWatch) != 0) return;
  if (callback->drop != nullptr) {
    run_drop(callback->drop, callback->arg);
    if (stamp::check(callback->stamp, stamp::kWatch) != 0) return;
  }
  Context* const context = callback->context;
  if (callback->state.exchange(Callback::finished, std::memory_order_acq_rel) ==
      Callback::awaited) {
    futex_wake(&callback->state, INT_MAX);
  }
  if (context == nullptr) return;
  if (later != nullptr && !release_shared(context)) {
    later->push_spent(callback);
    return;
  }
  if (later == nullptr) release(context);
  release(callback);  // the reference of an armed callback to itself
}

void forget_turns() { ::new (&table) TurnTable; }

}  // namespace ctxcore
