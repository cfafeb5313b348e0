// SPDX-License-Identifier: MIT
// Callbacks: arming, stopping, and what a cancel does with those of a node that is done.
//
// Invariants: those of tree/callback.h. No lock is held while fn or drop runs.
#ifndef CTX_CORE_WATCH_CALLBACK_H
#define CTX_CORE_WATCH_CALLBACK_H

#include "core/tree/callback.h"

namespace ctxcore {

class Turn;

// Arms a callback, with flags of Callback. 0: armed; 1: it ran, or where it is deferred will; else a
// negative errno. If `ret` is not null it receives the callback, with a reference, before fn may run.
int after_func(Context* context, Callback::Function fn, void* arg, Callback::Drop drop,
               uint8_t flags, Callback** ret);

bool stop(Callback* callback);       // true if this call prevented fn
bool stop_wait(Callback* callback);  // the same, and neither fn nor drop runs any more

// Of a node that is done, in the order they are to run:
void push_callbacks(Node* node, bool all);  // all, or those that are deferred, go to the loop
void leave_to_turn(Node* node);             // the others go to the turn of this thread
void call_back(Node* node, Turn* turn);     // the others run here
void run_wakers(Link*& wakers);             // claimed ones, off their lists

}  // namespace ctxcore

#endif
