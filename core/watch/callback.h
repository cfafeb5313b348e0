// SPDX-License-Identifier: MIT
// A callback armed on a context.
//
// Invariants
//  1. state goes idle -> busy or armed -> (queued ->) busy, then (-> awaited) -> finished. Who makes it
//     busy, by compare-and-swap, is the only one to run fn or drop, and then finishes it; awaited is
//     busy with a thread that waits for the end.
//  2. Armed: linked among the node's observers, or about to be unlinked by a walk that lost the swap.
//     Queued: linked among the loop's calls. Both changes are made under the lock of the list.
//  3. While armed, queued or busy it holds a reference to its context and one to itself.
//  4. Idle is a callback on a context that can never be done: in no list, holding nothing.
//
// No lock is held while fn or drop runs.
#ifndef CTX_CORE_WATCH_CALLBACK_H
#define CTX_CORE_WATCH_CALLBACK_H

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "core/life/cancel.h"
#include "core/tree/observer.h"

struct ctx_context;  // the public name of a context; a user's function takes it

namespace ctxcore {

struct Callback : Watch {
  using Function = void (*)(::ctx_context*, void*);
  using Drop = void (*)(void*);
  enum State : uint32_t { idle, armed, queued, busy, awaited, finished };

  Callback(Function function, void* argument, Drop dropper, bool defer, uint32_t carriers)
      : Watch(Type::callback, carriers),
        fn(function),
        arg(argument),
        drop(dropper),
        deferred(defer) {}

  bool change(uint32_t from, State to) {
    return state.compare_exchange_strong(from, to, std::memory_order_acq_rel);
  }
  bool claim(State from) { return change(from, busy); }

  std::atomic<uint32_t> refs{1};
  std::atomic<uint32_t> state{idle};
  std::atomic<pthread_t> runner{};  // who made it busy
  Context* context = nullptr;
  const Function fn;
  void* const arg;
  const Drop drop;
  const bool deferred;
};

// Arms a callback. 0: armed; 1: it ran, or with `defer` will; else a negative errno. If `ret` is not
// null it receives the callback, with a reference, before fn may run.
int after_func(Context* context, Callback::Function fn, void* arg, Callback::Drop drop, bool defer,
               Callback** ret);

bool stop(Callback* callback);       // true if this call prevented fn
bool stop_wait(Callback* callback);  // the same, and neither fn nor drop runs any more
void release(Callback* callback);

// For a claimed callback: calls fn and drop, finishes it and gives its references back.
void run_claimed(Callback* callback);

// Takes the callbacks of a node that is done off its list, in order: those for this thread run here,
// the others go to the loop's calls.
void call_back(Node* node, Callbacks callbacks);

}  // namespace ctxcore

#endif
