// SPDX-License-Identifier: MIT
#include "core/calls.h"

#include "core/clock.h"
#include "core/futex.h"
#include "core/watch.h"

namespace ctxcore {

int Calls::start() {
  stopping_.store(false, std::memory_order_relaxed);
  return start_thread("ctx-calls", run, this, &thread_);
}

void Calls::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  wake();
  pthread_join(thread_, nullptr);
}

void Calls::wake() {
  bell_.fetch_add(1, std::memory_order_release);  // pairs with the acquire in run()
  futex_wake(&bell_, 1);
}

void Calls::push(Watch* watch) {
  {
    Guard guard(lock_);
    if (!watch->change(Watch::armed, Watch::queued)) return;
    push_back(watches_, watch);
  }
  wake();
}

void Calls::withdraw(Watch* watch) {
  Guard guard(lock_);
  if (watch->linked()) unlink(watches_, watch);
}

void Calls::push_release(Node* node) {
  {
    Guard guard(lock_);
    node->next = nodes_;
    nodes_ = node;
  }
  wake();
}

// Takes the first callback, claimed, or else a node. Neither, and true: a callback was being stopped.
bool Calls::take(Watch** watch, Node** node) {
  Guard guard(lock_);
  if (Link* link = pop_front(watches_); link != nullptr) {
    auto* first = static_cast<Watch*>(static_cast<Observer*>(link));
    if (first->claim(Watch::queued)) *watch = first;
    return true;
  }
  *node = nodes_;
  if (nodes_ == nullptr) return false;
  nodes_ = nodes_->next;
  return true;
}

bool Calls::run_one() {
  Watch* watch = nullptr;
  Node* node = nullptr;
  if (!take(&watch, &node)) return false;
  if (watch != nullptr) run_claimed(watch);
  if (node != nullptr) release_after_callback(node);
  return true;
}

void* Calls::run(void* self) {
  auto* calls = static_cast<Calls*>(self);
  for (;;) {
    const uint32_t rung = calls->bell_.load(std::memory_order_acquire);
    while (calls->run_one()) {
    }
    if (calls->stopping_.load(std::memory_order_relaxed)) return nullptr;
    futex_wait(calls->bell_, rung, kForever);
  }
}

}  // namespace ctxcore
