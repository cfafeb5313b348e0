// SPDX-License-Identifier: MIT
// The shape of a callback that is armed on a context. It is armed and stopped in watch/callback.h, waits
// for its thread in a backlog (loop/backlog.h) or a turn (loop/turn.h), and is run by a turn.
//
// Invariants
//  1. state goes idle -> busy or armed -> (queued ->) busy, then (-> awaited) -> finished. Only the thread
//     that makes it busy, by compare-and-swap, runs fn or drop, and then finishes it. Awaited is busy, with a
//     thread that waits for the end.
//  2. Armed: linked among the node's observers, or about to be unlinked by a walk that lost the swap.
//     Queued: linked in a backlog or a turn, which `place`, `slot` and `turn` name before that; or handed to
//     an executor, by `loop`. Both changes are made under the lock of the list.
//  3. While armed, queued or busy it holds a reference to its context and one to itself.
//  4. A callback on a context that can never be done is idle: in no list, holding nothing.
//  5. A node's callbacks run in the order of their ranks, and those of one rank in the order they came. The rank is
//     the number of carriers between the node and the watched context: a context that carries a value is its parent's
//     descendant, though both end as one node.
#ifndef CTX_CORE_TREE_CALLBACK_H
#define CTX_CORE_TREE_CALLBACK_H

#include <pthread.h>

#include <cstdint>

#include "core/system/atomic.h"
#include "core/tree/observer.h"

struct ctx_context;  // the public name of a context; a user's function takes it

namespace ctxcore {

class Loop;
class Turn;
struct Context;
struct Node;

struct Callback : Watch {
  using Function = void (*)(::ctx_context*, void*);
  using Drop = void (*)(void*);
  enum State : uint32_t { idle, armed, queued, busy, awaited, finished };
  enum class Place : uint8_t { backlog, lane, turn };

  static constexpr uint8_t kDefer = 1;     // never on the thread that cancels
  static constexpr uint8_t kBlocking = 2;  // a threaded loop runs it on the lane
  static constexpr uint8_t kWaker = 4;     // short, and runs before all others

  Callback(Function function, void* argument, Drop dropper, uint8_t how, uint32_t carriers)
      : Watch(Type::callback),
        rank(carriers),
        flags(how),
        fn(function),
        arg(argument),
        drop(dropper) {}

  bool change(uint32_t from, State to) {
    return state.compare_exchange_strong(from, to, std::memory_order_acq_rel);
  }
  bool claim(State from) { return change(from, busy); }

  bool is(uint8_t flag) const { return (flags & flag) != 0; }

  const uint32_t rank;
  Atomic<uint32_t> refs{1};
  Atomic<uint32_t> state{idle};
  const uint8_t flags;
  Place place = Place::backlog;
  uint8_t slot = 0;  // of the table of turns
  union {
    Turn* turn = nullptr;
    Loop* loop;
  };
  Atomic<pthread_t> runner{};  // the thread that made it busy
  Context* context = nullptr;
  const Function fn;
  void* const arg;
  const Drop drop;
};

void release(Callback* callback);

}  // namespace ctxcore

#endif
