// SPDX-License-Identifier: MIT
// The two roots and the default loop, of which a process has one each. drive/process.cc defines them, and also
// starts them afresh in a forked child.
//
// Loading only sets numbers here, and nothing is torn down at exit: the threads of a loop may still run then. A fork
// copies the memory in whatever state other threads have it. So the child takes no lock of its parent's and frees
// nothing of it: it counts the fork, which makes every older handle stale, and puts the roots and the default loop
// back into the state in which they are loaded.
//
// Invariants
//  1. `chosen_loop` goes from null to the built-in loop, with the first derivation from one of the two
//     roots, or to a loop of the caller's, once. So all their families live on one loop.
//  2. It becomes a loop of the caller's under that loop's merge_lock(). A thread that ends everything on that loop
//     closes it under the same lock, and reads `chosen_loop` in that section: either it finds what hangs on the two
//     roots, or threads that derive from them afterwards find the loop closed.
#ifndef CTX_CORE_LOOP_ROOTS_H
#define CTX_CORE_LOOP_ROOTS_H

#include "core/tree/node.h"

namespace ctxcore {

Node* background();
Node* todo();

extern Atomic<Loop*> chosen_loop;
Loop* choose_default_loop();  // the built-in one, if none is chosen yet

// The loop of a family that is about to grow.
inline Loop* family_loop(const Node* above) {
  if (above->loop != nullptr) [[likely]]
    return above->loop;
  Loop* const chosen = chosen_loop.load(std::memory_order_acquire);
  return chosen != nullptr ? chosen : choose_default_loop();
}

bool set_default_loop(Loop* loop);  // false if there is one already

}  // namespace ctxcore

#endif
