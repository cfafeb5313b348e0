// SPDX-License-Identifier: MIT
#include "core/loop/backlog.h"

#include "core/base/count.h"
#include "core/tree/node.h"

namespace ctxcore {

void Backlog::push(Callback* callback, Callback::Place place) {
  Guard guard(lock_);
  callback->place = place;  // change() publishes it
  if (!callback->change(Callback::armed, Callback::queued)) return;
  push_back(callbacks_, callback);
  ++waiting_;
}

void Backlog::withdraw(Callback* callback) {
  Guard guard(lock_);
  if (!callback->linked()) return;
  unlink(callbacks_, callback);
  --waiting_;
}

void Backlog::push_wakers(Link*& wakers) {
  if (wakers == nullptr) return;
  Guard guard(lock_);
  append(wakers_, wakers);
}

void Backlog::push_spent(Callback* callback) {
  Guard guard(lock_);
  push_back(spent_, callback);
}

void Backlog::push_release(Node* node) {
  Guard guard(lock_);
  node->next = nodes_;
  nodes_ = node;
}

Callback* Backlog::pop(size_t* left) {
  if (*left == 0 || callbacks_ == nullptr) return nullptr;
  --*left;
  --waiting_;
  return static_cast<Callback*>(pop_front(callbacks_));
}

Callback* Backlog::take(size_t* left) {
  Guard guard(lock_);
  for (;;) {
    Callback* const callback = pop(left);
    // One that is being stopped cannot be claimed.
    if (callback == nullptr || callback->claim(Callback::queued)) return callback;
  }
}

Callback* Backlog::take_to_post(size_t* left) {
  Guard guard(lock_);
  Callback* const callback = pop(left);
  if (callback == nullptr) return nullptr;
  // Whoever is stopping it withdraws it under this lock, before it gives its references back.
  count_up(callback->refs);
  return callback;
}

Callback* Backlog::take_waker() {
  Guard guard(lock_);
  return static_cast<Callback*>(pop_front(wakers_));
}

bool Backlog::run_release() {
  Node* node = nullptr;
  Callback* spent = nullptr;
  {
    Guard guard(lock_);
    spent = static_cast<Callback*>(pop_front(spent_));
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
  return callbacks_ != nullptr || nodes_ != nullptr || spent_ != nullptr;
}

size_t Backlog::callbacks() {
  Guard guard(lock_);
  return waiting_;
}

}  // namespace ctxcore
