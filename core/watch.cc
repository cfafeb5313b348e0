// SPDX-License-Identifier: MIT
#include "core/watch.h"

#include <climits>

#include "core/alloc.h"
#include "core/check.h"
#include "core/loop.h"

namespace ctxcore {

namespace {

// The end of a claimed watch, whether fn ran or was prevented.
void finish(Watch* watch) {
  if (watch->drop != nullptr) watch->drop(watch->arg);
  Context* const context = watch->context;
  if (watch->state.exchange(Watch::finished, std::memory_order_acq_rel) == Watch::awaited) {
    futex_wake(&watch->state, INT_MAX);
  }
  if (context != nullptr) {
    release_after_callback(context);
    release(watch);  // what being armed held
  }
}

void set_runner(Watch* watch) { watch->runner.store(pthread_self(), std::memory_order_relaxed); }

// The first callback of a node, off the list and claimed or queued; false if there is none. A watch
// that is to run here is in *ret; null if it was queued, or stopped at the last moment.
bool take_callback(Node* node, Callbacks callbacks, Watch** ret) {
  *ret = nullptr;
  Guard guard(observers_lock(node));
  Link* link = node->observers;
  if (link == nullptr) return false;
  if (static_cast<Observer*>(link)->type == Observer::Type::descriptor) {
    link = link->next;
    if (link == node->observers) return false;
  }
  CTX_ASSERT(static_cast<Observer*>(link)->type == Observer::Type::watch);
  auto* watch = static_cast<Watch*>(static_cast<Observer*>(link));
  unlink(node->observers, watch);
  if (callbacks == Callbacks::queued || watch->deferred) {
    node->loop->calls().push(watch);
  } else if (watch->claim(Watch::armed)) {
    *ret = watch;
  }
  return true;
}

void publish(Watch* watch, Watch** ret) {
  if (ret != nullptr) *ret = watch;
}

// True if the watch is armed now, false if the node is done. The handle is handed out under the lock:
// fn cannot run before it, and who stops the watch at once finds it linked.
bool enlist(Node* node, Watch* watch, Watch** ret) {
  set_family(node);
  Guard guard(observers_lock(node));
  if (error_of(node) != 0) return false;
  push_back(node->observers, watch);
  publish(watch, ret);
  return true;
}

// On a context that can never be done: nothing to arm, nothing to hold.
int leave_idle(Watch* watch, Watch** ret) {
  publish(watch, ret);
  if (ret == nullptr) release(watch);
  return 0;
}

}  // namespace

int after_func(Context* context, Watch::Function fn, void* arg, Watch::Drop drop, bool defer,
               Watch** ret) {
  auto* watch = make<Watch>(0, fn, arg, drop, defer, rank_of(context));
  if (watch == nullptr) return -ENOMEM;
  watch->stamp = stamp::make(stamp::kWatch);
  Node* const node = node_of(context);
  if (is_root(node)) return leave_idle(watch, ret);
  if (defer) {
    if (const int result = node->loop->start(); result < 0) {
      deallocate(watch);
      return result;
    }
  }
  add_ref(context);
  watch->context = context;
  watch->state.store(Watch::armed, std::memory_order_relaxed);
  if (ret != nullptr) watch->refs.store(2, std::memory_order_relaxed);
  if (enlist(node, watch, ret)) return 0;

  await(node, Phase::kMarked);
  if (defer) {
    watch->refs.fetch_add(1, std::memory_order_relaxed);  // it may be stopped before it is pushed
    publish(watch, ret);
    node->loop->calls().push(watch);
    release(watch);
  } else {
    watch->state.store(Watch::busy, std::memory_order_relaxed);
    publish(watch, ret);
    run_claimed(watch);
  }
  return 1;
}

void run_claimed(Watch* watch) {
  set_runner(watch);
  watch->fn(reinterpret_cast<::ctx*>(watch->context), watch->arg);
  finish(watch);
}

void call_back(Node* node, Callbacks callbacks) {
  Watch* watch = nullptr;
  // A callback may fork, and the child return here: the rest is its parent's.
  while (check(node) == 0 && take_callback(node, callbacks, &watch)) {
    if (watch != nullptr) run_claimed(watch);
  }
}

bool stop(Watch* watch) {
  uint32_t state = watch->state.load(std::memory_order_acquire);
  while (state <= Watch::queued) {
    if (!watch->state.compare_exchange_weak(state, Watch::busy, std::memory_order_acq_rel)) {
      continue;
    }
    set_runner(watch);
    if (state == Watch::armed) {
      Node* const node = node_of(watch->context);
      Guard guard(observers_lock(node));
      if (watch->linked()) unlink(node->observers, watch);
    } else if (state == Watch::queued) {
      node_of(watch->context)->loop->calls().withdraw(watch);
    }
    finish(watch);
    return true;
  }
  return false;
}

bool stop_wait(Watch* watch) {
  if (stop(watch)) return true;
  if (watch->runner.load(std::memory_order_relaxed) == pthread_self()) return false;
  uint32_t state = watch->state.load(std::memory_order_acquire);
  while (state != Watch::finished) {
    // Who waits says so, for finish() to wake it.
    if (state == Watch::awaited || watch->change(state, Watch::awaited)) {
      futex_wait(watch->state, Watch::awaited, kForever);
    }
    state = watch->state.load(std::memory_order_acquire);
  }
  return false;
}

void release(Watch* watch) {
  // acq_rel: all uses of the watch come before its destruction.
  if (watch->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (watch->state.load(std::memory_order_relaxed) == Watch::idle && watch->drop != nullptr) {
    watch->drop(watch->arg);
  }
  deallocate(watch);
}

}  // namespace ctxcore
