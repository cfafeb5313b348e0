// SPDX-License-Identifier: MIT
// What a process has once: the two roots and the default loop; and how a forked child starts afresh.
//
// Nothing here is made at load but numbers, and nothing is torn down at exit: the threads of a loop may
// still run then. A fork copies the memory in whatever state other threads have it. The child therefore
// locks nothing and frees nothing of its parent's: it counts the fork, which makes every older handle
// stale, and puts the roots and the default loop back into the state they are loaded in.
#ifndef CTX_CORE_PROCESS_H
#define CTX_CORE_PROCESS_H

#include "core/node.h"

namespace ctxcore {

Node* background();
Node* todo();

}  // namespace ctxcore

#endif
