// SPDX-License-Identifier: MIT
// Making contexts that an event on a descriptor, or a signal, ends. Each function returns 0 and a node with the
// given number of references, or a negative errno with nothing changed.
#ifndef CTX_CORE_LIFE_DERIVE_SOURCE_H
#define CTX_CORE_LIFE_DERIVE_SOURCE_H

#include <cstdint>

#include "core/tree/node.h"

namespace ctxcore {

int derive_fd(Context* parent, int fd, uint32_t events, uint32_t refs, Node** ret);
int derive_signal(Context* parent, uint64_t signals, uint32_t refs, Node** ret);

}  // namespace ctxcore

#endif
