// SPDX-License-Identifier: MIT
#include "core/watch/callback.h"

#include <climits>

#include "core/base/alloc.h"
#include "core/base/check.h"
#include "core/loop/loop.h"
#include "core/watch/wait_circle.h"

namespace ctxcore {

namespace {

// The end of a claimed callback, whether fn ran or was prevented. In a child that fn forked, and returned
// in, it is its parent's.
void finish(Callback* callback) {
  if (stamp::check(callback->stamp, stamp::kWatch) != 0) return;
  if (callback->drop != nullptr) callback->drop(callback->arg);
  Context* const context = callback->context;
  if (callback->state.exchange(Callback::finished, std::memory_order_acq_rel) ==
      Callback::awaited) {
    futex_wake(&callback->state, INT_MAX);
  }
  if (context != nullptr) {
    release_after_callback(context);
    release(callback);  // what being armed held
  }
}

void set_runner(Callback* callback) {
  callback->runner.store(pthread_self(), std::memory_order_relaxed);
}

// The first callback of a node, off the list and claimed or queued; false if there is none. One that is
// to run here is in *ret; null if it was queued (then *queued is true), or stopped at the last moment.
bool take_callback(Node* node, Callbacks callbacks, Callback** ret, bool* queued) {
  *ret = nullptr;
  Guard guard(observers_lock(node));
  Link* link = node->observers;
  if (link == nullptr) return false;
  while (static_cast<Observer*>(link)->stands()) {
    link = link->next;
    if (link == node->observers) return false;
  }
  CTX_ASSERT(static_cast<Observer*>(link)->type == Observer::Type::callback);
  auto* callback = static_cast<Callback*>(link);
  unlink(node->observers, callback);
  if (callbacks == Callbacks::queued || callback->deferred) {
    node->loop->calls().push(callback);
    *queued = true;
  } else if (callback->claim(Callback::armed)) {
    *ret = callback;
  }
  return true;
}

void publish(Callback* callback, Callback** ret) {
  if (ret != nullptr) *ret = callback;
}

// True if the callback is armed now, false if the node is done. The handle is handed out under the lock:
// fn cannot run before it, and who stops the callback at once finds it linked.
bool enlist(Node* node, Callback* callback, Callback** ret) {
  set_family(node);
  Guard guard(observers_lock(node));
  if (error_of(node) != 0) return false;
  push_back(node->observers, callback);
  publish(callback, ret);
  return true;
}

// On a context that can never be done: nothing to arm, nothing to hold.
int leave_idle(Callback* callback, Callback** ret) {
  publish(callback, ret);
  if (ret == nullptr) release(callback);
  return 0;
}

}  // namespace

int after_func(Context* context, Callback::Function fn, void* arg, Callback::Drop drop, bool defer,
               Callback** ret) {
  auto* callback = make<Callback>(0, fn, arg, drop, defer, rank_of(context));
  if (callback == nullptr) return -ENOMEM;
  callback->stamp = stamp::make(stamp::kWatch);
  Node* const node = node_of(context);
  if (is_root(node)) return leave_idle(callback, ret);
  if (defer) {
    const int result = node->loop->orphaned() ? -ESHUTDOWN : node->loop->start();
    if (result < 0) {
      deallocate(callback);
      return result;
    }
  }
  add_ref(context);
  callback->context = context;
  callback->state.store(Callback::armed, std::memory_order_relaxed);
  if (ret != nullptr) callback->refs.store(2, std::memory_order_relaxed);
  if (enlist(node, callback, ret)) return 0;

  await(node, Phase::kMarked);
  if (defer) {
    callback->refs.fetch_add(1,
                             std::memory_order_relaxed);  // it may be stopped before it is pushed
    publish(callback, ret);
    node->loop->calls().push(callback);
    node->loop->ring();
    release(callback);
  } else {
    callback->state.store(Callback::busy, std::memory_order_relaxed);
    publish(callback, ret);
    run_claimed(callback);
  }
  return 1;
}

void run_claimed(Callback* callback) {
  set_runner(callback);
  callback->fn(reinterpret_cast<::ctx_context*>(callback->context), callback->arg);
  finish(callback);
}

void call_back(Node* node, Callbacks callbacks) {
  Callback* callback = nullptr;
  bool queued = false;
  // A callback may fork, and the child return here: the rest is its parent's.
  while (check(node) == 0 && take_callback(node, callbacks, &callback, &queued)) {
    if (callback != nullptr) run_claimed(callback);
  }
  if (queued && callbacks == Callbacks::here && check(node) == 0) node->loop->ring();
}

bool stop(Callback* callback) {
  uint32_t state = callback->state.load(std::memory_order_acquire);
  while (state <= Callback::queued) {
    if (!callback->state.compare_exchange_weak(state, Callback::busy, std::memory_order_acq_rel)) {
      continue;
    }
    set_runner(callback);
    if (state == Callback::armed) {
      Node* const node = node_of(callback->context);
      Guard guard(observers_lock(node));
      if (callback->linked()) unlink(node->observers, callback);
    } else if (state == Callback::queued) {
      node_of(callback->context)->loop->calls().withdraw(callback);
    }
    finish(callback);
    return true;
  }
  return false;
}

bool stop_wait(Callback* callback) {
  if (stop(callback)) return true;
  if (callback->runner.load(std::memory_order_relaxed) == pthread_self()) return false;
  uint32_t state = callback->state.load(std::memory_order_acquire);
  if (state == Callback::finished) return false;
  const WaitsFor waits(callback);
  while (state != Callback::finished) {
    // Who waits says so, for finish() to wake it.
    if (state == Callback::awaited || callback->change(state, Callback::awaited)) {
      futex_wait(callback->state, Callback::awaited, kForever);
    }
    state = callback->state.load(std::memory_order_acquire);
  }
  return false;
}

void release(Callback* callback) {
  // acq_rel: all uses of the callback come before its destruction.
  if (callback->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (callback->state.load(std::memory_order_relaxed) == Callback::idle &&
      callback->drop != nullptr) {
    callback->drop(callback->arg);
  }
  deallocate(callback);
}

}  // namespace ctxcore
