// SPDX-License-Identifier: MIT
// Merging contexts of several loops.
//
// A merged node lives on the loop of its first parent, and all its proxies hang on nodes of that loop (life/merge.h).
// For a parent of another loop there is a mirror: a node of this loop that watches the parent's done descriptor. So
// what crosses from loop to loop comes in by the same door as every other descriptor, at the loop's own turn, and no
// lock or walk spans two loops.
//
//   root of this loop
//     anchor, a carrier that holds the parent on the other loop
//       deadline, if the clocks of both loops are one: the parent's, with its cause
//         mirror: a source; what the merged node has as its parent
//
// Invariants
//  1. A mirror's `followed` outlives it: the anchor above holds that.
//  2. A mirror ends with the error and cause of `followed`, after that is done and woken; or with the deadline above
//     it, which is that of `followed` and has the same cause. If both come at once, either is right.
//  3. Nobody has a handle of a mirror or of the deadline above it. Only their children keep them: the proxies of the
//     merged node.
#ifndef CTX_CORE_WATCH_MIRROR_H
#define CTX_CORE_WATCH_MIRROR_H

#include <cstddef>
#include <cstdint>

#include "core/loop/mirror_node.h"
#include "core/tree/node.h"

namespace ctxcore {

// As derive_merged(), with parents of any loops. 0, or a negative errno with nothing changed.
int merge(Context* const* parents, size_t count, uint32_t refs, Node** ret);

}  // namespace ctxcore

#endif
