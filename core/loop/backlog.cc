// SPDX-License-Identifier: MIT
#include "core/loop/backlog.h"

#include "core/base/count.h"
#include "core/tree/node.h"

namespace ctxcore {

void Backlog::push(Callback* callback, Callback::Place place) {
  Guard guard(lock_);
  callback->place = place;  // change() publishes it
  if (!callback->change(Callback::armed, Callback::queued)) return;
  list_of(callback).push_back(callback);
  if (!callback->is(Callback::kWaker)) ++waiting_;
}

void Backlog::withdraw(Callback* callback) {
  Guard guard(lock_);
  if (!callback->linked()) return;
  list_of(callback).remove(callback);
  if (!callback->is(Callback::kWaker)) --waiting_;
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

Callback* Backlog::pop(size_t* left) {
  if (*left == 0 || callbacks_.empty()) return nullptr;
  --*left;
  --waiting_;
  return callbacks_.pop_front();
}

Callback* Backlog::take(size_t* left) {
  Guard guard(lock_);
  for (;;) {
    Callback* const callback = pop(left);
    // A callback that is being stopped cannot be claimed.
    if (callback == nullptr || callback->claim(Callback::queued)) return callback;
  }
}

Callback* Backlog::take_to_post(size_t* left, Loop* loop) {
  Guard guard(lock_);
  Callback* const callback = pop(left);
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
  return !callbacks_.empty() || nodes_ != nullptr || !spent_.empty();
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
