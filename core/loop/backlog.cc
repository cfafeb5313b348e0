// SPDX-License-Identifier: MIT
#include "core/loop/backlog.h"

#include "core/base/count.h"
#include "core/tree/node.h"

namespace ctxcore {

void Backlog::push(Callback* callback, Callback::Place place) {
  Guard guard(lock_);
  callback->place = place;  // change() publishes it
  if (!callback->change(Callback::armed, Callback::queued)) return;
  if (callback->is(Callback::kWaker)) return wakers_.push_back(callback);
  callbacks_.push_back(callback);
  ++waiting_;
}

void Backlog::withdraw(Callback* callback) {
  Guard guard(lock_);
  if (!callback->linked()) return;
  if (callback->is(Callback::kWaker)) return wakers_.remove(callback);
  // Only the first one of a list needs to know the list.
  (batch_.front() == callback ? batch_ : callbacks_).remove(callback);
  --waiting_;
}

void Backlog::push_spent(Callback* callback) {
  Guard guard(lock_);
  spent_.push_back(callback);
}

void Backlog::push_release(Node* node) {
  Guard guard(lock_);
  node->next = nodes_;
  nodes_ = node;
}

void Backlog::begin_batch() {
  Guard guard(lock_);
  batch_.take_all(callbacks_);
}

Callback* Backlog::pop(From from) {
  Callback* callback = batch_.pop_front();
  if (callback == nullptr && from == From::all) callback = callbacks_.pop_front();
  if (callback != nullptr) --waiting_;
  return callback;
}

Callback* Backlog::take(From from) {
  Guard guard(lock_);
  for (;;) {
    Callback* const callback = pop(from);
    // A callback that is being stopped cannot be claimed.
    if (callback == nullptr || callback->claim(Callback::queued)) return callback;
  }
}

Callback* Backlog::take_to_post(Loop* loop) {
  Guard guard(lock_);
  Callback* const callback = pop(From::all);
  if (callback == nullptr) return nullptr;
  // The thread that stops it withdraws it under this lock, before it gives the references back.
  count_up(callback->refs);
  callback->loop = loop;
  return callback;
}

Callback* Backlog::take_waker() {
  Guard guard(lock_);
  while (Callback* const waker = wakers_.pop_front()) {
    if (waker->claim(Callback::queued)) return waker;  // else it is being stopped
  }
  return nullptr;
}

bool Backlog::run_release() {
  Node* node = nullptr;
  Callback* spent = nullptr;
  {
    Guard guard(lock_);
    spent = spent_.pop_front();
    if (spent == nullptr) {
      node = nodes_;
      if (node == nullptr) return false;
      nodes_ = node->next;
    }
  }
  if (node != nullptr) {
    release_after_callback(node);
  } else {
    release_after_callback(spent->context);
    release(spent);
  }
  return true;
}

bool Backlog::any() {
  Guard guard(lock_);
  return waiting_ > 0 || nodes_ != nullptr || !spent_.empty();
}

bool Backlog::any_waker() {
  Guard guard(lock_);
  return !wakers_.empty();
}

size_t Backlog::callbacks() {
  Guard guard(lock_);
  return waiting_;
}

}  // namespace ctxcore
