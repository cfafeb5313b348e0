// SPDX-License-Identifier: MIT
#include "core/watch/callback.h"

#include <climits>

#include "core/base/alloc.h"
#include "core/base/check.h"
#include "core/base/released.h"
#include "core/loop/loop.h"
#include "core/loop/turn.h"
#include "core/system/thread.h"
#include "core/tree/node.h"
#include "core/watch/wait_circle.h"

namespace ctxcore {

namespace {

void publish(Callback* callback, Callback** ret) {
  if (ret != nullptr) *ret = callback;
}

// True if the callback is armed now, false if the node is done. It hands out the handle under the lock: fn cannot
// run before that, and a thread that stops the callback at once finds it linked.
bool enlist(Node* node, Callback* callback, Callback** ret) {
  set_family(node);
  Guard guard(observers_lock(node));
  if (error_of(node) != 0) return false;
  node->observers.push_back(callback);
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

int after_func(Context* context, Callback::Function fn, void* arg, Callback::Drop drop,
               uint8_t flags, Callback** ret) {
  const bool defer = (flags & Callback::kDefer) != 0;
  auto* callback = make<Callback>(0, fn, arg, drop, flags, rank_of(context));
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
    node->loop->push(callback);
    node->loop->ring();
    release(callback);
  } else {
    callback->state.store(Callback::busy, std::memory_order_relaxed);
    publish(callback, ret);
    Turn turn(callback->is(Callback::kWaker) ? Turn::Kind::wakers : Turn::Kind::program);
    turn.run(callback);
  }
  return 1;
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
      if (callback->linked()) node->observers.remove(callback);
    } else if (state == Callback::queued) {
      if (callback->place == Callback::Place::turn) {
        Turn::withdraw(callback);
      } else {
        node_of(callback->context)->loop->withdraw(callback);
      }
    }
    finish(callback);
    return true;
  }
  return false;
}

bool stop_wait(Callback* callback) {
  if (stop(callback)) return true;
  if (callback->runner.load(std::memory_order_relaxed) == this_thread()) return false;
  uint32_t state = callback->state.load(std::memory_order_acquire);
  if (state == Callback::finished) return false;
  const WaitsFor waits(callback);
  while (state != Callback::finished) {
    // The waiter sets this state, so that finish() wakes it.
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
  if (callback->state.load(std::memory_order_relaxed) == Callback::idle) {
    run_drop(callback->drop, callback->arg);
  }
  free_object(callback);
}

}  // namespace ctxcore
