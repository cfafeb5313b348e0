// SPDX-License-Identifier: MIT
#include "core/loop/turn.h"

#include <climits>

#include "core/base/check.h"
#include "core/base/lock.h"
#include "core/loop/backlog.h"
#include "core/system/futex.h"
#include "core/tree/context.h"

namespace ctxcore {

struct TurnTable {
  struct alignas(64) Slot {
    Lock lock;
    Turn* first CTX_GUARDED_BY(lock) = nullptr;
  };

  Slot& of(pthread_t thread) {
    // Threads' numbers are addresses of their stacks: pages apart, and mostly much farther.
    const auto page = static_cast<uint64_t>(thread) >> 12;
    return slots[(page * 0x9E3779B97F4A7C15) >> (64 - kBits)];
  }

  static Turn* find(Slot& slot, pthread_t thread) CTX_REQUIRES(slot.lock) {
    Turn* turn = slot.first;
    while (turn != nullptr && turn->thread_ != thread) turn = turn->next_;
    return turn;
  }

  static constexpr unsigned kBits = 6;
  Slot slots[1u << kBits];
};

namespace {

constinit TurnTable table;

}  // namespace

Turn::Turn() : stamp_(stamp::current.load(std::memory_order_relaxed)) {
  TurnTable::Slot& slot = table.of(thread_);
  {
    Guard guard(slot.lock);
    if (TurnTable::find(slot, thread_) != nullptr) return;
    next_ = slot.first;
    slot.first = this;
  }
  outermost_ = true;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state_);
}

Turn::~Turn() {
  if (!outermost_) return;
  if (is_ours()) {
    TurnTable::Slot& slot = table.of(thread_);
    Guard guard(slot.lock);
    CTX_ASSERT(callbacks_.empty());
    Turn** place = &slot.first;
    while (*place != this) place = &(*place)->next_;
    *place = next_;
  }
  pthread_setcancelstate(cancel_state_, nullptr);
}

bool Turn::under_way() {
  const pthread_t self = pthread_self();
  TurnTable::Slot& slot = table.of(self);
  Guard guard(slot.lock);
  return TurnTable::find(slot, self) != nullptr;
}

void Turn::push(Callback* callback) {
  const pthread_t self = pthread_self();
  TurnTable::Slot& slot = table.of(self);
  Guard guard(slot.lock);
  Turn* const turn = TurnTable::find(slot, self);
  CTX_ASSERT(turn != nullptr);
  callback->place = Callback::Place::turn;
  callback->owner = self;  // change() publishes it
  if (!callback->change(Callback::armed, Callback::queued)) return;
  turn->callbacks_.push_back(callback);
  turn->pushed_ = true;
}

void Turn::withdraw(Callback* callback) {
  TurnTable::Slot& slot = table.of(callback->owner);
  Guard guard(slot.lock);
  if (!callback->linked()) return;
  // It is linked, so its turn goes on.
  TurnTable::find(slot, callback->owner)->callbacks_.remove(callback);
}

// The next one, claimed; nullptr if there is none.
Callback* Turn::take() {
  TurnTable::Slot& slot = table.of(thread_);
  Guard guard(slot.lock);
  while (Callback* const callback = callbacks_.pop_front()) {
    if (callback->claim(Callback::queued)) return callback;  // else it is being stopped
  }
  pushed_ = false;
  return nullptr;
}

void Turn::run(Callback* callback, Backlog* later) {
  for (;;) {
    set_runner(callback);
    callback->fn(reinterpret_cast<::ctx_context*>(callback->context), callback->arg);
    finish(callback, later);
    if (!outermost_ || !pushed_ || !is_ours()) return;
    callback = take();
    if (callback == nullptr) return;
  }
}

void finish(Callback* callback, Backlog* later) {
  // In a child that fn forked, and returned in, the callback is the parent's.
  if (stamp::check(callback->stamp, stamp::kWatch) != 0) return;
  if (callback->drop != nullptr) callback->drop(callback->arg);
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
