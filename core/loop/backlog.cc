// SPDX-License-Identifier: MIT
#include "core/loop/backlog.h"

#include "core/watch/callback.h"

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
}

bool Calls::run_callback() {
  Callback* callback = nullptr;
  {
    Guard guard(lock_);
    callback = static_cast<Callback*>(pop_front(callbacks_));
    if (callback == nullptr) return false;
    --waiting_;
    if (!callback->claim(Callback::queued)) return true;  // it is being stopped
  }
  run_claimed(callback);
  return true;
}

bool Calls::run_release() {
  Node* node = nullptr;
  {
    Guard guard(lock_);
    node = nodes_;
    if (node == nullptr) return false;
    nodes_ = node->next;
  }
  release_after_callback(node);
  return true;
}

bool Calls::any() {
  Guard guard(lock_);
  return callbacks_ != nullptr || nodes_ != nullptr;
}

size_t Calls::callbacks() {
  Guard guard(lock_);
  return waiting_;
}

}  // namespace ctxcore
