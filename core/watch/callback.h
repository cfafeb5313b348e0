// SPDX-License-Identifier: MIT
// Callbacks: arming and stopping. What a cancel does with them is in life/call_back.h.
//
// Invariants: those of tree/callback.h. No lock is held while fn or drop runs.
#ifndef CTX_CORE_WATCH_CALLBACK_H
#define CTX_CORE_WATCH_CALLBACK_H

#include "core/tree/callback.h"

namespace ctxcore {

// Arms a callback, with flags of Callback. 0: armed; 1: it ran, or will run if it is deferred; else a negative
// errno. A `ret` that is not null receives the callback, with a reference, before fn may run.
int after_func(Context* context, Callback::Function fn, void* arg, Callback::Drop drop,
               uint8_t flags, Callback** ret);

bool stop(Callback* callback);       // true if this call prevented fn
bool stop_wait(Callback* callback);  // the same, and neither fn nor drop runs any more

}  // namespace ctxcore

#endif
