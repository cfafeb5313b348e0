// SPDX-License-Identifier: MIT
#include "core/calls.h"

#include "core/callback.h"

namespace ctxcore {

void Calls::push(Callback* callback) {
  Guard guard(lock_);
  if (!callback->change(Callback::armed, Callback::queued)) return;
  push_back(callbacks_, callback);
  ++waiting_;
}

void Calls::withdraw(Callback* callback) {
  Guard guard(lock_);
  if (!callback->linked()) return;
  unlink(callbacks_, callback);
  --waiting_;
}

void Calls::push_release(Node* node) {
  Guard guard(lock_);
  node->next = nodes_;
  nodes_ = node;
  ++waiting_;
}

// Takes the first callback, claimed, or else a node. Neither, and true: a callback was being stopped.
bool Calls::take(Callback** callback, Node** node) {
  Guard guard(lock_);
  if (waiting_ == 0) return false;
  --waiting_;
  if (Link* link = pop_front(callbacks_); link != nullptr) {
    auto* first = static_cast<Callback*>(link);
    if (first->claim(Callback::queued)) *callback = first;
    return true;
  }
  *node = nodes_;
  nodes_ = nodes_->next;
  return true;
}

bool Calls::run_one() {
  Callback* callback = nullptr;
  Node* node = nullptr;
  if (!take(&callback, &node)) return false;
  if (callback != nullptr) run_claimed(callback);
  if (node != nullptr) release_after_callback(node);
  return true;
}

size_t Calls::waiting() {
  Guard guard(lock_);
  return waiting_;
}

}  // namespace ctxcore
