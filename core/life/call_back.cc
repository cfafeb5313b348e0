// SPDX-License-Identifier: MIT
#include "core/life/call_back.h"

#include "core/base/check.h"
#include "core/loop/loop.h"

namespace ctxcore {

namespace {

// The first callback of a node, under the lock; nullptr if there is none.
Callback* first_callback(Node* node) CTX_REQUIRES(observers_lock(node)) {
  Observer* observer = node->observers.front();
  while (observer != nullptr && observer->stands()) observer = node->observers.after(observer);
  CTX_ASSERT(observer == nullptr || observer->type == Observer::Type::callback);
  return static_cast<Callback*>(observer);
}

// The first callback of a node, off the list and claimed; nullptr if there is none.
Callback* take_callback(Node* node, Which which) {
  Guard guard(observers_lock(node));
  while (Callback* const callback = first_callback(node)) {
    if (which == Which::wakers && !callback->is(Callback::kWaker)) return nullptr;
    node->observers.remove(callback);
    if (callback->claim(Callback::armed)) return callback;  // else it is being stopped
  }
  return nullptr;
}

bool is_pushed(const Callback* callback, Pushed which) {
  if (which == Pushed::all || callback->is(Callback::kDefer)) return true;
  return which == Pushed::deferred_and_blocking && callback->is(Callback::kBlocking);
}

}  // namespace

void push_callbacks(Node* node, Pushed which) {
  Guard guard(observers_lock(node));
  node->observers.each([node, which](Observer& observer) {
    observers_lock(node).assert_held();
    if (observer.stands()) return;
    auto* const callback = static_cast<Callback*>(&observer);
    if (!is_pushed(callback, which)) return;
    node->observers.remove(callback);
    node->loop->push(callback);
  });
}

void leave_to_turn(Node* node) {
  Guard guard(observers_lock(node));
  while (Callback* const callback = first_callback(node)) {
    node->observers.remove(callback);
    Turn::push(callback);
  }
}

void call_back(Node* node, Which which, Turn* turn) {
  while (turn->is_ours()) {
    Callback* const callback = take_callback(node, which);
    if (callback == nullptr) return;
    turn->run(callback);
  }
}

}  // namespace ctxcore
