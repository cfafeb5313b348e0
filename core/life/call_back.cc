// SPDX-License-Identifier: MIT
#include "core/life/call_back.h"

#include "core/base/check.h"
#include "core/loop/loop.h"

namespace ctxcore {

namespace {

// The first callback of a node from `link` on, under the lock; nullptr if there is none.
Callback* next_callback(Node* node, Link* link) CTX_REQUIRES(observers_lock(node)) {
  if (link == nullptr) return nullptr;
  while (static_cast<Observer*>(link)->stands()) {
    link = link->next;
    if (link == node->observers) return nullptr;
  }
  CTX_ASSERT(static_cast<Observer*>(link)->type == Observer::Type::callback);
  return static_cast<Callback*>(link);
}

// The first callback of a node, off the list and claimed; nullptr if there is none.
Callback* take_callback(Node* node) {
  Guard guard(observers_lock(node));
  while (Callback* const callback = next_callback(node, node->observers)) {
    unlink(node->observers, callback);
    if (callback->claim(Callback::armed)) return callback;  // else it is being stopped
  }
  return nullptr;
}

}  // namespace

void push_callbacks(Node* node, bool all) {
  Guard guard(observers_lock(node));
  Callback* callback = next_callback(node, node->observers);
  while (callback != nullptr) {
    Link* const following = callback->next == node->observers ? nullptr : callback->next;
    if (all || callback->is(Callback::kDefer)) {
      unlink(node->observers, callback);
      node->loop->push(callback);
    }
    callback = next_callback(node, following);
  }
}

void leave_to_turn(Node* node) {
  Guard guard(observers_lock(node));
  while (Callback* const callback = next_callback(node, node->observers)) {
    unlink(node->observers, callback);
    Turn::push(callback);
  }
}

void call_back(Node* node, Turn* turn) {
  while (turn->is_ours()) {
    Callback* const callback = take_callback(node);
    if (callback == nullptr) return;
    turn->run(callback);
  }
}

void run_wakers(Link*& wakers) {
  if (wakers == nullptr) return;
  Turn turn;
  while (turn.is_ours()) {
    Link* const waker = pop_front(wakers);
    if (waker == nullptr) return;
    turn.run(static_cast<Callback*>(waker));
  }
}

}  // namespace ctxcore
