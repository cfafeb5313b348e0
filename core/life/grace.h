// SPDX-License-Identifier: MIT
// A node that ends some time after its parent: a timer that the parent's end sets.
//
// It hangs on the root of the loop, since a cancel of the parent must not reach it, by a carrier that holds the
// parent: so the parent's error and cause are there when the time has come. It observes the parent, and so learns
// of the parent's end.
#ifndef CTX_CORE_LIFE_GRACE_H
#define CTX_CORE_LIFE_GRACE_H

#include <cstdint>

#include "core/tree/grace_node.h"

namespace ctxcore {

int derive_grace(Context* parent, int64_t grace, uint32_t refs, Node** ret);

}  // namespace ctxcore

#endif
