// SPDX-License-Identifier: MIT
// A turn: the time in which a thread runs users' callbacks, from the first to the last.
//
// A callback may cancel, and the callbacks that this sets off may cancel again. If each ran inside the one before,
// a long chain would overflow the stack. So a cancel inside a callback marks and wakes, and leaves its callbacks to
// the turn, which runs them when the callback that canceled has returned. It runs them before those that were left
// to it earlier: the order is that of nested calls.
//
// A thread finds its turn by its number, in a table of lists. Thread-local storage would be made on first use, which
// may need memory, and a cancel must not need any.
//
// Invariants
//  1. A turn lies on its thread's stack, and is listed in the thread's slot from its construction to its destruction.
//     Another one begins inside a callback that drives a loop, registers a callback on a context that is done, or
//     cancels and so runs wakers. The innermost turn of a thread comes first in the slot, and a cancel leaves its
//     callbacks to that one. It is at least of the kind of the turn around it.
//  2. The lock of its slot guards the lists of a turn. Only its own thread adds to them and runs from them; other
//     threads take out callbacks that they stop.
//  3. When a turn ends, nothing is left in it: users' code in it runs by run(), or run_left() follows.
//  4. pthread_cancel cannot end a thread while it has a turn (Uncancelable): nobody would go on with that.
//
// Lock order: a slot's lock is a leaf; taken with the lock of a node's observers held.
#ifndef CTX_CORE_LOOP_TURN_H
#define CTX_CORE_LOOP_TURN_H

#include <cstdint>

#include "core/base/handle.h"
#include "core/base/list.h"
#include "core/system/thread.h"
#include "core/tree/callback.h"

namespace ctxcore {

class Backlog;

class Turn {
 public:
  // Whose time it is, and so what a cancel inside a callback may leave to it.
  enum class Kind : uint8_t {
    none,
    program,  // of a thread of the program: all callbacks
    library,  // of a thread of the library or of an executor: all but those that may block
    wakers,   // of wakers, which others wait for: none, unless the loop has nobody to run them
  };

  explicit Turn(Kind kind);
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  // Runs a claimed callback, and then the callbacks that it left to the turn. With `later` the last reference to its
  // context is left to that backlog.
  void run(Callback* callback, Backlog* later = nullptr);
  void run_left();  // runs those that other users' code left to the turn

  // False in a child that a callback has forked, and returned in: the rest is the parent's.
  bool is_ours() const { return process_.is_ours(); }

  bool has_left() const { return pushed_; }  // others may have taken it out

  static Kind current();  // of this thread

  // Queues an armed callback with the innermost turn of this thread, unless a stop has claimed it.
  static void push(Callback* callback);

  // For a stop that claimed a callback while it was queued with a turn.
  static void withdraw(Callback* callback);

 private:
  Callback* take();

  const Process process_;  // a forked child does not know the turns of its parent
  bool pushed_ = false;    // only for its own thread
  Kind kind_;
  Turn* next_ = nullptr;
  const pthread_t thread_ = this_thread();
  const Uncancelable uncancelable_;
  Ring<Callback> fresh_;  // left since one was taken
  Ring<Callback> older_;  // left before that

  friend struct TurnTable;
};

// Finishes a claimed callback, whether fn ran or was prevented: runs drop, wakes a thread that waits for the end,
// and gives the references back. The last one to the context goes to `later`, if given.
void finish(Callback* callback, Backlog* later = nullptr);

inline void set_runner(Callback* callback) {
  callback->runner.store(this_thread(), std::memory_order_relaxed);
}

void forget_turns();  // in a forked child

}  // namespace ctxcore

#endif
